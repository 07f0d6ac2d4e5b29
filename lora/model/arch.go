package model

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"cloister/llama/gguf"
	"cloister/lora/internal/native"
)

// ErrArchitecture is wrapped by Open's error about a model that it cannot train.
var ErrArchitecture = errors.New("architecture not supported")

// family is one architecture: what distinguishes its block from the others'.
// Adding an architecture is a new entry and a test against llama.cpp's logits.
type family struct {
	neox           bool                 // RoPE pairs i with i+half, not 2i with 2i+1
	activation     native.Activation    // of the gated unit
	biases         []slot               // matrices that may have a bias
	fused          bool                 // attn_qkv holds q, k and v, ffn_up gate and up, one above the other
	headNorms      bool                 // each head of q and k is normalised before RoPE
	postNorms      bool                 // what attention and feed-forward part give is normalised before it is added
	embeddingScale bool                 // embeddings are multiplied by √width
	window         bool                 // some layers see attention.sliding_window keys and have a RoPE of their own
	softCap        bool                 // final_logit_softcapping bounds the logits
	ropeFreqs      bool                 // may have rope_freqs, divisors of RoPE's speeds
	longRope       bool                 // may have two sets of such divisors, for short and for long texts
	experts        bool                 // the feed-forward part may be one of experts, which have no adapters
	scale          func(*shape) float64 // of attention scores; nil: 1/√headDim
}

// families by general.architecture.
var families = map[string]family{
	// Llama 1 to 3, Mistral, Mixtral, SmolLM2 and their relatives.
	"llama": {activation: native.SiLU, biases: allSlots, ropeFreqs: true, experts: true},
	"qwen2": {activation: native.SiLU, neox: true, biases: []slot{attnQ, attnK, attnV}}, // and 2.5
	"qwen3": {activation: native.SiLU, neox: true, biases: []slot{attnQ, attnK, attnV}, headNorms: true},
	"gemma3": {activation: native.GELU, neox: true, biases: []slot{attnQ, attnK, attnV}, headNorms: true, postNorms: true,
		embeddingScale: true, window: true, softCap: true, scale: gemma3Scale},
	"phi3":     {activation: native.SiLU, neox: true, biases: []slot{attnQKV}, fused: true, longRope: true},
	"qwen3moe": {activation: native.SiLU, neox: true, biases: []slot{attnQ, attnK, attnV}, headNorms: true, experts: true},
}

// gemma3Scale: the 27B model, which llama.cpp tells by its number of layers,
// divides by the width of a head where it has one of another size.
func gemma3Scale(s *shape) float64 {
	if s.layers == 62 {
		return 1 / math.Sqrt(float64(s.width/s.heads))
	}
	return 1 / math.Sqrt(float64(s.headDim))
}

// Architectures that can be trained.
func Architectures() []string { return slices.Sorted(maps.Keys(families)) }

// slot is one of the matrices of a layer that may have an adapter.
type slot int

const (
	attnQ slot = iota
	attnK
	attnV
	attnQKV // q, k and v in one
	attnOutput
	ffnGate
	ffnUp
	ffnDown
	slots
)

var allSlots = []slot{attnQ, attnK, attnV, attnQKV, attnOutput, ffnGate, ffnUp, ffnDown}

var slotNames = [slots]string{"attn_q", "attn_k", "attn_v", "attn_qkv", "attn_output", "ffn_gate", "ffn_up", "ffn_down"}

func (s slot) String() string { return slotNames[s] }

func (s slot) attention() bool { return s <= attnOutput }

// group is the matrices that read the same input, in the order of the forward pass.
type group struct {
	name  string
	slots []slot
}

const (
	groupQKV = iota
	groupOutput
	groupGateUp
	groupDown
	groupCount
)

// groups of the architecture's layer; experts are none.
func (f *family) groups() [groupCount]group {
	g := [groupCount]group{
		groupQKV:    {"attn_qkv", []slot{attnQ, attnK, attnV}},
		groupOutput: {"attn_output", []slot{attnOutput}},
		groupGateUp: {"ffn_gate_up", []slot{ffnGate, ffnUp}},
		groupDown:   {"ffn_down", []slot{ffnDown}},
	}
	if f.fused {
		g[groupQKV].slots, g[groupGateUp].slots = []slot{attnQKV}, []slot{ffnUp}
	}
	if f.experts {
		g[groupGateUp].slots, g[groupDown].slots = nil, nil
	}
	return g
}

// matrices of the architecture's layer that may have an adapter, in its order.
func (f *family) matrices() []slot {
	var out []slot
	for _, g := range f.groups() {
		out = append(out, g.slots...)
	}
	return out
}

// cuts of a matrix are the rows between which one output after the other
// stands: the first is 0, the last the number of rows.
func (s *shape) cuts(m slot) []int {
	q, kv := s.heads*s.headDim, s.kvHeads*s.headDim
	switch {
	case m == attnQ:
		return []int{0, q}
	case m == attnK || m == attnV:
		return []int{0, kv}
	case m == attnQKV:
		return []int{0, q, q + kv, q + 2*kv}
	case m == ffnUp && s.fused:
		return []int{0, s.ffn, 2 * s.ffn}
	case m == ffnGate || m == ffnUp:
		return []int{0, s.ffn}
	}
	return []int{0, s.width}
}

// in is the width of a matrix's input.
func (s *shape) in(m slot) int {
	switch m {
	case attnOutput:
		return s.heads * s.headDim
	case ffnDown:
		return s.ffn
	}
	return s.width
}

func (s *shape) attentionScale() float64 {
	if s.scale != nil {
		return s.scale(s)
	}
	return 1 / math.Sqrt(float64(s.headDim))
}

// The names that stand for several matrices: all that a model has, and those of its attention.
const (
	AllLinear = "all-linear"
	Attention = "attention"
)

// Matrices are the names of all matrices that may have an adapter, whatever the
// architecture.
func Matrices() []string { return slices.Clone(slotNames[:]) }

// KnownTargets are what may stand in Config.Targets: Matrices, and the names that stand for several.
func KnownTargets() []string { return append(Matrices(), AllLinear, Attention) }

// TargetsOf are the matrices of a model's layers that get an adapter for these
// names, in the order of the layer: all that it has for none and for
// "all-linear", those of attention for "attention". A name of a matrix that the
// model's architecture lacks is refused by name.
func TargetsOf(f *gguf.File, names []string) ([]string, error) {
	l := &loader{f: f, seen: map[string]bool{}}
	s := l.shape()
	if l.err != nil {
		return nil, l.err
	}
	found, err := s.targets(names)
	var out []string
	for _, m := range found {
		out = append(out, m.String())
	}
	return out, err
}

// targets turns names into slots, in the order of the layer.
func (s *shape) targets(names []string) ([]slot, error) {
	has := s.matrices()
	known := map[string]bool{AllLinear: true, Attention: true}
	var out []slot
	for _, m := range has {
		known[m.String()] = true
		if len(names) == 0 || slices.Contains(names, AllLinear) || slices.Contains(names, m.String()) ||
			m.attention() && slices.Contains(names, Attention) {
			out = append(out, m)
		}
	}
	for _, n := range names {
		if !known[n] {
			return nil, fmt.Errorf("no matrix %q to adapt in a model of architecture %q; choose from %s, or %s or %s",
				n, s.architecture, strings.Trim(fmt.Sprint(has), "[]"), AllLinear, Attention)
		}
	}
	return out, nil
}
