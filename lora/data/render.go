package data

import (
	"errors"
	"fmt"
	"slices"
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

	// Rejected is the conversation of a preference pair with the answer that is
	// not preferred; nil: the row is no pair.
	Rejected *Row
	// Desirable says whether the answer is as it should be; nil: nobody said.
	Desirable *bool
}

// Size is the number of tokens, those of the pair's other answer included.
func (r *Row) Size() int {
	if r.Rejected == nil {
		return len(r.Tokens)
	}
	return len(r.Tokens) + len(r.Rejected.Tokens)
}

// Prompt is the number of tokens before the first target.
func (r *Row) Prompt() int {
	for i, m := range r.Mask {
		if m {
			return i
		}
	}
	return len(r.Tokens)
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

// Truncate cuts the row at its end to at most maxLen tokens and says whether
// something was cut off. 0 means no bound.
func (r *Row) Truncate(maxLen int) bool {
	if maxLen <= 0 || len(r.Tokens) <= maxLen {
		return false
	}
	r.Tokens, r.Mask, r.Truncated = r.Tokens[:maxLen], r.Mask[:maxLen], true
	return true
}

// Render tokenises an example. The targets are the text of each assistant turn
// whose weight is not 0, and the token that ends it; what the template writes
// after that token, often a line break, is context only. A row longer than
// maxLen tokens is cut at its end; 0 means no bound.
func Render(v Vocab, msgs []chat.Message, maxLen int) (Row, error) {
	b := builder{v: v}
	if bos, ok := v.BOS(); ok {
		b.row.Tokens, b.row.Mask, b.bos = []int32{bos}, []bool{false}, 1
	}
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
		if !strings.HasPrefix(prompt, b.text) || !strings.HasPrefix(whole, prompt) {
			return Row{}, fmt.Errorf("message %d: the model's chat template rewrites earlier turns, so this conversation cannot be trained in one row; split it so that each example ends with its one assistant message", i+1)
		}
		if err := b.add(prompt, false); err != nil {
			return Row{}, err
		}
		if err := b.add(whole, m.Weight == nil || *m.Weight != 0); err != nil {
			return Row{}, err
		}
	}
	b.row.Truncate(maxLen)
	if b.row.Targets() == 0 {
		return b.row, ErrNothingToLearn
	}
	return b.row, nil
}

// builder makes a row turn by turn.
type builder struct {
	v    Vocab
	row  Row
	bos  int    // tokens at the front that are not of the text
	text string // what has been tokenised so far
}

// add lengthens the row to text, which begins with what is there. What is added
// to learn is an assistant's turn: its tokens are targets through the first one
// that ends an answer, which is added if the template writes none.
func (b *builder) add(text string, learn bool) error {
	toks, err := b.next(text)
	if err != nil {
		return err
	}
	b.text = text
	ended := false
	for _, t := range toks {
		b.row.Tokens = append(b.row.Tokens, t)
		b.row.Mask = append(b.row.Mask, learn && !ended)
		ended = ended || b.v.IsEOG(t)
	}
	if learn && !ended && b.v.EOS() >= 0 {
		b.row.Tokens = append(b.row.Tokens, b.v.EOS())
		b.row.Mask = append(b.row.Mask, true)
	}
	return nil
}

// next returns the tokens that continue the row to text. Where the tokens of
// the whole text begin with the row's, the rest of them follows: a tokenizer
// that puts a space before every text would put one into the middle otherwise.
// Where the border melts into one token, what is new is tokenised alone, as
// the row's tokens are those that serving has sent by then.
func (b *builder) next(text string) ([]int32, error) {
	whole, err := b.v.Tokenize(text, true)
	if err != nil {
		return nil, err
	}
	if have := b.row.Tokens[b.bos:]; len(whole) >= len(have) && slices.Equal(whole[:len(have)], have) {
		return whole[len(have):], nil
	}
	return b.v.Tokenize(text[len(b.text):], true)
}
