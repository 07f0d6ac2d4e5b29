package peft

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"cloister/llama/gguf"
)

// ErrArchitecture is wrapped by errors about a base model whose matrices have
// no names here.
var ErrArchitecture = errors.New("no PEFT names for this architecture")

// family says how Hugging Face names the matrices of a layer. An entry is all
// that another architecture needs; see its conversion class in llama.cpp for
// whether it permutes q and k (undo_permute).
type family struct {
	modules  map[string]string // GGUF's name in the layer → path of the module in the layer
	permuted bool              // rows of attn_q and attn_k
	// pictures is the number of layers from which on the published models also
	// see pictures: their language model is a part of another, and the vision
	// tower beside it has modules of the same names. 0: none do.
	pictures int
}

var separate = map[string]string{
	"attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj",
	"ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj",
}

// families by general.architecture.
var families = map[string]family{
	"llama": {modules: separate, permuted: true},
	"qwen2": {modules: separate},
	"qwen3": {modules: separate},
	// 270M and 1B have 18 and 26 layers; 4B, 12B and 27B have 34, 48 and 62.
	"gemma3": {modules: separate, pictures: 34},
	// phi3's ffn_up is gate and up in one.
	"phi3": {modules: map[string]string{
		"attn_qkv": "self_attn.qkv_proj", "attn_output": "self_attn.o_proj", "ffn_up": "mlp.gate_up_proj", "ffn_down": "mlp.down_proj",
	}},
	// Of the experts, Transformers has no module for one matrix of GGUF.
	"qwen3moe": {modules: map[string]string{
		"attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj",
	}},
}

// Architectures whose adapters can be exported and imported.
func Architectures() []string { return slices.Sorted(maps.Keys(families)) }

// base is what conversion must know about a base model.
type base struct {
	family
	file         *gguf.File
	architecture string
	layers       int
	heads        int // of q
	kvHeads      int // of k
}

func baseOf(f *gguf.File) (*base, error) {
	b := &base{file: f}
	b.architecture, _ = f.String("general.architecture")
	var ok bool
	if b.family, ok = families[b.architecture]; !ok {
		return nil, fmt.Errorf("%w: %q; supported: %s", ErrArchitecture, b.architecture, strings.Join(Architectures(), ", "))
	}
	number := func(key string, or int) (int, error) {
		key = b.architecture + "." + key
		n, ok := f.Uint(key)
		if _, there := f.Value(key); !there && or > 0 {
			return or, nil
		}
		if !ok || n < 1 || n > 1<<20 {
			return 0, fmt.Errorf("%s of the base model is missing or not one whole number", key)
		}
		return int(n), nil
	}
	var err error
	if b.layers, err = number("block_count", 0); err != nil || !b.permuted {
		return b, err
	}
	if b.heads, err = number("attention.head_count", 0); err != nil {
		return nil, err
	}
	b.kvHeads, err = number("attention.head_count_kv", b.heads)
	return b, err
}

var (
	ggufName   = regexp.MustCompile(`^blk\.(\d+)\.(\w+)\.weight$`)
	moduleName = regexp.MustCompile(`^(?:language_model\.)?(?:model\.)?(?:language_model\.)?layers\.(\d+)\.(.+)$`)
)

// module is the path of the module in the model that PEFT wraps, such as
// "model.layers.0.self_attn.q_proj", and its name among its layer's.
func (b *base) module(tensor string) (path, name string, err error) {
	m := ggufName.FindStringSubmatch(tensor)
	if m == nil || b.modules[m[2]] == "" {
		return "", "", fmt.Errorf("the adapter changes %s, which PEFT has no linear layer for in the architecture %q", shorten(tensor), b.architecture)
	}
	path = b.root() + "layers." + m[1] + "." + b.modules[m[2]]
	return path, path[strings.LastIndexByte(path, '.')+1:], nil
}

// partOfAnother says whether the language model is a part of one that sees
// pictures, as Transformers loads it.
func (b *base) partOfAnother() bool { return b.pictures > 0 && b.layers >= b.pictures }

// root is the path of what holds the layers.
func (b *base) root() string {
	if b.partOfAnother() {
		return "model.language_model."
	}
	return "model."
}

// tensor is the inverse of module.
func (b *base) tensor(path string) (string, error) {
	m := moduleName.FindStringSubmatch(path)
	if m == nil {
		return "", fmt.Errorf("the adapter changes %s, which is in no layer of the language model", shorten(path))
	}
	if n, err := strconv.Atoi(m[1]); err != nil || n >= b.layers || strconv.Itoa(n) != m[1] {
		return "", fmt.Errorf("the adapter changes layer %s of a base model of %d layers", shorten(m[1]), b.layers)
	}
	for ours, theirs := range b.modules {
		if theirs == m[2] {
			return "blk." + m[1] + "." + ours + ".weight", nil
		}
	}
	return "", fmt.Errorf("the adapter changes %s, which is not among the linear layers of %q: %s; train it again with target_modules among them", shorten(path), b.architecture,
		strings.Join(slices.Sorted(maps.Values(b.modules)), ", "))
}

// fits checks a pair against the tensor of the base that it changes.
func (b *base) fits(name string, in, out int) error {
	t, ok := b.file.Tensor(name)
	if !ok {
		return fmt.Errorf("the base model has no tensor %s", shorten(name))
	}
	if len(t.Dims) != 2 || t.Dims[0] != uint64(in) || t.Dims[1] != uint64(out) {
		return fmt.Errorf("the adapter's %s maps %d values to %d, the base model's has the shape %v: it was trained on another model", name, in, out, t.Dims)
	}
	return nil
}
