//go:build cuda || cudaemu

package native_test

import (
	"fmt"
	"testing"

	"cloister/lora/internal/native"
)

func TestCUDAGemmWeightTypes(t *testing.T) {
	cards(t, func(t *testing.T, c *card) {
		for _, ty := range types {
			if !native.CUDATypeOK(ty.id, ty.block) {
				continue
			}
			t.Run(ty.name, func(t *testing.T) {
				f := c.f
				mark := f.arena.Mark()
				defer f.arena.Release(mark)
				const m = 5
				in, out := 2*ty.block, 3*ty.block
				if ty.block < 256 {
					in, out = 5*64, 3*64 // what converters of 256 values do not divide
				}
				w, values := f.weight(ty.id, out, in)
				up := c.upWeight(w)
				x, dy := f.mat(m, in, 3, 1), f.mat(m, out, 1, 1)
				packed := c.packed(c.up(x))
				y, dx := f.gapped(m, out, 5), f.gapped(m, in, 0)
				terms := []native.Term{{A: x, B: w, Trans: true}}
				dev := c.up(y)
				check(t, c.Gemm(dev, false, native.Term{A: packed, B: up, Trans: true}))
				near(t, "x·wᵀ", c.down(dev), reference(f, c.level, y, false, terms, []native.Mat{x}, []native.Mat{values}), 3e-6)
				terms = []native.Term{{A: dy, B: w}}
				dev = c.up(dx)
				check(t, c.Gemm(dev, false, native.Term{A: c.up(dy), B: up}))
				near(t, "dy·w", c.down(dev), reference(f, c.level, dx, false, terms, []native.Mat{dy}, []native.Mat{values}), 3e-6)

				ids := []int32{int32(out - 1), 0, 3, 3}
				got := c.up(f.gapped(len(ids), in, 2))
				check(t, c.Embed(got, up, ids))
				want := f.gapped(len(ids), in, 2)
				check(t, f.cpu(1, native.Naive).Embed(want, w, ids))
				near(t, "embed", c.down(got), want, 1e-6)
			})
		}
	})
}

func TestCUDAGemmShapes(t *testing.T) {
	cards(t, func(t *testing.T, c *card) {
		for _, s := range []struct{ m, n, k, r int }{
			{1, 1, 1, 1}, {1, 16, 3, 2}, {5, 17, 64, 3}, {7, 48, 320, 8}, {13, 33, 321, 5}, {50, 100, 77, 16},
		} {
			f := c.f
			mark := f.arena.Mark()
			x, u := f.mat(s.m, s.k, 2, 1), f.mat(s.m, s.r, 0, 1)
			w, a := f.mat(s.n, s.k, 1, 1), f.mat(s.r, s.n, 4, 1)
			dx, du, dw, da := c.up(x), c.up(u), c.up(w), c.up(a)
			for _, left := range []native.Mat{dx, c.packed(dx)} {
				for _, add := range []bool{false, true} {
					y := f.mat(s.m, s.n, 3, 1)
					terms := []native.Term{{B: native.Float(w), Trans: true, Scale: 0.5}, {B: native.Float(a)}}
					want := reference(f, c.level, y, add, terms, []native.Mat{x, u}, []native.Mat{w, a})
					if !add {
						y = f.gapped(s.m, s.n, 3) // what was there must not matter
					}
					dev := c.up(y)
					check(t, c.Gemm(dev, add, native.Term{A: left, B: native.Float(dw), Trans: true, Scale: 0.5}, native.Term{A: du, B: native.Float(da)}))
					near(t, fmt.Sprint("sum ", s), c.down(dev), want, 3e-6)
					c.gapsStay("gemm", c.down(dev))
				}
			}
			f.arena.Release(mark)
		}
	})
}

// Operands that are copied and dequantised piece by piece, and heads that are done in turn.
func TestCUDAPieces(t *testing.T) {
	cards(t, func(t *testing.T, c *card) {
		f := c.f
		c.Limit(3000)
		w, values := f.weight(12, 21, 256)
		x, dy := f.mat(13, 256, 3, 1), f.mat(13, 21, 0, 1)
		up, dx := c.upWeight(w), c.up(x)
		for _, add := range []bool{false, true} {
			y, back := f.mat(13, 21, 1, 1), f.mat(13, 256, 0, 1)
			terms := []native.Term{{Trans: true}}
			want := reference(f, c.level, y, add, terms, []native.Mat{x}, []native.Mat{values})
			dev := c.up(y)
			check(t, c.Gemm(dev, add, native.Term{A: dx, B: up, Trans: true}))
			near(t, "x·wᵀ", c.down(dev), want, 3e-6)
			want = reference(f, c.level, back, add, []native.Term{{}}, []native.Mat{dy}, []native.Mat{values})
			dev = c.up(back)
			check(t, c.Gemm(dev, add, native.Term{A: c.up(dy), B: up}))
			near(t, "dy·w", c.down(dev), want, 3e-6)
		}
		g := f.mat(21, 256, 0, 1)
		want := f.clone(g)
		for i := range 21 {
			for j := range 256 {
				sum := float64(at(g, i, j))
				for l := range 13 {
					sum += product(c.level, float64(at(dy, l, i)), float64(at(x, l, j)))
				}
				set(want, i, j, float32(sum))
			}
		}
		dg := c.up(g)
		check(t, c.GemmTN(dg, c.up(dy), dx, false))
		near(t, "uᵀx", c.down(dg), want, 3e-6)
		ids := []int32{20, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 20, 3}
		rows, got := f.mat(13, 256, 1, 1), c.up(f.gapped(13, 256, 1))
		check(t, f.cpu(1, native.Naive).Embed(rows, w, ids))
		check(t, c.Embed(got, up, ids))
		near(t, "embed", c.down(got), rows, 1e-6)
		c.attend(f.attention(40, 6, 3, 32, []int{20}))
	})
}

func TestCUDAGemmTN(t *testing.T) {
	cards(t, func(t *testing.T, c *card) {
		for _, s := range []struct{ t, r, n int }{{1, 1, 1}, {5, 3, 17}, {300, 16, 130}, {257, 7, 64}} {
			f := c.f
			u, x := f.mat(s.t, s.r, 1, 1), f.mat(s.t, s.n, 2, 1)
			g, gt := f.mat(s.r, s.n, 3, 1), f.mat(s.n, s.r, 1, 1)
			want, wantT := f.clone(g), f.clone(gt)
			for i := range s.r {
				for j := range s.n {
					var sum float64
					for l := range s.t {
						sum += product(c.level, float64(at(u, l, i)), float64(at(x, l, j)))
					}
					set(want, i, j, float32(float64(at(g, i, j))+sum))
					set(wantT, j, i, float32(float64(at(gt, j, i))+sum))
				}
			}
			du, dx := c.up(u), c.up(x)
			for _, left := range []native.Mat{du, c.packed(du)} {
				for _, right := range []native.Mat{dx, c.packed(dx)} {
					dg, dgt := c.up(g), c.up(gt)
					check(t, c.GemmTN(dg, left, right, false))
					check(t, c.GemmTN(dgt, left, right, true))
					near(t, fmt.Sprint("uᵀx ", s), c.down(dg), want, 3e-6)
					near(t, fmt.Sprint("xᵀu ", s), c.down(dgt), wantT, 3e-6)
				}
			}
		}
	})
}

func TestCUDAAttention(t *testing.T) {
	for _, s := range []struct {
		t, heads, kv, dim int
		segments          []int
		window            int
		prefix            int
	}{
		{1, 1, 1, 32, nil, 0, 0}, {5, 2, 1, 16, nil, 0, 0}, {130, 3, 1, 64, nil, 0, 0}, {193, 4, 2, 32, []int{1, 2, 60, 100}, 0, 0},
		{130, 2, 2, 48, []int{65, 64}, 0, 0}, {200, 4, 2, 16, []int{150}, 33, 0}, {97, 2, 1, 24, []int{40, 20}, 0, 0},
		{75, 3, 3, 128, []int{10, 10, 10}, 0, 0}, {70, 2, 1, 80, []int{30}, 0, 0}, {70, 2, 1, 160, []int{30}, 0, 0}, {70, 1, 1, 256, []int{50}, 0, 0},
		// The first segment is a prefix that all others see.
		{140, 4, 2, 16, []int{24, 30, 1, 50}, 0, 24}, {200, 2, 1, 32, []int{70, 3, 100}, 0, 70}, {90, 3, 3, 64, []int{16, 20}, 0, 16},
		{60, 2, 1, 24, []int{7, 20, 30}, 0, 7}, {33, 1, 1, 16, []int{33}, 0, 33},
	} {
		t.Run(fmt.Sprint(s), func(t *testing.T) {
			cards(t, func(t *testing.T, c *card) {
				a := c.f.attention(s.t, s.heads, s.kv, s.dim, s.segments)
				a.Prefix = s.prefix
				for i := range a.Start {
					if s.window > 0 {
						a.Start[i] = max(a.Start[i], int32(i-s.window+1))
					}
				}
				c.attend(a)
			})
		})
	}
}

// attend compares attention on the card with the naive one, within what attentionTolerance says of such operands.
func (c *card) attend(a native.Attention) {
	f, t, naive := c.f, c.t, c.f.cpu(2, native.Naive)
	tolO, tolLSE, _ := attentionTolerance(native.AMXBF16x3) // operands in two parts
	_, _, tolGrad := attentionTolerance(native.AVX512BF16)
	if c.float {
		tolO, tolLSE, tolGrad = attentionTolerance(native.Naive)
	}
	rows, w, kvw := a.Q.Rows, a.Q.Cols, a.K.Cols
	o, lse, dO := f.gapped(rows, w, 0), f.gapped(rows, a.Heads, 0), f.mat(rows, w, 5, 1)
	check(t, naive.Attention(a, o, lse))
	on := a
	on.Q, on.K, on.V = c.up(a.Q), c.up(a.K), c.up(a.V)
	do, dl := c.up(f.gapped(rows, w, 7)), c.up(f.gapped(rows, a.Heads, 0))
	check(t, c.Attention(on, do, dl))
	near(t, "o", c.down(do), o, tolO)
	near(t, "lse", c.down(dl), lse, tolLSE)
	c.gapsStay("attention", c.down(do))
	want := []native.Mat{f.gapped(rows, w, 0), f.gapped(rows, kvw, 0), f.gapped(rows, kvw, 0)}
	check(t, naive.AttentionBack(a, o, lse, dO, want[0], want[1], want[2]))
	got := []native.Mat{c.up(f.gapped(rows, w, a.Q.Stride-w)), c.up(f.gapped(rows, kvw, a.K.Stride-kvw)), c.up(f.gapped(rows, kvw, a.V.Stride-kvw))}
	check(t, c.AttentionBack(on, do, dl, c.up(dO), got[0], got[1], got[2]))
	if rows == 1 && !c.float { // o has two parts and dp one, so what should be 0 is the rounding of v, as near reads it for values of 0.1
		tolGrad *= 10
	}
	for i, name := range []string{"dq", "dk", "dv"} {
		near(t, name, c.down(got[i]), want[i], tolGrad)
	}
}
