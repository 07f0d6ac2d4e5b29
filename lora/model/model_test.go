package model_test

import (
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"cloister/llama"
	"cloister/llama/gguf/tinygguf"
	"cloister/lora/internal/native"
	"cloister/lora/model"
)

// open opens a model that computes in float32 throughout; openBest, one with
// the kernels that training uses.
func open(t testing.TB, path string, cfg model.Config) *model.Model {
	t.Helper()
	cfg.Precision = model.Float32
	return openBest(t, path, cfg)
}

// testDevice is where the tests of this package compute: on a card that is
// emulated (tag cudaemu), on the one that CLOISTER_TEST_DEVICE names, or on the CPU.
func testDevice() string {
	if native.CUDAEmulated {
		return model.OnCUDA
	}
	return os.Getenv("CLOISTER_TEST_DEVICE")
}

func openBest(t testing.TB, path string, cfg model.Config) *model.Model {
	t.Helper()
	if cfg.Device == "" && !cfg.Naive {
		cfg.Device = testDevice()
	}
	if cfg.Rank == 0 {
		cfg.Rank = 4
	}
	m, err := model.Open(path, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}

// tiny writes a random model; change edits its shape.
func tiny(t testing.TB, change func(*tinygguf.Config)) string {
	t.Helper()
	c := tinygguf.Default()
	if change != nil {
		change(&c)
	}
	path := filepath.Join(t.TempDir(), "tiny.gguf")
	if err := tinygguf.WriteFile(path, c); err != nil {
		t.Fatal(err)
	}
	return path
}

// values is a copy of those of a matrix, on whatever device; edit changes them.
func values(x model.Tensor) []float32 {
	out := make([]float32, x.Len())
	if err := x.Read(out); err != nil {
		panic(err)
	}
	return out
}

func edit(x model.Tensor, f func(values []float32)) {
	if err := x.Edit(f); err != nil {
		panic(err)
	}
}

// randomB fills every B, so that all gradients are alive.
func randomB(m *model.Model, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 7))
	for i, p := range m.Params() {
		if i%2 == 1 {
			edit(p.Data, func(values []float32) {
				for j := range values {
					values[j] = float32(rng.NormFloat64() * 0.1)
				}
			})
		}
	}
}

// packed is a batch with segments of these lengths, random tokens, and a target at each second position.
func packed(vocab int, seed uint64, lengths ...int) *model.Batch {
	rng := rand.New(rand.NewPCG(seed, 1))
	b := new(model.Batch)
	for s, n := range lengths {
		for i := range n {
			b.Tokens = append(b.Tokens, int32(rng.IntN(vocab)))
			b.Pos = append(b.Pos, int32(i))
			b.Seq = append(b.Seq, int32(s))
			target := int32(-1)
			if i%2 == 1 {
				target = int32(rng.IntN(vocab))
			}
			b.Targets = append(b.Targets, target)
		}
	}
	return b
}

func sequence(tokens []int32) *model.Batch {
	b := &model.Batch{Tokens: tokens}
	for i := range tokens {
		b.Pos, b.Seq, b.Targets = append(b.Pos, int32(i)), append(b.Seq, 0), append(b.Targets, -1)
	}
	return b
}

// compareLogits returns the relative error ‖got-want‖/‖want‖ over all positions, want from llama.cpp without an adapter.
func compareLogits(t *testing.T, path string, m *model.Model, tokens []int32) float64 {
	t.Helper()
	return compareAdapter(t, path, "", m, tokens)
}

// compareAdapter does so with the adapter in a file.
func compareAdapter(t *testing.T, path, adapter string, m *model.Model, tokens []int32) float64 {
	t.Helper()
	got, err := m.Logits(sequence(tokens))
	if err != nil {
		t.Fatal(err)
	}
	lm, err := llama.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer lm.Close()
	var a *llama.Adapter
	if adapter != "" {
		if a, err = lm.LoadAdapter(adapter); err != nil {
			t.Fatal(err)
		}
		defer a.Close()
	}
	want, err := lm.Logits(tokens, a)
	if err != nil {
		t.Fatal(err)
	}
	var diff, norm float64
	for i, row := range want {
		for j, w := range row {
			d := float64(got[i*len(row)+j]) - float64(w)
			diff, norm = diff+d*d, norm+float64(w)*float64(w)
		}
	}
	return math.Sqrt(diff / norm)
}
