// Package tinygguf writes small random models for tests, of each architecture
// that can be trained, complete with a tokenizer and a chat template, so that
// llama.cpp loads them and chats with them. Their answers are noise. The same
// Config gives the same bytes. Plan says what stands in such a file, of any
// size, for who fills it otherwise.
package tinygguf

import (
	"bufio"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"os"

	"cloister/llama/gguf"
)

// Config is the shape of a model. Rows of quantised matrices are whole blocks:
// Embedding and FFN are multiples of 32, or of 256 for K-types.
type Config struct {
	Architecture string // "": llama

	Layers    int
	Embedding int
	Heads     int
	KVHeads   int // divides Heads
	HeadDim   int // 0: Embedding / Heads
	FFN       int
	Vocab     int // at least MinVocab
	Context   int
	RopeBase  float32
	Epsilon   float32
	Tied      bool      // no output.weight: the embedding is the output matrix as well
	Type      gguf.Type // of the matrices and the embedding; norms are F32
	Seed      int64
	Template  string // chat template; "": ChatML
	// Tokenizer is the metadata of another model's, whose template counts; nil: bytes and a few merges.
	Tokenizer []gguf.KV
	AddBOS    bool // prompts begin with <|endoftext|>

	// Window is the number of keys that a query of a sliding-window layer sees
	// (gemma3). All layers but each WindowPattern-th are such, with a RoPE base of WindowRopeBase.
	Window, WindowPattern int
	WindowRopeBase        float32
	SoftCap               float32 // of the logits (gemma3); 0: none
	// OriginalContext, unless 0, gives the model factors of RoPE for positions
	// up to it and others for longer texts (phi3).
	OriginalContext int
	// Experts in each layer, and how many of them a token uses (qwen3moe, and llama if not 0).
	Experts, ExpertsUsed int
}

// Default is a model of two layers that takes milliseconds: grouped query
// attention, separate output, F32.
func Default() Config {
	return Config{
		Layers: 2, Embedding: 32, Heads: 4, KVHeads: 2, FFN: 64, Vocab: 288, Context: 256,
		RopeBase: 10000, Epsilon: 1e-5, Type: gguf.F32, Seed: 1,
	}
}

// WriteFile writes the model to a file.
func WriteFile(path string, c Config) error {
	kv, tensors, err := Build(c)
	if err != nil {
		return err
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	if err = gguf.Write(w, kv, tensors); err == nil {
		err = w.Flush()
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	return err
}

// Build makes the model's metadata and tensors.
func Build(c Config) ([]gguf.KV, []gguf.Tensor, error) {
	kv, parts, err := Plan(c)
	if err != nil {
		return nil, nil, err
	}
	tensors := make([]gguf.Tensor, len(parts))
	for i, p := range parts {
		tensors[i] = p.Tensor
		if tensors[i].Data, err = Quantise(p.Type, c.random(p.Name, int(p.Elements()), p.Mean, p.Scale)); err != nil {
			return nil, nil, fmt.Errorf("tinygguf: %s: %w", p.Name, err)
		}
	}
	return kv, tensors, nil
}

// Plan is Build without the data.
func Plan(c Config) ([]gguf.KV, []Part, error) {
	if c.Architecture == "" {
		c.Architecture = "llama"
	}
	if c.HeadDim == 0 && c.Heads > 0 {
		c.HeadDim = c.Embedding / c.Heads
	}
	a, ok := architectures[c.Architecture]
	if !ok || c.Layers < 1 || c.Heads < 1 || c.KVHeads < 1 || c.Heads%c.KVHeads != 0 || c.HeadDim%2 != 0 || c.Vocab < MinVocab ||
		c.Experts > 0 && !a.experts || c.ExpertsUsed > c.Experts {
		return nil, nil, fmt.Errorf("tinygguf: no such model: %+v", c)
	}
	b := &builder{c: c}
	b.model(a)
	tokenizer := c.Tokenizer
	if tokenizer == nil {
		tokenizer = c.tokenizer()
	}
	return append(c.shape(), tokenizer...), b.out, b.err
}

// random returns n normal values; they depend on the seed and the name only.
func (c Config) random(name string, n int, mean, scale float64) []float32 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(name))
	r := rand.New(rand.NewPCG(uint64(c.Seed), h.Sum64()))
	out := make([]float32, n)
	for i := range out {
		out[i] = float32(mean + scale*r.NormFloat64())
	}
	return out
}
