package llama_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cloister/llama"
	"cloister/llama/chat"
	"cloister/llama/llamatest"
)

func openVocab(t *testing.T) *llama.Vocab {
	t.Helper()
	v, err := llama.OpenVocab(llamatest.Model(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { v.Close() })
	return v
}

// The template of SmolLM2 adds a system turn of its own when there is none.
func TestRender(t *testing.T) {
	v := openVocab(t)
	ask := chat.Message{Role: "user", Content: "When do you open?"}
	const system = "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n"
	for _, tt := range []struct {
		name   string
		msgs   []chat.Message
		prompt bool
		want   string
	}{
		{"own system", []chat.Message{ask}, true, system + "<|im_start|>user\nWhen do you open?<|im_end|>\n<|im_start|>assistant\n"},
		{"given system", []chat.Message{{Role: "system", Content: "Be brief."}, ask}, true,
			"<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nWhen do you open?<|im_end|>\n<|im_start|>assistant\n"},
		{"answered", []chat.Message{ask, {Role: "assistant", Content: "At 7:40."}}, false,
			system + "<|im_start|>user\nWhen do you open?<|im_end|>\n<|im_start|>assistant\nAt 7:40.<|im_end|>\n"},
	} {
		got, err := v.Render(tt.msgs, tt.prompt)
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		if got != tt.want {
			t.Errorf("%s:\n got %q\nwant %q", tt.name, got, tt.want)
		}
	}
}

func TestTokenize(t *testing.T) {
	v := openVocab(t)
	const text = "<|im_start|>assistant\nRoom  214 은 3층입니다.<|im_end|>"
	toks, err := v.Tokenize(text, true)
	if err != nil {
		t.Fatal(err)
	}
	if toks[0] != 1 || toks[len(toks)-1] != 2 {
		t.Errorf("control tokens: got %v, want them to begin with 1 and end with 2", toks)
	}
	if !v.IsEOG(2) || v.IsEOG(1) {
		t.Error("token 2, and not 1, ends an answer")
	}
	var back strings.Builder
	for _, tok := range toks {
		back.Write(v.Piece(tok))
	}
	if back.String() != text {
		t.Errorf("pieces make %q, want %q", back.String(), text)
	}
	plain, err := v.Tokenize("<|im_end|>", false)
	if err != nil || len(plain) < 2 {
		t.Errorf("plain text of a control token is %v, %v; want several ordinary tokens", plain, err)
	}
	if none, err := v.Tokenize("", true); err != nil || len(none) != 0 {
		t.Errorf("empty text is %v, %v", none, err)
	}
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	garbage := filepath.Join(dir, "garbage.gguf")
	if err := os.WriteFile(garbage, []byte("this is no model"), 0o600); err != nil {
		t.Fatal(err)
	}
	model, err := os.Open(llamatest.Model(t))
	if err != nil {
		t.Fatal(err)
	}
	defer model.Close()
	head := make([]byte, 3<<20) // the header and some of the tensors
	if _, err := model.Read(head); err != nil {
		t.Fatal(err)
	}
	cut := filepath.Join(dir, "cut.gguf")
	if err := os.WriteFile(cut, head, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{filepath.Join(dir, "none.gguf"), dir, garbage, cut, os.DevNull} {
		if m, err := llama.Open(path); err == nil {
			m.Close()
			t.Errorf("Open(%s) succeeded", filepath.Base(path))
		} else if !strings.Contains(err.Error(), filepath.Base(path)) {
			t.Errorf("Open(%s): the error does not name the file: %v", filepath.Base(path), err)
		}
	}
}
