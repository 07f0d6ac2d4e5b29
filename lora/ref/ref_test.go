package ref_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"cloister/llama"
	"cloister/llama/gguf"
	"cloister/llama/gguf/tinygguf"
	"cloister/llama/llamatest"
	"cloister/lora/ref"
)

func tiny(t *testing.T, c tinygguf.Config) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tiny.gguf")
	if err := tinygguf.WriteFile(path, c); err != nil {
		t.Fatal(err)
	}
	return path
}

func open(t *testing.T, path string, c ref.Config) *ref.Model {
	t.Helper()
	m, err := ref.Open(path, c)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// randomB gives every B values, so that the gradient of A is not zero.
func randomB(m *ref.Model) {
	r := rand.New(rand.NewPCG(7, 7))
	for i, p := range m.Params() {
		if i%2 == 1 {
			for j := range p.Data {
				p.Data[j] = 0.3 * r.NormFloat64()
			}
		}
	}
}

// row packs segments of the given lengths; every third target is left out.
func row(lengths ...int) *ref.Batch {
	b := new(ref.Batch)
	r := rand.New(rand.NewPCG(3, 3))
	for s, n := range lengths {
		for i := range n {
			b.Tokens = append(b.Tokens, r.Int32N(260))
			b.Pos = append(b.Pos, int32(i))
			b.Seq = append(b.Seq, int32(s))
			target := r.Int32N(260)
			if i == n-1 || i%3 == 0 {
				target = -1
			}
			b.Targets = append(b.Targets, target)
		}
	}
	return b
}

// Every gradient against central differences.
func TestGradients(t *testing.T) {
	for _, c := range []tinygguf.Config{
		{}, {Tied: true}, {Architecture: "qwen2"}, {Architecture: "qwen3", HeadDim: 6}, {Architecture: "phi3", OriginalContext: 5},
		{Architecture: "gemma3", Window: 3, WindowPattern: 2, WindowRopeBase: 100, SoftCap: 4}, {Architecture: "qwen3moe", Experts: 5, ExpertsUsed: 2},
	} {
		c.Layers, c.Context, c.RopeBase, c.Epsilon, c.Vocab, c.Seed = 2, 64, 10000, 1e-5, 288, 1
		c.Embedding, c.Heads, c.KVHeads, c.FFN = 16, 4, 2, 20
		m := open(t, tiny(t, c), ref.Config{Rank: 2, Alpha: 3, Seed: 1})
		randomB(m)
		b := row(4, 6, 3)
		const scale, h = 0.7, 1e-4
		if _, err := m.Backward(b, scale); err != nil {
			t.Fatal(err)
		}
		loss := func() float64 {
			l, err := m.Loss(b)
			if err != nil {
				t.Fatal(err)
			}
			return scale * l.Sum
		}
		matrices := map[string]int{"phi3": 4, "qwen3moe": 4}[c.Architecture]
		if matrices == 0 {
			matrices = 7
		}
		if len(m.Params()) != 2*2*matrices {
			t.Fatalf("%s: %d matrices", c.Architecture, len(m.Params()))
		}
		for _, p := range m.Params() {
			for j := range p.Data {
				at := p.Data[j]
				p.Data[j] = at + h
				up := loss()
				p.Data[j] = at - h
				down := loss()
				p.Data[j] = at
				want := (up - down) / (2 * h)
				if math.Abs(p.Grad[j]-want) > 1e-6*(1+math.Abs(want)) {
					t.Fatalf("%s %s[%d]: gradient %g, by differences %g", c.Architecture, p.Name, j, p.Grad[j], want)
				}
			}
		}
	}
}

// A packed row gives the losses and gradients of its segments alone.
func TestSegments(t *testing.T) {
	path := tiny(t, tinygguf.Default())
	packed, single := open(t, path, ref.Config{Rank: 2, Alpha: 4}), open(t, path, ref.Config{Rank: 2, Alpha: 4})
	randomB(packed)
	randomB(single)
	b := row(5, 2, 7)
	whole, err := packed.Backward(b, 1)
	if err != nil {
		t.Fatal(err)
	}
	var sum ref.Loss
	for from := 0; from < len(b.Tokens); {
		to := from
		for to < len(b.Tokens) && b.Seq[to] == b.Seq[from] {
			to++
		}
		l, err := single.Backward(&ref.Batch{Tokens: b.Tokens[from:to], Pos: b.Pos[from:to], Seq: b.Seq[from:to], Targets: b.Targets[from:to]}, 1)
		if err != nil {
			t.Fatal(err)
		}
		sum.Sum, sum.Tokens, sum.Correct = sum.Sum+l.Sum, sum.Tokens+l.Tokens, sum.Correct+l.Correct
		from = to
	}
	if math.Abs(sum.Sum-whole.Sum) > 1e-9 || sum.Tokens != whole.Tokens || sum.Correct != whole.Correct {
		t.Errorf("packed %+v, alone %+v", whole, sum)
	}
	for i, p := range packed.Params() {
		for j := range p.Grad {
			if math.Abs(p.Grad[j]-single.Params()[i].Grad[j]) > 1e-9 {
				t.Fatalf("%s[%d]: packed %g, alone %g", p.Name, j, p.Grad[j], single.Params()[i].Grad[j])
			}
		}
	}
}

// compare returns |a-b| / |b| over all logits.
func compare(a []float64, b [][]float32) float64 {
	var diff, norm float64
	i := 0
	for _, row := range b {
		for _, v := range row {
			diff += (a[i] - float64(v)) * (a[i] - float64(v))
			norm += float64(v) * float64(v)
			i++
		}
	}
	return math.Sqrt(diff / norm)
}

func logits(t *testing.T, path string, tokens []int32) float64 {
	t.Helper()
	m := open(t, path, ref.Config{})
	b := &ref.Batch{Tokens: tokens, Pos: make([]int32, len(tokens)), Seq: make([]int32, len(tokens)), Targets: make([]int32, len(tokens))}
	for i := range b.Pos {
		b.Pos[i] = int32(i)
	}
	got, err := m.Logits(b)
	if err != nil {
		t.Fatal(err)
	}
	l, err := llama.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	want, err := l.Logits(tokens, nil)
	if err != nil {
		t.Fatal(err)
	}
	return compare(got, want)
}

// Logits against llama.cpp, which rounds activations to 8 bits for quantised
// weights.
func TestLogits(t *testing.T) {
	for _, typ := range tinygguf.Types {
		for _, tied := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s tied=%v", typ, tied), func(t *testing.T) {
				c := tinygguf.Default()
				c.Type, c.Tied = typ, tied
				bound := 0.025
				switch typ {
				case gguf.F32, gguf.F16:
					bound = 0.001
				case gguf.BF16: // activations are rounded to BF16 as well
					bound = 0.006
				case gguf.Q4_K, gguf.Q6_K:
					c.Embedding, c.FFN = 256, 256
				}
				diff := logits(t, tiny(t, c), row(40).Tokens)
				t.Logf("relative difference %.5f", diff)
				if !(diff < bound) {
					t.Errorf("relative difference %g, want at most %g", diff, bound)
				}
			})
		}
	}
}

func TestLogitsRealModel(t *testing.T) {
	path := llamatest.Model(t)
	v, err := llama.OpenVocab(path)
	if err != nil {
		t.Fatal(err)
	}
	tokens, err := v.Tokenize("<|im_start|>user\nWhere is", true)
	if err != nil {
		t.Fatal(err)
	}
	v.Close()
	diff := logits(t, path, tokens)
	t.Logf("relative difference %.5f", diff)
	if !(diff < 0.05) {
		t.Errorf("relative difference %g", diff)
	}
}

func TestRefuses(t *testing.T) {
	if _, err := ref.Open(tiny(t, tinygguf.Default()), ref.Config{Rank: 1, Targets: []string{"attn_x"}}); err == nil {
		t.Error("an unknown target was accepted")
	}
	m := open(t, tiny(t, tinygguf.Default()), ref.Config{})
	for _, b := range []*ref.Batch{{}, {Tokens: []int32{1}}, {Tokens: []int32{9999}, Pos: []int32{0}, Seq: []int32{0}, Targets: []int32{-1}},
		{Tokens: []int32{1}, Pos: []int32{0}, Seq: []int32{0}, Targets: []int32{9999}}} {
		if _, err := m.Loss(b); err == nil {
			t.Errorf("the batch %+v was accepted", b)
		}
	}
}
