package native_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"cloister/lora/internal/native"
)

// Three steps against the formulas in float64.
func TestAdamW(t *testing.T) {
	for _, n := range []int{1, 7, 16, 1000, 4097} {
		rng := rand.New(rand.NewPCG(1, uint64(n)))
		make32 := func() []float32 {
			out := make([]float32, n)
			for i := range out {
				out[i] = float32(rng.NormFloat64())
			}
			return out
		}
		p, m, v := make32(), make([]float32, n), make([]float32, n)
		wp, wm, wv := make([]float64, n), make([]float64, n), make([]float64, n)
		for i, x := range p {
			wp[i] = float64(x)
		}
		a := native.AdamW{Rate: 1e-2, Beta1: 0.9, Beta2: 0.99, Epsilon: 1e-6, Decay: 0.1, Factor: 0.5}
		for a.Step = 1; a.Step <= 3; a.Step++ {
			g := make32()
			check(t, a.Update(p, g, m, v))
			var sum float64
			for i := range g {
				d := float64(g[i]) * a.Factor
				sum += float64(g[i]) * float64(g[i])
				wm[i] = a.Beta1*wm[i] + (1-a.Beta1)*d
				wv[i] = a.Beta2*wv[i] + (1-a.Beta2)*d*d
				mh, vh := wm[i]/(1-math.Pow(a.Beta1, float64(a.Step))), wv[i]/(1-math.Pow(a.Beta2, float64(a.Step)))
				wp[i] = wp[i]*(1-a.Rate*a.Decay) - a.Rate*mh/(math.Sqrt(vh)+a.Epsilon)
			}
			if got := native.SumSquares(g); math.Abs(got-sum) > 1e-6*sum {
				t.Errorf("%d values: sum of squares %g, want %g", n, got, sum)
			}
		}
		for i := range p {
			if math.Abs(float64(p[i])-wp[i]) > 2e-6 || math.Abs(float64(m[i])-wm[i]) > 1e-6 || math.Abs(float64(v[i])-wv[i]) > 1e-6 {
				t.Fatalf("%d values: value %d is %g (moments %g, %g), want %g (%g, %g)", n, i, p[i], m[i], v[i], wp[i], wm[i], wv[i])
			}
		}
	}
	if err := (native.AdamW{Step: 1}).Update(make([]float32, 2), make([]float32, 1), make([]float32, 2), make([]float32, 2)); err == nil {
		t.Error("gradients of another length are taken")
	}
}
