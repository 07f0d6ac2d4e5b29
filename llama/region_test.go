package llama_test

import (
	"bufio"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cloister/llama"
	"cloister/llama/gguf"
	"cloister/llama/llamatest"
)

// inside puts a file into a larger one at an offset and returns the region.
func inside(t *testing.T, path string, offset int64) string {
	t.Helper()
	in, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.Create(filepath.Join(t.TempDir(), "larger"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	if _, err := out.WriteString("#!something else\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Seek(offset, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	n, err := io.Copy(out, in)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := out.WriteString(strings.Repeat("what follows ", 1000)); err != nil {
		t.Fatal(err)
	}
	return gguf.Region{Path: out.Name(), Offset: offset, Length: n}.String()
}

// A model inside a larger file gives the same logits and is mapped, not copied:
// the memory of its weights is the file's.
func TestModelInsideALargerFile(t *testing.T) {
	tokens := []int32{1, 4093, 198, 19556, 28, 638}
	want := logits(t, llamatest.Model(t), tokens)
	if got := logits(t, inside(t, llamatest.Model(t), 3*4096), tokens); !cmp.Equal(got, want) {
		t.Error("other logits")
	}
}

// Offsets are 64 bits wide. Without weights nothing is mapped: llama.cpp would
// fill the memory with all that lies before the model.
func TestVocabBehind4GiB(t *testing.T) {
	v, err := llama.OpenVocab(inside(t, llamatest.Model(t), 5<<30))
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	if v.Size() != 49152 {
		t.Errorf("%d tokens", v.Size())
	}
}

func logits(t *testing.T, path string, tokens []int32) [][]float32 {
	t.Helper()
	m, err := llama.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	out, err := m.Logits(tokens, nil)
	if err != nil {
		t.Fatal(err)
	}
	file := gguf.ParseRegion(path).Path
	if !mapped(t, file) {
		t.Errorf("%s is not mapped while its model is open", filepath.Base(file))
	}
	return out
}

// mapped reports whether this process has mapped a file.
func mapped(t *testing.T, file string) bool {
	t.Helper()
	maps, err := os.Open("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	defer maps.Close()
	for lines := bufio.NewScanner(maps); lines.Scan(); {
		if strings.HasSuffix(lines.Text(), file) {
			return true
		}
	}
	return false
}
