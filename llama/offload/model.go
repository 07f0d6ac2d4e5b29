// Package offload plans which layers of a model lie on which card: from the
// file's header, the size of the context, and the memory that is free. It is
// arithmetic, needs no card and loads nothing; its sums are held against
// llama.cpp's own by a test.
//
// Everything here is a value; nothing is kept.
package offload

import (
	"fmt"
	"strconv"
	"strings"

	"cloister/llama/gguf"
)

// Sizes are what the parts of a model take, in bytes.
type Sizes struct {
	Layers []Layer
	Output int64 // output matrix and norm; a tied one is copied to the card
	Input  int64 // embedding and whatever belongs to no layer: always in the host's memory

	Trained int // tokens of the context that it was trained with

	// Numbers in a row of: logits, a layer's input, the feed-forward part, q
	// with k and v, and what the experts of a token give.
	vocab, width, inner, attention, experts int64
}

// Layer is one of the repeating ones.
type Layer struct {
	Weights  int64 // bytes
	PerToken int64 // bytes of keys and values in F16 of one token
	state    int64 // bytes of a recurrent layer's state of one sequence
	adapter  int64 // numbers in A and B of its matrices, for each rank
}

// alignment of tensors in a card's buffer, in bytes, with what rows of
// quantised matrices are padded by (MATRIX_ROW_PADDING of ggml-cuda).
const (
	alignment  = 128
	rowPadding = 512
)

// Read sizes up a model by its header. The error says which key is missing.
func Read(f *gguf.File) (Sizes, error) {
	arch, ok := f.String("general.architecture")
	if !ok {
		return Sizes{}, fmt.Errorf("%w: it has no general.architecture", gguf.ErrFormat)
	}
	k := keys{f: f, arch: arch}
	n := k.need("block_count")
	s := Sizes{width: k.need("embedding_length"), Trained: int(k.number("context_length", 0))}
	heads := k.numbers("attention.head_count", n)
	if k.err != nil {
		return Sizes{}, k.err
	}
	if n > maxLayers {
		return Sizes{}, fmt.Errorf("%w: %d layers are too many", gguf.ErrFormat, n)
	}
	s.Layers = make([]Layer, n)
	s.caches(&k, heads)
	s.inner = k.most("feed_forward_length", n)
	if used := k.number("expert_used_count", 0); used > 0 {
		s.experts = used * (2*s.width + k.number("expert_feed_forward_length", s.inner))
	}
	s.weights(f)
	return s, nil
}

// maxLayers bounds what a damaged header may ask for.
const maxLayers = 1 << 12

// caches fills in what a token or a sequence takes in each layer.
func (s *Sizes) caches(k *keys, heads []int64) {
	n := int64(len(s.Layers))
	kv := k.numbers("attention.head_count_kv", n)
	inner, states, conv := k.number("ssm.inner_size", 0), k.number("ssm.state_size", 0), k.number("ssm.conv_kernel", 0)
	for i := range s.Layers {
		h, g := heads[i], heads[i]
		if kv[i] >= 0 {
			g = kv[i]
		}
		per := int64(0)
		if h > 0 {
			per = s.width / h
		}
		keyLength, valueLength := k.number("attention.key_length", per), k.number("attention.value_length", per)
		s.Layers[i].PerToken = 2 * g * (keyLength + valueLength)
		s.Layers[i].state = 4 * inner * (states + conv)
		s.attention = max(s.attention, h*keyLength+g*(keyLength+valueLength))
	}
}

// weights adds up the tensors by where llama.cpp puts them.
func (s *Sizes) weights(f *gguf.File) {
	var embedding int64
	for i := range f.Tensors {
		t := &f.Tensors[i]
		size := stored(t)
		if rest, ok := strings.CutPrefix(t.Name, "blk."); ok {
			number, _, _ := strings.Cut(rest, ".")
			if n, err := strconv.Atoi(number); err == nil && n >= 0 && n < len(s.Layers) {
				s.Layers[n].Weights += size
				if len(t.Dims) > 1 {
					s.Layers[n].adapter += int64(t.Dims[0] + t.Dims[1])
				}
				continue
			}
		}
		switch {
		case t.Name == "token_embd.weight":
			embedding = size
			if len(t.Dims) > 1 {
				s.vocab = int64(t.Dims[1])
			}
			s.Input += size
		case strings.HasPrefix(t.Name, "output"):
			s.Output += size
		default:
			s.Input += size
		}
	}
	if _, ok := f.Tensor("output.weight"); !ok {
		s.Output += embedding
	}
}

// stored is what a tensor takes on a card.
func stored(t *gguf.Tensor) int64 {
	size := int64(t.Bytes())
	if block := t.Type.BlockSize(); block > 1 && len(t.Dims) > 0 {
		if over := int(t.Dims[0] % rowPadding); over > 0 {
			size += int64(t.Type.RowSize(rowPadding - over/block*block))
		}
	}
	return (size + alignment - 1) / alignment * alignment
}

// keys reads the metadata of an architecture; the first error sticks.
type keys struct {
	f    *gguf.File
	arch string
	err  error
}

// need is a number that must be there.
func (k *keys) need(name string) int64 {
	n, ok := k.f.Int(k.arch + "." + name)
	if (!ok || n < 1) && k.err == nil {
		k.err = fmt.Errorf("%w: %s.%s is missing", gguf.ErrFormat, k.arch, name)
	}
	return n
}

func (k *keys) number(name string, otherwise int64) int64 {
	if n, ok := k.f.Int(k.arch + "." + name); ok && n >= 0 {
		return n
	}
	return otherwise
}

// numbers is one number for each of n layers, where the file has one for all
// or an array; -1 where it has none.
func (k *keys) numbers(name string, n int64) []int64 {
	n = max(0, min(n, maxLayers))
	out := make([]int64, n)
	list, _ := k.f.Ints(k.arch + "." + name)
	one := k.number(name, -1)
	for i := range out {
		if out[i] = one; i < len(list) {
			out[i] = max(0, list[i])
		}
	}
	return out
}

// most is the largest of numbers.
func (k *keys) most(name string, n int64) (most int64) {
	for _, v := range k.numbers(name, n) {
		most = max(most, v)
	}
	return most
}
