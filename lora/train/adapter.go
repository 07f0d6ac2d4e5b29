package train

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"

	"cloister/llama/gguf"
	"cloister/lora/internal/native"
	"cloister/lora/model"
)

// ErrAdapter is wrapped by each error about the content of an adapter file.
var ErrAdapter = errors.New("not a LoRA adapter")

// Adapter is the content of an adapter file. Each matrix pair adds
// Alpha/rank · B·A to a matrix of the base, where rank is the pair's own.
type Adapter struct {
	Architecture string // of the base, such as "llama"
	Rank         int    // of every pair; 0 when they differ
	Alpha        float64
	Tensors      []AdapterTensor
}

// AdapterTensor is one matrix, row-major: A, named "….lora_a", is [Rank × in],
// B, "….lora_b", is [out × Rank].
type AdapterTensor struct {
	Name       string
	Rows, Cols int
	Data       []float32
}

// newAdapter is the adapter of the params with these values, which it shares if they are on the host.
func newAdapter(architecture string, alpha float64, params []*model.Param, data []matrix) (*Adapter, error) {
	a := &Adapter{Architecture: architecture, Alpha: alpha}
	for i, p := range params {
		if strings.HasSuffix(p.Name, ".lora_a") {
			a.Rank = p.Rows
		}
		values, err := data[i].Values()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p.Name, err)
		}
		a.Tensors = append(a.Tensors, AdapterTensor{p.Name, p.Rows, p.Cols, values})
	}
	return a, nil
}

// WriteFile writes the adapter as llama.cpp loads it (llama-adapter.cpp), in
// F32. The file is there whole or not at all.
func (a *Adapter) WriteFile(path string) error {
	kv := []gguf.KV{
		{Key: "general.architecture", Value: a.Architecture},
		{Key: "general.type", Value: "adapter"},
		{Key: "adapter.type", Value: "lora"},
		{Key: "adapter.lora.alpha", Value: float32(a.Alpha)},
	}
	var tensors []gguf.Tensor
	for _, t := range a.Tensors {
		tensors = append(tensors, gguf.Tensor{Name: t.Name, Type: gguf.F32, Dims: []uint64{uint64(t.Cols), uint64(t.Rows)}, Data: littleEndian(t.Data)})
	}
	return writeAtomically(path, func(w io.Writer) error { return gguf.Write(w, kv, tensors) })
}

// ReadAdapter reads an adapter: one that WriteFile made, or another program's
// with tensors of any type that ggml turns into float, and with pairs of
// different ranks.
func ReadAdapter(path string) (*Adapter, error) {
	f, err := gguf.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	a, err := adapterOf(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %w", path, ErrAdapter, err)
	}
	return a, nil
}

func adapterOf(f *gguf.File) (*Adapter, error) {
	if kind, _ := f.String("general.type"); kind != "adapter" {
		return nil, fmt.Errorf("general.type is %q", kind)
	}
	if kind, _ := f.String("adapter.type"); kind != "lora" {
		return nil, fmt.Errorf("adapter.type is %q", kind)
	}
	a := new(Adapter)
	a.Architecture, _ = f.String("general.architecture")
	a.Alpha, _ = f.Float("adapter.lora.alpha")
	pairs := map[string]map[string]int{} // the ranks of "a" and "b" by the matrix's name
	for i := range f.Tensors {
		t, err := adapterTensor(&f.Tensors[i])
		if err != nil {
			return nil, err
		}
		base, letter, _ := strings.Cut(t.Name, ".lora_")
		rank := t.Cols
		if letter == "a" {
			rank = t.Rows
		}
		if pairs[base] == nil {
			pairs[base] = map[string]int{}
		}
		pairs[base][letter] = rank
		a.Tensors = append(a.Tensors, t)
	}
	if len(pairs) == 0 {
		return nil, errors.New("it has no tensors")
	}
	ranks := map[int]bool{}
	for base, have := range pairs {
		switch {
		case len(have) != 2:
			return nil, fmt.Errorf("%s has only one of its two matrices", base)
		case have["a"] != have["b"]:
			return nil, fmt.Errorf("%s has A of rank %d and B of rank %d", base, have["a"], have["b"])
		}
		ranks[have["a"]] = true
	}
	if len(ranks) == 1 {
		a.Rank = slices.Collect(maps.Keys(ranks))[0]
	}
	if a.Alpha == 0 { // llama.cpp: scale 1
		if a.Alpha = float64(a.Rank); a.Rank == 0 {
			return nil, errors.New("it has no adapter.lora.alpha, and its matrices have different ranks")
		}
	}
	if math.IsNaN(a.Alpha) || math.IsInf(a.Alpha, 0) {
		return nil, fmt.Errorf("adapter.lora.alpha is %v", a.Alpha)
	}
	return a, nil
}

func adapterTensor(t *gguf.Tensor) (AdapterTensor, error) {
	if !strings.HasSuffix(t.Name, ".lora_a") && !strings.HasSuffix(t.Name, ".lora_b") {
		return AdapterTensor{}, fmt.Errorf("the tensor %s is neither .lora_a nor .lora_b", t.Name)
	}
	if len(t.Dims) != 2 || !native.TypeOK(uint32(t.Type), int(t.Dims[0])) {
		return AdapterTensor{}, fmt.Errorf("the tensor %s is %s with %d dimensions; a matrix of a type that can be turned into float is needed", t.Name, t.Type, len(t.Dims))
	}
	out := AdapterTensor{t.Name, int(t.Dims[1]), int(t.Dims[0]), make([]float32, t.Elements())}
	return out, native.Dequantize(uint32(t.Type), t.Data, out.Data)
}

// Pair is the two matrices that adapt one tensor of the base.
type Pair struct {
	Tensor string        // of the base, such as "blk.0.attn_q.weight"
	A, B   AdapterTensor // [rank × in], [out × rank]
}

// Rank is the pair's inner dimension.
func (p *Pair) Rank() int { return p.A.Rows }

// Pairs of the adapter, in the order of their A.
func (a *Adapter) Pairs() []Pair {
	var out []Pair
	at := map[string]int{}
	for _, letter := range []string{".lora_a", ".lora_b"} {
		for _, t := range a.Tensors {
			base, ok := strings.CutSuffix(t.Name, letter)
			switch i, known := at[base]; {
			case !ok:
			case letter == ".lora_a":
				at[base] = len(out)
				out = append(out, Pair{Tensor: base, A: t})
			case known:
				out[i].B = t
			}
		}
	}
	return out
}

// bytes is what its values take in memory.
func (a *Adapter) bytes() int64 {
	n := int64(0)
	for _, t := range a.Tensors {
		n += 4 * int64(len(t.Data))
	}
	return n
}

// fingerprint tells the adapter from others.
func (a *Adapter) fingerprint() string {
	h := sha256.New()
	for _, t := range a.Tensors {
		_, _ = io.WriteString(h, t.Name)
		_ = binary.Write(h, binary.LittleEndian, t.Data)
	}
	_ = binary.Write(h, binary.LittleEndian, a.Alpha)
	return hex.EncodeToString(h.Sum(nil))
}

// into copies the adapter into the params, which must have the same names and shapes.
func (a *Adapter) into(params []*model.Param) error {
	byName := map[string]AdapterTensor{}
	for _, t := range a.Tensors {
		byName[t.Name] = t
	}
	for _, p := range params {
		t, ok := byName[p.Name]
		if !ok || t.Rows != p.Rows || t.Cols != p.Cols {
			return fmt.Errorf("%w for this model and these targets: %s of %d × %d is missing", ErrAdapter, p.Name, p.Rows, p.Cols)
		}
		if err := p.Data.Write(t.Data); err != nil {
			return fmt.Errorf("%s: %w", p.Name, err)
		}
	}
	if len(params) != len(a.Tensors) {
		return fmt.Errorf("%w for these targets: it has %d matrices, %d are trained", ErrAdapter, len(a.Tensors), len(params))
	}
	return nil
}
