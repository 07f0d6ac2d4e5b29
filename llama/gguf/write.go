package gguf

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
)

// Write writes a version 3 file with the metadata and tensors in the order
// given, aligned as general.alignment in kv says or to 32 bytes. Offsets are
// assigned here; Tensor.Offset is not read. Data must have the size that type
// and dimensions give.
func Write(w io.Writer, kv []KV, tensors []Tensor) error {
	for i := range tensors {
		if t := &tensors[i]; t.Type.Known() && uint64(len(t.Data)) != t.Bytes() {
			return fmt.Errorf("tensor %q: %d bytes, its shape needs %d", t.Name, len(t.Data), t.Bytes())
		}
	}
	return WriteFrom(w, kv, tensors, func(i int, w io.Writer) error {
		_, err := w.Write(tensors[i].Data)
		return err
	})
}

// WriteFrom is Write for tensors whose data is made while it is written: Data is
// not read; data writes that of tensors[i], for each tensor in turn.
func WriteFrom(w io.Writer, kv []KV, tensors []Tensor, data func(i int, w io.Writer) error) error {
	align, err := alignment(kv)
	if err != nil {
		return err
	}
	bw := bufio.NewWriterSize(w, 1<<20) // keeps its first error until Flush
	if err := WriteHeader(bw, kv, tensors); err != nil {
		return err
	}
	for i := range tensors {
		c := &counter{w: bw}
		if err := data(i, c); err != nil {
			return err
		}
		if c.n != tensors[i].Bytes() {
			return fmt.Errorf("tensor %q: %d bytes were written, its shape needs %d", tensors[i].Name, c.n, tensors[i].Bytes())
		}
		fill(bw, c.n, align)
	}
	return bw.Flush()
}

// WriteHeader writes what Write does up to the first tensor's data, padding
// included. Tensor.Data is not read: this is a file for OpenHeader.
func WriteHeader(w io.Writer, kv []KV, tensors []Tensor) error {
	if err := validate(kv, tensors); err != nil {
		return err
	}
	align, err := alignment(kv)
	if err != nil {
		return err
	}
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
		putString(&head, t.Name)
		put(&head, uint32(len(t.Dims)), t.Dims, uint32(t.Type), offset)
		offset += pad(t.Bytes(), align)
	}
	bw := bufio.NewWriter(w)
	_, _ = bw.Write(head.Bytes())
	fill(bw, uint64(head.Len()), align)
	return bw.Flush()
}

// counter counts what is written.
type counter struct {
	w io.Writer
	n uint64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += uint64(n)
	return n, err
}

// fill writes the zeros that follow n bytes.
func fill(w *bufio.Writer, n, align uint64) {
	for range pad(n, align) - n {
		_ = w.WriteByte(0)
	}
}

// validate refuses what could not be read back.
func validate(kv []KV, tensors []Tensor) error {
	keys, names := map[string]bool{}, map[string]bool{}
	for _, e := range kv {
		if e.Key == "" || keys[e.Key] {
			return fmt.Errorf("the key %q is empty or there twice", e.Key)
		}
		keys[e.Key] = true
	}
	for i := range tensors {
		t := &tensors[i]
		if t.Name == "" || len(t.Name) > maxName || names[t.Name] {
			return fmt.Errorf("the tensor name %q is empty, there twice or longer than %d bytes", t.Name, maxName)
		}
		names[t.Name] = true
		if err := t.validate(); err != nil {
			return err
		}
	}
	return nil
}

func (t *Tensor) validate() error {
	switch {
	case !t.Type.Known():
		return fmt.Errorf("tensor %q: unknown %s", t.Name, t.Type)
	case len(t.Dims) == 0 || len(t.Dims) > maxDims || slices.Contains(t.Dims, 0) || t.Dims[0]%uint64(t.Type.BlockSize()) != 0:
		return fmt.Errorf("tensor %q: dimensions %v do not fit blocks of %s", t.Name, t.Dims, t.Type)
	}
	return nil
}

// put writes fixed-size values; a bytes.Buffer takes them all.
func put(b *bytes.Buffer, values ...any) {
	for _, v := range values {
		_ = binary.Write(b, binary.LittleEndian, v)
	}
}

func putString(b *bytes.Buffer, s string) {
	put(b, uint64(len(s)))
	b.WriteString(s)
}

func putValue(b *bytes.Buffer, v any) error {
	if s, ok := v.(string); ok {
		put(b, kindString)
		putString(b, s)
		return nil
	}
	if list, ok := v.([]string); ok {
		put(b, kindArray, kindString, uint64(len(list)))
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
		put(b, kindArray, typ, uint64(n), v)
	} else {
		put(b, typ, v)
	}
	return nil
}

// typeOf returns the format's type of a value, and the length of a slice or -1.
func typeOf(v any) (typ uint32, n int, err error) {
	switch v := v.(type) {
	case uint8:
		return kindUint8, -1, nil
	case []uint8:
		return kindUint8, len(v), nil
	case int8:
		return kindInt8, -1, nil
	case []int8:
		return kindInt8, len(v), nil
	case uint16:
		return kindUint16, -1, nil
	case []uint16:
		return kindUint16, len(v), nil
	case int16:
		return kindInt16, -1, nil
	case []int16:
		return kindInt16, len(v), nil
	case uint32:
		return kindUint32, -1, nil
	case []uint32:
		return kindUint32, len(v), nil
	case int32:
		return kindInt32, -1, nil
	case []int32:
		return kindInt32, len(v), nil
	case float32:
		return kindFloat32, -1, nil
	case []float32:
		return kindFloat32, len(v), nil
	case bool:
		return kindBool, -1, nil
	case []bool:
		return kindBool, len(v), nil
	case uint64:
		return kindUint64, -1, nil
	case []uint64:
		return kindUint64, len(v), nil
	case int64:
		return kindInt64, -1, nil
	case []int64:
		return kindInt64, len(v), nil
	case float64:
		return kindFloat64, -1, nil
	case []float64:
		return kindFloat64, len(v), nil
	}
	return 0, 0, fmt.Errorf("a value of Go type %T has no place in GGUF", v)
}
