package native_test

import (
	"errors"
	"fmt"
	"math"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"cloister/lora/internal/native"
)

func addr(b []byte) unsafe.Pointer { return unsafe.Pointer(unsafe.SliceData(b)) }

// pair opens the plain C level and the best one of this CPU.
func pair(f *fixture) (naive, fast *native.CPU) { return f.cpu(2, native.Naive), f.cpu(3, native.Best) }

var widths = []int{1, 2, 7, 8, 9, 63, 576, 1000}

// numeric compares a gradient with central differences of f, a sum of outputs times d.
func numeric(t *testing.T, what string, x, grad native.Mat, f func() float64) {
	t.Helper()
	for _, p := range [][2]int{{0, 0}, {x.Rows - 1, x.Cols - 1}, {x.Rows / 2, x.Cols / 3}} {
		v := at(x, p[0], p[1])
		const h = 1e-2
		set(x, p[0], p[1], v+h)
		up := f()
		set(x, p[0], p[1], v-h)
		down := f()
		set(x, p[0], p[1], v)
		if want, got := (up-down)/(2*h), float64(at(grad, p[0], p[1])); math.Abs(got-want) > 2e-3*(1+math.Abs(want)) {
			t.Errorf("%s: gradient at %v is %g, differences say %g", what, p, got, want)
		}
	}
}

func weightedSum(y, d native.Mat) float64 {
	var s float64
	for i := range y.Rows {
		for j, v := range row(y, i) {
			s += float64(v) * float64(at(d, i, j))
		}
	}
	return s
}

func TestRMSNorm(t *testing.T) {
	for _, n := range widths {
		f := newFixture(t)
		naive, fast := pair(f)
		x, w, dy := f.mat(19, n, 3, 2), f.mat(1, n, 0, 1), f.mat(19, n, 1, 1)
		y0, y1 := f.gapped(19, n, 2), f.gapped(19, n, 2)
		check(t, naive.RMSNorm(y0, x, w, 1e-5))
		check(t, fast.RMSNorm(y1, x, w, 1e-5))
		near(t, "forward", y1, y0, 1e-6)
		dx0 := f.mat(19, n, 0, 1)
		dx1 := f.clone(dx0)
		check(t, naive.RMSNormBack(dx0, dy, x, w, 1e-5))
		check(t, fast.RMSNormBack(dx1, dy, x, w, 1e-5))
		near(t, "backward", dx1, dx0, 2e-6)
		if n == 63 {
			g := f.arena.Mat(19, n)
			clear(g.Slice())
			check(t, naive.RMSNormBack(g, dy, x, w, 1e-5))
			numeric(t, "rmsnorm", x, g, func() float64 {
				check(t, naive.RMSNorm(y0, x, w, 1e-5))
				return weightedSum(y0, dy)
			})
		}
	}
}

func TestGLU(t *testing.T) {
	for _, act := range []native.Activation{native.SiLU, native.GELU} {
		f := newFixture(t)
		naive, fast := pair(f)
		gate, up, d := f.mat(41, 1001, 0, 3), f.mat(41, 1001, 0, 1), f.mat(41, 1001, 0, 1)
		gate.Slice()[0], gate.Slice()[1], gate.Slice()[2] = 200, -200, 0
		y0, y1 := f.gapped(41, 1001, 0), f.gapped(41, 1001, 0)
		check(t, naive.GLU(y0, gate, up, act))
		check(t, fast.GLU(y1, gate, up, act))
		near(t, "forward", y1, y0, 1e-6)
		dg0, du0 := f.gapped(41, 1001, 0), f.gapped(41, 1001, 0)
		check(t, naive.GLUBack(dg0, du0, d, gate, up, act))
		y := f.gapped(41, 1001, 0)
		numeric(t, "gate", gate, dg0, func() float64 {
			check(t, naive.GLU(y, gate, up, act))
			return weightedSum(y, d)
		})
		check(t, fast.GLUBack(gate, up, d, gate, up, act)) // in place
		near(t, "d gate", gate, dg0, 1e-6)
		near(t, "d up", up, du0, 1e-6)
	}
}

func TestRope(t *testing.T) {
	levels(t, func(t *testing.T, level native.Level) {
		for i, neox := range []bool{false, true, false, true, false, true} {
			f := newFixture(t)
			c := f.cpu(2, level)
			const heads, rows = 3, 37
			dim, half := []int{16, 64, 40}[i/2], []int{6, 32, 16}[i/2]
			x := f.mat(rows, heads*dim, 5, 1)
			before := f.clone(x)
			table := f.arena.Mat(rows, 2*half)
			for i := range rows {
				for j := range half {
					s, co := math.Sincos(float64(i) / float64(j+1))
					set(table, i, j, float32(co))
					set(table, i, half+j, float32(s))
				}
			}
			check(t, c.Rope(x, table, dim, neox, false))
			for i := range rows {
				for h := range heads {
					for j := range dim {
						k, partner, sign := j/2, j^1, 1-2*float64(1-j%2) // odd: +sin of the even one
						if neox {
							k, partner, sign = j%half, (j+half)%(2*half), 1
							if j < half {
								sign = -1
							}
						}
						want := at(before, i, h*dim+j)
						if j < 2*half {
							s, co := math.Sincos(float64(i) / float64(k+1))
							want = float32(float64(want)*co + sign*s*float64(at(before, i, h*dim+partner)))
						}
						if got := at(x, i, h*dim+j); math.Abs(float64(got-want)) > 1e-6 {
							t.Fatalf("neox %v: row %d head %d value %d is %g, want %g", neox, i, h, j, got, want)
						}
					}
				}
			}
			check(t, c.Rope(x, table, dim, neox, true))
			near(t, "there and back", x, before, 1e-6)
		}
	})
}

func TestCrossEntropy(t *testing.T) {
	for _, n := range []int{2, 7, 8, 513, 5000} {
		f := newFixture(t)
		naive, fast := pair(f)
		const rows = 21
		x0 := f.mat(rows, n, 3, 4)
		set(x0, 1, 0, 90) // a tie: the first of the largest counts
		set(x0, 1, n-1, 90)
		x1 := f.clone(x0)
		targets := make([]int32, rows)
		for i := range targets {
			targets[i] = int32(f.rng.IntN(n))
		}
		targets[1] = int32(n - 1)
		targets[2] = 0
		for j := range n {
			set(x0, 2, j, 1)
			set(x1, 2, j, 1)
		}
		l0, l1, c0, c1 := make([]float64, rows), make([]float64, rows), make([]int32, rows), make([]int32, rows)
		check(t, naive.CrossEntropy(x0, targets, true, 0.25, nil, l0, c0))
		check(t, fast.CrossEntropy(x1, targets, true, 0.25, nil, l1, c1))
		near(t, "gradient", x1, x0, 1e-6)
		for i := range rows {
			if math.Abs(l0[i]-l1[i]) > 1e-5*(1+l0[i]) || c0[i] != c1[i] {
				t.Errorf("width %d row %d: loss %g correct %d, want %g %d", n, i, l1[i], c1[i], l0[i], c0[i])
			}
			var sum float64
			for _, v := range row(x1, i) {
				sum += float64(v)
			}
			if math.Abs(sum) > 1e-5 {
				t.Errorf("width %d row %d: gradient sums to %g", n, i, sum)
			}
		}
		if c1[1] != 0 || c1[2] != 1 {
			t.Errorf("width %d: ties: correct is %d and %d, want 0 and 1", n, c1[1], c1[2])
		}
		if want := math.Log(float64(n)); math.Abs(l1[2]-want) > 1e-6*want {
			t.Errorf("width %d: loss of equal logits is %g, want %g", n, l1[2], want)
		}
	}
}

// attention makes random inputs for segments of these lengths.
func (f *fixture) attention(t, heads, kv, dim int, segments []int) native.Attention {
	a := native.Attention{Q: f.mat(t, heads*dim, 0, 1), K: f.mat(t, kv*dim, 0, 1), V: f.mat(t, kv*dim, 0, 1),
		Start: f.arena.Int32(t), Heads: heads, KV: kv, Dim: dim, Scale: float32(1 / math.Sqrt(float64(dim)))}
	i, begin := 0, 0
	for _, n := range segments {
		for range n {
			if i < t {
				a.Start[i] = int32(begin)
				i++
			}
		}
		begin = i
	}
	for ; i < t; i++ {
		a.Start[i] = int32(begin)
	}
	return a
}

func TestAttention(t *testing.T) {
	for _, s := range []struct {
		t, heads, kv, dim int
		segments          []int
		window            int
		prefix            int
	}{
		{1, 1, 1, 16, nil, 0, 0}, {5, 2, 1, 16, nil, 0, 0}, {64, 3, 1, 64, nil, 0, 0}, {193, 6, 2, 32, []int{1, 2, 60, 100}, 0, 0},
		{130, 2, 2, 48, []int{65, 64}, 0, 0}, {300, 4, 2, 16, []int{250}, 33, 0}, {97, 2, 1, 24, []int{40, 20}, 0, 0},
		{75, 3, 3, 128, []int{10, 10, 10}, 0, 0},
		// The first segment is a prefix that all others see.
		{140, 4, 2, 16, []int{24, 30, 1, 50}, 0, 24}, {200, 2, 1, 32, []int{70, 3, 100}, 0, 70}, {90, 3, 3, 64, []int{16, 20}, 0, 16},
		{60, 2, 1, 24, []int{7, 20, 30}, 0, 7}, {33, 1, 1, 16, []int{33}, 0, 33},
	} {
		t.Run(fmt.Sprint(s), func(t *testing.T) {
			levels(t, func(t *testing.T, level native.Level) {
				f := newFixture(t)
				a := f.attention(s.t, s.heads, s.kv, s.dim, s.segments)
				a.Prefix = s.prefix
				for i := range a.Start {
					if s.window > 0 {
						a.Start[i] = max(a.Start[i], int32(i-s.window+1))
					}
				}
				compareAttention(f, level, a)
			})
		})
	}
}

// attentionTolerance is how far o, lse and the gradients of a level may be from those of the naive one, as near reads it. The
// BF16 levels round each operand of a product to 8 bits, a relative error of at most u = 2^-9. A score, a sum of products of two
// such operands of independent errors, is off by about u·|q||k|·scale, some u·√dim/√dim·√2 for normal values, so lse and the
// factor of p are off by one or two u. o adds the rounding of p and of v; ds has the errors of p and of dp and is rounded itself,
// and the gradients add that of q, k or d_o: four roundings of independent sign after that of the scores. 3u are seen for o,
// 2u for lse, less than 4u for the gradients. Of two parts the second leaves an error of 2^-17.
func attentionTolerance(level native.Level) (o, lse, grad float64) {
	if level < native.AVX512BF16 {
		return 3e-6, 1e-6, 1e-5
	}
	u := 1.0 / 512
	if level.Split() {
		u /= 256
	}
	return 6 * u, 4 * u, 6 * u
}

func compareAttention(f *fixture, level native.Level, a native.Attention) {
	t := f.t
	naive, fast := f.cpu(2, native.Naive), f.cpu(3, level)
	rows, w, kvw := a.Q.Rows, a.Q.Cols, a.K.Cols
	o0, o1, lse0, lse1 := f.gapped(rows, w, 0), f.gapped(rows, w, 7), f.gapped(rows, a.Heads, 0), f.gapped(rows, a.Heads, 0)
	check(t, naive.Attention(a, o0, lse0))
	check(t, fast.Attention(a, o1, lse1))
	tolO, tolLSE, tolGrad := attentionTolerance(level)
	near(t, "o", o1, o0, tolO)
	near(t, "lse", lse1, lse0, tolLSE)
	dO := f.mat(rows, w, 5, 1)
	grads := func(c *native.CPU, o, lse native.Mat) []native.Mat {
		g := []native.Mat{f.gapped(rows, w, 0), f.gapped(rows, kvw, 0), f.gapped(rows, kvw, 0)}
		check(t, c.AttentionBack(a, o, lse, dO, g[0], g[1], g[2]))
		return g
	}
	g0, g1 := grads(naive, o0, lse0), grads(fast, o1, lse1)
	for i, name := range []string{"dq", "dk", "dv"} {
		near(t, name, g1[i], g0[i], tolGrad)
		if level != native.Naive {
			continue
		}
		numeric(t.(*testing.T), name, []native.Mat{a.Q, a.K, a.V}[i], g0[i], func() float64 {
			o := f.arena.Mark()
			defer f.arena.Release(o)
			y, l := f.gapped(rows, w, 0), f.gapped(rows, a.Heads, 0)
			check(t, naive.Attention(a, y, l))
			return weightedSum(y, dO)
		})
	}
}

func TestGatherScatterAddRow(t *testing.T) {
	levels(t, func(t *testing.T, level native.Level) {
		f := newFixture(t)
		c := f.cpu(2, level)
		x := f.mat(50, 33, 2, 1)
		ids := []int32{49, 0, 7, 8}
		y := f.gapped(len(ids), 33, 1)
		check(t, c.Gather(y, x, ids))
		z := f.arena.Mat(50, 33)
		clear(z.Slice())
		check(t, c.ScatterAdd(z, y, ids))
		z2 := f.gapped(50, 33, 3)
		check(t, c.Copy(z2, z))
		near(t, "copy", z2, z, 0)
		bias := f.mat(1, 33, 0, 1)
		check(t, c.AddRow(z, bias))
		for i := range 50 {
			for j := range 33 {
				want := at(bias, 0, j)
				if i == 49 || i == 0 || i == 7 || i == 8 {
					want = at(x, i, j) + at(bias, 0, j)
				}
				if got := at(z, i, j); got != want {
					t.Fatalf("(%d,%d) is %g, want %g", i, j, got, want)
				}
			}
		}
	})
}

// Operands that do not fit are refused before any memory is touched.
func TestRefusals(t *testing.T) {
	f := newFixture(t)
	c := f.cpu(1, native.Best)
	x, w, y := f.mat(4, 32, 0, 1), f.mat(8, 32, 0, 1), f.mat(4, 8, 0, 1)
	shape := []error{
		c.Gemm(y, false, native.Term{A: x, B: native.Float(w)}),
		c.Gemm(y, false),
		c.Gemm(x, false, native.Term{A: x, B: native.Float(w), Trans: true}),
		c.GemmTN(y, x, x, false),
		c.Embed(y, native.Float(w), []int32{1, 2, 3, 8}),
		c.Embed(x, native.Float(w), []int32{1, 2, 3, 8}),
		c.RMSNorm(x, x, y, 1e-5),
		c.Rope(x, y, 5, false, false),
		c.Gather(y, x, []int32{0, 1, 2, 3}),
		c.CrossEntropy(y, []int32{0, 1, 2, 8}, false, 1, nil, make([]float64, 4), make([]int32, 4)),
		c.Attention(native.Attention{Q: x, K: x, V: x, Start: []int32{0, 0, 2, 2}, Prefix: 3, Heads: 2, KV: 2, Dim: 16, Scale: 1}, w.Slab(0, 4), y.Columns(0, 2)),
		c.Attention(native.Attention{Q: x, K: x, V: x, Start: []int32{0, 0, 3, 2}, Heads: 2, KV: 2, Dim: 16, Scale: 1}, w.Slab(0, 4), y.Columns(0, 2)),
	}
	for i, err := range shape {
		if !errors.Is(err, native.ErrShape) {
			t.Errorf("call %d: %v, want %v", i, err, native.ErrShape)
		}
	}
	odd := native.Weight{Type: 3, Data: w.Data, Rows: 8, Cols: 33, RowBytes: 40}
	if err := c.Gemm(y, false, native.Term{A: f.mat(4, 33, 0, 1), B: odd, Trans: true}); !errors.Is(err, native.ErrType) {
		t.Errorf("33 columns of Q4_1: %v, want %v", err, native.ErrType)
	}
	if native.TypeOK(26, 32) || native.TypeOK(1000, 32) || !native.TypeOK(3, 64) {
		t.Error("TypeOK: I32 and unknown types must be refused, Q4_1 accepted")
	}
}

// Workers sleep when there is nothing to do.
func TestIdlePoolSleeps(t *testing.T) {
	f := newFixture(t)
	c := f.cpu(4, native.Best)
	x, w := f.mat(64, 64, 0, 1), f.mat(64, 64, 0, 1)
	check(t, c.Gemm(f.gapped(64, 64, 0), false, native.Term{A: x, B: native.Float(w)}))
	time.Sleep(20 * time.Millisecond)
	before := cpuTime(t)
	time.Sleep(300 * time.Millisecond)
	if used := cpuTime(t) - before; used > 100*time.Millisecond {
		t.Errorf("an idle pool used %v of CPU in 300 ms", used)
	}
}

func cpuTime(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	check(t, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
