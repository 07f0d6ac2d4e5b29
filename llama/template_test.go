package llama_test

import (
	"errors"
	"testing"

	"cloister/llama"
	"cloister/llama/chat"
	"cloister/llama/llamatest"
)

// Messages that no template can render are the caller's fault, and said to be so.
func TestRenderRefuses(t *testing.T) {
	v, err := llama.OpenVocab(llamatest.Model(t))
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	call := chat.ToolCall{Type: "no such type"}
	_, err = v.Render([]chat.Message{{Role: "user", Content: "a"}, {Role: "assistant", ToolCalls: []chat.ToolCall{call}}}, true)
	if !errors.Is(err, llama.ErrTemplate) {
		t.Errorf("%v, want ErrTemplate", err)
	}
}
