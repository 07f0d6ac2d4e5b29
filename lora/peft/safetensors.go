package peft

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"

	"cloister/llama/gguf"
	"cloister/lora/internal/native"
)

// The format (huggingface.co/docs/safetensors): the length of the header as a
// little-endian uint64, the header, a JSON object that maps each name to
// {"dtype", "shape", "data_offsets": [begin, end]}, then the data. Offsets count
// from the end of the header; tensors leave no gaps, so none overlap.

// ErrSafetensors is wrapped by each error about the content of a safetensors file.
var ErrSafetensors = errors.New("not a valid safetensors file")

// Bounds that no adapter comes near.
const (
	maxHeader  = 64 << 20
	maxTensors = 1 << 20
	maxDims    = 8
)

// dtypes that are read, with the bytes of one value and ggml's number of the same type.
var dtypes = map[string]struct {
	bytes int
	ggml  gguf.Type
}{
	"F32": {4, gguf.F32}, "F16": {2, gguf.F16}, "BF16": {2, gguf.BF16}, "F64": {8, gguf.F64},
}

// tensor of a safetensors file: row-major, the last dimension contiguous.
type tensor struct {
	Name  string
	DType string
	Shape []int
	begin int64 // in the file
	bytes int64
}

// archive is an open safetensors file.
type archive struct {
	r       io.ReaderAt
	tensors []tensor // as they lie in the file
}

// openArchive reads the header of a file of size bytes.
func openArchive(r io.ReaderAt, size int64) (*archive, error) {
	a, err := parseArchive(r, size)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSafetensors, err)
	}
	return a, nil
}

func parseArchive(r io.ReaderAt, size int64) (*archive, error) {
	var start [8]byte
	if n, err := r.ReadAt(start[:], 0); n < len(start) {
		return nil, fmt.Errorf("only %d bytes: %w", n, err)
	}
	length := binary.LittleEndian.Uint64(start[:])
	if length > maxHeader || int64(length) > size-8 {
		return nil, fmt.Errorf("a header of %d bytes in a file of %d", length, size)
	}
	header := make([]byte, length)
	if n, err := r.ReadAt(header, 8); n < len(header) {
		return nil, fmt.Errorf("the header ends early: %w", err)
	}
	members, err := object(header)
	if err != nil {
		return nil, fmt.Errorf("the header: %w", err)
	}
	a := &archive{r: r}
	for _, m := range members {
		if m.key == "__metadata__" {
			continue
		}
		if len(a.tensors) == maxTensors {
			return nil, fmt.Errorf("more than %d tensors", maxTensors)
		}
		t, err := parseTensor(m)
		if err != nil {
			return nil, fmt.Errorf("the tensor %q: %w", shorten(m.key), err)
		}
		a.tensors = append(a.tensors, t)
	}
	return a, a.place(8+int64(length), size)
}

// place checks that the tensors fill the file from start to its end, and turns
// their offsets into those of the file.
func (a *archive) place(start, size int64) error {
	slices.SortStableFunc(a.tensors, func(x, y tensor) int {
		return int(min(1, max(-1, x.begin-y.begin))) // both are in [0, 2^62)
	})
	var next int64
	for i := range a.tensors {
		t := &a.tensors[i]
		if t.begin != next || t.bytes > size-start-t.begin {
			return fmt.Errorf("the tensor %q lies at bytes %d to %d where %d is expected, of %d", shorten(t.Name), t.begin, t.begin+t.bytes, next, size-start)
		}
		next += t.bytes
		t.begin += start
	}
	if next != size-start {
		return fmt.Errorf("%d bytes of data of which the tensors use %d", size-start, next)
	}
	return nil
}

func parseTensor(m member) (tensor, error) {
	t := tensor{Name: m.key}
	fields, err := object(m.value)
	if err != nil {
		return t, err
	}
	var offsets []int64
	for _, f := range fields {
		switch f.key {
		case "dtype":
			err = json.Unmarshal(f.value, &t.DType)
		case "shape":
			err = json.Unmarshal(f.value, &t.Shape)
		case "data_offsets":
			err = json.Unmarshal(f.value, &offsets)
		default:
			err = errors.New("it is not of this format")
		}
		if err != nil {
			return t, fmt.Errorf("%s: %w", shorten(f.key), err)
		}
	}
	if len(offsets) != 2 || offsets[0] < 0 || offsets[1] < offsets[0] || offsets[1] > 1<<62 {
		return t, fmt.Errorf("data_offsets are %v", offsets[:min(4, len(offsets))])
	}
	t.begin, t.bytes = offsets[0], offsets[1]-offsets[0]
	if len(t.Shape) > maxDims {
		return t, fmt.Errorf("%d dimensions", len(t.Shape))
	}
	// Only types that are read have a size to check here.
	if d, ok := dtypes[t.DType]; ok {
		n := int64(d.bytes)
		for _, s := range t.Shape {
			if s < 0 || s > 0 && n > t.bytes/int64(s) {
				return t, fmt.Errorf("%d bytes for the shape %v of %s", t.bytes, t.Shape, t.DType)
			}
			n *= int64(s)
		}
		if n != t.bytes {
			return t, fmt.Errorf("%d bytes for the shape %v of %s", t.bytes, t.Shape, t.DType)
		}
	}
	return t, nil
}

// floats reads the values of a tensor.
func (a *archive) floats(t *tensor) ([]float32, error) {
	d, ok := dtypes[t.DType]
	if !ok {
		return nil, fmt.Errorf("the tensor %s has the type %s; F32, F16, BF16 and F64 are read", t.Name, shorten(t.DType))
	}
	raw := make([]byte, t.bytes)
	if n, err := a.r.ReadAt(raw, t.begin); n < len(raw) {
		return nil, fmt.Errorf("%w: the tensor %s ends early: %w", ErrSafetensors, t.Name, err)
	}
	out := make([]float32, len(raw)/d.bytes)
	if d.ggml == gguf.F64 {
		for i := range out {
			out[i] = float32(math.Float64frombits(binary.LittleEndian.Uint64(raw[8*i:])))
		}
		return out, nil
	}
	if len(out) == 0 {
		return out, nil
	}
	return out, native.Dequantize(uint32(d.ggml), raw, out)
}

// matrix is one F32 matrix to write.
type matrix struct {
	rows, cols int
	data       []float32
}

// writeArchive writes the matrices in the order of their names.
func writeArchive(w io.Writer, tensors map[string]matrix) error {
	type entry struct {
		DType   string   `json:"dtype"`
		Shape   [2]int   `json:"shape"`
		Offsets [2]int64 `json:"data_offsets"`
	}
	// Maps are encoded in the order of their keys; "_" is smaller than a small letter.
	header := map[string]any{"__metadata__": map[string]string{"format": "pt"}}
	names := slices.Sorted(maps.Keys(tensors))
	var at int64
	for _, name := range names {
		t := tensors[name]
		end := at + 4*int64(len(t.data))
		header[name] = entry{"F32", [2]int{t.rows, t.cols}, [2]int64{at, end}}
		at = end
	}
	raw, err := json.Marshal(header)
	if err != nil {
		return err
	}
	raw = append(raw, bytes.Repeat([]byte{' '}, (8-len(raw)%8)%8)...) // data is aligned
	if err := binary.Write(w, binary.LittleEndian, uint64(len(raw))); err != nil {
		return err
	}
	if _, err := w.Write(raw); err != nil {
		return err
	}
	for _, name := range names {
		if err := binary.Write(w, binary.LittleEndian, tensors[name].data); err != nil {
			return err
		}
	}
	return nil
}

// member of a JSON object.
type member struct {
	key   string
	value json.RawMessage
}

// object reads a JSON object and keeps the order of its members, which the
// patterns of an adapter_config.json need. A key that is there twice is an error.
func object(raw []byte) ([]member, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, fmt.Errorf("not a JSON object: %w", cmpError(err))
	}
	var out []member
	seen := map[string]bool{}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return nil, err
		}
		m := member{key: t.(string)} // the decoder takes nothing else for a key
		if seen[m.key] {
			return nil, fmt.Errorf("%q is there twice", shorten(m.key))
		}
		seen[m.key] = true
		if err := d.Decode(&m.value); err != nil {
			return nil, err
		}
		out = append(out, m)
	}
	if _, err := d.Token(); err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("there is something behind the object")
	}
	return out, nil
}

func cmpError(err error) error {
	if err == nil {
		return errors.New("it begins with something else")
	}
	return err
}

// shorten keeps a hostile text out of an error message's way.
func shorten(s string) string {
	if len(s) > 100 {
		return s[:100] + "…"
	}
	return s
}
