package model

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"unsafe"

	"cloister/llama/gguf"
	"cloister/lora/internal/native"
)

// shape is what the metadata says about a model.
type shape struct {
	family
	architecture string
	layers       int
	width        int // of the residual stream
	heads        int
	kvHeads      int
	headDim      int
	rotated      int // values of a head that RoPE turns
	ffn          int // of each expert, if there are experts
	vocab        int
	context      int
	epsilon      float32
	rope         rotary
	windowRope   rotary // of the layers with a window
	windowSize   int    // keys that a query of such a layer sees; 0: there are none
	cap          float32
	expertCount  int
	expertsUsed  int // by each token
}

// loader reads a GGUF file; the first problem sticks.
type loader struct {
	f      *gguf.File
	prefix string // of keys: the architecture and a dot
	err    error
	seen   map[string]bool // tensors that the model uses
	dev    device          // that has to read them; nil: any CPU
	// hostEmbedding: see Config.HostEmbedding.
	hostEmbedding bool
	place         func(*gguf.Tensor) (unsafe.Pointer, error)
}

func (l *loader) fail(format string, args ...any) {
	if l.err == nil {
		l.err = fmt.Errorf(format, args...)
	}
}

const largest = 1 << 30 // bound of every number in the metadata, so that products fit int64

// number reads an integer in [1, largest]; without a default the key must exist.
func (l *loader) number(key string, def int) int {
	v, ok := l.f.Uint(l.prefix + key)
	switch {
	case !ok && def > 0:
		if _, there := l.f.Value(l.prefix + key); !there {
			return def
		}
		l.fail("%s%s is not one whole number", l.prefix, key)
	case !ok:
		l.fail("%s%s is missing or not one whole number", l.prefix, key)
	case v < 1 || v > largest:
		l.fail("%s%s is %d", l.prefix, key, v)
	default:
		return int(v)
	}
	return 1
}

func (l *loader) float(key string, def float64) float64 {
	v, ok := l.f.Float(l.prefix + key)
	if !ok {
		return def
	}
	if math.IsNaN(v) || math.IsInf(v, 0) {
		l.fail("%s%s is %g", l.prefix, key, v)
	}
	return v
}

func (l *loader) shape() *shape {
	arch, ok := l.f.String("general.architecture")
	if !ok {
		l.fail("the file names no general.architecture: is it a model?")
		return nil
	}
	fam, ok := families[arch]
	if !ok {
		l.fail("%w: %q; supported: %s", ErrArchitecture, arch, strings.Join(Architectures(), ", "))
		return nil
	}
	l.prefix = arch + "."
	n, _ := l.f.Uint(l.prefix + "expert_count")
	if n > 0 && !fam.experts {
		l.fail("%w: %q with %d experts in each layer; only llama and qwen3moe may have them", ErrArchitecture, arch, n)
		return nil
	}
	s := &shape{family: fam, architecture: arch}
	s.experts = n > 0
	l.widths(s)
	if s.epsilon = float32(l.float("attention.layer_norm_rms_epsilon", 0)); s.epsilon <= 0 {
		l.fail("%sattention.layer_norm_rms_epsilon is missing or not positive", l.prefix)
	}
	if s.experts {
		s.expertCount, s.expertsUsed = l.number("expert_count", 0), l.number("expert_used_count", 0)
		s.ffn = l.number("expert_feed_forward_length", s.ffn)
		if n := l.number("expert_group_count", 1); n > 1 {
			l.fail("%w: %q with experts in %d groups", ErrArchitecture, s.architecture, n)
		}
		if s.expertsUsed > s.expertCount {
			l.fail("a token uses %d of %d experts", s.expertsUsed, s.expertCount)
		}
	}
	if v, there := l.f.Uint(l.prefix + "attention.sliding_window"); fam.window && there && v > 0 {
		s.windowSize = l.number("attention.sliding_window", 0)
	}
	if fam.softCap {
		s.cap = float32(l.float("final_logit_softcapping", 0))
	}
	l.rope(s)
	return s
}

func (l *loader) widths(s *shape) {
	s.layers = l.number("block_count", 0)
	s.width = l.number("embedding_length", 0)
	s.ffn = l.number("feed_forward_length", 0)
	s.heads = l.number("attention.head_count", 0)
	s.kvHeads = l.number("attention.head_count_kv", s.heads)
	s.headDim = l.number("attention.key_length", max(1, s.width/s.heads))
	s.context = l.number("context_length", 0)
	s.rotated = l.number("rope.dimension_count", s.headDim)
	if v := l.number("attention.value_length", s.headDim); v != s.headDim {
		l.fail("%w: values of %d per head beside keys of %d", ErrArchitecture, v, s.headDim)
	}
	if s.heads%s.kvHeads != 0 {
		l.fail("%d attention heads cannot share %d key-value heads", s.heads, s.kvHeads)
	}
	if s.rotated > s.headDim || s.rotated%2 != 0 {
		l.fail("RoPE turns %d values of heads of %d", s.rotated, s.headDim)
	}
}

func dims(d []uint64) string { return strings.Trim(fmt.Sprint(d), "[]") }

// tensor finds a tensor of this shape, in ggml's order.
func (l *loader) tensor(name string, want ...int) *gguf.Tensor {
	t, ok := l.f.Tensor(name)
	if !ok {
		l.fail("the tensor %s is missing", name)
		return nil
	}
	l.seen[name] = true
	w := make([]uint64, len(want))
	for i := range want {
		w[i] = uint64(want[i])
	}
	if !slices.Equal(t.Dims, w) {
		l.fail("the tensor %s has the shape %s where the metadata asks for %s", name, dims(t.Dims), dims(w))
		return nil
	}
	if !native.TypeOK(uint32(t.Type), want[0]) || !l.f.HeaderOnly && uint64(len(t.Data)) != t.Bytes() {
		l.fail("the tensor %s has the type %s, which cannot be trained on", name, t.Type)
		return nil
	}
	if len(want) > 1 && l.dev != nil && !l.dev.TypeOK(uint32(t.Type), want[0]) {
		l.fail("the tensor %s has the type %s, which %s cannot turn into float; train on the CPU, or on a copy of another type", name, t.Type, l.dev.Kernels())
		return nil
	}
	return t
}

// matrix is a weight that maps in values to out.
func (l *loader) matrix(name string, in, out int) native.Weight {
	t := l.tensor(name, in, out)
	if t == nil {
		return native.Weight{}
	}
	return l.asWeight(t, in, out)
}

// asWeight is the tensor where the device reads it.
func (l *loader) asWeight(t *gguf.Tensor, in, out int) native.Weight {
	data, err := l.place(t)
	if err != nil {
		l.fail("the tensor %s: %w", t.Name, err)
	}
	return native.Weight{Type: uint32(t.Type), Data: data, Rows: out, Cols: in, RowBytes: native.RowBytes(uint32(t.Type), in)}
}

// mapped is where the tensor lies in the mapped file.
func mapped(t *gguf.Tensor) unsafe.Pointer { return unsafe.Pointer(unsafe.SliceData(t.Data)) }

// inFile is the tensor where the host reads it.
func inFile(t *gguf.Tensor, in, out int) native.Weight {
	return native.Weight{Type: uint32(t.Type), Data: mapped(t), Rows: out, Cols: in, RowBytes: native.RowBytes(uint32(t.Type), in)}
}

// vector is a tensor of n values as a weight of one row.
func (l *loader) vector(name string, n int) native.Weight {
	t := l.tensor(name, n)
	if t == nil {
		return native.Weight{}
	}
	return inFile(t, n, 1)
}

func (l *loader) has(name string) bool { _, ok := l.f.Tensor(name); return ok }

// linear is one frozen matrix of a layer with its adapter.
type linear struct {
	w       native.Weight
	cuts    []int      // rows between its outputs
	bias    native.Mat // [1 × out]; no Data when there is none
	adapted bool
	a, b    native.Mat // [rank × in], rows of the layer's a, and [out × rank]
	da, db  native.Mat // gradients
	at      int        // where its columns of u begin
	stream  uint64     // of dropout
}

// layer has what its architecture has; the other norms have no Data, the other matrices neither.
type layer struct {
	attnNorm, ffnNorm native.Mat // [1 × width]
	attnPost, ffnPost native.Mat // [1 × width]
	qNorm, kNorm      native.Mat // [1 × headDim]
	linear            [slots]linear
	a, da             [groupCount]native.Mat // [n·rank × in] A of the n adapted matrices of a group, and its gradient
	experts           *experts
	windowed          bool
}

// weights is what the layers read, small vectors turned into float32.
type weights struct {
	embedding, output native.Weight // [vocab × width]
	hostEmbedding     bool          // the table of embeddings lies on the host, in the mapped file
	outputNorm        native.Mat
	layers            []layer
}

// weights finds every tensor. It runs twice: keep first counts, then fills the arena.
func (l *loader) weights(s *shape, keep func(native.Weight) native.Mat) *weights {
	emb, ok := l.f.Tensor("token_embd.weight")
	if !ok || len(emb.Dims) != 2 || emb.Dims[1] < 1 || emb.Dims[1] > largest {
		l.fail("the tensor token_embd.weight is missing or no matrix")
		return nil
	}
	s.vocab = int(emb.Dims[1])
	w := &weights{hostEmbedding: l.hostEmbedding && l.has("output.weight")}
	if w.hostEmbedding {
		if t := l.tensor("token_embd.weight", s.width, s.vocab); t != nil {
			w.embedding = inFile(t, s.width, s.vocab)
		}
	} else {
		w.embedding = l.matrix("token_embd.weight", s.width, s.vocab)
	}
	w.output = w.embedding
	if l.has("output.weight") {
		w.output = l.matrix("output.weight", s.width, s.vocab)
	}
	w.outputNorm = keep(l.vector("output_norm.weight", s.width))
	for i := 0; i < s.layers && l.err == nil; i++ {
		w.layers = append(w.layers, l.layer(s, i, keep))
	}
	for i := range l.f.Tensors {
		if name := l.f.Tensors[i].Name; !l.seen[name] {
			l.fail("%w: %q with the tensor %s", ErrArchitecture, s.architecture, name)
		}
	}
	return w
}

func (l *loader) layer(s *shape, i int, keep func(native.Weight) native.Mat) layer {
	name := func(tensor string) string { return fmt.Sprintf("blk.%d.%s", i, tensor) }
	norm := func(tensor string, n int) native.Mat { return keep(l.vector(name(tensor+".weight"), n)) }
	out := layer{attnNorm: norm("attn_norm", s.width), ffnNorm: norm("ffn_norm", s.width), windowed: l.windowed(s, i)}
	if s.headNorms {
		out.qNorm, out.kNorm = norm("attn_q_norm", s.headDim), norm("attn_k_norm", s.headDim)
	}
	if s.postNorms {
		out.attnPost, out.ffnPost = norm("post_attention_norm", s.width), norm("post_ffw_norm", s.width)
	}
	for _, m := range s.matrices() {
		cuts := s.cuts(m)
		rows := cuts[len(cuts)-1]
		out.linear[m].cuts, out.linear[m].w = cuts, l.matrix(name(m.String()+".weight"), s.in(m), rows)
		if bias := name(m.String() + ".bias"); slices.Contains(s.biases, m) && l.has(bias) {
			out.linear[m].bias = keep(l.vector(bias, rows))
		}
	}
	if s.experts {
		out.experts = l.experts(s, name)
	}
	return out
}

// windowed says whether layer i has a window: by a list in the file, or all but each sixth (or other) layer.
func (l *loader) windowed(s *shape, i int) bool {
	if s.windowSize == 0 {
		return false
	}
	const key = "attention.sliding_window_pattern"
	if v, ok := l.f.Value(l.prefix + key); ok {
		switch list := v.(type) {
		case []bool:
			return i < len(list) && list[i]
		case []uint32:
			return i < len(list) && list[i] != 0
		case []int32:
			return i < len(list) && list[i] != 0
		}
	}
	n := l.number(key, 6)
	return i%n < n-1
}
