package llama_test

import (
	"path/filepath"
	"testing"

	"cloister/llama"
	"cloister/llama/gguf/tinygguf"
)

// The likeliest token is chosen by a look at the logits, and is what llama.cpp's
// chain chooses, also where the end of the answer is not allowed.
func TestGreedy(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tiny.gguf")
	shape := tinygguf.Default()
	shape.Vocab = 301 // no multiple of anything
	if err := tinygguf.WriteFile(path, shape); err != nil {
		t.Fatal(err)
	}
	m, err := llama.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	c, err := m.NewContext(llama.ContextOptions{Tokens: 256, Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	seen := map[int32]bool{}
	for _, ignoreEOS := range []bool{false, true} {
		plain, err := m.NewSampler(llama.Sampling{}, ignoreEOS, "")
		if err != nil {
			t.Fatal(err)
		}
		defer plain.Close()
		chain, err := m.NewSampler(llama.Sampling{LogitBias: map[int32]float32{1: 0}}, ignoreEOS, "")
		if err != nil {
			t.Fatal(err)
		}
		defer chain.Close()
		for first := range int32(200) {
			c.Truncate(0, 0)
			c.Clear()
			i := c.Add(first, 0, 0, true)
			if err := c.Decode(); err != nil {
				t.Fatal(err)
			}
			got, err := plain.Sample(c, i)
			if err != nil {
				t.Fatal(err)
			}
			want, err := chain.Sample(c, i)
			if err != nil || got != want {
				t.Errorf("after %d: token %d, the chain has %d (%v)", first, got, want, err)
			}
			if ignoreEOS && m.IsEOG(got) {
				t.Errorf("after %d: the end, which is not allowed", first)
			}
			if got < 0 || int(got) >= m.Size() {
				t.Fatalf("token %d of %d", got, m.Size())
			}
			seen[got] = true
		}
	}
	if len(seen) < 20 {
		t.Errorf("only %d tokens were chosen; the test shows little", len(seen))
	}
}

// Choosing among the tokens of a large vocabulary, by a look and by the chain.
func BenchmarkGreedy(b *testing.B) {
	path := filepath.Join(b.TempDir(), "tiny.gguf")
	shape := tinygguf.Default()
	shape.Vocab = 128256
	if err := tinygguf.WriteFile(path, shape); err != nil {
		b.Fatal(err)
	}
	m, err := llama.Open(path)
	if err != nil {
		b.Fatal(err)
	}
	defer m.Close()
	c, err := m.NewContext(llama.ContextOptions{Tokens: 256, Threads: 1})
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	i := c.Add(7, 0, 0, true)
	if err := c.Decode(); err != nil {
		b.Fatal(err)
	}
	for name, o := range map[string]llama.Sampling{"look": {}, "chain": {LogitBias: map[int32]float32{1: 0}}} {
		b.Run(name, func(b *testing.B) {
			s, err := m.NewSampler(o, false, "")
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			for b.Loop() {
				if _, err := s.Sample(c, i); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
