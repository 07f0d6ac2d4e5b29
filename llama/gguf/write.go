package gguf

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
)

const alignment = 32

// Write writes a version 3 file with the metadata and tensors in the order
// given. Offsets are assigned here; Tensor.Offset is not read. Data must have
// the size that type and dimensions give.
func Write(w io.Writer, kv []KV, tensors []Tensor) error {
	var head bytes.Buffer
	head.WriteString("GGUF")
	put(&head, uint32(3), uint64(len(tensors)), uint64(len(kv)))
	for _, e := range kv {
		putString(&head, e.Key)
		if err := putValue(&head, e.Value); err != nil {
			return fmt.Errorf("key %q: %w", e.Key, err)
		}
	}
	var offset uint64
	for i := range tensors {
		t := &tensors[i]
		if err := t.validate(); err != nil {
			return err
		}
		putString(&head, t.Name)
		put(&head, uint32(len(t.Dims)), t.Dims, uint32(t.Type), offset)
		offset += pad(uint64(len(t.Data)))
	}
	head.Write(make([]byte, pad(uint64(head.Len()))-uint64(head.Len())))
	bw := bufio.NewWriterSize(w, 1<<20)
	if _, err := bw.Write(head.Bytes()); err != nil {
		return err
	}
	for i := range tensors {
		data := tensors[i].Data
		if _, err := bw.Write(data); err != nil {
			return err
		}
		if _, err := bw.Write(make([]byte, pad(uint64(len(data)))-uint64(len(data)))); err != nil {
			return err
		}
	}
	return bw.Flush()
}

func pad(n uint64) uint64 { return (n + alignment - 1) / alignment * alignment }

func (t *Tensor) validate() error {
	switch {
	case !t.Type.Known():
		return fmt.Errorf("tensor %q: unknown %s", t.Name, t.Type)
	case len(t.Dims) == 0 || len(t.Dims) > maxDims || t.Dims[0]%uint64(t.Type.BlockSize()) != 0:
		return fmt.Errorf("tensor %q: dimensions %v do not fit blocks of %s", t.Name, t.Dims, t.Type)
	case uint64(len(t.Data)) != t.bytes():
		return fmt.Errorf("tensor %q: %d bytes, its shape needs %d", t.Name, len(t.Data), t.bytes())
	}
	return nil
}

// put writes fixed-size values; a bytes.Buffer takes them all.
func put(b *bytes.Buffer, values ...any) {
	for _, v := range values {
		_ = binary.Write(b, le, v)
	}
}

func putString(b *bytes.Buffer, s string) {
	put(b, uint64(len(s)))
	b.WriteString(s)
}

func putValue(b *bytes.Buffer, v any) error {
	if s, ok := v.(string); ok {
		put(b, tString)
		putString(b, s)
		return nil
	}
	if list, ok := v.([]string); ok {
		put(b, tArray, tString, uint64(len(list)))
		for _, s := range list {
			putString(b, s)
		}
		return nil
	}
	typ, n, err := typeOf(v)
	if err != nil {
		return err
	}
	if n >= 0 {
		put(b, tArray, typ, uint64(n), v)
	} else {
		put(b, typ, v)
	}
	return nil
}

// typeOf returns the format's type of a value, and the length of a slice or -1.
func typeOf(v any) (typ uint32, n int, err error) {
	switch v := v.(type) {
	case uint8:
		return tUint8, -1, nil
	case []uint8:
		return tUint8, len(v), nil
	case int8:
		return tInt8, -1, nil
	case []int8:
		return tInt8, len(v), nil
	case uint16:
		return tUint16, -1, nil
	case []uint16:
		return tUint16, len(v), nil
	case int16:
		return tInt16, -1, nil
	case []int16:
		return tInt16, len(v), nil
	case uint32:
		return tUint32, -1, nil
	case []uint32:
		return tUint32, len(v), nil
	case int32:
		return tInt32, -1, nil
	case []int32:
		return tInt32, len(v), nil
	case float32:
		return tFloat32, -1, nil
	case []float32:
		return tFloat32, len(v), nil
	case bool:
		return tBool, -1, nil
	case []bool:
		return tBool, len(v), nil
	case uint64:
		return tUint64, -1, nil
	case []uint64:
		return tUint64, len(v), nil
	case int64:
		return tInt64, -1, nil
	case []int64:
		return tInt64, len(v), nil
	case float64:
		return tFloat64, -1, nil
	case []float64:
		return tFloat64, len(v), nil
	}
	return 0, 0, fmt.Errorf("a value of Go type %T has no place in GGUF", v)
}
