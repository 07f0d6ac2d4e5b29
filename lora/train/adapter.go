package train

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"

	"cloister/llama/gguf"
	"cloister/lora/model"
)

// ErrAdapter is wrapped by each error about the content of an adapter file.
var ErrAdapter = errors.New("not a LoRA adapter")

// Adapter is the content of an adapter file. Each matrix pair adds
// Alpha/Rank · B·A to a matrix of the base.
type Adapter struct {
	Architecture string // of the base, such as "llama"
	Rank         int
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

// newAdapter is the adapter that the params hold now. It shares their data.
func newAdapter(architecture string, alpha float64, params []*model.Param, data [][]float32) *Adapter {
	a := &Adapter{Architecture: architecture, Alpha: alpha}
	for i, p := range params {
		if strings.HasSuffix(p.Name, ".lora_a") {
			a.Rank = p.Rows
		}
		a.Tensors = append(a.Tensors, AdapterTensor{p.Name, p.Rows, p.Cols, data[i]})
	}
	return a
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

// ReadAdapter reads an adapter with F32 tensors, such as WriteFile makes.
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
	pairs := map[string]int{} // by the matrix's name: 1 for A, 2 for B
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
		if a.Rank == 0 {
			a.Rank = rank
		}
		if rank != a.Rank {
			return nil, fmt.Errorf("%s has rank %d and other matrices have %d", t.Name, rank, a.Rank)
		}
		pairs[base] |= map[string]int{"a": 1, "b": 2}[letter]
		a.Tensors = append(a.Tensors, t)
	}
	if len(pairs) == 0 {
		return nil, errors.New("it has no tensors")
	}
	for base, have := range pairs {
		if have != 3 {
			return nil, fmt.Errorf("%s has only one of its two matrices", base)
		}
	}
	if a.Alpha == 0 { // llama.cpp: scale 1
		a.Alpha = float64(a.Rank)
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
	if t.Type != gguf.F32 || len(t.Dims) != 2 {
		return AdapterTensor{}, fmt.Errorf("the tensor %s is %s with %d dimensions; an F32 matrix is needed", t.Name, t.Type, len(t.Dims))
	}
	out := AdapterTensor{t.Name, int(t.Dims[1]), int(t.Dims[0]), make([]float32, t.Elements())}
	for i := range out.Data {
		out.Data[i] = math.Float32frombits(binary.LittleEndian.Uint32(t.Data[4*i:]))
	}
	return out, nil
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
		copy(p.Data, t.Data)
	}
	if len(params) != len(a.Tensors) {
		return fmt.Errorf("%w for these targets: it has %d matrices, %d are trained", ErrAdapter, len(a.Tensors), len(params))
	}
	return nil
}
