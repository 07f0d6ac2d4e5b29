package api

import (
	"context"

	"cloister/appliance/engine"
	"cloister/appliance/masking"
	"cloister/appliance/openai"
)

// piece is a step of one choice: a chunk of text or the end.
type piece struct {
	choice int
	chunk  engine.Chunk
	result *engine.ChatResult // set at the end
}

// streamChat sends an answer piece by piece: for each choice the role once,
// its text, its end; then the usage if it was asked for, and [DONE]. An error
// before the first piece is returned and becomes an ordinary response; a later
// one is the stream's last event.
func (s *Server) streamChat(ctx context.Context, out *stream, call *chatCall, answer openai.ChatCompletion, usage bool) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	pieces := make(chan piece)
	failed := make(chan error, 1)
	go func() {
		failed <- s.each(ctx, call, func(ctx context.Context, i int, req engine.ChatRequest) error {
			return produce(ctx, call.engine, i, req, pieces)
		})
		close(pieces)
	}()
	c := &chunker{out: out, call: call, usage: usage, results: make([]engine.ChatResult, call.choices), opened: make([]bool, call.choices)}
	if s.config.MaskAnswers {
		for range call.choices {
			c.masks = append(c.masks, s.Masking.Answer(call.question()))
		}
	}
	c.head = openai.ChatChunk{ID: answer.ID, Object: "chat.completion.chunk", Created: answer.Created, Model: answer.Model, SystemFingerprint: answer.SystemFingerprint}
	defer out.end()
	var sendErr error
	for p := range pieces {
		if sendErr != nil {
			continue // drain: the producers see the cancelled context
		}
		if sendErr = c.send(p); sendErr != nil {
			cancel()
		}
	}
	if sendErr != nil {
		return sendErr
	}
	if err := <-failed; err != nil {
		return out.fail(ctx, err)
	}
	s.record(ctx, call, answer.ID, c.results[0].Text)
	return c.finish()
}

// produce generates one choice into the channel.
func produce(ctx context.Context, e engine.Engine, choice int, req engine.ChatRequest, to chan<- piece) error {
	put := func(p piece) error {
		select {
		case to <- p:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	result, err := e.Chat(ctx, req, func(c engine.Chunk) error { return put(piece{choice: choice, chunk: c}) })
	if err != nil {
		return err
	}
	return put(piece{choice: choice, result: &result})
}

// chunker writes pieces as chunks.
type chunker struct {
	out     *stream
	call    *chatCall
	head    openai.ChatChunk // what all chunks have in common
	usage   bool
	results []engine.ChatResult
	opened  []bool            // the role of this choice was sent
	masks   []*masking.Answer // of the choices; nil: they are sent as they come
}

func (c *chunker) send(p piece) error {
	if !c.opened[p.choice] {
		c.opened[p.choice] = true
		empty := ""
		if err := c.choice(openai.ChunkChoice{Index: p.choice, Delta: openai.Delta{Role: "assistant", Content: &empty}}); err != nil {
			return err
		}
	}
	text, err := c.masked(p)
	if err != nil {
		return err
	}
	if text != "" {
		if err := c.text(p, text); err != nil {
			return err
		}
	}
	if p.result == nil {
		return nil
	}
	c.results[p.choice] = *p.result
	return c.choice(openai.ChunkChoice{Index: p.choice, FinishReason: &p.result.FinishReason})
}

// masked is what is sent at a piece: its text, or what the masker lets go.
func (c *chunker) masked(p piece) (string, error) {
	switch {
	case c.masks == nil:
		return p.chunk.Text, nil
	case p.result != nil:
		return c.masks[p.choice].End()
	}
	return c.masks[p.choice].Add(p.chunk.Text)
}

// text sends a part of an answer.
func (c *chunker) text(p piece, text string) error {
	out := openai.ChunkChoice{Index: p.choice, Delta: openai.Delta{Content: &text}}
	if c.call.request.Logprobs {
		out.Logprobs = &openai.Logprobs{Content: wireLogprobs(p.chunk.Logprobs)}
	}
	return c.choice(out)
}

func (c *chunker) choice(choice openai.ChunkChoice) error {
	chunk := c.head
	chunk.Choices = []openai.ChunkChoice{choice}
	chunk.Usage.Present = c.usage
	return c.out.send(chunk)
}

// finish sends the usage and the mark of the end.
func (c *chunker) finish() error {
	if c.usage {
		chunk := c.head
		chunk.Choices = []openai.ChunkChoice{}
		chunk.Usage = openai.ChunkUsage{Present: true, Usage: wireUsage(c.results)}
		if err := c.out.send(chunk); err != nil {
			return err
		}
	}
	return c.out.raw("[DONE]")
}
