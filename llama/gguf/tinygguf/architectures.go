package tinygguf

import (
	"fmt"
	"math"

	"cloister/llama/gguf"
)

// architecture is what the tensors of a layer have that llama's do not.
type architecture struct {
	biases    bool // of q, k and v
	headNorms bool // of each head of q and k
	postNorms bool // after attention and after the feed-forward part
	fused     bool // q, k and v in one matrix, gate and up in another
	experts   bool // the feed-forward part may be one of experts
}

var architectures = map[string]architecture{
	"llama":    {experts: true},
	"qwen2":    {biases: true},
	"qwen3":    {headNorms: true},
	"gemma3":   {headNorms: true, postNorms: true},
	"phi3":     {fused: true},
	"qwen3moe": {headNorms: true, experts: true},
}

// shape is the metadata that llama.cpp needs to load the model.
func (c Config) shape() []gguf.KV {
	kv := []gguf.KV{
		{Key: "general.architecture", Value: c.Architecture},
		{Key: "general.name", Value: "tiny random"},
	}
	add := func(key string, value any) { kv = append(kv, gguf.KV{Key: c.Architecture + "." + key, Value: value}) }
	add("vocab_size", uint32(c.Vocab))
	add("context_length", uint32(c.Context))
	add("embedding_length", uint32(c.Embedding))
	add("block_count", uint32(c.Layers))
	add("feed_forward_length", uint32(c.FFN))
	add("attention.head_count", uint32(c.Heads))
	add("attention.head_count_kv", uint32(c.KVHeads))
	add("attention.key_length", uint32(c.HeadDim))
	add("attention.value_length", uint32(c.HeadDim))
	add("attention.layer_norm_rms_epsilon", c.Epsilon)
	add("rope.dimension_count", uint32(c.HeadDim))
	add("rope.freq_base", c.RopeBase)
	if c.Window > 0 {
		add("attention.sliding_window", uint32(c.Window))
	}
	if c.WindowPattern > 0 {
		add("attention.sliding_window_pattern", uint32(c.WindowPattern))
	}
	if c.WindowRopeBase > 0 {
		add("rope.freq_base_swa", c.WindowRopeBase)
	}
	if c.SoftCap > 0 {
		add("final_logit_softcapping", c.SoftCap)
	}
	if c.OriginalContext > 0 {
		add("rope.scaling.original_context_length", uint32(c.OriginalContext))
		add("rope.scaling.attn_factor", float32(1.19))
	}
	if c.Experts > 0 {
		add("expert_count", uint32(c.Experts))
		add("expert_used_count", uint32(c.ExpertsUsed))
		add("expert_feed_forward_length", uint32(c.FFN))
	}
	return kv
}

// Part is a tensor without its data, which are normal values.
type Part struct {
	gguf.Tensor
	Mean, Scale float64
}

// builder collects tensors; the first error sticks.
type builder struct {
	c   Config
	out []Part
	err error
}

// matrix has rows of in values; dims are in, the number of rows, and the number of such matrices if there are several.
func (b *builder) matrix(name string, scale float64, dims ...int) {
	b.add(name, b.c.Type, 0, scale, dims...)
}

// vector is n values in F32.
func (b *builder) vector(name string, n int, mean, scale float64) {
	b.add(name, gguf.F32, mean, scale, n)
}

func (b *builder) add(name string, typ gguf.Type, mean, scale float64, dims ...int) {
	t := gguf.Tensor{Name: name, Type: typ}
	for _, d := range dims {
		t.Dims = append(t.Dims, uint64(d))
	}
	if dims[0]%typ.BlockSize() != 0 && b.err == nil {
		b.err = fmt.Errorf("tinygguf: %s: rows of %d values are no whole blocks of %s", name, dims[0], typ)
	}
	b.out = append(b.out, Part{Tensor: t, Mean: mean, Scale: scale})
}

func (b *builder) norm(name string, n int) { b.vector(name, n, 1, 0.2) }

func fan(in int) float64 { return 1 / math.Sqrt(float64(in)) }

func (b *builder) model(a architecture) {
	c := b.c
	b.matrix("token_embd.weight", 1, c.Embedding, c.Vocab)
	if c.OriginalContext > 0 {
		b.vector("rope_factors_long.weight", c.HeadDim/2, 3, 0.3)
		b.vector("rope_factors_short.weight", c.HeadDim/2, 1.2, 0.1)
	}
	for l := range c.Layers {
		name := func(s string) string { return fmt.Sprintf("blk.%d.%s.weight", l, s) }
		b.attention(a, name)
		b.norm(name("ffn_norm"), c.Embedding)
		b.feedForward(a, name)
		if a.postNorms {
			b.norm(name("post_attention_norm"), c.Embedding)
			b.norm(name("post_ffw_norm"), c.Embedding)
		}
		if a.biases {
			for i, s := range []string{"attn_q", "attn_k", "attn_v"} {
				b.vector(fmt.Sprintf("blk.%d.%s.bias", l, s), []int{c.Heads, c.KVHeads, c.KVHeads}[i]*c.HeadDim, 0, 0.5)
			}
		}
	}
	b.norm("output_norm.weight", c.Embedding)
	if !c.Tied {
		b.matrix("output.weight", 2*fan(c.Embedding), c.Embedding, c.Vocab)
	}
}

func (b *builder) attention(a architecture, name func(string) string) {
	e, q, kv := b.c.Embedding, b.c.Heads*b.c.HeadDim, b.c.KVHeads*b.c.HeadDim
	b.norm(name("attn_norm"), e)
	if a.fused {
		b.matrix(name("attn_qkv"), fan(e), e, q+2*kv)
	} else {
		b.matrix(name("attn_q"), fan(e), e, q)
		b.matrix(name("attn_k"), fan(e), e, kv)
		b.matrix(name("attn_v"), fan(e), e, kv)
	}
	b.matrix(name("attn_output"), fan(q), q, e)
	if a.headNorms {
		b.norm(name("attn_q_norm"), b.c.HeadDim)
		b.norm(name("attn_k_norm"), b.c.HeadDim)
	}
}

func (b *builder) feedForward(a architecture, name func(string) string) {
	e, f, x := b.c.Embedding, b.c.FFN, b.c.Experts
	switch {
	case x > 0:
		b.vectors(name("ffn_gate_inp"), e, x)
		b.matrix(name("ffn_gate_exps"), fan(e), e, f, x)
		b.matrix(name("ffn_up_exps"), fan(e), e, f, x)
		b.matrix(name("ffn_down_exps"), fan(f), f, e, x)
	case a.fused:
		b.matrix(name("ffn_up"), fan(e), e, 2*f)
		b.matrix(name("ffn_down"), fan(f), f, e)
	default:
		b.matrix(name("ffn_gate"), fan(e), e, f)
		b.matrix(name("ffn_up"), fan(e), e, f)
		b.matrix(name("ffn_down"), fan(f), f, e)
	}
}

// vectors is a matrix in F32 whatever the type of the others, as converters leave routers.
func (b *builder) vectors(name string, in, rows int) {
	b.add(name, gguf.F32, 0, 2*fan(in), in, rows)
}
