package tinygguf_test

import (
	"bytes"
	"math"
	"path/filepath"
	"testing"

	"cloister/llama"
	"cloister/llama/chat"
	"cloister/llama/gguf"
	"cloister/llama/gguf/tinygguf"
)

// llama.cpp loads each kind of model, renders, tokenises and computes finite logits.
func TestLlamaCppLoads(t *testing.T) {
	for _, typ := range tinygguf.Types {
		for _, tied := range []bool{false, true} {
			t.Run(typ.String(), func(t *testing.T) {
				c := tinygguf.Default()
				c.Type, c.Tied = typ, tied
				if typ.BlockSize() == 256 {
					c.Embedding, c.FFN = 256, 256
				}
				path := filepath.Join(t.TempDir(), "tiny.gguf")
				if err := tinygguf.WriteFile(path, c); err != nil {
					t.Fatal(err)
				}
				m, err := llama.Open(path)
				if err != nil {
					t.Fatal(err)
				}
				defer m.Close()
				chatWith(t, m)
			})
		}
	}
}

// So it does each architecture, with all that its files may have.
func TestArchitectures(t *testing.T) {
	for name, change := range map[string]func(*tinygguf.Config){
		"llama": func(c *tinygguf.Config) { c.Experts, c.ExpertsUsed = 4, 2 },
		"qwen2": func(*tinygguf.Config) {}, "qwen3": func(c *tinygguf.Config) { c.HeadDim = 16 },
		"gemma3":   func(c *tinygguf.Config) { c.Window, c.WindowPattern, c.WindowRopeBase, c.SoftCap = 8, 2, 1000, 30 },
		"phi3":     func(c *tinygguf.Config) { c.OriginalContext = 64 },
		"qwen3moe": func(c *tinygguf.Config) { c.Experts, c.ExpertsUsed, c.Type = 4, 2, gguf.Q8_0 },
	} {
		t.Run(name, func(t *testing.T) {
			c := tinygguf.Default()
			c.Architecture = name
			change(&c)
			path := filepath.Join(t.TempDir(), "tiny.gguf")
			if err := tinygguf.WriteFile(path, c); err != nil {
				t.Fatal(err)
			}
			m, err := llama.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer m.Close()
			if m.Architecture() != name {
				t.Errorf("the architecture is %q", m.Architecture())
			}
			chatWith(t, m)
		})
	}
}

func chatWith(t *testing.T, m *llama.Model) {
	t.Helper()
	prompt, err := m.Prompt([]chat.Message{{Role: "user", Content: "the 한 ant\n"}})
	if err != nil {
		t.Fatal(err)
	}
	var text []byte
	for _, tok := range prompt {
		text = append(text, m.Piece(tok)...)
	}
	if want := "<|im_start|>user\nthe 한 ant\n<|im_end|>\n<|im_start|>assistant\n"; string(text) != want {
		t.Errorf("the prompt is %q, want %q", text, want)
	}
	if prompt[0] != tinygguf.ImStart || !m.IsEOG(tinygguf.ImEnd) || m.EOS() != tinygguf.ImEnd {
		t.Errorf("control tokens: prompt %v, EOS %d", prompt, m.EOS())
	}
	logits, err := m.Logits(prompt, nil)
	if err != nil {
		t.Fatal(err)
	}
	var square float64
	for _, row := range logits {
		for _, v := range row {
			square += float64(v) * float64(v)
		}
	}
	if rms := math.Sqrt(square / float64(len(logits)*m.Size())); !(rms > 0.1 && rms < 100) {
		t.Errorf("logits have root mean square %g", rms)
	}
}

func TestSameBytes(t *testing.T) {
	write := func(seed int64) []byte {
		c := tinygguf.Default()
		c.Seed = seed
		kv, tensors, err := tinygguf.Build(c)
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if err := gguf.Write(&b, kv, tensors); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	if !bytes.Equal(write(1), write(1)) || bytes.Equal(write(1), write(2)) {
		t.Error("the bytes must depend on the seed and on nothing else")
	}
}

func TestHalf(t *testing.T) {
	for f, want := range map[float32]uint16{
		0: 0, 1: 0x3c00, -2: 0xc000, 65504: 0x7bff, 65519: 0x7bff, 65520: 0x7c00, 1e9: 0x7c00,
		0x1p-14: 0x0400, 0x1p-24: 1, 0x1p-25: 0, 0x1.8p-24: 2, 1.0 / 3: 0x3555,
		1 + 0x1p-11: 0x3c00, 1 + 0x3p-11: 0x3c02, float32(math.Inf(-1)): 0xfc00,
	} {
		if got := tinygguf.Half(f); got != want {
			t.Errorf("Half(%g) = %#04x, want %#04x", f, got, want)
		}
	}
}

func TestRefuses(t *testing.T) {
	c := tinygguf.Default()
	c.KVHeads = 3
	if _, _, err := tinygguf.Build(c); err == nil {
		t.Error("4 heads over 3 key heads were accepted")
	}
	for _, change := range []func(*tinygguf.Config){
		func(c *tinygguf.Config) { c.Architecture = "mamba" },
		func(c *tinygguf.Config) { c.Architecture, c.Experts, c.ExpertsUsed = "qwen3", 4, 2 },
		func(c *tinygguf.Config) { c.Experts, c.ExpertsUsed = 2, 3 },
	} {
		c = tinygguf.Default()
		change(&c)
		if _, _, err := tinygguf.Build(c); err == nil {
			t.Errorf("%+v was accepted", c)
		}
	}
	c = tinygguf.Default()
	c.Type = gguf.Q4_K
	if _, _, err := tinygguf.Build(c); err == nil {
		t.Error("rows of 32 elements were accepted for Q4_K")
	}
	if _, err := tinygguf.Quantise(gguf.IQ4_XS, make([]float32, 256)); err == nil {
		t.Error("a type without quantiser was accepted")
	}
}
