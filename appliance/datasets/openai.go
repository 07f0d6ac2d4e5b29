package datasets

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"cloister/appliance/fault"
	"cloister/store"
	"cloister/store/clean"
)

// Limits of OpenAI's chat files.
const (
	minExamples = 10
	maxLine     = 4 << 20 // bytes of one line
	namedLines  = 10      // wrong lines that an error names
)

// FromFiles makes a dataset version out of an uploaded file of OpenAI's chat
// JSONL, and of another one for validation if validationFile is not empty. The
// files are checked by OpenAI's rules and masked, but not cleaned. The dataset
// is named after the training file; the same two files give the same version
// again. What is wrong is a *fault.Error with OpenAI's code and with Param
// "training_file" or "validation_file".
func (s *Service) FromFiles(ctx context.Context, trainingFile, validationFile string) (store.Version, error) {
	s.making.Lock()
	defer s.making.Unlock()
	parent, err := s.latest(trainingFile)
	if err != nil {
		return store.Version{}, err
	}
	if parent > 0 {
		v, err := s.st.Version(trainingFile, parent)
		if err != nil {
			return store.Version{}, err
		}
		if rep, err := report(v); err != nil || rep.ValidationFile == validationFile {
			return v, err
		}
	}
	b := newBuilder(s.mask)
	if err := s.addFile(ctx, b, trainingFile, store.Train, "training_file", "Training"); err != nil {
		return store.Version{}, err
	}
	if validationFile != "" {
		if err := s.addFile(ctx, b, validationFile, store.Valid, "validation_file", "Validation"); err != nil {
			return store.Version{}, err
		}
	}
	return s.create(ctx, b, store.NewVersion{Dataset: trainingFile, Parent: parent, Origin: "openai-file", FileID: trainingFile}, Report{ValidationFile: validationFile})
}

// addFile checks a file as a whole, then hands its examples to the builder.
func (s *Service) addFile(ctx context.Context, b *builder, id string, split store.Split, param, word string) error {
	in, err := s.st.OpenFile(id)
	if errors.Is(err, store.ErrNotFound) {
		return fault.New(fault.Invalid, "file_not_found", param, "File '%s' does not exist.", id).Wrap(err)
	}
	if err != nil {
		return err
	}
	defer in.Close()
	var all []numbered
	var wrong wrongLines
	err = eachLine(ctx, in, param, func(n int, line []byte) {
		turns, judged, complaint := parseLine(line)
		if complaint != "" {
			wrong.add(n, complaint)
			return
		}
		if len(all) <= maxExamples { // one more tells that there are too many
			all = append(all, numbered{n, turns, judged})
		}
	})
	if err != nil {
		return err
	}
	if len(all) > maxExamples {
		return tooMany(word+" file", param)
	}
	if wrong.count > 0 {
		return fault.New(fault.Invalid, "invalid_"+param, param, "%s file has %d invalid line(s) of %d: %s", word, wrong.count, wrong.count+len(all), strings.Join(wrong.named, " "))
	}
	least := minExamples
	if split == store.Valid {
		least = 1
	}
	if len(all) < least {
		return fault.New(fault.Invalid, "invalid_n_examples", param, "%s file has %d example(s), but must have at least %d examples", word, len(all), least)
	}
	for _, ex := range all {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := b.add(ex.line, clean.Group(asked(ex.turns)), split, ex.turns, ex.judged); err != nil {
			return err
		}
	}
	return nil
}

// numbered is an example with its line.
type numbered struct {
	line   int
	turns  []turn
	judged judgement
}

// asked joins the user's turns, as ingest.Record.Prompt does.
func asked(turns []turn) string {
	var parts []string
	for _, t := range turns {
		if t.role == "user" {
			parts = append(parts, t.content)
		}
	}
	return strings.Join(parts, "\n")
}

// wrongLines counts wrong lines and names the first ones.
type wrongLines struct {
	count int
	named []string
}

func (w *wrongLines) add(line int, complaint string) {
	w.count++
	if len(w.named) < namedLines {
		w.named = append(w.named, fmt.Sprintf("Line %d%s.", line, complaint))
	}
}

// eachLine calls f for each line that is not blank, with its number from 1. A
// byte order mark and carriage returns are taken off.
func eachLine(ctx context.Context, r io.Reader, param string, f func(n int, line []byte)) error {
	in := bufio.NewScanner(r)
	in.Buffer(make([]byte, 0, 64<<10), maxLine)
	n := 0
	for in.Scan() {
		n++
		line := in.Bytes()
		if n == 1 {
			line = bytes.TrimPrefix(line, []byte("\ufeff"))
		}
		if line = bytes.TrimSpace(line); len(line) > 0 {
			f(n, line)
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	if errors.Is(in.Err(), bufio.ErrTooLong) {
		return fault.New(fault.Invalid, "invalid_"+param, param, "Line %d is longer than %d bytes; is each example on a line of its own?", n+1, maxLine)
	}
	return in.Err()
}

// chatLine is one line of a chat file. Fields that ask for what Cloister
// cannot train are noticed.
type chatLine struct {
	Messages   []json.RawMessage `json:"messages"`
	Tools      json.RawMessage   `json:"tools"`
	Functions  json.RawMessage   `json:"functions"`
	Prompt     json.RawMessage   `json:"prompt"`
	Completion json.RawMessage   `json:"completion"`
}

// parseChat reads one example. The complaint is empty if it is fine; it
// continues "Line 3" and never holds a text of the example.
func parseChat(line []byte) ([]turn, string) {
	var c chatLine
	if complaint := decodeLine(line, &c); complaint != "" {
		return nil, complaint
	}
	switch {
	case c.Messages == nil && given(c.Prompt) && given(c.Completion):
		return nil, ": \"prompt\" and \"completion\" are the format of base models; write \"messages\" with the roles user and assistant"
	case len(c.Messages) == 0:
		return nil, ": \"messages\" is missing or empty"
	case given(c.Tools) || given(c.Functions):
		return nil, ": training with tools is not supported"
	}
	turns, complaint := parseMessages(c.Messages, "")
	if complaint != "" {
		return nil, complaint
	}
	trainable := false
	for _, t := range turns {
		trainable = trainable || t.role == "assistant" && (t.weight == nil || *t.weight == 1)
	}
	switch {
	case turns[len(turns)-1].role != "assistant":
		return nil, ": the last message must be from the assistant"
	case !trainable:
		return nil, ": no assistant message with weight 1, so there is nothing to learn"
	}
	return turns, ""
}

// parseMessages reads messages; field, if it is not empty, names their list.
func parseMessages(list []json.RawMessage, field string) ([]turn, string) {
	turns := make([]turn, 0, len(list))
	for i, raw := range list {
		t, complaint := parseMessage(raw)
		if complaint != "" {
			return nil, fmt.Sprintf(", %smessage %d: %s", field, i+1, complaint)
		}
		turns = append(turns, t)
	}
	return turns, ""
}

func given(raw json.RawMessage) bool {
	return len(raw) > 0 && string(raw) != "null" && string(raw) != "[]"
}

// parseMessage reads one message.
func parseMessage(raw json.RawMessage) (turn, string) {
	var m struct {
		Role         string          `json:"role"`
		Content      json.RawMessage `json:"content"`
		Weight       *float64        `json:"weight"`
		ToolCalls    json.RawMessage `json:"tool_calls"`
		FunctionCall json.RawMessage `json:"function_call"`
	}
	if err := json.Unmarshal(raw, &m); err != nil {
		return turn{}, "expected an object with \"role\" and \"content\""
	}
	t := turn{role: m.Role}
	switch m.Role {
	case "developer":
		t.role = "system"
	case "system", "user", "assistant":
	case "tool", "function":
		return turn{}, "training with tools is not supported"
	case "":
		return turn{}, "\"role\" is missing"
	default:
		return turn{}, "the role must be system, developer, user or assistant"
	}
	if given(m.ToolCalls) || given(m.FunctionCall) {
		return turn{}, "training with tools is not supported"
	}
	if m.Weight != nil {
		if t.role != "assistant" || *m.Weight != 0 && *m.Weight != 1 {
			return turn{}, "\"weight\" must be 0 or 1, on assistant messages only"
		}
		w := int(*m.Weight)
		t.weight = &w
	}
	var ok bool
	if t.content, ok = content(m.Content); !ok {
		return turn{}, "\"content\" must be a text"
	}
	if t.content == "" && t.role != "system" {
		return turn{}, "\"content\" is empty"
	}
	return t, ""
}

// content reads a text, or a list of parts of type text.
func content(raw json.RawMessage) (string, bool) {
	var text string
	if given(raw) && json.Unmarshal(raw, &text) == nil {
		return text, true
	}
	var parts []struct {
		Type string  `json:"type"`
		Text *string `json:"text"`
	}
	if !given(raw) || json.Unmarshal(raw, &parts) != nil {
		return "", false
	}
	for _, p := range parts {
		if p.Type != "text" || p.Text == nil {
			return "", false
		}
		text += *p.Text
	}
	return text, true
}
