package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/urfave/cli/v2"
	"golang.org/x/term"

	"cloister/appliance"
	"cloister/appliance/openai"
)

func chatCommand() *cli.Command {
	return &cli.Command{
		Name:      "chat",
		Usage:     "ask a model",
		UsageText: "cloister chat [--model MODEL] [QUESTION]",
		Description: `With a QUESTION it prints the answer as it comes. Without one it talks with you:
the model sees the whole conversation; Ctrl-C stops an answer, Ctrl-D ends. Text
from a pipe is one question. With --json the whole response is printed, with the
id by which the answer can be rated.

Examples:
  cloister chat --model support "When are you open?"
  cloister chat --model smollm2-135m-instruct
  cloister feedback add $(cloister chat "Hello" --json | jq -r .id) --rating 5`,
		Flags: append([]cli.Flag{
			&cli.StringFlag{Name: "model", Usage: "`MODEL`: an alias, a tuned model or a base", DefaultText: "the only one there is"},
			&cli.StringFlag{Name: "system", Usage: "system prompt `TEXT`", DefaultText: "the one that the model was tuned with"},
			&cli.Float64Flag{Name: "temperature", Usage: "0 always takes the likeliest word, 2 is wild: `T`", DefaultText: "0"},
			&cli.IntFlag{Name: "max-tokens", Usage: "at most `N` tokens of answer", DefaultText: "what fits"},
			&cli.Int64Flag{Name: "seed", Usage: "`N`: the same number gives the same answer"},
		}, engineFlags()...),
		Action: chat,
	}
}

func chat(c *cli.Context) error {
	args, err := arguments(c, 0, "QUESTION")
	if err != nil {
		return err
	}
	req, err := chatRequest(c)
	if err != nil {
		return err
	}
	question := args[0]
	talk := question == "" && isTerminal(c.App.Reader)
	if talk && c.Bool("json") {
		return misused(c, "--json needs a QUESTION")
	}
	if question == "" && !talk {
		if question, err = pipedQuestion(c); err != nil {
			return err
		}
	}
	config := appliance.Config{Idle: true}
	if err := engineOptions(c, &config.Engine); err != nil {
		return err
	}
	return within(c, config, func(s *session) error {
		if s.own == nil && (c.IsSet("gpu-layers") || c.IsSet("device")) {
			return misused(c, "an appliance runs, which says where its models lie: give --gpu-layers and --device to cloister serve")
		}
		warnOfCards(c, &config)
		if err := address(c, s, &req); err != nil {
			return err
		}
		if talk {
			return converse(c, s, req)
		}
		say(&req, "user", question)
		if c.Bool("json") {
			answer, err := s.Chat(c.Context, req)
			if err != nil {
				return err
			}
			return printJSON(c, answer)
		}
		_, err := answer(c.Context, c, s, req)
		return err
	})
}

// maxQuestion bounds a question from a pipe, bytes.
const maxQuestion = 4 << 20

func pipedQuestion(c *cli.Context) (string, error) {
	data, err := io.ReadAll(io.LimitReader(c.App.Reader, maxQuestion+1))
	if err != nil {
		return "", err
	}
	if len(data) > maxQuestion {
		return "", fmt.Errorf("the question on standard input is longer than %d MiB", maxQuestion>>20)
	}
	if strings.TrimSpace(string(data)) == "" {
		return "", misused(c, "QUESTION is missing")
	}
	return strings.TrimRight(string(data), "\r\n"), nil
}

func isTerminal(r io.Reader) bool {
	f, ok := r.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

func chatRequest(c *cli.Context) (openai.ChatRequest, error) {
	temperature := c.Float64("temperature")
	if temperature < 0 || temperature > 2 {
		return openai.ChatRequest{}, misused(c, "--temperature is %g; it must be from 0 to 2", temperature)
	}
	req := openai.ChatRequest{Model: c.String("model"), Temperature: &temperature}
	tokens, err := positive(c, "max-tokens")
	if err != nil {
		return req, err
	}
	if tokens > 0 {
		req.MaxCompletionTokens = &tokens
	}
	if c.IsSet("seed") {
		seed := c.Int64("seed")
		req.Seed = &seed
	}
	return req, nil
}

// address names the model, and gives it the system prompt that it was tuned
// with unless another one is wanted.
func address(c *cli.Context, s *session, req *openai.ChatRequest) error {
	m, err := s.Model(c.Context, req.Model)
	if err != nil {
		return err
	}
	req.Model = m.Name
	system := m.System
	if c.IsSet("system") {
		system = c.String("system")
	}
	if system != "" {
		say(req, "system", system)
	}
	return nil
}

// say adds a turn to the conversation.
func say(req *openai.ChatRequest, role, text string) {
	req.Messages = append(req.Messages, openai.Message{Role: role, Content: openai.NewContent(text)})
}

// answer prints an answer as it comes, and returns it.
func answer(ctx context.Context, c *cli.Context, s *session, req openai.ChatRequest) (string, error) {
	var text strings.Builder
	err := s.ChatStream(ctx, req, func(chunk openai.ChatChunk) error {
		for _, choice := range chunk.Choices {
			if choice.Delta.Content != nil {
				text.WriteString(*choice.Delta.Content)
				if _, err := io.WriteString(c.App.Writer, *choice.Delta.Content); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if text.Len() > 0 || err == nil {
		fmt.Fprintln(c.App.Writer)
	}
	return text.String(), err
}

// converse talks until the input ends. Ctrl-C stops an answer; at the prompt
// it ends the conversation.
func converse(c *cli.Context, s *session, req openai.ChatRequest) error {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)
	lines := readLines(c.App.Reader)
	fmt.Fprintln(c.App.ErrWriter, "Ctrl-C stops an answer, Ctrl-D ends.")
	for {
		fmt.Fprint(c.App.ErrWriter, "> ")
		var line string
		var ok bool
		select {
		case line, ok = <-lines:
		case <-signals:
		}
		if !ok {
			fmt.Fprintln(c.App.ErrWriter)
			return nil
		}
		if strings.TrimSpace(line) == "" {
			continue
		}
		say(&req, "user", line)
		text, stopped, err := interruptibleAnswer(c, s, req, signals)
		if err != nil && !stopped {
			return err
		}
		say(&req, "assistant", text)
	}
}

// readLines reads lines in the background, so that signals can be heard.
func readLines(r io.Reader) <-chan string {
	lines := make(chan string)
	go func() {
		defer close(lines)
		for s := bufio.NewScanner(r); s.Scan(); {
			lines <- s.Text()
		}
	}()
	return lines
}

// interruptibleAnswer is answer, until a signal comes. The context that
// withAppliance made ends at the first signal, and here one signal stops one
// answer.
func interruptibleAnswer(c *cli.Context, s *session, req openai.ChatRequest, signals <-chan os.Signal) (text string, stopped bool, err error) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(c.Context))
	defer cancel()
	done := make(chan struct{})
	go func() {
		select {
		case <-signals:
			cancel()
		case <-done:
		}
	}()
	text, err = answer(ctx, c, s, req)
	close(done)
	return text, ctx.Err() != nil, err
}
