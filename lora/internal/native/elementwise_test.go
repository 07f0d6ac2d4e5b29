package native_test

import (
	"errors"
	"math"
	"testing"

	"cloister/lora/internal/native"
)

// Each kernel against its formula in Go, with rows that have gaps and sizes
// that fill no chunk, and the cap's gradient against differences.
func TestElementwise(t *testing.T) {
	levels(t, func(t *testing.T, level native.Level) {
		for _, n := range widths {
			f := newFixture(t)
			c := f.cpu(2, level)
			x, y, w := f.mat(37, n, 3, 1), f.mat(37, n, 2, 1), f.mat(37, 1, 0, 1)
			sum, scaled, capped := f.clone(x), f.clone(x), f.clone(x)
			check(t, c.Add(sum, y))
			check(t, c.ScaleRows(scaled, w))
			dots := f.arena.Mat(37, 1)
			check(t, c.DotRows(dots, x, y))
			const limit = 1.5
			check(t, c.SoftCap(capped, limit))
			for i := range 37 {
				dot := 0.0
				for j := range n {
					a, b := at(x, i, j), at(y, i, j)
					dot += float64(a) * float64(b)
					if at(sum, i, j) != a+b || at(scaled, i, j) != a*at(w, i, 0) {
						t.Fatalf("row %d of %d values: sum or product of %g and %g is wrong", i, n, a, b)
					}
					if got, want := float64(at(capped, i, j)), limit*math.Tanh(float64(a)/limit); math.Abs(got-want) > 1e-6 {
						t.Fatalf("the cap of %g is %g, want %g", a, got, want)
					}
				}
				if got := float64(at(dots, i, 0)); math.Abs(got-dot) > 1e-5*(1+math.Abs(dot)) {
					t.Fatalf("row %d of %d values: product %g, want %g", i, n, got, dot)
				}
			}
			d := f.clone(y)
			check(t, c.SoftCapBack(d, capped, limit))
			numeric(t, "soft cap", x, d, func() float64 {
				out := f.clone(x)
				check(t, c.SoftCap(out, limit))
				return weightedSum(out, y)
			})
		}
	})
}

func TestElementwiseShapes(t *testing.T) {
	f := newFixture(t)
	c := f.cpu(1, native.Naive)
	x, narrow, short := f.mat(4, 6, 0, 1), f.mat(4, 5, 0, 1), f.mat(3, 1, 0, 1)
	for i, err := range []error{c.Add(x, narrow), c.ScaleRows(x, short), c.DotRows(short, x, x), c.DotRows(f.mat(4, 1, 0, 1), x, narrow),
		c.SoftCap(x, 0), c.SoftCapBack(x, narrow, 1), c.SoftCapBack(x, x, -1)} {
		if !errors.Is(err, native.ErrShape) {
			t.Errorf("call %d: %v, want %v", i, err, native.ErrShape)
		}
	}
}
