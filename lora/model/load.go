package model

import (
	"fmt"
	"math"
	"regexp"
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
	ffn          int
	vocab        int
	context      int
	epsilon      float32
	ropeBase     float64
	ropeScale    float64 // positions are multiplied by it
	ropeFactor   float64 // on cosines and sines
}

// in and out are the widths of a matrix of the layer.
func (s *shape) in(m slot) int {
	switch m {
	case attnOutput:
		return s.heads * s.headDim
	case ffnDown:
		return s.ffn
	}
	return s.width
}

func (s *shape) out(m slot) int {
	switch m {
	case attnQ:
		return s.heads * s.headDim
	case attnK, attnV:
		return s.kvHeads * s.headDim
	case ffnGate, ffnUp:
		return s.ffn
	}
	return s.width
}

// loader reads a GGUF file; the first problem sticks.
type loader struct {
	f      *gguf.File
	prefix string // of keys: the architecture and a dot
	err    error
	seen   map[string]bool // tensors that the model uses
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
	if n, _ := l.f.Uint(l.prefix + "expert_count"); n > 0 {
		l.fail("%w: %q with %d experts in each layer; only models without experts are", ErrArchitecture, arch, n)
		return nil
	}
	s := &shape{family: fam, architecture: arch}
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
	if s.epsilon = float32(l.float("attention.layer_norm_rms_epsilon", 0)); s.epsilon <= 0 {
		l.fail("%sattention.layer_norm_rms_epsilon is missing or not positive", l.prefix)
	}
	l.rope(s)
	return s
}

// rope reads the position encoding, with llama.cpp's defaults.
func (l *loader) rope(s *shape) {
	if s.ropeBase = l.float("rope.freq_base", 10000); s.ropeBase <= 0 {
		l.fail("%srope.freq_base is %g", l.prefix, s.ropeBase)
	}
	s.ropeScale, s.ropeFactor = 1, l.float("rope.scaling.attn_factor", 1)
	kind, ok := l.f.String(l.prefix + "rope.scaling.type")
	if !ok {
		kind = "linear"
	}
	switch kind {
	case "none":
	case "linear":
		if f := l.float("rope.scaling.factor", l.float("rope.scale_linear", 0)); f != 0 {
			s.ropeScale = 1 / f
		}
	default:
		l.fail("%w: RoPE scaling %q; supported: none, linear, and the tensor rope_freqs of Llama 3", ErrArchitecture, kind)
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
	if !native.TypeOK(uint32(t.Type), want[0]) || uint64(len(t.Data)) != t.Bytes() {
		l.fail("the tensor %s has the type %s, which cannot be trained on", name, t.Type)
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
	return native.Weight{Type: uint32(t.Type), Data: unsafe.Pointer(unsafe.SliceData(t.Data)), Rows: out, Cols: in,
		RowBytes: native.RowBytes(uint32(t.Type), in)}
}

// vector is a tensor of n values as a weight of one row.
func (l *loader) vector(name string, n int) native.Weight {
	t := l.tensor(name, n)
	if t == nil {
		return native.Weight{}
	}
	return native.Weight{Type: uint32(t.Type), Data: unsafe.Pointer(unsafe.SliceData(t.Data)), Rows: 1, Cols: n,
		RowBytes: native.RowBytes(uint32(t.Type), n)}
}

func (l *loader) has(name string) bool { _, ok := l.f.Tensor(name); return ok }

// linear is one frozen matrix of a layer with its adapter.
type linear struct {
	w       native.Weight
	bias    native.Mat // [1 × out]; no Data when there is none
	adapted bool
	a, b    native.Mat // [rank × in], [out × rank]
	da, db  native.Mat // gradients
}

type layer struct {
	attnNorm, ffnNorm native.Mat // [1 × width]
	linear            [slots]linear
}

// weights is what the layers read, small vectors turned into float32.
type weights struct {
	embedding, output native.Weight // [vocab × width]
	outputNorm        native.Mat
	ropeFreqs         native.Mat // [1 × rotated/2]; no Data when there is none
	layers            []layer
}

var blockTensor = regexp.MustCompile(`^blk\.`)

// weights finds every tensor. It runs twice: keep first counts, then fills the arena.
func (l *loader) weights(s *shape, keep func(native.Weight) native.Mat) *weights {
	emb, ok := l.f.Tensor("token_embd.weight")
	if !ok || len(emb.Dims) != 2 || emb.Dims[1] < 1 || emb.Dims[1] > largest {
		l.fail("the tensor token_embd.weight is missing or no matrix")
		return nil
	}
	s.vocab = int(emb.Dims[1])
	w := &weights{embedding: l.matrix("token_embd.weight", s.width, s.vocab)}
	w.output = w.embedding
	if l.has("output.weight") {
		w.output = l.matrix("output.weight", s.width, s.vocab)
	}
	w.outputNorm = keep(l.vector("output_norm.weight", s.width))
	if l.has("rope_freqs.weight") {
		w.ropeFreqs = keep(l.vector("rope_freqs.weight", s.rotated/2))
	}
	for i := 0; i < s.layers && l.err == nil; i++ {
		w.layers = append(w.layers, l.layer(s, i, keep))
	}
	for i := range l.f.Tensors {
		if name := l.f.Tensors[i].Name; blockTensor.MatchString(name) && !l.seen[name] {
			l.fail("%w: a layer of %q with the tensor %s", ErrArchitecture, s.architecture, name)
		}
	}
	return w
}

func (l *loader) layer(s *shape, i int, keep func(native.Weight) native.Mat) layer {
	name := func(tensor string) string { return fmt.Sprintf("blk.%d.%s", i, tensor) }
	out := layer{
		attnNorm: keep(l.vector(name("attn_norm.weight"), s.width)),
		ffnNorm:  keep(l.vector(name("ffn_norm.weight"), s.width)),
	}
	for _, m := range allSlots {
		out.linear[m].w = l.matrix(name(m.String()+".weight"), s.in(m), s.out(m))
		if bias := name(m.String() + ".bias"); slices.Contains(s.biases, m) && l.has(bias) {
			out.linear[m].bias = keep(l.vector(bias, s.out(m)))
		}
	}
	return out
}
