package merge_test

import (
	"bytes"
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cloister/llama"
	"cloister/llama/gguf"
	"cloister/llama/gguf/tinygguf"
	"cloister/llama/llamatest"
	"cloister/lora/merge"
	"cloister/lora/train"
)

// kit is a base model and a random adapter for it.
type kit struct {
	path, adapterPath string
	base              *gguf.File
	adapter           *train.Adapter
}

func tiny(t testing.TB, change func(*tinygguf.Config)) *kit {
	t.Helper()
	c := tinygguf.Default()
	if change != nil {
		change(&c)
	}
	path := filepath.Join(t.TempDir(), "base.gguf")
	if err := tinygguf.WriteFile(path, c); err != nil {
		t.Fatal(err)
	}
	return open(t, path, 0.1)
}

// open makes an adapter of rank 4 and scale 2 of every matrix in the layers; the
// values of B have this size.
func open(t testing.TB, path string, size float64) *kit {
	t.Helper()
	f, err := gguf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	k := &kit{path: path, base: f, adapter: &train.Adapter{Rank: 4, Alpha: 8}, adapterPath: filepath.Join(t.TempDir(), "adapter.gguf")}
	k.adapter.Architecture, _ = f.String("general.architecture")
	rng := rand.New(rand.NewPCG(2, 3))
	random := func(n int, size float64) []float32 {
		out := make([]float32, n)
		for i := range out {
			out[i] = float32(rng.NormFloat64() * size)
		}
		return out
	}
	for i := range f.Tensors {
		s := &f.Tensors[i]
		if strings.HasPrefix(s.Name, "blk.") && len(s.Dims) == 2 {
			in, out := int(s.Dims[0]), int(s.Dims[1])
			k.adapter.Tensors = append(k.adapter.Tensors,
				train.AdapterTensor{Name: s.Name + ".lora_a", Rows: 4, Cols: in, Data: random(4*in, 1/math.Sqrt(float64(in)))},
				train.AdapterTensor{Name: s.Name + ".lora_b", Rows: out, Cols: 4, Data: random(out*4, size)})
		}
	}
	if err := k.adapter.WriteFile(k.adapterPath); err != nil {
		t.Fatal(err)
	}
	return k
}

// merge writes the merged file and opens it.
func (k *kit) merge(t testing.TB, o merge.Options) (path string, f *gguf.File, r merge.Report) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "merged.gguf")
	r, err := merge.File(context.Background(), k.base, k.adapter, path, o)
	if err != nil {
		t.Fatal(err)
	}
	if f, err = gguf.Open(path); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return path, f, r
}

func tokens(n, vocab int) []int32 {
	rng := rand.New(rand.NewPCG(1, 1))
	out := make([]int32, n)
	for i := range out {
		out[i] = int32(rng.IntN(vocab))
	}
	return out
}

// In F32 nothing is lost: the logits are those of base and adapter.
func TestLogits(t *testing.T) {
	for _, tied := range []bool{false, true} {
		k := tiny(t, func(c *tinygguf.Config) { c.Tied = tied })
		path, _, _ := k.merge(t, merge.Options{Type: "f32"})
		d, err := merge.Compare(k.path, k.adapterPath, path, tokens(60, 288), 1e-3)
		if err != nil {
			t.Error(err)
		}
		// The adapter matters: without it the logits are others.
		if none, err := merge.Compare(k.path, k.adapterPath, k.path, tokens(60, 288), 1e-3); !errors.Is(err, merge.ErrDiffers) || none.Relative < 0.05 {
			t.Errorf("the base alone: %s (%v)", none, err)
		}
		t.Log(d)
	}
}

// Every type is written, loaded by llama.cpp and as close as its bits allow.
func TestTypes(t *testing.T) {
	k := tiny(t, func(c *tinygguf.Config) { c.Embedding, c.FFN, c.Heads, c.KVHeads = 256, 256, 8, 4 })
	for typ, limit := range map[string]float64{
		"f32": 1e-3, "f16": 2e-3, "bf16": 0.01, "q8_0": 0.03, "q4_0": 0.3, "q4_1": 0.3, "q5_0": 0.15, "q5_1": 0.15,
		"q2_k": 0.8, "q3_k": 0.5, "q4_k": 0.3, "q5_k": 0.15, "q6_k": 0.08, "iq4_nl": 0.3, "iq4_xs": 0.3, "mxfp4": 0.4,
	} {
		path, f, r := k.merge(t, merge.Options{Type: typ, Pure: true})
		want, err := merge.ParseType(typ)
		if err != nil {
			t.Fatal(err)
		}
		for i := range f.Tensors {
			if s := &f.Tensors[i]; len(s.Dims) == 2 && s.Type != want || len(s.Dims) == 1 && s.Type != gguf.F32 {
				t.Errorf("%s: %s is %s", typ, s.Name, s.Type)
			}
		}
		if r.Merged != 14 || len(r.Fallbacks) != 0 || r.Bytes != f.Size {
			t.Errorf("%s: %+v", typ, r)
		}
		d, err := merge.Compare(k.path, k.adapterPath, path, tokens(60, 288), limit)
		t.Logf("%-7s %s", typ, d)
		if err != nil {
			t.Errorf("%s: %v", typ, err)
		}
	}
	if len(merge.Types()) != 16 {
		t.Errorf("%d types", len(merge.Types()))
	}
}

// Without a type tensors keep theirs; those that the adapter leaves alone keep
// their bytes, the metadata is the same, and the order too.
func TestKeeps(t *testing.T) {
	k := tiny(t, func(c *tinygguf.Config) { c.Type = gguf.Q8_0 })
	for _, p := range []string{"blk.0.attn_k.weight", "blk.1.ffn_up.weight"} { // the adapter does not change these
		for i, s := range k.adapter.Tensors {
			if strings.HasPrefix(s.Name, p) {
				k.adapter.Tensors = append(k.adapter.Tensors[:i:i], k.adapter.Tensors[i+2:]...)
				break
			}
		}
	}
	_, f, r := k.merge(t, merge.Options{})
	if len(f.KV) != len(k.base.KV) || len(f.Tensors) != len(k.base.Tensors) || r.Merged != 12 || r.Converted != 12 {
		t.Errorf("%d keys of %d, %d tensors of %d, %+v", len(f.KV), len(k.base.KV), len(f.Tensors), len(k.base.Tensors), r)
	}
	changed := 0
	for i := range f.Tensors {
		got, want := &f.Tensors[i], &k.base.Tensors[i]
		if got.Name != want.Name || got.Type != want.Type {
			t.Errorf("%s %s, was %s %s", got.Name, got.Type, want.Name, want.Type)
		}
		if !bytes.Equal(got.Data, want.Data) {
			changed++
			if len(k.adapter.Pairs()) == 0 || !strings.HasPrefix(got.Name, "blk.") || got.Name == "blk.0.attn_k.weight" || got.Name == "blk.1.ffn_up.weight" {
				t.Errorf("%s has changed", got.Name)
			}
		}
	}
	if changed != 12 {
		t.Errorf("%d tensors have changed", changed)
	}
}

// Rows that are no whole blocks get llama-quantize's fallback, the output matrix
// its Q6_K, and the metadata says what the file is.
func TestFallback(t *testing.T) {
	type want struct{ rows, output gguf.Type }
	for _, tt := range []struct {
		width    int
		typ      string
		want     want
		fileType uint64
	}{
		{32, "q4_k", want{gguf.Q5_0, gguf.Q8_0}, 14},
		{32, "q6_k", want{gguf.Q8_0, gguf.Q8_0}, 18},
		{32, "iq4_xs", want{gguf.IQ4_NL, gguf.Q8_0}, 30},
		{48, "q4_k", want{gguf.F16, gguf.F16}, 14},
		{48, "mxfp4", want{gguf.F16, gguf.F16}, 38},
		{256, "q4_k", want{gguf.Q4_K, gguf.Q6_K}, 14},
		{256, "q8_0", want{gguf.Q8_0, gguf.Q8_0}, 7},
		{32, "q4_0", want{gguf.Q4_0, gguf.Q8_0}, 2},
	} {
		k := tiny(t, func(c *tinygguf.Config) { c.Embedding, c.HeadDim = tt.width, 8 })
		path, f, r := k.merge(t, merge.Options{Type: tt.typ})
		for name, want := range map[string]gguf.Type{"blk.0.attn_q.weight": tt.want.rows, "output.weight": tt.want.output, "output_norm.weight": gguf.F32} {
			if s, _ := f.Tensor(name); s.Type != want {
				t.Errorf("width %d, %s: %s is %s, want %s", tt.width, tt.typ, name, s.Type, want)
			}
		}
		asked, _ := merge.ParseType(tt.typ)
		if got := r.Fallbacks["blk.0.attn_q.weight"]; (got == tt.want.rows.String()) != (tt.want.rows != asked) {
			t.Errorf("width %d, %s: fallback %q", tt.width, tt.typ, got)
		}
		if n, _ := f.Uint("general.file_type"); n != tt.fileType {
			t.Errorf("width %d, %s: file type %d", tt.width, tt.typ, n)
		}
		m, err := llama.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		m.Close()
	}
}

// Chunks and threads do not show in the file.
func TestSameBytes(t *testing.T) {
	k := tiny(t, nil)
	first, _, _ := k.merge(t, merge.Options{Type: "q8_0", Threads: 1})
	old := merge.ChunkValues(100) // three rows
	defer merge.ChunkValues(old)
	var done []int64
	second, _, _ := k.merge(t, merge.Options{Type: "q8_0", Threads: 3, Progress: func(n, total int64) { done = append(done, n*100/total) }})
	a, err := os.ReadFile(first)
	b, err2 := os.ReadFile(second)
	if errors.Join(err, err2) != nil || !bytes.Equal(a, b) {
		t.Errorf("the files differ (%v, %v)", err, err2)
	}
	if len(done) != len(k.base.Tensors) || done[len(done)-1] != 100 {
		t.Errorf("progress: %v", done)
	}
}

// A failure leaves neither the file nor a part of it.
func TestRefuses(t *testing.T) {
	k := tiny(t, nil)
	dir := t.TempDir()
	taken := filepath.Join(dir, "taken.gguf")
	if err := os.WriteFile(taken, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	other := tiny(t, func(c *tinygguf.Config) { c.FFN = 96 })
	broken := open(t, k.path, 0.1)
	broken.adapter.Tensors[1].Data[5] = float32(math.NaN())
	huge := open(t, k.path, 1e7)
	cancelled, cancel := context.WithCancel(context.Background())
	cancel()
	run := func(ctx context.Context, name string, a *train.Adapter, typ string) error {
		_, err := merge.File(ctx, k.base, a, filepath.Join(dir, name), merge.Options{Type: typ})
		return err
	}
	for want, err := range map[string]error{
		"exists already":   run(t.Context(), "taken.gguf", k.adapter, "f32"),
		"no type \"q9\"":   run(t.Context(), "x", k.adapter, "q9"),
		"another model":    run(t.Context(), "x", other.adapter, "f32"),
		"NaN":              run(t.Context(), "x", broken.adapter, "f32"),
		"does not fit F16": run(t.Context(), "x", huge.adapter, "f16"),
		"canceled":         run(cancelled, "x", k.adapter, "f32"),
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	left, err := os.ReadDir(dir)
	if b, _ := os.ReadFile(taken); err != nil || len(left) != 1 || string(b) != "mine" {
		t.Errorf("left: %v (%v)", left, err)
	}
}

// The real model, merged into Q8_0, answers as it does with the adapter.
func TestSmolLM2(t *testing.T) {
	k := open(t, llamatest.Model(t), 0.2)
	v, err := llama.OpenVocab(k.path)
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	ids, err := v.Tokenize("<|im_start|>user\nWhich floor is radiology on?<|im_end|>\n<|im_start|>assistant\nRadiology is on the third floor, next to the pharmacy.<|im_end|>\n", true)
	if err != nil {
		t.Fatal(err)
	}
	path, f, r := k.merge(t, merge.Options{Type: "q8_0"})
	if s, _ := f.Tensor("blk.0.attn_q.weight"); s.Type != gguf.Q8_0 || r.Merged != 210 {
		t.Errorf("%s, %+v", s.Type, r)
	}
	d, err := merge.Compare(k.path, k.adapterPath, path, ids, merge.Limit("q8_0"))
	if err != nil {
		t.Fatal(err)
	}
	none, err := merge.Compare(k.path, k.adapterPath, k.path, ids, 1e9)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("merged: %s\nthe base alone: %s", d, none)
	if d.Same < d.Tokens-2 || none.Same > d.Same-5 || none.Relative < 3*d.Relative {
		t.Errorf("merged: %s; the base alone: %s", d, none)
	}
}

// Report.Kept says how much of the adapter is left: all in F32, nearly all in
// Q8_0, and next to nothing where a small change is rounded to the base's own
// grid of 4 bits, which a large one is not.
func TestKept(t *testing.T) {
	base := tiny(t, func(c *tinygguf.Config) { c.Type = gguf.Q4_0 }).path
	for _, tt := range []struct {
		size     float64
		typ      string
		from, to float64
	}{{0.002, "f32", 0.999, 1.001}, {0.02, "q8_0", 0.95, 1.05}, {0.002, "", -0.05, 0.1}, {0.002, "q4_0", -0.05, 0.1}, {1, "", 0.9, 1.1}} {
		k := open(t, base, tt.size)
		if _, _, r := k.merge(t, merge.Options{Type: tt.typ}); !(r.Kept >= tt.from && r.Kept <= tt.to) {
			t.Errorf("B of the size %g into %q: %.3f is kept, want %g to %g", tt.size, tt.typ, r.Kept, tt.from, tt.to)
		}
	}
	k := open(t, base, 1)
	k.adapter = nil
	if _, _, r := k.merge(t, merge.Options{Type: "q8_0"}); r.Kept != 0 {
		t.Errorf("without an adapter %g is kept", r.Kept)
	}
}
