package gguf

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"math/bits"
	"os"

	"golang.org/x/sys/unix"
)

// ErrFormat is wrapped in every error about the content of a file.
var ErrFormat = errors.New("not a valid GGUF file")

// Limits far above what real files hold.
const (
	maxDims     = 4
	maxKeyBytes = 1 << 16
	maxStrBytes = 1 << 28
)

// File is a parsed GGUF file.
type File struct {
	Version uint32
	KV      []KV // in the order of the file
	Tensors []Tensor

	keys    map[string]int
	tensors map[string]int
	mapped  []byte
}

// Open maps a file into memory and parses it.
func Open(path string) (*File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a file", path)
	}
	if info.Size() < 24 || info.Size() > math.MaxInt {
		return nil, fmt.Errorf("%s: %w: it has %d bytes", path, ErrFormat, info.Size())
	}
	mapped, err := unix.Mmap(int(f.Fd()), 0, int(info.Size()), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("%s: mmap: %w", path, err)
	}
	g, dataStart, err := parse(io.NewSectionReader(f, 0, info.Size()), info.Size())
	if err != nil {
		_ = unix.Munmap(mapped)
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	g.mapped = mapped
	for i := range g.Tensors {
		t := &g.Tensors[i]
		from := uint64(dataStart) + t.Offset
		t.Data = mapped[from : from+t.bytes()]
	}
	return g, nil
}

// Read parses a file of size bytes and reads its tensors into memory.
func Read(r io.ReaderAt, size int64) (*File, error) {
	g, dataStart, err := parse(io.NewSectionReader(r, 0, size), size)
	if err != nil {
		return nil, err
	}
	for i := range g.Tensors {
		t := &g.Tensors[i]
		t.Data = make([]byte, t.bytes())
		if _, err := r.ReadAt(t.Data, dataStart+int64(t.Offset)); err != nil && err != io.EOF {
			return nil, fmt.Errorf("tensor %q: %w", t.Name, err)
		}
	}
	return g, nil
}

// Close unmaps the file. Tensor bytes must not be used after it.
func (f *File) Close() error {
	if f.mapped == nil {
		return nil
	}
	m := f.mapped
	f.mapped, f.Tensors, f.tensors = nil, nil, nil
	return unix.Munmap(m)
}

// bytes is the size of the data; the parser has made sure that it is sound.
func (t *Tensor) bytes() uint64 {
	return t.Elements() / uint64(t.Type.BlockSize()) * uint64(t.Type.TypeSize())
}

// reader counts the bytes that are left, so that no length is believed before
// it has been held against them.
type reader struct {
	r    *bufio.Reader
	left int64
	err  error
}

func (r *reader) fail(format string, a ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: "+format, append([]any{ErrFormat}, a...)...)
	}
}

func (r *reader) bytes(n int64) []byte {
	if r.err != nil {
		return nil
	}
	if n < 0 || n > r.left {
		r.fail("it ends in the middle of its header")
		return nil
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(r.r, b); err != nil {
		r.fail("it ends in the middle of its header")
		return nil
	}
	r.left -= n
	return b
}

func (r *reader) u32() uint32 {
	if b := r.bytes(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

func (r *reader) u64() uint64 {
	if b := r.bytes(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

func (r *reader) str(limit uint64) string {
	n := r.u64()
	if n > limit || n > math.MaxInt64 {
		r.fail("a string of %d bytes", n)
		return ""
	}
	return string(r.bytes(int64(n)))
}

// parse reads everything before the data and checks the tensors' ranges.
func parse(src io.Reader, size int64) (*File, int64, error) {
	r := &reader{r: bufio.NewReaderSize(src, 1<<16), left: size}
	if magic := r.bytes(4); string(magic) != "GGUF" {
		return nil, 0, fmt.Errorf("%w: it does not begin with GGUF", ErrFormat)
	}
	f := &File{Version: r.u32(), keys: map[string]int{}, tensors: map[string]int{}}
	if r.err == nil && f.Version != 2 && f.Version != 3 {
		r.fail("version %d; versions 2 and 3 are known", f.Version)
	}
	nTensors, nKV := r.u64(), r.u64()
	// The shortest entry of each kind: an empty key with a byte, a tensor without dimensions.
	if r.err == nil && (nKV > uint64(r.left)/13 || nTensors > uint64(r.left)/24) {
		r.fail("%d metadata entries and %d tensors in %d bytes", nKV, nTensors, r.left)
	}
	for i := uint64(0); i < nKV && r.err == nil; i++ {
		f.readKV(r)
	}
	for i := uint64(0); i < nTensors && r.err == nil; i++ {
		f.readTensor(r)
	}
	if r.err != nil {
		return nil, 0, r.err
	}
	start, err := f.checkData(size, size-r.left)
	return f, start, err
}

func (f *File) readKV(r *reader) {
	key := r.str(maxKeyBytes)
	if _, twice := f.keys[key]; twice {
		r.fail("the key %q stands twice", key)
		return
	}
	value := readValue(r, r.u32())
	if r.err == nil {
		f.keys[key] = len(f.KV)
		f.KV = append(f.KV, KV{key, value})
	}
}

func (f *File) readTensor(r *reader) {
	t := Tensor{Name: r.str(maxKeyBytes)}
	n := r.u32()
	if r.err == nil && n > maxDims {
		r.fail("the tensor %q has %d dimensions", t.Name, n)
	}
	elements := uint64(1)
	for i := uint32(0); i < n && r.err == nil; i++ {
		d := r.u64()
		over, product := bits.Mul64(elements, d)
		if r.err == nil && (over != 0 || product > math.MaxInt64 || d == 0) {
			r.fail("the tensor %q has a dimension of %d", t.Name, d)
		}
		elements = product
		t.Dims = append(t.Dims, d)
	}
	t.Type, t.Offset = Type(r.u32()), r.u64()
	if r.err != nil {
		return
	}
	switch _, twice := f.tensors[t.Name]; {
	case twice:
		r.fail("the tensor %q stands twice", t.Name)
	case !t.Type.Known():
		r.fail("the tensor %q has the unknown %s", t.Name, t.Type)
	case len(t.Dims) == 0 || t.Dims[0]%uint64(t.Type.BlockSize()) != 0:
		r.fail("the rows of tensor %q are no multiple of the %d elements of a block of %s", t.Name, t.Type.BlockSize(), t.Type)
	default:
		f.tensors[t.Name] = len(f.Tensors)
		f.Tensors = append(f.Tensors, t)
	}
}

// checkData finds the start of the data and holds each tensor against the file's size.
func (f *File) checkData(size, header int64) (int64, error) {
	align := int64(32)
	if a, ok := f.Uint("general.alignment"); ok {
		if a == 0 || a > 1<<20 || a&(a-1) != 0 {
			return 0, fmt.Errorf("%w: general.alignment is %d", ErrFormat, a)
		}
		align = int64(a)
	}
	start := (header + align - 1) / align * align
	for i := range f.Tensors {
		t := &f.Tensors[i]
		// Elements fit into 63 bits, and a block has at most 8 bytes for an element.
		over, n := bits.Mul64(t.Elements()/uint64(t.Type.BlockSize()), uint64(t.Type.TypeSize()))
		end, carry := bits.Add64(t.Offset, n, 0)
		end, carry2 := bits.Add64(end, uint64(start), 0)
		if over|carry|carry2 != 0 || end > uint64(size) {
			return 0, fmt.Errorf("%w: it ends before tensor %q does; was the copy cut short?", ErrFormat, t.Name)
		}
		if t.Offset%uint64(align) != 0 {
			return 0, fmt.Errorf("%w: tensor %q is not aligned to %d bytes", ErrFormat, t.Name, align)
		}
	}
	return start, nil
}
