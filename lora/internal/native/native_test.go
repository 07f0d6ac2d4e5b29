package native_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"cloister/lora/internal/native"
)

// fixture hands out matrices for one test and frees them at its end.
type fixture struct {
	t     testing.TB
	arena native.Arena
	rng   *rand.Rand
}

func newFixture(t testing.TB) *fixture {
	f := &fixture{t: t, rng: rand.New(rand.NewPCG(1, 2))}
	before := native.Mapped()
	if err := f.arena.Reserve(64 << 20); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		f.arena.Free()
		if got := native.Mapped(); got != before {
			t.Errorf("%d bytes stay mapped", got-before)
		}
	})
	return f
}

func (f *fixture) cpu(threads int, level native.Level) *native.CPU {
	f.t.Helper()
	c, err := native.Open(threads, level)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(c.Close)
	return c
}

// gapped is a matrix with NaN between the rows, so that a kernel which reads or
// writes there is caught.
func (f *fixture) gapped(rows, cols, gap int) native.Mat {
	m := f.arena.Mat(rows, cols+gap)
	for i := range m.Slice() {
		m.Slice()[i] = float32(math.NaN())
	}
	return m.Columns(0, cols)
}

// mat is random normal values times scale.
func (f *fixture) mat(rows, cols, gap int, scale float64) native.Mat {
	m := f.gapped(rows, cols, gap)
	for i := range rows {
		for j := range cols {
			set(m, i, j, float32(f.rng.NormFloat64()*scale))
		}
	}
	return m
}

func (f *fixture) clone(m native.Mat) native.Mat {
	c := f.gapped(m.Rows, m.Cols, m.Stride-m.Cols)
	for i := range m.Rows {
		for j := range m.Cols {
			set(c, i, j, at(m, i, j))
		}
	}
	return c
}

func row(m native.Mat, i int) []float32 {
	r := m.Slab(i, i+1)
	r.Stride = r.Cols
	return r.Slice()
}

func at(m native.Mat, i, j int) float32     { return row(m, i)[j] }
func set(m native.Mat, i, j int, v float32) { row(m, i)[j] = v }

// near fails unless got is want within tol times the size of want's largest
// value, or of 0.1 if that is larger.
func near(t testing.TB, what string, got, want native.Mat, tol float64) {
	t.Helper()
	if got.Rows != want.Rows || got.Cols != want.Cols {
		t.Fatalf("%s: shape %dx%d, want %dx%d", what, got.Rows, got.Cols, want.Rows, want.Cols)
	}
	var norm float64
	for i := range want.Rows {
		for _, v := range row(want, i) {
			norm = max(norm, math.Abs(float64(v)))
		}
	}
	for i := range want.Rows {
		for j, w := range row(want, i) {
			g := at(got, i, j)
			if d := math.Abs(float64(g) - float64(w)); !(d <= tol*max(norm, 0.1)) {
				t.Fatalf("%s: (%d,%d) is %g, want %g (largest %g)", what, i, j, g, w, norm)
			}
		}
	}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// levels runs f for every level that this CPU has.
func levels(t *testing.T, f func(t *testing.T, level native.Level)) {
	for _, l := range native.Levels() {
		t.Run(l.String(), func(t *testing.T) { f(t, l) })
	}
}

// weight quantises a random matrix and returns it with its values.
func (f *fixture) weight(ggmlType uint32, rows, cols int) (native.Weight, native.Mat) {
	src := f.mat(rows, cols, 0, 1)
	q := native.Quantize(ggmlType, src.Slice(), rows, cols)
	mem := f.arena.Bytes(len(q))
	copy(mem, q)
	w := native.Weight{Type: ggmlType, Data: addr(mem), Rows: rows, Cols: cols, RowBytes: len(q) / rows}
	ids := make([]int32, rows)
	for i := range ids {
		ids[i] = int32(i)
	}
	values := f.gapped(rows, cols, 0)
	check(f.t, f.cpu(1, native.Naive).Embed(values, w, ids))
	// The values must be those that were quantised, as far as the type can tell.
	var dot, n1, n2 float64
	for i, v := range values.Slice() {
		s := float64(src.Slice()[i])
		dot, n1, n2 = dot+s*float64(v), n1+s*s, n2+float64(v)*float64(v)
	}
	least := 0.93
	if ggmlType == ternary {
		least = 0.65
	}
	if cos := dot / math.Sqrt(n1*n2); cos < least {
		f.t.Fatalf("type %d: cosine of quantised and original values is %g", ggmlType, cos)
	}
	return w, values
}

// bfloat is the nearest BF16, with ties to even.
func bfloat(v float64) float64 {
	b := math.Float32bits(float32(v))
	return float64(math.Float32frombits((b + 0x7fff + b>>16&1) &^ 0xffff))
}

// product is how a level multiplies.
func product(level native.Level, a, b float64) float64 {
	switch {
	case level.BF16():
		return bfloat(a) * bfloat(b)
	case level.Split():
		a, b = float64(float32(a)), float64(float32(b))
		ah, bh := bfloat(a), bfloat(b)
		al, bl := bfloat(a-ah), bfloat(b-bh)
		return al*bh + ah*bh + ah*bl
	}
	return a * b
}

// reference is Σ terms in float64, values[i] standing for the right operand of
// term i; operands are rounded as the level rounds them.
func reference(f *fixture, level native.Level, dst native.Mat, add bool, terms []native.Term, left, values []native.Mat) native.Mat {
	out := f.clone(dst)
	for i := range dst.Rows {
		sum := make([]float64, dst.Cols)
		for j := range sum {
			if add {
				sum[j] = float64(at(dst, i, j))
			}
		}
		for k, t := range terms {
			scale := float64(t.Scale)
			if scale == 0 {
				scale = 1
			}
			a := row(left[k], i)
			for r := range values[k].Rows {
				v := row(values[k], r)
				for c := range v {
					if t.Trans {
						sum[r] += product(level, float64(a[c]), scale*float64(v[c]))
					} else {
						sum[c] += product(level, float64(a[r]), scale*float64(v[c]))
					}
				}
			}
		}
		for j, v := range sum {
			set(out, i, j, float32(v))
		}
	}
	return out
}

const ternary = 35 // TQ2_0

var types = []struct {
	name  string
	id    uint32
	block int
}{
	{"F32", 0, 1}, {"F16", 1, 1}, {"BF16", 30, 1}, {"Q8_0", 8, 32}, {"Q4_0", 2, 32}, {"Q4_1", 3, 32}, {"Q5_0", 6, 32}, {"Q5_1", 7, 32},
	{"Q2_K", 10, 256}, {"Q3_K", 11, 256}, {"Q4_K", 12, 256}, {"Q5_K", 13, 256}, {"Q6_K", 14, 256}, {"IQ4_NL", 20, 32}, {"IQ4_XS", 23, 256},
	{"IQ3_S", 21, 256}, {"TQ2_0", ternary, 256}, {"MXFP4", 39, 32}, {"NVFP4", 40, 64},
}

// Every weight type, both directions, against a loop in float64.
func TestGemmWeightTypes(t *testing.T) {
	levels(t, func(t *testing.T, level native.Level) {
		for _, ty := range types {
			t.Run(ty.name, func(t *testing.T) {
				f := newFixture(t)
				c := f.cpu(2, level)
				const m = 13
				in, out := 2*ty.block, 3*ty.block
				if ty.block < 256 {
					in, out = 13*64, 11*64 // more than one block of the inner dimension
				}
				w, values := f.weight(ty.id, out, in)

				x := f.mat(m, in, 3, 1)
				packed := c.Packed(&f.arena, m, in)
				check(t, c.Pack(packed, x))
				y := f.gapped(m, out, 5)
				terms := []native.Term{{A: packed, B: w, Trans: true}}
				check(t, c.Gemm(y, false, terms...))
				near(t, "x·wᵀ", y, reference(f, level, y, false, terms, []native.Mat{x}, []native.Mat{values}), 2e-6)

				dy := f.mat(m, out, 1, 1)
				dx := f.gapped(m, in, 0)
				terms = []native.Term{{A: dy, B: w}}
				check(t, c.Gemm(dx, false, terms...))
				near(t, "dy·w", dx, reference(f, level, dx, false, terms, []native.Mat{dy}, []native.Mat{values}), 2e-6)
			})
		}
	})
}

// ggml's product, which is measured beside ours, is the same product.
func TestGGMLGemm(t *testing.T) {
	f := newFixture(t)
	for _, ty := range types[:5] {
		w, values := f.weight(ty.id, 48, 128)
		x, y := f.mat(9, 128, 0, 1), f.arena.Mat(9, 48)
		check(t, native.GGMLGemm(2, y, x, w))
		terms := []native.Term{{A: x, B: w, Trans: true}}
		near(t, ty.name, y, reference(f, native.Naive, y, false, terms, []native.Mat{x}, []native.Mat{values}), 2e-2)
	}
}

// Odd sizes, sums of terms, scales, gaps, packed and plain operands.
func TestGemmShapes(t *testing.T) {
	levels(t, func(t *testing.T, level native.Level) {
		for _, s := range []struct{ m, n, k, r int }{
			{1, 1, 1, 1}, {1, 16, 3, 2}, {5, 17, 64, 3}, {6, 15, 33, 16}, {7, 48, 320, 8}, {13, 33, 321, 5}, {50, 100, 577, 16},
			{131, 200, 640, 7}, {97, 64, 700, 65}, {250, 16, 512, 4}, {64, 300, 70, 100},
		} {
			t.Run(fmt.Sprint(s), func(t *testing.T) {
				f := newFixture(t)
				c := f.cpu(3, level)
				x, u := f.mat(s.m, s.k, 2, 1), f.mat(s.m, s.r, 0, 1)
				w, a := f.mat(s.n, s.k, 1, 1), f.mat(s.r, s.n, 4, 1)
				packed := c.Packed(&f.arena, s.m, s.k)
				check(t, c.Pack(packed, x))
				for _, left := range []native.Mat{x, packed} {
					for _, add := range []bool{false, true} {
						y := f.mat(s.m, s.n, 3, 1)
						terms := []native.Term{
							{A: left, B: native.Float(w), Trans: true, Scale: 0.5},
							{A: u, B: native.Float(a)},
						}
						want := reference(f, level, y, add, terms, []native.Mat{x, u}, []native.Mat{w, a})
						check(t, c.Gemm(y, add, terms...))
						near(t, "sum", y, want, 3e-6)
					}
				}
			})
		}
	})
}

func TestGemmTN(t *testing.T) {
	levels(t, func(t *testing.T, level native.Level) {
		for _, s := range []struct{ t, r, n int }{{1, 1, 1}, {5, 3, 17}, {300, 16, 130}, {257, 7, 64}, {512, 33, 15}} {
			f := newFixture(t)
			c := f.cpu(2, level)
			u, x := f.mat(s.t, s.r, 1, 1), f.mat(s.t, s.n, 2, 1)
			g, gt := f.mat(s.r, s.n, 3, 1), f.mat(s.n, s.r, 1, 1)
			want, wantT := f.clone(g), f.clone(gt)
			for i := range s.r {
				for j := range s.n {
					var sum float64
					for l := range s.t {
						sum += product(level, float64(at(u, l, i)), float64(at(x, l, j)))
					}
					set(want, i, j, float32(float64(at(g, i, j))+sum))
					set(wantT, j, i, float32(float64(at(gt, j, i))+sum))
				}
			}
			check(t, c.GemmTN(g, u, x, false))
			near(t, fmt.Sprint("uᵀx ", s), g, want, 3e-6)
			check(t, c.GemmTN(gt, u, x, true))
			near(t, fmt.Sprint("xᵀu ", s), gt, wantT, 3e-6)
		}
	})
}

// The same bytes for any number of threads.
func TestDeterministic(t *testing.T) { levels(t, deterministic) }

func deterministic(t *testing.T, level native.Level) {
	f := newFixture(t)
	x, w, dy := f.mat(201, 576, 0, 1), f.mat(333, 576, 0, 1), f.mat(201, 333, 0, 1)
	att := f.attention(201, 4, 2, 32, []int{77, 1, 100})
	var want []native.Mat
	for threads := 1; threads <= 5; threads++ {
		c := f.cpu(threads, level)
		y, dx, g := f.gapped(201, 333, 0), f.gapped(201, 576, 0), f.arena.Mat(333, 576)
		clear(g.Slice())
		check(t, c.Gemm(y, false, native.Term{A: x, B: native.Float(w), Trans: true}))
		check(t, c.Gemm(dx, false, native.Term{A: dy, B: native.Float(w)}))
		check(t, c.GemmTN(g, dy, x, false))
		o, lse := f.gapped(201, 128, 0), f.gapped(201, 4, 0)
		check(t, c.Attention(att, o, lse))
		dq, dk, dv := f.gapped(201, 128, 0), f.gapped(201, 64, 0), f.gapped(201, 64, 0)
		check(t, c.AttentionBack(att, o, lse, att.Q, dq, dk, dv))
		got := []native.Mat{y, dx, g, o, lse, dq, dk, dv}
		if threads == 1 {
			want = got
			continue
		}
		for i := range got {
			for j, v := range got[i].Slice() {
				if math.Float32bits(v) != math.Float32bits(want[i].Slice()[j]) {
					t.Fatalf("%d threads: value %d of result %d is %g, with one thread %g", threads, j, i, v, want[i].Slice()[j])
				}
			}
		}
	}
}

// Calls after Use are those of a CPU that was opened at that level.
func TestUse(t *testing.T) {
	levels(t, func(t *testing.T, level native.Level) {
		f := newFixture(t)
		c, finer := f.cpu(2, level), f.cpu(2, level.Finer())
		x, w := f.mat(33, 70, 0, 1), f.mat(40, 70, 0, 1)
		product := func(c *native.CPU) []float32 {
			y := f.arena.Mat(33, 40)
			check(t, c.Gemm(y, false, native.Term{A: x, B: native.Float(w), Trans: true}))
			return y.Slice()
		}
		own, want := product(c), product(finer)
		check(t, c.Use(level.Finer()))
		if c.Level() != level.Finer() || !slices.Equal(product(c), want) {
			t.Errorf("%s, told to use %s, computes otherwise", level, level.Finer())
		}
		check(t, c.Use(level))
		if !slices.Equal(product(c), own) || level.BF16() == slices.Equal(own, want) {
			t.Errorf("%s does not come back, or is as fine as %s", level, level.Finer())
		}
		if c.Use(99) == nil || c.Level() != level {
			t.Error("uses a level that there is not")
		}
	})
}
