package gguf

import (
	"encoding/binary"
	"math"
)

// The value types of the format (gguf.md, enum gguf_metadata_value_type).
const (
	tUint8 uint32 = iota
	tInt8
	tUint16
	tInt16
	tUint32
	tInt32
	tFloat32
	tBool
	tString
	tArray
	tUint64
	tInt64
	tFloat64
)

// widths are the bytes of the scalar types.
var widths = map[uint32]int64{
	tUint8: 1, tInt8: 1, tBool: 1, tUint16: 2, tInt16: 2, tUint32: 4, tInt32: 4, tFloat32: 4, tUint64: 8, tInt64: 8, tFloat64: 8,
}

var le = binary.LittleEndian

func readValue(r *reader, typ uint32) any {
	switch typ {
	case tString:
		return r.str(maxStrBytes)
	case tArray:
		return readArray(r)
	case tUint8:
		return scalar(r, 1, func(b []byte) uint8 { return b[0] })
	case tInt8:
		return scalar(r, 1, func(b []byte) int8 { return int8(b[0]) })
	case tBool:
		return scalar(r, 1, func(b []byte) bool { return b[0] != 0 })
	case tUint16:
		return scalar(r, 2, le.Uint16)
	case tInt16:
		return scalar(r, 2, toInt16)
	case tUint32:
		return scalar(r, 4, le.Uint32)
	case tInt32:
		return scalar(r, 4, toInt32)
	case tFloat32:
		return scalar(r, 4, toFloat32)
	case tUint64:
		return scalar(r, 8, le.Uint64)
	case tInt64:
		return scalar(r, 8, toInt64)
	case tFloat64:
		return scalar(r, 8, toFloat64)
	}
	r.fail("metadata of the unknown type %d", typ)
	return nil
}

func toInt16(b []byte) int16     { return int16(le.Uint16(b)) }
func toInt32(b []byte) int32     { return int32(le.Uint32(b)) }
func toInt64(b []byte) int64     { return int64(le.Uint64(b)) }
func toFloat32(b []byte) float32 { return math.Float32frombits(le.Uint32(b)) }
func toFloat64(b []byte) float64 { return math.Float64frombits(le.Uint64(b)) }

func scalar[T any](r *reader, width int64, decode func([]byte) T) T {
	var zero T
	b := r.bytes(width)
	if b == nil {
		return zero
	}
	return decode(b)
}

func readArray(r *reader) any {
	typ, n := r.u32(), r.u64()
	width := widths[typ]
	if typ == tString {
		width = 8 // the length of an empty string
	}
	if r.err != nil {
		return nil
	}
	if width == 0 {
		r.fail("an array of the type %d", typ)
		return nil
	}
	if n > uint64(r.left)/uint64(width) {
		r.fail("an array of %d elements in the last %d bytes", n, r.left)
		return nil
	}
	switch typ {
	case tString:
		out := make([]string, 0, min(n, 1<<16))
		for i := uint64(0); i < n && r.err == nil; i++ {
			out = append(out, r.str(maxStrBytes))
		}
		return out
	case tUint8:
		return r.bytes(int64(n))
	case tInt8:
		return array(r, n, 1, func(b []byte) int8 { return int8(b[0]) })
	case tBool:
		return array(r, n, 1, func(b []byte) bool { return b[0] != 0 })
	case tUint16:
		return array(r, n, 2, le.Uint16)
	case tInt16:
		return array(r, n, 2, toInt16)
	case tUint32:
		return array(r, n, 4, le.Uint32)
	case tInt32:
		return array(r, n, 4, toInt32)
	case tFloat32:
		return array(r, n, 4, toFloat32)
	case tUint64:
		return array(r, n, 8, le.Uint64)
	case tInt64:
		return array(r, n, 8, toInt64)
	default:
		return array(r, n, 8, toFloat64)
	}
}

func array[T any](r *reader, n uint64, width int64, decode func([]byte) T) []T {
	b := r.bytes(int64(n) * width)
	if b == nil {
		return nil
	}
	out := make([]T, n)
	for i := range out {
		out[i] = decode(b[int64(i)*width:])
	}
	return out
}

// Value returns the metadata under a key.
func (f *File) Value(key string) (any, bool) {
	i, ok := f.keys[key]
	if !ok {
		return nil, false
	}
	return f.KV[i].Value, true
}

func value[T any](f *File, key string) (T, bool) {
	v, _ := f.Value(key)
	t, ok := v.(T)
	return t, ok
}

// String returns a string; ok is false when the key is missing or of another type.
func (f *File) String(key string) (string, bool) { return value[string](f, key) }

// Bool returns a truth value.
func (f *File) Bool(key string) (v, ok bool) { return value[bool](f, key) }

// Strings returns an array of strings.
func (f *File) Strings(key string) ([]string, bool) { return value[[]string](f, key) }

// Floats returns an array of float32.
func (f *File) Floats(key string) ([]float32, bool) { return value[[]float32](f, key) }

// Ints returns an array of int32.
func (f *File) Ints(key string) ([]int32, bool) { return value[[]int32](f, key) }

// Uint returns a whole number that is not negative, of any width.
func (f *File) Uint(key string) (uint64, bool) {
	v, _ := f.Value(key)
	signed := func(n int64) (uint64, bool) { return uint64(n), n >= 0 }
	switch n := v.(type) {
	case uint8:
		return uint64(n), true
	case uint16:
		return uint64(n), true
	case uint32:
		return uint64(n), true
	case uint64:
		return n, true
	case int8:
		return signed(int64(n))
	case int16:
		return signed(int64(n))
	case int32:
		return signed(int64(n))
	case int64:
		return signed(n)
	}
	return 0, false
}

// Float returns a float32 or float64.
func (f *File) Float(key string) (float64, bool) {
	switch v, _ := f.Value(key); n := v.(type) {
	case float32:
		return float64(n), true
	case float64:
		return n, true
	}
	return 0, false
}

// Tensor returns the tensor of that name.
func (f *File) Tensor(name string) (*Tensor, bool) {
	i, ok := f.tensors[name]
	if !ok {
		return nil, false
	}
	return &f.Tensors[i], true
}
