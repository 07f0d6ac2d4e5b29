package llama

import (
	"encoding/json"
	"errors"
	"fmt"

	"cloister/llama/chat"
	"cloister/llama/gguf"
	"cloister/llama/internal/capi"
)

// ErrNoTokenizer says that a GGUF file holds no tokenizer, as adapters do not.
var ErrNoTokenizer = errors.New("the file holds no tokenizer; it is no complete model")

// ErrTemplate is wrapped in errors about messages that the model's chat template
// does not take, such as one whose roles must alternate.
var ErrTemplate = errors.New("the model's chat template refuses these messages")

// Vocab is a model's tokenizer and chat template. It is safe for concurrent use.
type Vocab struct {
	m *capi.Model
	t *capi.Templates
}

// OpenVocab reads the tokenizer and the template of a GGUF file, named as for
// gguf.Open, and no weights.
func OpenVocab(path string) (*Vocab, error) {
	m, err := loadModel(path, true, capi.Offload{})
	if err != nil {
		return nil, err
	}
	v, err := newVocab(m)
	if err != nil {
		m.Free()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return v, nil
}

// loadModel is capi.LoadModel with an error that names the file. llama.cpp
// aborts on some paths that are no files at all, so those are caught before.
func loadModel(path string, vocabOnly bool, where capi.Offload) (*capi.Model, error) {
	s, err := gguf.OpenSection(path)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	offset := s.Region.Offset
	if gguf.ParseRegion(path).Whole() {
		offset = -1
	}
	m, err := capi.LoadModel(s.Region.Path, offset, vocabOnly, where)
	if err != nil {
		return nil, fmt.Errorf("cannot load the model %s: %w", path, err)
	}
	return m, nil
}

func newVocab(m *capi.Model) (*Vocab, error) {
	if m.NTokens() == 0 {
		return nil, ErrNoTokenizer
	}
	t, err := m.NewTemplates()
	if err != nil {
		return nil, fmt.Errorf("the chat template does not parse: %w", err)
	}
	return &Vocab{m: m, t: t}, nil
}

// Close frees the tokenizer.
func (v *Vocab) Close() error {
	v.t.Free()
	v.m.Free()
	return nil
}

// Size is the number of tokens.
func (v *Vocab) Size() int { return v.m.NTokens() }

// TrainContext is the context length, in tokens, that the model was trained with.
func (v *Vocab) TrainContext() int { return v.m.NCtxTrain() }

// Tokenize turns text into tokens. special turns the text of control tokens,
// such as <|im_end|>, into those tokens. BOS is never added.
func (v *Vocab) Tokenize(text string, special bool) ([]int32, error) {
	return v.m.Tokenize(text, special)
}

// Piece returns the bytes of one token, the text of control tokens included.
// They need not be whole UTF-8 characters.
func (v *Vocab) Piece(tok int32) []byte { return v.m.TokenToPiece(tok, true) }

// IsEOG reports whether the token ends an answer.
func (v *Vocab) IsEOG(tok int32) bool { return v.m.IsEOG(tok) }

// EOS returns the token that ends an answer: what the file calls the end of
// the sequence, which chat models set to the end of a turn, else a token that
// llama.cpp knows as the end of a turn, else -1.
func (v *Vocab) EOS() int32 {
	if t := v.m.EOS(); t >= 0 {
		return t
	}
	return v.m.EOT()
}

// BOS returns the token that each prompt begins with, if the model wants one.
func (v *Vocab) BOS() (tok int32, ok bool) {
	if !v.m.AddBOS() {
		return -1, false
	}
	tok = v.m.BOS()
	return tok, tok >= 0
}

// Render writes the messages in the model's own template, without BOS.
// addGenerationPrompt opens the assistant's next turn.
func (v *Vocab) Render(msgs []chat.Message, addGenerationPrompt bool) (string, error) {
	b, err := json.Marshal(msgs)
	if err != nil {
		return "", err
	}
	text, err := v.t.Apply(string(b), addGenerationPrompt)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrTemplate, err)
	}
	return text, nil
}

// Prompt returns the tokens that ask for an answer to the messages: BOS if the
// model wants one, then the rendered template with the assistant's turn open.
func (v *Vocab) Prompt(msgs []chat.Message) ([]int32, error) { return v.PromptFrom(msgs, "") }

// PromptFrom is Prompt for an answer that begins with a text. What is written
// in it as control tokens are, is text.
func (v *Vocab) PromptFrom(msgs []chat.Message, begun string) ([]int32, error) {
	text, err := v.Render(msgs, true)
	if err != nil {
		return nil, err
	}
	toks, err := v.Tokenize(text, true)
	if err == nil && begun != "" {
		var more []int32
		more, err = v.Tokenize(begun, false)
		toks = append(toks, more...)
	}
	if err != nil {
		return nil, err
	}
	if bos, ok := v.BOS(); ok {
		toks = append([]int32{bos}, toks...)
	}
	return toks, nil
}

// VisiblePiece returns the bytes of one token as a reader sees them: control
// tokens are empty. They need not be whole UTF-8 characters.
func (v *Vocab) VisiblePiece(tok int32) []byte { return v.m.TokenToPiece(tok, false) }
