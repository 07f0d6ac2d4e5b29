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

func TestOpenRealModel(t *testing.T) {
	f, err := gguf.Open(llamatest.Model(t))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if a, _ := f.String("general.architecture"); a != "llama" {
		t.Errorf("architecture %q", a)
	}
	if n, _ := f.Uint("llama.block_count"); n != 30 {
		t.Errorf("%d blocks", n)
	}
	if eps, _ := f.Float("llama.attention.layer_norm_rms_epsilon"); eps < 0.9e-5 || eps > 1.1e-5 {
		t.Errorf("epsilon %g", eps)
	}
	if toks, _ := f.Strings("tokenizer.ggml.tokens"); len(toks) != 49152 || toks[2] != "<|im_end|>" {
		t.Errorf("%d tokens", len(toks))
	}
	if types, _ := f.Ints("tokenizer.ggml.token_type"); len(types) != 49152 {
		t.Errorf("%d token types", len(types))
	}
	q, ok := f.Tensor("blk.0.attn_q.weight")
	if !ok || q.Type != gguf.Q4_1 || !cmp.Equal(q.Dims, []uint64{576, 576}) || len(q.Data) != 576*576/32*20 {
		t.Errorf("blk.0.attn_q.weight: %v %v, %d bytes", q.Type, q.Dims, len(q.Data))
	}
	if _, ok := f.Tensor("none"); ok {
		t.Error("a tensor that is not there was found")
	}
	if _, ok := f.Uint("general.architecture"); ok {
		t.Error("a string was taken for a number")
	}
}

// sample has one value of each kind and two tensors.
func sample(t testing.TB) ([]gguf.KV, []gguf.Tensor, []byte) {
	kv := []gguf.KV{
		{"general.architecture", "llama"}, {"u8", uint8(8)}, {"i8", int8(-8)}, {"u16", uint16(16)}, {"i16", int16(-16)},
		{"u32", uint32(32)}, {"i32", int32(-32)}, {"f32", float32(1.5)}, {"b", true}, {"u64", uint64(1 << 40)}, {"i64", int64(-1 << 40)},
		{"f64", 2.5}, {"strings", []string{"a", "", "한국어"}}, {"floats", []float32{1, 2}}, {"ints", []int32{-1, 2}},
		{"bytes", []uint8{1, 2, 3}}, {"bools", []bool{true, false}}, {"u64s", []uint64{7}}, {"f64s", []float64{0.5}},
	}
	tensors := []gguf.Tensor{
		{Name: "a", Type: gguf.F32, Dims: []uint64{2, 3}, Data: make([]byte, 24)},
		{Name: "b", Type: gguf.Q8_0, Dims: []uint64{64}, Data: bytes.Repeat([]byte{7}, 68)},
	}
	var out bytes.Buffer
	if err := gguf.Write(&out, kv, tensors); err != nil {
		t.Fatal(err)
	}
	return kv, tensors, out.Bytes()
}

func TestWriteAndRead(t *testing.T) {
	kv, tensors, b := sample(t)
	path := filepath.Join(t.TempDir(), "sample.gguf")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	mapped, err := gguf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer mapped.Close()
	read, err := gguf.Read(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range []*gguf.File{mapped, read} {
		if diff := cmp.Diff(kv, f.KV); diff != "" {
			t.Errorf("metadata (-written +read):\n%s", diff)
		}
		for i, want := range tensors {
			got := f.Tensors[i]
			if got.Name != want.Name || got.Type != want.Type || !cmp.Equal(got.Dims, want.Dims) || !bytes.Equal(got.Data, want.Data) {
				t.Errorf("tensor %q read as %q %v %v", want.Name, got.Name, got.Type, got.Dims)
			}
		}
	}
}

func TestWriteRefuses(t *testing.T) {
	for name, bad := range map[string]struct {
		kv []gguf.KV
		t  []gguf.Tensor
	}{
		"Go type":      {kv: []gguf.KV{{"k", struct{}{}}}},
		"short data":   {t: []gguf.Tensor{{Name: "x", Type: gguf.F32, Dims: []uint64{2}, Data: make([]byte, 4)}}},
		"half a block": {t: []gguf.Tensor{{Name: "x", Type: gguf.Q4_0, Dims: []uint64{16}, Data: make([]byte, 9)}}},
		"unknown type": {t: []gguf.Tensor{{Name: "x", Type: 99, Dims: []uint64{1}, Data: make([]byte, 1)}}},
	} {
		if err := gguf.Write(new(bytes.Buffer), bad.kv, bad.t); err == nil {
			t.Errorf("%s was written", name)
		}
	}
}

// Each cut of a file is an error, and none asks for much memory.
func TestTruncated(t *testing.T) {
	_, _, b := sample(t)
	for n := range len(b) - 28 { // the last tensor ends 28 bytes before the padding does
		if _, err := gguf.Read(bytes.NewReader(b[:n]), int64(n)); !errors.Is(err, gguf.ErrFormat) {
			t.Fatalf("the first %d of %d bytes: %v", n, len(b), err)
		}
	}
}

func TestHostile(t *testing.T) {
	header := func(tensors, kv uint64, rest ...any) []byte {
		var b bytes.Buffer
		b.WriteString("GGUF")
		for _, v := range append([]any{uint32(3), tensors, kv}, rest...) {
			if err := binary.Write(&b, binary.LittleEndian, v); err != nil {
				t.Fatal(err)
			}
		}
		return b.Bytes()
	}
	one := []byte{'x'}
	for name, b := range map[string][]byte{
		"a billion entries":   header(0, 1e9, make([]byte, 64)),
		"a billion tensors":   header(1e9, 0, make([]byte, 64)),
		"an endless key":      header(0, 1, uint64(1<<62), make([]byte, 64)),
		"an endless array":    header(0, 1, uint64(1), one, uint32(9), uint32(4), uint64(1<<61), make([]byte, 64)),
		"an array of arrays":  header(0, 1, uint64(1), one, uint32(9), uint32(9), uint64(1), make([]byte, 64)),
		"an unknown type":     header(0, 1, uint64(1), one, uint32(99), make([]byte, 64)),
		"a huge tensor":       header(1, 0, uint64(1), one, uint32(2), uint64(1<<40), uint64(1<<40), uint32(0), uint64(0), make([]byte, 64)),
		"a tensor of no size": header(1, 0, uint64(1), one, uint32(1), uint64(0), uint32(0), uint64(0), make([]byte, 64)),
		"an offset outside":   header(1, 0, uint64(1), one, uint32(1), uint64(1), uint32(0), uint64(1<<63), make([]byte, 64)),
		"many dimensions":     header(1, 0, uint64(1), one, uint32(9), make([]byte, 128)),
		"overlapping tensors": header(2, 0, uint64(1), one, uint32(1), uint64(1), uint32(0), uint64(0),
			uint64(1), []byte{'y'}, uint32(1), uint64(1), uint32(0), uint64(0), make([]byte, 64)),
		"a tensor twice": header(2, 0, uint64(1), one, uint32(1), uint64(1), uint32(0), uint64(0),
			uint64(1), one, uint32(1), uint64(1), uint32(0), uint64(32), make([]byte, 64)),
		"a bad alignment": header(0, 1, uint64(17), []byte("general.alignment"), uint32(4), uint32(3), make([]byte, 64)),
		"a key twice":     header(0, 2, uint64(1), one, uint32(0), one, uint64(1), one, uint32(0), one, make([]byte, 64)),
	} {
		if _, err := gguf.Read(bytes.NewReader(b), int64(len(b))); !errors.Is(err, gguf.ErrFormat) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzRead(f *testing.F) {
	_, _, b := sample(f)
	f.Add(b)
	f.Add(b[:40])
	f.Fuzz(func(t *testing.T, b []byte) {
		g, err := gguf.Read(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			return
		}
		// What was read can be written and read again.
		var out bytes.Buffer
		if err := gguf.Write(&out, g.KV, g.Tensors); err != nil {
			t.Fatal(err)
		}
		again, err := gguf.Read(bytes.NewReader(out.Bytes()), int64(out.Len()))
		if err != nil {
			t.Fatal(err)
		}
		if len(again.Tensors) != len(g.Tensors) || len(again.KV) != len(g.KV) {
			t.Fatalf("%d tensors and %d keys became %d and %d", len(g.Tensors), len(g.KV), len(again.Tensors), len(again.KV))
		}
	})
}
