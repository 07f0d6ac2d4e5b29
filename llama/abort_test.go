package llama_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"cloister/llama"
	"cloister/llama/gguf/tinygguf"
)

// Where ggml ends the process, the first line on standard error says why, and
// names no folder of the machine that built it.
func TestAbortSaysWhy(t *testing.T) {
	const inChild = "CLOISTER_TEST_ABORT"
	if path := os.Getenv(inChild); path != "" {
		abort(t, path)
		return
	}
	path := filepath.Join(t.TempDir(), "tiny.gguf")
	if err := tinygguf.WriteFile(path, tinygguf.Default()); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestAbortSaysWhy$")
	cmd.Env = append(os.Environ(), inChild+"="+path)
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Run(); err == nil {
		t.Fatal("the process did not end")
	}
	line, _, _ := strings.Cut(said.String(), "\n")
	if !strings.HasPrefix(line, "abort: ") || !strings.Contains(line, "GGML_ASSERT") || strings.Contains(line, "/") {
		t.Errorf("it said %q", line)
	}
}

// abort makes ggml end the process: it asks for a token where there are no logits.
func abort(t *testing.T, path string) {
	m, err := llama.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	c, err := m.NewContext(llama.ContextOptions{Tokens: 64})
	if err != nil {
		t.Fatal(err)
	}
	s, err := m.NewSampler(llama.Sampling{}, false, "")
	if err != nil {
		t.Fatal(err)
	}
	_, _ = s.Sample(c, 0)
}
