package model_test

import (
	"math"
	"strings"
	"testing"

	"cloister/lora/model"
)

// The gradients of a pass with noise are those of its own loss.
func TestNoiseGradients(t *testing.T) {
	for name, cfg := range map[string]model.Config{
		"dropout":            {Dropout: 0.3},
		"dropout, recompute": {Dropout: 0.3, Recompute: true},
		"dropout, two":       {Dropout: 0.5, Targets: []string{"attn_v", "ffn_down"}},
		"embedding noise":    {EmbeddingNoise: 5},
		"both":               {Dropout: 0.1, EmbeddingNoise: 5},
	} {
		t.Run(name, func(t *testing.T) {
			m := open(t, tiny(t, nil), cfg)
			randomB(m, 5)
			m.Draw(9)
			b := packed(m.Info().Vocab, 2, 7, 1, 12)
			m.ZeroGrad()
			noisy := backward(t, m, b, 1)
			if plain := loss(t, m, b); noisy.Sum == plain.Sum {
				t.Error("the noise changes nothing")
			}
			grads := gradients(m)
			again := func() float64 {
				l := backward(t, m, b, 1)
				for i, p := range m.Params() {
					edit(p.Grad, func(values []float32) { copy(values, grads[i]) })
				}
				return l.Sum
			}
			differences(t, m, again)
		})
	}
}

// Draws depend on key, segment, position and matrix, and on nothing else.
func TestNoiseDraws(t *testing.T) {
	path := tiny(t, nil)
	run := func(cfg model.Config, key uint64, batches ...*model.Batch) [][]float32 {
		cfg.Dropout, cfg.EmbeddingNoise = 0.2, 3
		m := open(t, path, cfg)
		randomB(m, 5)
		m.Draw(key)
		for _, b := range batches {
			backward(t, m, b, 1)
		}
		return gradients(m)
	}
	whole := prompted(64, 6, 9, 12, 10)
	want := run(model.Config{Threads: 1}, 7, whole)
	if !same(want, run(model.Config{Threads: 3}, 7, whole)) {
		t.Error("the number of threads changes the draws")
	}
	if d := distance(want, run(model.Config{}, 8, whole)); d < 0.01 {
		t.Errorf("another key changes the gradients by %g only", d)
	}
	var apart []*model.Batch
	for s := range int32(3) {
		b := new(model.Batch)
		for i, seq := range whole.Seq {
			if seq == s {
				b.Tokens, b.Pos = append(b.Tokens, whole.Tokens[i]), append(b.Pos, whole.Pos[i])
				b.Seq, b.Targets = append(b.Seq, seq), append(b.Targets, whole.Targets[i])
			}
		}
		apart = append(apart, b)
	}
	if d := distance(want, run(model.Config{}, 7, apart[2], apart[0], apart[1])); d > 1e-5 {
		t.Errorf("segments packed apart: gradients differ by %g", d)
	}
}

// With B = 0 the outputs do not depend on dropout, and the gradient of B is
// linear in what A reads: its mean over many draws is the gradient without
// dropout, and its variance grows as p/(1-p).
func TestDropoutStrength(t *testing.T) {
	path := tiny(t, nil)
	b := packed(64, 2, 12)
	plain := open(t, path, model.Config{})
	backward(t, plain, b, 1)
	want := gradients(plain)
	variance := map[float64]float64{}
	const draws = 200
	for _, p := range []float64{0.1, 0.5} {
		m := open(t, path, model.Config{Dropout: p})
		var mean [][]float32
		for key := range uint64(draws) {
			m.Draw(key)
			m.ZeroGrad()
			backward(t, m, b, 1)
			for i, g := range gradients(m) {
				if key == 0 {
					mean = append(mean, make([]float32, len(g)))
				}
				for j, v := range g {
					mean[i][j] += v / draws
					d := float64(v - want[i][j])
					variance[p] += d * d / draws
				}
			}
		}
		size := 0.0
		for _, g := range want {
			for _, v := range g {
				size += float64(v) * float64(v)
			}
		}
		// distance is the worst matrix's; the mean of n draws is off by √(variance/n) over all.
		if d, expect := distance(mean, want), math.Sqrt(variance[p]/draws/size); d > 6*expect {
			t.Errorf("dropout %g: the mean gradient is off by %g, chance explains %g", p, d, expect)
		}
	}
	if ratio := variance[0.5] / variance[0.1]; math.Abs(ratio-9) > 0.9 {
		t.Errorf("the variances of dropout 0.5 and 0.1 have the ratio %g, want 9", ratio)
	}
}

// The embeddings of a segment of T tokens move by uniform noise of at most alpha/√(T·width).
func TestEmbeddingNoise(t *testing.T) {
	path := tiny(t, nil)
	plain, noisy := open(t, path, model.Config{}), open(t, path, model.Config{EmbeddingNoise: 5})
	noisy.Draw(3)
	b := packed(64, 2, 40, 10)
	x, err := plain.Embeddings(b)
	if err != nil {
		t.Fatal(err)
	}
	y, err := noisy.Embeddings(b)
	if err != nil {
		t.Fatal(err)
	}
	width := plain.Info().Embedding
	for from, n := range map[int]int{0: 40, 40: 10} {
		bound := 5 / math.Sqrt(float64(n*width))
		var largest, square, mean float64
		for i := from * width; i < (from+n)*width; i++ {
			d := float64(y[i] - x[i])
			largest, square, mean = max(largest, math.Abs(d)), square+d*d, mean+d
		}
		count := float64(n * width)
		deviation := math.Sqrt(square / count)
		t.Logf("%d tokens: at most %.4f of the bound, deviation %.4f of that of uniform noise", n, largest/bound, deviation*math.Sqrt(3)/bound)
		if largest > bound*1.0001 || largest < 0.98*bound || math.Abs(deviation*math.Sqrt(3)/bound-1) > 0.08 || math.Abs(mean/count) > 0.1*bound {
			t.Errorf("%d tokens: noise up to %g, deviation %g, mean %g; the bound is %g", n, largest, deviation, mean/count, bound)
		}
	}
}

func TestDropoutRefused(t *testing.T) {
	if _, err := model.Open(tiny(t, nil), model.Config{Rank: 2, Dropout: 1}); err == nil || !strings.Contains(err.Error(), "dropout is 1") {
		t.Errorf("dropout 1: %v", err)
	}
}
