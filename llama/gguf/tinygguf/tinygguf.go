// Package tinygguf writes small random models for tests: architecture llama,
// complete with a tokenizer and a chat template, so that llama.cpp loads them
// and chats with them. Their answers are noise. The same Config gives the same
// bytes.
package tinygguf

import (
	"bufio"
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"os"

	"cloister/llama/gguf"
)

// Config is the shape of a model. Rows of quantised matrices are whole blocks:
// Embedding and FFN are multiples of 32, or of 256 for K-types.
type Config struct {
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
	AddBOS    bool   // prompts begin with <|endoftext|>
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
	if c.HeadDim == 0 && c.Heads > 0 {
		c.HeadDim = c.Embedding / c.Heads
	}
	if c.Layers < 1 || c.Heads < 1 || c.KVHeads < 1 || c.Heads%c.KVHeads != 0 || c.HeadDim%2 != 0 || c.Vocab < MinVocab {
		return nil, nil, fmt.Errorf("tinygguf: no such model: %+v", c)
	}
	tensors, err := c.tensors()
	return append(c.shape(), c.tokenizer()...), tensors, err
}

func (c Config) shape() []gguf.KV {
	return []gguf.KV{
		{Key: "general.architecture", Value: "llama"},
		{Key: "general.name", Value: "tiny random"},
		{Key: "llama.vocab_size", Value: uint32(c.Vocab)},
		{Key: "llama.context_length", Value: uint32(c.Context)},
		{Key: "llama.embedding_length", Value: uint32(c.Embedding)},
		{Key: "llama.block_count", Value: uint32(c.Layers)},
		{Key: "llama.feed_forward_length", Value: uint32(c.FFN)},
		{Key: "llama.attention.head_count", Value: uint32(c.Heads)},
		{Key: "llama.attention.head_count_kv", Value: uint32(c.KVHeads)},
		{Key: "llama.attention.key_length", Value: uint32(c.HeadDim)},
		{Key: "llama.attention.value_length", Value: uint32(c.HeadDim)},
		{Key: "llama.attention.layer_norm_rms_epsilon", Value: c.Epsilon},
		{Key: "llama.rope.dimension_count", Value: uint32(c.HeadDim)},
		{Key: "llama.rope.freq_base", Value: c.RopeBase},
	}
}

func (c Config) tensors() ([]gguf.Tensor, error) {
	var out []gguf.Tensor
	var failed error
	matrix := func(name string, in, rows int, scale float64) {
		data, err := Quantise(c.Type, c.random(name, in*rows, 0, scale))
		if err == nil && in%c.Type.BlockSize() != 0 {
			err = fmt.Errorf("rows of %d values are no whole blocks of %s", in, c.Type)
		}
		if err != nil && failed == nil {
			failed = fmt.Errorf("tinygguf: %s: %w", name, err)
		}
		out = append(out, gguf.Tensor{Name: name, Type: c.Type, Dims: []uint64{uint64(in), uint64(rows)}, Data: data})
	}
	norm := func(name string) {
		data, _ := Quantise(gguf.F32, c.random(name, c.Embedding, 1, 0.2))
		out = append(out, gguf.Tensor{Name: name, Type: gguf.F32, Dims: []uint64{uint64(c.Embedding)}, Data: data})
	}
	e, q, kv := c.Embedding, c.Heads*c.HeadDim, c.KVHeads*c.HeadDim
	fan := func(in int) float64 { return 1 / math.Sqrt(float64(in)) }
	matrix("token_embd.weight", e, c.Vocab, 1)
	for l := range c.Layers {
		name := func(s string) string { return fmt.Sprintf("blk.%d.%s.weight", l, s) }
		norm(name("attn_norm"))
		matrix(name("attn_q"), e, q, fan(e))
		matrix(name("attn_k"), e, kv, fan(e))
		matrix(name("attn_v"), e, kv, fan(e))
		matrix(name("attn_output"), q, e, fan(q))
		norm(name("ffn_norm"))
		matrix(name("ffn_gate"), e, c.FFN, fan(e))
		matrix(name("ffn_up"), e, c.FFN, fan(e))
		matrix(name("ffn_down"), c.FFN, e, fan(c.FFN))
	}
	norm("output_norm.weight")
	if !c.Tied {
		matrix("output.weight", e, c.Vocab, 2*fan(e))
	}
	return out, failed
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
