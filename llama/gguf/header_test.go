package gguf_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cloister/llama/gguf"
	"cloister/llama/llamatest"
)

// A file cut anywhere behind its header gives the tensor list of the whole one.
func TestOpenHeader(t *testing.T) {
	_, _, b := sample(t)
	whole, err := gguf.Read(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	for n := range len(b) + 1 {
		f, err := gguf.ReadHeader(bytes.NewReader(b[:n]), int64(n))
		if int64(n) < whole.HeaderBytes {
			if !errors.Is(err, gguf.ErrFormat) {
				t.Fatalf("the first %d bytes of a header of %d: %v", n, whole.HeaderBytes, err)
			}
			continue
		}
		if err != nil {
			t.Fatalf("the first %d bytes: %v", n, err)
		}
		if diff := cmp.Diff(whole.KV, f.KV); diff != "" {
			t.Fatalf("metadata (-whole +header):\n%s", diff)
		}
		for i, want := range whole.Tensors {
			want.Data = nil
			if diff := cmp.Diff(want, f.Tensors[i]); diff != "" {
				t.Fatalf("tensor (-whole +header):\n%s", diff)
			}
		}
		last := whole.Tensors[len(whole.Tensors)-1]
		if !f.HeaderOnly || f.Size != int64(last.Offset+last.Bytes()) {
			t.Fatalf("a file of %d bytes, header only: %v", f.Size, f.HeaderOnly)
		}
	}
}

func TestOpenHeaderRealModel(t *testing.T) {
	path := llamatest.Model(t)
	whole, err := gguf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer whole.Close()
	b := make([]byte, whole.HeaderBytes)
	in, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	if _, err := in.ReadAt(b, 0); err != nil {
		t.Fatal(err)
	}
	cut := filepath.Join(t.TempDir(), "cut.gguf")
	if err := os.WriteFile(cut, b, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := gguf.OpenHeader(cut)
	if err != nil || f.Size != whole.Size || len(f.Tensors) != len(whole.Tensors) || f.Close() != nil {
		t.Errorf("a header of %d bytes: %v", len(b), err)
	}
	if _, err := gguf.Open(cut); !errors.Is(err, gguf.ErrFormat) {
		t.Errorf("Open takes a header without tensors: %v", err)
	}
	for _, bad := range []string{t.TempDir(), filepath.Join(t.TempDir(), "none")} {
		if _, err := gguf.OpenHeader(bad); err == nil {
			t.Errorf("%s was opened", bad)
		}
	}
}

// Offsets that overflow are refused, though no data needs to be there.
func TestHeaderHostile(t *testing.T) {
	var b bytes.Buffer
	b.WriteString("GGUF")
	for _, v := range []any{uint32(3), uint64(20), uint64(0)} {
		_ = binary.Write(&b, binary.LittleEndian, v)
	}
	for i := range uint64(20) { // each of an eighth of 2^63 bytes
		for _, v := range []any{uint64(1), []byte{'a' + byte(i)}, uint32(1), uint64(1) << 58, uint32(0), i << 60} {
			_ = binary.Write(&b, binary.LittleEndian, v)
		}
	}
	if _, err := gguf.ReadHeader(bytes.NewReader(b.Bytes()), int64(b.Len())); !errors.Is(err, gguf.ErrFormat) {
		t.Errorf("20 tensors of 2^60 bytes: %v", err)
	}
}

func FuzzReadHeader(f *testing.F) {
	_, _, b := sample(f)
	f.Add(b)
	f.Add(b[:len(b)-100])
	f.Add(b[:40])
	f.Fuzz(func(t *testing.T, b []byte) {
		g, err := gguf.ReadHeader(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			return
		}
		at := int64(0)
		for i := range g.Tensors {
			begin, end := int64(g.Tensors[i].Offset), int64(g.Tensors[i].Offset+g.Tensors[i].Bytes())
			if begin < g.HeaderBytes || begin < at || end < begin || end > g.Size || g.Tensors[i].Data != nil {
				t.Fatalf("tensor %d from %d to %d of %d bytes", i, begin, end, g.Size)
			}
			at = end
		}
	})
}
