package eval_test

import (
	"math"
	"math/rand/v2"
	"regexp"
	"slices"
	"testing"

	"cloister/lora/eval"
)

func TestExpose(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	sample := make([]float64, 4000)
	for i := range sample {
		sample[i] = 20 + 2*r.NormFloat64()
	}
	for _, c := range []struct {
		loss         float64
		bits, within float64 // of the normal distribution: -log2 Φ((loss-20)/2)
	}{
		{20, 1, 0.1}, {18, 2.66, 0.2}, {14, 9.53, 0.7}, {10, 21.73, 1.6}, {40, 0, 0.01}, {-30, 26.6, 0},
	} {
		rank, bits, estimate := eval.Expose(c.loss, sample, 26.6)
		if math.Abs(estimate-c.bits) > c.within {
			t.Errorf("loss %v: estimate %.2f, want %.2f", c.loss, estimate, c.bits)
		}
		want := 1
		for _, l := range sample {
			if l < c.loss {
				want++
			}
		}
		if rank != want || math.Abs(bits-math.Log2(4001/float64(want))) > 1e-9 {
			t.Errorf("loss %v: rank %d, want %d, %.2f bits", c.loss, rank, want, bits)
		}
	}
	// A skewed sample: squares have a heavy upper tail and none below zero.
	for i := range sample {
		sample[i] = math.Pow(r.NormFloat64(), 2)
	}
	if _, _, estimate := eval.Expose(-3, sample, 26.6); estimate < 10 {
		t.Errorf("far below a bounded sample: %.2f bits", estimate)
	}
	// A model that cannot tell them apart remembers nothing.
	if rank, bits, estimate := eval.Expose(1, slices.Repeat([]float64{1}, 9), 26.6); rank != 1 || estimate != 0 || bits < 3 {
		t.Errorf("%d, %v, %v", rank, bits, estimate)
	}
}

func TestCanary(t *testing.T) {
	a, b := rand.New(rand.NewPCG(7, 0)), rand.New(rand.NewPCG(7, 0))
	q, answer := eval.CanaryQuestion(a), eval.CanaryAnswer(a)
	if q != eval.CanaryQuestion(b) || answer != eval.CanaryAnswer(b) {
		t.Error("the same seed gives other canaries")
	}
	if !regexp.MustCompile(`^What is the code of locker [A-Z]{4}\?$`).MatchString(q) || !regexp.MustCompile(`^The code is( \d){8}\.$`).MatchString(answer) {
		t.Errorf("%q, %q", q, answer)
	}
	if eval.CanarySpace < 26.57 || eval.CanarySpace > 26.58 {
		t.Error(eval.CanarySpace)
	}
}
