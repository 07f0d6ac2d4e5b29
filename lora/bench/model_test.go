package bench_test

import (
	"bytes"
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"cloister/llama"
	"cloister/llama/llamatest"
	"cloister/lora/bench"
	"cloister/lora/train"
)

// Shapes have the parameters that were published.
func TestShapes(t *testing.T) {
	published := map[string]int64{
		"smollm2-135m": 134515008, "llama-1.7b": 1711376384, "llama-7b": 6738415616, "llama-8b": 8030261248, "llama-70b": 70553706496,
		"mixtral-8x7b": 46702792704, "qwen2-7b": 7615616512, "qwen3-8b": 8190735360, "qwen3-30b-a3b": 30532122624, "gemma3-1b": 999885952, "phi3-mini": 3821079552,
	}
	for _, name := range bench.ShapeNames() {
		r, err := bench.PlanModel(bench.ModelConfig{Shape: name, Type: "q4_k"})
		if err != nil || r.Parameters != published[name] {
			t.Errorf("%s has %d parameters (%v), published are %d", name, r.Parameters, err, published[name])
		}
	}
	if len(published) != len(bench.Shapes) {
		t.Errorf("%d shapes, %d published", len(bench.Shapes), len(published))
	}
}

// A written model loads in llama.cpp with the other's tokenizer, gives finite
// logits, trains, and is the same to the byte when it is written again.
func TestWriteModel(t *testing.T) {
	other := llamatest.Model(t)
	for _, typ := range []string{"q4_k", "f16", "q5_1"} { // of 576 values a row: q4_k falls back
		c := bench.ModelConfig{Shape: "smollm2-135m", Type: typ, Layers: 2, Tokenizer: other}
		path := filepath.Join(t.TempDir(), "random.gguf")
		r, err := bench.WriteModel(context.Background(), path, c)
		if err != nil {
			t.Fatal(err)
		}
		if (len(r.Fallbacks) > 0) != (typ == "q4_k") {
			t.Errorf("%s: fallbacks %v", typ, r.Fallbacks)
		}
		m, err := llama.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		tokens, err := m.Tokenize("Where is the eye clinic?", true)
		if err != nil {
			t.Fatal(err)
		}
		logits, err := m.Logits(tokens, nil)
		if err != nil {
			t.Fatal(err)
		}
		last := logits[len(logits)-1]
		var squares float64
		for _, v := range last {
			squares += float64(v) * float64(v)
		}
		if rms := math.Sqrt(squares / float64(len(last))); len(tokens) > 12 || !(rms > 0.1 && rms < 100) {
			t.Errorf("%s: %d tokens, logits of a mean size of %g", typ, len(tokens), rms)
		}
		_ = m.Close()
		if b, err := train.Bench(context.Background(), train.BenchConfig{BasePath: path, Rank: 2, Steps: 1}); err != nil || b.TokensPerSecond <= 0 {
			t.Errorf("%s: %+v %v", typ, b, err)
		}
		again := filepath.Join(t.TempDir(), "again.gguf")
		if _, err := bench.WriteModel(context.Background(), again, c); err != nil || !bytes.Equal(read(t, path), read(t, again)) {
			t.Errorf("%s: written again it differs (%v)", typ, err)
		}
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The built-in tokenizer knows every byte.
func TestWriteModelOwnTokenizer(t *testing.T) {
	path := filepath.Join(t.TempDir(), "random.gguf")
	if _, err := bench.WriteModel(context.Background(), path, bench.ModelConfig{Shape: "smollm2-135m", Type: "q8_0", Layers: 1}); err != nil {
		t.Fatal(err)
	}
	v, err := llama.OpenVocab(path)
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	tokens, err := v.Tokenize("Grüße, 안녕", false)
	if err != nil || slices.Contains(tokens, -1) || len(tokens) < 10 {
		t.Errorf("%v %v", tokens, err)
	}
}

// Nothing is left of a model that was not finished, and nothing is written over.
func TestWriteModelRefused(t *testing.T) {
	dir := t.TempDir()
	stop, cancel := context.WithCancel(context.Background())
	there := filepath.Join(dir, "there.gguf")
	if err := os.WriteFile(there, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	ok := bench.ModelConfig{Shape: "smollm2-135m", Type: "f16", Layers: 2}
	for _, tt := range []struct {
		name   string
		change func(*bench.ModelConfig)
		path   string
		want   string
	}{
		{"stopped", func(c *bench.ModelConfig) { c.Progress = func(int64, int64) { cancel() } }, "", "context canceled"},
		{"there", nil, there, "exists already"},
		{"no folder", nil, filepath.Join(dir, "none", "a.gguf"), "no such file"},
		{"too large", func(c *bench.ModelConfig) { c.Shape, c.Type, c.Layers = "llama-70b", "f32", 50000 }, "", "are free on its disk"},
		{"shape", func(c *bench.ModelConfig) { c.Shape = "llama-9b" }, "", `no shape "llama-9b"; choose from smollm2-135m, `},
		{"type", func(c *bench.ModelConfig) { c.Type = "q9" }, "", `no type "q9"`},
		{"layers", func(c *bench.ModelConfig) { c.Layers = -1 }, "", "-1 layers"},
		{"no model", func(c *bench.ModelConfig) { c.Tokenizer = there }, "", "there.gguf"},
		{"larger tokenizer", func(c *bench.ModelConfig) { c.Shape, c.Tokenizer = "phi3-mini", llamatest.Model(t) }, "", "has 49152 tokens, and the shape has room for 32064"},
	} {
		c, path := ok, tt.path
		if tt.change != nil {
			tt.change(&c)
		}
		if path == "" {
			path = filepath.Join(dir, "new.gguf")
		}
		if _, err := bench.WriteModel(stop, path, c); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %s", tt.name, err, tt.want)
		}
	}
	if !errors.Is(stop.Err(), context.Canceled) {
		t.Error("it was not stopped")
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 1 {
		t.Errorf("left: %v (%v)", left, err)
	}
}
