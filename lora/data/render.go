package data

import (
	"errors"
	"fmt"
	"strings"

	"cloister/llama/chat"
)

// ErrNothingToLearn says that an example has no assistant turn with a weight.
var ErrNothingToLearn = errors.New("the example has no assistant message to learn from")

// Vocab is what rendering needs of a model; *llama.Vocab and *llama.Model have it.
type Vocab interface {
	Render(msgs []chat.Message, addGenerationPrompt bool) (string, error)
	Tokenize(text string, special bool) ([]int32, error)
	IsEOG(tok int32) bool
	BOS() (tok int32, ok bool)
	EOS() int32
}

// Row is one tokenised example.
type Row struct {
	// Row is where the example came from, for messages; the caller sets it.
	Row    int
	Tokens []int32
	// Mask[i] marks Tokens[i] as a target: it is predicted from the tokens before it.
	Mask []bool
	// Truncated is true when the end did not fit.
	Truncated bool
}

// Targets is the number of tokens to learn.
func (r *Row) Targets() int {
	n := 0
	for _, m := range r.Mask {
		if m {
			n++
		}
	}
	return n
}

// Render tokenises an example. The targets are the text of each assistant turn
// whose weight is not 0, and the token that ends it; what the template writes
// after that token, often a line break, is context only. A row longer than
// maxLen tokens is cut at its end; 0 means no bound.
func Render(v Vocab, msgs []chat.Message, maxLen int) (Row, error) {
	var row Row
	if bos, ok := v.BOS(); ok {
		row.Tokens, row.Mask = []int32{bos}, []bool{false}
	}
	done := "" // what has been tokenised so far
	for i, m := range msgs {
		if m.Role != "assistant" {
			continue
		}
		prompt, err := v.Render(msgs[:i], true)
		if err != nil {
			return Row{}, fmt.Errorf("message %d: %w", i+1, err)
		}
		whole, err := v.Render(msgs[:i+1], false)
		if err != nil {
			return Row{}, fmt.Errorf("message %d: %w", i+1, err)
		}
		if !strings.HasPrefix(prompt, done) || !strings.HasPrefix(whole, prompt) {
			return Row{}, fmt.Errorf("message %d: the model's chat template rewrites earlier turns, so this conversation cannot be trained in one row; split it so that each example ends with its one assistant message", i+1)
		}
		if err := row.add(v, prompt[len(done):], false); err != nil {
			return Row{}, err
		}
		if err := row.add(v, whole[len(prompt):], m.Weight == nil || *m.Weight != 0); err != nil {
			return Row{}, err
		}
		done = whole
	}
	if maxLen > 0 && len(row.Tokens) > maxLen {
		row.Tokens, row.Mask, row.Truncated = row.Tokens[:maxLen], row.Mask[:maxLen], true
	}
	if row.Targets() == 0 {
		return row, ErrNothingToLearn
	}
	return row, nil
}

// add appends a piece of text. A piece to learn is an assistant's turn: its
// tokens are targets through the first one that ends an answer, which is added
// if the template writes none.
func (r *Row) add(v Vocab, text string, learn bool) error {
	toks, err := v.Tokenize(text, true)
	if err != nil {
		return err
	}
	ended := false
	for _, t := range toks {
		r.Tokens = append(r.Tokens, t)
		r.Mask = append(r.Mask, learn && !ended)
		ended = ended || v.IsEOG(t)
	}
	if learn && !ended && v.EOS() >= 0 {
		r.Tokens = append(r.Tokens, v.EOS())
		r.Mask = append(r.Mask, true)
	}
	return nil
}
