package train_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"cloister/llama/gguf"
	"cloister/lora/train"
)

func sampleAdapter() *train.Adapter {
	return &train.Adapter{Architecture: "llama", Rank: 2, Alpha: 4, Tensors: []train.AdapterTensor{
		{Name: "blk.0.attn_q.weight.lora_a", Rows: 2, Cols: 3, Data: []float32{1, 2, 3, 4, 5, 6}},
		{Name: "blk.0.attn_q.weight.lora_b", Rows: 4, Cols: 2, Data: []float32{1, 2, 3, 4, 5, 6, 7, 8}},
	}}
}

func TestAdapterFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.gguf")
	want := sampleAdapter()
	if err := want.WriteFile(path); err != nil {
		t.Fatal(err)
	}
	got, err := train.ReadAdapter(path)
	if err != nil {
		t.Fatal(err)
	}
	if got.Architecture != "llama" || got.Rank != 2 || got.Alpha != 4 || len(got.Tensors) != 2 || !slices.Equal(got.Tensors[1].Data, want.Tensors[1].Data) {
		t.Errorf("read %+v", got)
	}
	f, err := gguf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if a, _ := f.Value("adapter.lora.alpha"); a != float32(4) {
		t.Errorf("alpha is %v (%T)", a, a)
	}
	if b, _ := f.Tensor("blk.0.attn_q.weight.lora_b"); !slices.Equal(b.Dims, []uint64{2, 4}) {
		t.Errorf("lora_b has dimensions %v, [rank, out] is expected", b.Dims)
	}
	// A write that fails leaves the old file, and nothing else.
	before := readFile(t, path)
	want.Tensors[0].Rows = 7
	if err := want.WriteFile(path); err == nil || !bytes.Equal(readFile(t, path), before) {
		t.Errorf("a write that fails: %v", err)
	}
	left, err := filepath.Glob(filepath.Join(filepath.Dir(path), "*.partial"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

func TestReadAdapterRefuses(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "text"), []byte("this is a text and no adapter"), 0o600); err != nil {
		t.Fatal(err)
	}
	one := sampleAdapter()
	one.Tensors = one.Tensors[:1]
	ranks := sampleAdapter()
	ranks.Tensors[1].Rows, ranks.Tensors[1].Cols = 2, 4
	odd := sampleAdapter()
	odd.Tensors[0].Name = "blk.0.attn_q.weight"
	for name, a := range map[string]*train.Adapter{"one": one, "ranks": ranks, "odd": odd, "none": {Architecture: "llama"}} {
		if err := a.WriteFile(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
		if _, err := train.ReadAdapter(filepath.Join(dir, name)); !errors.Is(err, train.ErrAdapter) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := train.ReadAdapter(writeTiny(t)); !errors.Is(err, train.ErrAdapter) {
		t.Errorf("a model: %v", err)
	}
	if _, err := train.ReadAdapter(filepath.Join(dir, "text")); !errors.Is(err, gguf.ErrFormat) {
		t.Errorf("a text: %v", err)
	}
}

func FuzzReadAdapter(f *testing.F) {
	path := filepath.Join(f.TempDir(), "a.gguf")
	if err := sampleAdapter().WriteFile(path); err != nil {
		f.Fatal(err)
	}
	f.Add(readFile(f, path))
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := train.AdapterFrom(b)
		if err != nil {
			return
		}
		for _, tensor := range a.Tensors {
			if len(tensor.Data) != tensor.Rows*tensor.Cols {
				t.Fatalf("%s: %d values for %d × %d", tensor.Name, len(tensor.Data), tensor.Rows, tensor.Cols)
			}
		}
	})
}

func TestCheckpointFile(t *testing.T) {
	lengths := []int{3, 2}
	b := train.SampleCheckpoint(lengths)
	step, firsts, err := train.DecodeCheckpoint(b, lengths)
	if err != nil || step != 12 || !slices.Equal(firsts, []float32{1, 2, 3, 4}) {
		t.Fatalf("step %d, %v, %v", step, firsts, err)
	}
	for n := range b {
		if _, _, err := train.DecodeCheckpoint(b[:n], lengths); err == nil {
			t.Fatalf("the first %d of %d bytes were accepted", n, len(b))
		}
		changed := bytes.Clone(b)
		changed[n] ^= 0x20
		if _, _, err := train.DecodeCheckpoint(changed, lengths); err == nil {
			t.Fatalf("a change of byte %d was accepted", n)
		}
	}
	if _, _, err := train.DecodeCheckpoint(append(b, 0), lengths); err == nil {
		t.Error("a byte too many was accepted")
	}
	if _, _, err := train.DecodeCheckpoint(b, []int{3, 3}); err == nil {
		t.Error("another shape was accepted")
	}
}

func FuzzCheckpoint(f *testing.F) {
	lengths := []int{3, 2}
	f.Add(train.SampleCheckpoint(lengths))
	f.Add([]byte("CLOISTCK\x01\x00\x00\x00\x02\x00\x00\x00{}"))
	f.Fuzz(func(t *testing.T, b []byte) {
		step, _, err := train.DecodeCheckpoint(b, lengths)
		if err == nil && (step < 0 || step > 30) {
			t.Fatalf("step %d of 30", step)
		}
	})
}

func TestEstimate(t *testing.T) {
	req := request(t, writeTiny(t))
	e, err := train.EstimateWith(context.Background(), req, withRef)
	if err != nil {
		t.Fatal(err)
	}
	res, _ := mustRun(t, req)
	if e.Examples != 10 || e.ValidExamples != 3 || e.Steps != res.Steps || 3*e.Tokens != res.TrainedTokens || e.Resolved.Rank != 2 {
		t.Errorf("estimate %+v, result %+v", e, res)
	}
	if e.LossTokens < 10 || e.LossTokens >= e.Tokens || e.TokensPerSecond <= 0 || e.Seconds <= 0 || e.MemoryBytes < 1<<20 || len(e.Choices) == 0 || len(e.Warnings) != 1 {
		t.Errorf("estimate %+v", e)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := train.EstimateWith(ctx, req, withRef); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}
