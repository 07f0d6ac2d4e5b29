package gguf

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// ErrFormat is wrapped by each error about the content of a file.
var ErrFormat = errors.New("not a valid GGUF file")

// KV is one pair of the metadata. Value is a uint8, int8, uint16, int16,
// uint32, int32, uint64, int64, float32, float64, bool or string, or a slice of
// one of these.
type KV struct {
	Key   string
	Value any
}

// Tensor is one tensor of a file.
type Tensor struct {
	Name string
	Type Type
	// Dims in ggml's order: Dims[0] is the contiguous one, so a matrix that
	// maps in to out is [in, out].
	Dims []uint64
	// Offset of Data from the start of the file.
	Offset uint64
	// Data is the tensor's bytes, valid until the File is closed.
	Data []byte
}

// Elements is the number of elements.
func (t *Tensor) Elements() uint64 {
	n := uint64(1)
	for _, d := range t.Dims {
		n *= d
	}
	return n
}

// Bytes is the size of the tensor's data. It does not overflow for a tensor
// that a File holds.
func (t *Tensor) Bytes() uint64 {
	return t.Elements() / uint64(t.Type.BlockSize()) * uint64(t.Type.TypeSize())
}

// File is a GGUF file: its metadata in the order of the file, and its tensors.
type File struct {
	Version uint32
	KV      []KV
	Tensors []Tensor
	// Size is the number of bytes of the file.
	Size int64
	// HeaderBytes is the size of metadata and tensor list, before padding.
	HeaderBytes int64
	// HeaderOnly says that the tensors have no Data: see OpenHeader.
	HeaderOnly bool

	keys    map[string]int
	tensors map[string]int
	mapped  []byte
	lead    uint64 // bytes of mapped before the file
}

// Open maps a GGUF file, which path may name as a part of a larger one (see
// Region), and reads its metadata. The data of its tensors is read from the disk
// when it is first used.
func Open(path string) (*File, error) {
	s, err := OpenSection(path)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	offset, size := s.Region.Offset, s.Size()
	if size < minHeader {
		return nil, fmt.Errorf("%s: %w: only %d bytes", path, ErrFormat, size)
	}
	lead := offset % int64(os.Getpagesize()) // mappings begin at a page
	if int64(int(lead+size)) != lead+size {
		return nil, fmt.Errorf("%s: too large to map", path)
	}
	mem, err := unix.Mmap(int(s.file.Fd()), offset-lead, int(lead+size), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("cannot map %s: %w", path, err)
	}
	own := mem[lead:]
	g, err := parse(bytes.NewReader(own), size)
	if err != nil {
		_ = unix.Munmap(mem)
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	g.mapped, g.lead = mem, uint64(lead)
	for i := range g.Tensors {
		t := &g.Tensors[i]
		end := t.Offset + t.Bytes()
		t.Data = own[t.Offset:end:end]
	}
	return g, nil
}

// Read reads the size bytes of r, tensors included, into memory.
func Read(r io.ReaderAt, size int64) (*File, error) {
	g, err := parse(r, size)
	if err != nil {
		return nil, err
	}
	for i := range g.Tensors {
		t := &g.Tensors[i]
		t.Data = make([]byte, t.Bytes())
		if n, err := r.ReadAt(t.Data, int64(t.Offset)); n < len(t.Data) {
			return nil, fmt.Errorf("%w: the tensor %q: %w", ErrFormat, t.Name, err)
		}
	}
	return g, nil
}

// parse reads everything but the tensors' data.
func parse(r io.ReaderAt, size int64) (*File, error) {
	g, err := newDecoder(r, size).file()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	g.Size = size
	return g, nil
}

// Close unmaps the file. No tensor's Data may be used after it. A second Close
// does nothing.
func (f *File) Close() error {
	if f.mapped == nil {
		return nil
	}
	mem := f.mapped
	f.mapped = nil
	for i := range f.Tensors {
		f.Tensors[i].Data = nil
	}
	return unix.Munmap(mem)
}

// Release gives the memory that holds a tensor's data back to the system, for
// whoever reads a large file once from its beginning to its end. The data stays
// readable, from the disk or its cache.
func (f *File) Release(t *Tensor) {
	page := uint64(os.Getpagesize())
	begin := f.lead + t.Offset
	from, to := (begin+page-1)/page*page, (begin+t.Bytes())/page*page
	if f.mapped != nil && from < to {
		_ = unix.Madvise(f.mapped[from:to], unix.MADV_DONTNEED) // advice; nothing is lost without it
	}
}

// Tensor returns the tensor of that name.
func (f *File) Tensor(name string) (*Tensor, bool) {
	i, ok := f.tensors[name]
	if !ok {
		return nil, false
	}
	return &f.Tensors[i], true
}

// Value returns a value of the metadata with the type it has in the file.
func (f *File) Value(key string) (any, bool) {
	i, ok := f.keys[key]
	if !ok {
		return nil, false
	}
	return f.KV[i].Value, true
}

// String returns a text of the metadata; false when the key is missing or
// holds something else. So do the methods below.
func (f *File) String(key string) (string, bool) { return value[string](f, key) }

// Bool returns a truth value.
func (f *File) Bool(key string) (bool, bool) { return value[bool](f, key) }

// Strings returns an array of texts.
func (f *File) Strings(key string) ([]string, bool) { return value[[]string](f, key) }

func value[T any](f *File, key string) (T, bool) {
	v, _ := f.Value(key)
	t, ok := v.(T)
	return t, ok
}

// Uint returns a whole number that is not negative, of any integer type.
func (f *File) Uint(key string) (uint64, bool) {
	v, _ := f.Value(key)
	switch n := v.(type) {
	case uint64:
		return n, true
	default:
		i, ok := asInt(v)
		return uint64(i), ok && i >= 0
	}
}

// Int returns a whole number that fits in an int64, of any integer type.
func (f *File) Int(key string) (int64, bool) {
	v, _ := f.Value(key)
	return asInt(v)
}

func asInt(v any) (int64, bool) {
	switch n := v.(type) {
	case uint8:
		return int64(n), true
	case int8:
		return int64(n), true
	case uint16:
		return int64(n), true
	case int16:
		return int64(n), true
	case uint32:
		return int64(n), true
	case int32:
		return int64(n), true
	case uint64:
		return int64(n), int64(n) >= 0
	case int64:
		return n, true
	}
	return 0, false
}

// Float returns a float32 or a float64.
func (f *File) Float(key string) (float64, bool) {
	v, _ := f.Value(key)
	switch n := v.(type) {
	case float32:
		return float64(n), true
	case float64:
		return n, true
	}
	return 0, false
}

// Floats returns an array of float32 or float64 as float64.
func (f *File) Floats(key string) ([]float64, bool) {
	v, _ := f.Value(key)
	switch a := v.(type) {
	case []float64:
		return a, true
	case []float32:
		return convert[float64](a), true
	}
	return nil, false
}

// Ints returns an array of any integer type; false also when one of its
// numbers does not fit in an int64.
func (f *File) Ints(key string) ([]int64, bool) {
	v, _ := f.Value(key)
	switch a := v.(type) {
	case []uint8:
		return convert[int64](a), true
	case []int8:
		return convert[int64](a), true
	case []uint16:
		return convert[int64](a), true
	case []int16:
		return convert[int64](a), true
	case []uint32:
		return convert[int64](a), true
	case []int32:
		return convert[int64](a), true
	case []int64:
		return a, true
	case []uint64:
		out := convert[int64](a)
		for _, n := range out {
			if n < 0 {
				return nil, false
			}
		}
		return out, true
	}
	return nil, false
}

func convert[To, From number](in []From) []To {
	out := make([]To, len(in))
	for i, v := range in {
		out[i] = To(v)
	}
	return out
}
