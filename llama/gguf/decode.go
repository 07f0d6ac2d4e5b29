package gguf

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"math/bits"
)

// Bounds that no real file comes near: the largest vocabulary today has some
// 260,000 tokens, the largest models some 60,000 tensors.
const (
	minHeader     = 24        // magic, version and two counts
	maxHeader     = 256 << 20 // bytes of metadata and tensor list together
	maxArray      = 1 << 23   // elements of one array
	maxString     = 64 << 20  // bytes of one text
	maxKeys       = 1 << 16
	maxTensors    = 1 << 20
	maxName       = 63 // GGML_MAX_NAME with its terminating zero is 64
	maxDims       = 4  // GGML_MAX_DIMS
	maxAlignment  = 1 << 20
	defaultAlign  = 32
	alignmentKey  = "general.alignment"
	growthAtATime = 1 << 16 // elements that an array grows by, so that a lie about its length costs little
)

// The types of values in the metadata, numbered as in gguf.h.
const (
	kindUint8 uint32 = iota
	kindInt8
	kindUint16
	kindInt16
	kindUint32
	kindInt32
	kindFloat32
	kindBool
	kindString
	kindArray
	kindUint64
	kindInt64
	kindFloat64
)

type number interface {
	uint8 | int8 | uint16 | int16 | uint32 | int32 | uint64 | int64 | float32 | float64
}

var errTruncated = errors.New("it ends in the middle of its header")

// decoder reads the header. left is what may still be read of it.
type decoder struct {
	r    *bufio.Reader
	size int64 // of the file
	pos  int64
	left int64
	buf  [8]byte

	headerOnly bool // the tensors need not be in the file
}

func newDecoder(r io.ReaderAt, size int64) *decoder {
	return &decoder{r: bufio.NewReaderSize(io.NewSectionReader(r, 0, max(size, 0)), 1<<16), size: size, left: min(size, maxHeader)}
}

func (d *decoder) file() (*File, error) {
	g := &File{keys: map[string]int{}, tensors: map[string]int{}}
	nTensors, nKeys, err := d.start(g)
	if err != nil {
		return nil, err
	}
	for i := range nKeys {
		kv, err := d.keyValue()
		if err != nil {
			return nil, fmt.Errorf("key %d of %d: %w", i+1, nKeys, err)
		}
		if _, ok := g.keys[kv.Key]; ok {
			return nil, fmt.Errorf("the key %q is there twice", kv.Key)
		}
		g.keys[kv.Key] = len(g.KV)
		g.KV = append(g.KV, kv)
	}
	align, err := alignment(g.KV)
	if err != nil {
		return nil, err
	}
	for i := range nTensors {
		t, err := d.tensor()
		if err != nil {
			return nil, fmt.Errorf("tensor %d of %d: %w", i+1, nTensors, err)
		}
		if _, ok := g.tensors[t.Name]; ok {
			return nil, fmt.Errorf("the tensor %q is there twice", t.Name)
		}
		g.tensors[t.Name] = len(g.Tensors)
		g.Tensors = append(g.Tensors, t)
	}
	g.HeaderBytes = d.pos
	return g, d.place(g, align)
}

// start reads magic, version and the two counts.
func (d *decoder) start(g *File) (nTensors, nKeys uint64, err error) {
	magic, err := d.bytes(4)
	if err != nil {
		return 0, 0, err
	}
	if string(magic) != "GGUF" {
		return 0, 0, errors.New(`it does not begin with "GGUF"`)
	}
	if g.Version, err = d.uint32(); err != nil {
		return 0, 0, err
	}
	switch {
	case g.Version == 2 || g.Version == 3:
	case g.Version&0xffff == 0:
		return 0, 0, errors.New("it is big-endian, which is not supported")
	default:
		return 0, 0, fmt.Errorf("version %d; versions 2 and 3 are supported", g.Version)
	}
	if nTensors, err = d.uint64(); err != nil {
		return 0, 0, err
	}
	if nKeys, err = d.uint64(); err != nil {
		return 0, 0, err
	}
	if nTensors > maxTensors || nKeys > maxKeys {
		return 0, 0, fmt.Errorf("%d keys and %d tensors are more than any model has", nKeys, nTensors)
	}
	return nTensors, nKeys, nil
}

// place turns the tensors' offsets, which count from the end of the padded
// header, into offsets in the file, and checks that each tensor lies inside it.
// As in llama.cpp each begins where the one before it ends, so none overlap.
func (d *decoder) place(g *File, align uint64) error {
	data, next := pad(uint64(d.pos), align), uint64(0)
	for i := range g.Tensors {
		t := &g.Tensors[i]
		if t.Offset != next {
			return fmt.Errorf("the tensor %q begins at %d; %d is expected", t.Name, t.Offset, next)
		}
		start, over1 := bits.Add64(data, t.Offset, 0)
		end, over2 := bits.Add64(start, t.Bytes(), 0)
		if over1|over2 != 0 || end > math.MaxInt64-maxAlignment || !d.headerOnly && end > uint64(d.size) {
			return fmt.Errorf("the tensor %q ends at byte %d of a file of %d; the file is incomplete", t.Name, end, d.size)
		}
		t.Offset, next = start, pad(end-data, align)
	}
	return nil
}

// pad rounds up to a multiple of align.
func pad(n, align uint64) uint64 { return (n + align - 1) / align * align }

// alignment is that of the metadata, or 32.
func alignment(kv []KV) (uint64, error) {
	for _, e := range kv {
		if e.Key != alignmentKey {
			continue
		}
		n, ok := e.Value.(uint32)
		if !ok || n == 0 || n&(n-1) != 0 || n > maxAlignment {
			return 0, fmt.Errorf("%s is %v; a power of two is needed, as uint32", alignmentKey, e.Value)
		}
		return uint64(n), nil
	}
	return defaultAlign, nil
}

func (d *decoder) keyValue() (KV, error) {
	key, err := d.string()
	if err != nil {
		return KV{}, err
	}
	if key == "" {
		return KV{}, errors.New("it has no name")
	}
	kind, err := d.uint32()
	if err != nil {
		return KV{}, err
	}
	var v any
	if kind == kindArray {
		v, err = d.array()
	} else {
		v, err = d.scalar(kind)
	}
	if err != nil {
		return KV{}, fmt.Errorf("%q: %w", shorten(key), err)
	}
	return KV{key, v}, nil
}

func (d *decoder) scalar(kind uint32) (any, error) {
	switch kind {
	case kindUint8:
		return one(numbers[uint8](d, 1))
	case kindInt8:
		return one(numbers[int8](d, 1))
	case kindUint16:
		return one(numbers[uint16](d, 1))
	case kindInt16:
		return one(numbers[int16](d, 1))
	case kindUint32:
		return one(numbers[uint32](d, 1))
	case kindInt32:
		return one(numbers[int32](d, 1))
	case kindUint64:
		return one(numbers[uint64](d, 1))
	case kindInt64:
		return one(numbers[int64](d, 1))
	case kindFloat32:
		return one(numbers[float32](d, 1))
	case kindFloat64:
		return one(numbers[float64](d, 1))
	case kindBool:
		return one(d.bools(1))
	case kindString:
		return d.string()
	}
	return nil, fmt.Errorf("unknown type %d", kind)
}

func (d *decoder) array() (any, error) {
	kind, err := d.uint32()
	if err != nil {
		return nil, err
	}
	n, err := d.uint64()
	if err != nil {
		return nil, err
	}
	if n > maxArray {
		return nil, fmt.Errorf("an array of %d elements; at most %d are supported", n, maxArray)
	}
	switch kind {
	case kindUint8:
		return numbers[uint8](d, n)
	case kindInt8:
		return numbers[int8](d, n)
	case kindUint16:
		return numbers[uint16](d, n)
	case kindInt16:
		return numbers[int16](d, n)
	case kindUint32:
		return numbers[uint32](d, n)
	case kindInt32:
		return numbers[int32](d, n)
	case kindUint64:
		return numbers[uint64](d, n)
	case kindInt64:
		return numbers[int64](d, n)
	case kindFloat32:
		return numbers[float32](d, n)
	case kindFloat64:
		return numbers[float64](d, n)
	case kindBool:
		return d.bools(n)
	case kindString:
		return d.strings(n)
	}
	return nil, fmt.Errorf("an array of unknown type %d", kind)
}

// one is the only element of a slice.
func one[T any](s []T, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	return s[0], nil
}

// numbers reads n numbers. The slice grows as they come.
func numbers[T number](d *decoder, n uint64) ([]T, error) {
	width := int64(binary.Size(*new(T)))
	if int64(n)*width > d.left {
		return nil, errTruncated
	}
	out := make([]T, 0, min(n, growthAtATime))
	for have := uint64(0); have < n; have = uint64(len(out)) {
		k := int(min(n-have, growthAtATime))
		out = append(out, make([]T, k)...)
		raw, err := d.bytes(int64(k) * width)
		if err != nil {
			return nil, err
		}
		if _, err := binary.Decode(raw, binary.LittleEndian, out[have:]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (d *decoder) bools(n uint64) ([]bool, error) {
	raw, err := numbers[uint8](d, n)
	if err != nil {
		return nil, err
	}
	out := make([]bool, len(raw))
	for i, b := range raw {
		out[i] = b != 0
	}
	return out, nil
}

func (d *decoder) strings(n uint64) ([]string, error) {
	if int64(n)*8 > d.left {
		return nil, errTruncated
	}
	out := make([]string, 0, min(n, growthAtATime))
	for range n {
		s, err := d.string()
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

func (d *decoder) tensor() (Tensor, error) {
	name, err := d.string()
	if err != nil {
		return Tensor{}, err
	}
	if name == "" || len(name) > maxName {
		return Tensor{}, fmt.Errorf("a name of %d bytes; 1 to %d are allowed", len(name), maxName)
	}
	dims, err := d.dims()
	if err != nil {
		return Tensor{}, fmt.Errorf("%q: %w", name, err)
	}
	typ, err := d.uint32()
	if err != nil {
		return Tensor{}, err
	}
	offset, err := d.uint64()
	if err != nil {
		return Tensor{}, err
	}
	t := Tensor{Name: name, Type: Type(typ), Dims: dims, Offset: offset}
	if !t.Type.Known() {
		return Tensor{}, fmt.Errorf("%q: unknown element type %d", name, typ)
	}
	if dims[0]%uint64(t.Type.BlockSize()) != 0 {
		return Tensor{}, fmt.Errorf("%q: rows of %d elements are no whole blocks of %s", name, dims[0], t.Type)
	}
	return t, nil
}

// dims reads a shape of 1 to 4 dimensions whose product times 8, the widest
// element, fits in an int64.
func (d *decoder) dims() ([]uint64, error) {
	n, err := d.uint32()
	if err != nil {
		return nil, err
	}
	if n == 0 || n > maxDims {
		return nil, fmt.Errorf("%d dimensions; 1 to %d are allowed", n, maxDims)
	}
	dims, err := numbers[uint64](d, uint64(n))
	if err != nil {
		return nil, err
	}
	total := uint64(1)
	for _, v := range dims {
		over, product := bits.Mul64(total, v)
		if v == 0 || over != 0 || product > math.MaxInt64/8 {
			return nil, fmt.Errorf("impossible dimensions %v", dims)
		}
		total = product
	}
	return dims, nil
}

func (d *decoder) string() (string, error) {
	n, err := d.uint64()
	if err != nil {
		return "", err
	}
	if n > maxString {
		return "", fmt.Errorf("a text of %d bytes; at most %d are supported", n, maxString)
	}
	raw, err := d.bytes(int64(n))
	return string(raw), err
}

func (d *decoder) uint32() (uint32, error) {
	raw, err := d.bytes(4)
	if err != nil {
		return 0, err
	}
	return binary.LittleEndian.Uint32(raw), nil
}

func (d *decoder) uint64() (uint64, error) {
	raw, err := d.bytes(8)
	if err != nil {
		return 0, err
	}
	return binary.LittleEndian.Uint64(raw), nil
}

// bytes reads n bytes, which are valid until the next call.
func (d *decoder) bytes(n int64) ([]byte, error) {
	if n > d.left {
		return nil, errTruncated
	}
	var p []byte
	if n <= int64(len(d.buf)) {
		p = d.buf[:n]
	} else {
		p = make([]byte, n)
	}
	if _, err := io.ReadFull(d.r, p); err != nil {
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return nil, errTruncated
		}
		return nil, err
	}
	d.pos += n
	d.left -= n
	return p, nil
}

// shorten keeps a hostile key out of an error message's way.
func shorten(s string) string {
	if len(s) > 80 {
		return s[:80] + "…"
	}
	return s
}
