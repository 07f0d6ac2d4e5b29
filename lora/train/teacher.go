package train

import (
	"errors"
	"fmt"

	"cloister/llama/gguf"
)

// ErrVocabulary says that a teacher's tokens are not the student's, so that its
// probabilities would be of other words.
var ErrVocabulary = errors.New("the teacher has another vocabulary")

// unused is the type of tokens that only fill a vocabulary up (llama.cpp's
// LLAMA_TOKEN_TYPE_UNUSED): files of one family have more or fewer of them.
const unused = 5

// SameVocabulary compares the tokenizers of two GGUF models, token by token.
// The error, an ErrVocabulary, names the first difference. Tokens without use
// at the end of one of them are passed over.
func SameVocabulary(student, teacher string) error {
	a, err := readVocabulary(student)
	if err != nil {
		return err
	}
	b, err := readVocabulary(teacher)
	if err != nil {
		return err
	}
	for _, c := range []struct{ what, student, teacher string }{
		{"kind (tokenizer.ggml.model)", a.model, b.model}, {"way to split texts (tokenizer.ggml.pre)", a.pre, b.pre},
	} {
		if c.student != c.teacher {
			return fmt.Errorf("%w: its tokenizer's %s is %q, the student's is %q; a teacher for top-k learning comes from the same family", ErrVocabulary, c.what, c.teacher, c.student)
		}
	}
	for i := range max(len(a.tokens), len(b.tokens)) {
		x, y := a.token(i), b.token(i)
		if x != y && !(x == "" || y == "") {
			return fmt.Errorf("%w: token %d is %q there and %q in the student; a teacher for top-k learning comes from the same family", ErrVocabulary, i, y, x)
		}
		if x != y {
			return fmt.Errorf("%w: one has %d tokens in use and the other fewer; token %d is the first that one of them lacks", ErrVocabulary, i+1, i)
		}
	}
	return nil
}

// vocabulary is what a file says of its tokens.
type vocabulary struct {
	model, pre string
	tokens     []string
	kinds      []int64
}

func readVocabulary(path string) (*vocabulary, error) {
	f, err := gguf.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	v := new(vocabulary)
	v.model, _ = f.String("tokenizer.ggml.model")
	v.pre, _ = f.String("tokenizer.ggml.pre")
	v.tokens, _ = f.Strings("tokenizer.ggml.tokens")
	v.kinds, _ = f.Ints("tokenizer.ggml.token_type")
	if len(v.tokens) == 0 {
		return nil, fmt.Errorf("%s has no tokenizer", path)
	}
	return v, nil
}

// token is the text of token i; empty if it has no use.
func (v *vocabulary) token(i int) string {
	if i >= len(v.tokens) || i < len(v.kinds) && v.kinds[i] == unused {
		return ""
	}
	return v.tokens[i]
}
