//go:build cuda || cudaemu

package native_test

import (
	"errors"
	"fmt"
	"math"
	"testing"
	"unsafe"

	"cloister/lora/internal/native"
)

// The contract of CUDA: every kernel does what native.CPU's does, on the same
// inputs. The same tests run on the emulation (tag cudaemu) and on a card (tag
// cuda, make test-cuda), there on larger sizes as well.

// card is a device to test, and what its products round to.
type card struct {
	t testing.TB
	f *fixture
	*native.CUDA
	level native.Level // whose rounding reference() takes for its products
	float bool         // attention is in float
	mem   []unsafe.Pointer
}

// cards runs f for every kind of card: precise and rounding, and the emulated one without tensor cores.
func cards(t *testing.T, f func(t *testing.T, c *card)) {
	for _, k := range []struct {
		name    string
		index   int
		precise bool
	}{{"float32", 0, true}, {"bf16", 0, false}, {"bf16 without tensor cores", 1, false}} {
		if k.index > 0 && !native.CUDAEmulated {
			continue
		}
		t.Run(k.name, func(t *testing.T) { f(t, openCard(t, k.index, k.precise)) })
	}
}

func openCard(t testing.TB, index int, precise bool) *card {
	t.Helper()
	found, err := native.CUDADevices()
	check(t, err)
	if len(found) == 0 {
		t.Skip("there is no card, or no driver, on this machine")
	}
	c, err := native.OpenCUDA(index, precise)
	check(t, err)
	k := &card{t: t, f: newFixture(t), CUDA: c, level: native.AVX512BF16, float: index == 1 || precise}
	if precise {
		k.level = native.Naive
	}
	t.Cleanup(func() {
		for _, p := range k.mem {
			c.Free(p)
		}
		c.Close()
	})
	return k
}

func (c *card) alloc(bytes int64) unsafe.Pointer {
	c.t.Helper()
	p, err := c.Alloc(bytes)
	check(c.t, err)
	c.mem = append(c.mem, p)
	return p
}

// whole is m with the gaps between its rows, as bytes.
func whole(m native.Mat) []byte {
	n := (m.Rows-1)*m.Stride + m.Cols
	return unsafe.Slice((*byte)(m.Data), 4*n)
}

// up copies m and its gaps to the card; down copies them back.
func (c *card) up(m native.Mat) native.Mat {
	c.t.Helper()
	b := whole(m)
	p := c.alloc(int64(len(b)))
	check(c.t, c.Put(p, b))
	return native.Mat{Data: p, Rows: m.Rows, Cols: m.Cols, Stride: m.Stride}
}

func (c *card) down(m native.Mat) native.Mat {
	c.t.Helper()
	out := c.f.gapped(m.Rows, m.Cols, m.Stride-m.Cols)
	check(c.t, c.Get(whole(out), m.Data))
	return out
}

func (c *card) upWeight(w native.Weight) native.Weight {
	c.t.Helper()
	b := unsafe.Slice((*byte)(w.Data), (w.Rows-1)*w.RowBytes+native.RowBytes(w.Type, w.Cols))
	p := c.alloc(int64(len(b)))
	check(c.t, c.Put(p, b))
	w.Data = p
	return w
}

func (c *card) packed(x native.Mat) native.Mat {
	c.t.Helper()
	var count native.Arena
	c.Packed(&count, x.Rows, x.Cols)
	m := c.Packed(new(native.Arena), x.Rows, x.Cols)
	m.Data = c.alloc(count.Peak())
	check(c.t, c.Pack(m, x))
	return m
}

// table is what CPU and CUDA have in common.
type table interface {
	Copy(dst, x native.Mat) error
	Gather(dst, x native.Mat, ids []int32) error
	ScatterAdd(dst, x native.Mat, ids []int32) error
	AddRow(x, row native.Mat) error
	RMSNorm(dst, x, w native.Mat, eps float32) error
	RMSNormBack(dx, dy, x, w native.Mat, eps float32) error
	Rope(x, table native.Mat, dim int, neox, inverse bool) error
	GLU(dst, gate, up native.Mat, act native.Activation) error
	GLUBack(dGate, dUp, d, gate, up native.Mat, act native.Activation) error
	Add(dst, x native.Mat) error
	ScaleRows(x, w native.Mat) error
	DotRows(dst, x, y native.Mat) error
	SoftCap(x native.Mat, limit float32) error
	SoftCapBack(d, y native.Mat, limit float32) error
	CrossEntropy(logits native.Mat, targets []int32, grad bool, scale float32, weights []float32, loss []float64, correct []int32) error
	TopK(logits native.Mat, s *native.Soft) error
	Distill(logits native.Mat, targets []int32, s *native.Soft, grad bool, scale float32, loss, kl []float64, correct []int32) error
}

var _ table = (*native.CPU)(nil)

// same runs a kernel on the naive CPU and on the card, over the same matrices,
// and compares all of them, with their gaps, afterwards.
func (c *card) same(what string, tol float64, mats []native.Mat, run func(k table, m []native.Mat) error) {
	c.t.Helper()
	host, device := make([]native.Mat, len(mats)), make([]native.Mat, len(mats))
	for i, m := range mats {
		device[i] = c.up(m)
		host[i] = c.f.clone(m)
	}
	check(c.t, run(c.f.cpu(1, native.Naive), host))
	check(c.t, run(c.CUDA, device))
	for i := range mats {
		got := c.down(device[i])
		near(c.t, fmt.Sprintf("%s, matrix %d", what, i), got, host[i], tol)
		c.gapsStay(what, got)
	}
}

func (c *card) gapsStay(what string, m native.Mat) {
	c.t.Helper()
	for i := range m.Rows - 1 {
		gap := m
		gap.Cols = m.Stride
		for _, v := range row(gap.Slab(i, i+1), 0)[m.Cols:] {
			if !math.IsNaN(float64(v)) {
				c.t.Fatalf("%s writes between the rows", what)
			}
		}
	}
}

func TestCUDARows(t *testing.T) {
	c := openCard(t, 0, false)
	f := c.f
	for _, n := range append(widths, 1025, 3000) {
		mark := f.arena.Mark()
		x, w, y := f.mat(19, n, 3, 2), f.mat(1, n, 0, 1), f.mat(19, n, 1, 1)
		c.same("rmsnorm", 2e-6, []native.Mat{f.gapped(19, n, 2), x, w}, func(k table, m []native.Mat) error {
			if k == table(c.CUDA) {
				m[0] = c.up(f.gapped(19, n, 2))
			}
			return k.RMSNorm(m[0], m[1], m[2], 1e-5)
		})
		c.same("rmsnorm_back", 3e-6, []native.Mat{f.mat(19, n, 2, 1), y, x, w}, func(k table, m []native.Mat) error {
			return k.RMSNormBack(m[0], m[1], m[2], m[3], 1e-5)
		})
		c.same("dot_rows", 3e-6, []native.Mat{f.mat(19, 1, 0, 1), x, y}, func(k table, m []native.Mat) error { return k.DotRows(m[0], m[1], m[2]) })
		c.same("add", 0, []native.Mat{x, y}, func(k table, m []native.Mat) error { return k.Add(m[0], m[1]) })
		c.same("copy", 0, []native.Mat{x, y}, func(k table, m []native.Mat) error { return k.Copy(m[0], m[1]) })
		c.same("add_row", 0, []native.Mat{x, w}, func(k table, m []native.Mat) error { return k.AddRow(m[0], m[1]) })
		c.same("scale_rows", 0, []native.Mat{x, f.mat(19, 1, 0, 1)}, func(k table, m []native.Mat) error { return k.ScaleRows(m[0], m[1]) })
		c.same("softcap", 1e-6, []native.Mat{x}, func(k table, m []native.Mat) error { return k.SoftCap(m[0], 1.5) })
		c.same("softcap_back", 1e-6, []native.Mat{x, y}, func(k table, m []native.Mat) error { return k.SoftCapBack(m[0], m[1], 1.5) })
		ids := []int32{18, 0, 7, 8}
		c.same("gather", 0, []native.Mat{f.mat(4, n, 1, 1), x}, func(k table, m []native.Mat) error { return k.Gather(m[0], m[1], ids) })
		c.same("scatter_add", 0, []native.Mat{x, f.mat(4, n, 2, 1)}, func(k table, m []native.Mat) error { return k.ScatterAdd(m[0], m[1], ids) })
		for _, m := range []native.Mat{x, f.mat(19, n, 0, 1)} {
			d := c.up(m)
			check(t, c.Scale(d, 1.5))
			want := f.clone(m)
			for i := range m.Rows {
				for j, v := range row(m, i) {
					set(want, i, j, v*1.5)
				}
			}
			near(t, "scale", c.down(d), want, 0)
			check(t, c.Zero(d))
			z := c.down(d)
			c.gapsStay("zero", z)
			for i := range z.Rows {
				for _, v := range row(z, i) {
					if v != 0 {
						t.Fatal("zero leaves something")
					}
				}
			}
		}
		f.arena.Release(mark)
	}
}

func TestCUDAGLU(t *testing.T) {
	c := openCard(t, 0, false)
	f := c.f
	for _, act := range []native.Activation{native.SiLU, native.GELU} {
		gate, up, d := f.mat(7, 1001, 0, 3), f.mat(7, 1001, 0, 1), f.mat(7, 1001, 0, 1)
		gate.Slice()[0], gate.Slice()[1], gate.Slice()[2] = 200, -200, 0
		c.same("glu", 1e-6, []native.Mat{f.mat(7, 1001, 0, 1), gate, up}, func(k table, m []native.Mat) error { return k.GLU(m[0], m[1], m[2], act) })
		c.same("glu_back", 1e-6, []native.Mat{d, gate, up}, func(k table, m []native.Mat) error { return k.GLUBack(m[1], m[2], m[0], m[1], m[2], act) })
	}
}

func TestCUDARope(t *testing.T) {
	c := openCard(t, 0, false)
	f := c.f
	for i, neox := range []bool{false, true, false, true, false, true} {
		dim, half := []int{16, 64, 40}[i/2], []int{6, 32, 16}[i/2]
		for _, inverse := range []bool{false, true} {
			c.same("rope", 1e-6, []native.Mat{f.mat(37, 3*dim, 5, 1), f.mat(37, 2*half, 0, 1)}, func(k table, m []native.Mat) error {
				return k.Rope(m[0], m[1], dim, neox, inverse)
			})
		}
	}
}

func TestCUDACrossEntropy(t *testing.T) {
	c := openCard(t, 0, false)
	f := c.f
	for _, n := range []int{2, 7, 513, 5000} {
		x := f.mat(11, n, 3, 4)
		set(x, 1, 0, 90) // a tie: the first of the largest counts
		set(x, 1, n-1, 90)
		targets, weights := make([]int32, 11), make([]float32, 11)
		for i := range targets {
			targets[i], weights[i] = int32(f.rng.IntN(n)), float32(f.rng.NormFloat64())
		}
		targets[1], targets[2] = 0, int32(n-1)
		for _, w := range [][]float32{nil, weights} {
			for _, grad := range []bool{true, false} {
				var loss [][]float64
				var correct [][]int32
				c.same("cross_entropy", 1e-6, []native.Mat{x}, func(k table, m []native.Mat) error {
					loss, correct = append(loss, make([]float64, 11)), append(correct, make([]int32, 11))
					return k.CrossEntropy(m[0], targets, grad, 0.25, w, loss[len(loss)-1], correct[len(correct)-1])
				})
				for i := range loss[0] {
					if !(math.Abs(loss[0][i]-loss[1][i]) < 1e-5) || correct[0][i] != correct[1][i] {
						t.Errorf("%d tokens, row %d: loss %g and %d, want %g and %d", n, i, loss[1][i], correct[1][i], loss[0][i], correct[0][i])
					}
				}
			}
		}
	}
}

func TestCUDASoft(t *testing.T) {
	c := openCard(t, 0, false)
	f := c.f
	for _, s := range []struct {
		n, k        int
		temp, alpha float32
	}{{5, 1, 1, 0.5}, {63, 8, 2, 0}, {1000, 64, 0.5, 0.3}, {3000, 33, 3, 1}, {40, 39, 1, 0.1}, {6, 6, 1, 0.5}} {
		const rows = 5
		x := f.mat(rows, s.n, 3, 3)
		set(x, 1, s.n-1, 50) // a tie for the first place
		set(x, 1, 0, 50)
		for j := range s.n {
			set(x, 2, j, 1) // nothing but ties
		}
		want, got := newSoft(rows, s.k, s.temp, s.alpha), newSoft(rows, s.k, s.temp, s.alpha)
		check(t, f.cpu(1, native.Naive).TopK(f.clone(x), want))
		check(t, c.TopK(c.up(x), got))
		for i := range want.IDs {
			if want.IDs[i] != got.IDs[i] || !(math.Abs(float64(want.LogP[i]-got.LogP[i])) < 1e-5) {
				t.Fatalf("%v: place %d is %d with %g, want %d with %g", s, i, got.IDs[i], got.LogP[i], want.IDs[i], want.LogP[i])
			}
		}
		for i := range want.Rest {
			if !(math.Abs(math.Exp(float64(want.Rest[i]))-math.Exp(float64(got.Rest[i]))) < 1e-6) {
				t.Errorf("%v: the rest of row %d is %g, want %g", s, i, got.Rest[i], want.Rest[i])
			}
		}
		student := f.mat(rows, s.n, 2, 2)
		for _, grad := range []bool{false, true} {
			sides := map[bool][3][]float64{}
			m := []native.Mat{student}
			if !grad {
				m = nil // what is left of the logits is of no use
			}
			run := func(k table, m []native.Mat) error {
				at := f.clone(student)
				if k == table(c.CUDA) {
					at = c.up(student)
				}
				if grad {
					at = m[0]
				}
				loss, kl, correct := make([]float64, rows), make([]float64, rows), make([]int32, rows)
				err := k.Distill(at, []int32{0, 1, int32(s.n - 1), 2, 3}, want, grad, 0.25, loss, kl, correct)
				hits := make([]float64, rows)
				for i, v := range correct {
					hits[i] = float64(v)
				}
				sides[k == table(c.CUDA)] = [3][]float64{loss, kl, hits}
				return err
			}
			c.same("distill", 2e-6, m, run)
			for i := range 3 {
				for j := range rows {
					if a, b := sides[false][i][j], sides[true][i][j]; !(math.Abs(a-b) <= 2e-5*(1+math.Abs(a))) {
						t.Errorf("%v: figure %d of row %d is %g, want %g", s, i, j, b, a)
					}
				}
			}
		}
	}
}

func TestCUDANoise(t *testing.T) {
	c := openCard(t, 0, false)
	f := c.f
	mix := func(x uint64) uint64 {
		x += 0x9e3779b97f4a7c15
		x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
		x = (x ^ x>>27) * 0x94d049bb133111eb
		return x ^ x>>31
	}
	for _, n := range []int{1, 7, 64, 1030} {
		keys, bounds := []uint64{1, math.MaxUint64, 1 << 40}, []float64{0.1, 3, 0}
		const limit = 6554
		x, y := f.mat(3, n, 1, 1), f.mat(3, n, 2, 1)
		for _, add := range []bool{false, true} {
			want := f.clone(y)
			for i, key := range keys {
				for j, v := range row(x, i) {
					if mix(key+uint64(j&^3))>>(16*(j%4))%65536 < limit {
						v = 0
					}
					v *= float32(65536 / (65536 - float64(limit)))
					if add {
						v += at(y, i, j)
					}
					set(want, i, j, v)
				}
			}
			got := c.up(y)
			check(t, c.Drop(got, c.up(x), keys, limit, add))
			near(t, "drop", c.down(got), want, 0)
		}
		want := f.clone(x)
		for i, key := range keys {
			for j := range n {
				unit := float64(mix(key+uint64(j))>>11) / (1 << 53)
				set(want, i, j, at(x, i, j)+float32(bounds[i]*(2*unit-1)))
			}
		}
		got := c.up(x)
		check(t, c.Noise(got, keys, bounds))
		near(t, "noise", c.down(got), want, 0)
	}
}

func TestCUDAOptimiser(t *testing.T) {
	c := openCard(t, 0, false)
	f := c.f
	for _, n := range []int{1, 9, 1500} {
		m := []native.Mat{f.mat(3, n, 0, 1), f.mat(3, n, 0, 1), f.mat(3, n, 0, 0.1), f.mat(3, n, 0, 0.1)}
		for i := range m[3].Slice() {
			m[3].Slice()[i] *= m[3].Slice()[i]
		}
		d := []native.Mat{c.up(m[0]), c.up(m[1]), c.up(m[2]), c.up(m[3])}
		step := native.AdamW{Step: 3, Rate: 1e-2, Beta1: 0.9, Beta2: 0.999, Epsilon: 1e-8, Decay: 0.1, Factor: 0.5}
		check(t, step.Update(m[0].Slice(), m[1].Slice(), m[2].Slice(), m[3].Slice()))
		check(t, c.Update(step, d[0], d[1], d[2], d[3]))
		for i := range m {
			near(t, fmt.Sprintf("adamw %d", i), c.down(d[i]), m[i], 1e-6)
		}
		for _, gap := range []int{0, 3} {
			x := f.mat(70, n, gap, 1)
			want := 0.0
			for i := range x.Rows {
				for _, v := range row(x, i) {
					want += float64(v) * float64(v)
				}
			}
			got, err := c.SumSquares(c.up(x))
			check(t, err)
			again, err := c.SumSquares(c.up(x))
			check(t, err)
			if !(math.Abs(got-want) < 1e-10*want) || got != again {
				t.Errorf("sum of squares is %g and %g, want %g", got, again, want)
			}
		}
	}
}

// What a plan counts is what calls take.
func TestCUDAPlan(t *testing.T) {
	cards(t, func(t *testing.T, c *card) {
		f := c.f
		plan := native.PlanCUDA(c.level == native.Naive)
		if plan.Scratch() != c.Scratch() {
			t.Fatalf("planned %d bytes, a fresh card has %d", plan.Scratch(), c.Scratch())
		}
		agree := func(what string, err, planned error) {
			t.Helper()
			check(t, err)
			check(t, planned)
			if plan.Scratch() != c.Scratch() {
				t.Errorf("%s: planned %d bytes, the card has %d", what, plan.Scratch(), c.Scratch())
			}
		}
		att := f.attention(90, 4, 2, 32, []int{50})
		o, lse := c.up(f.gapped(90, 128, 0)), c.up(f.gapped(90, 4, 0))
		on := att
		on.Q, on.K, on.V = c.up(att.Q), c.up(att.K), c.up(att.V)
		agree("attention", c.Attention(on, o, lse), plan.Attention(att, o, lse))
		dq, dk, dv := c.up(f.gapped(90, 128, att.Q.Stride-128)), c.up(f.gapped(90, 64, att.K.Stride-64)), c.up(f.gapped(90, 64, att.V.Stride-64))
		agree("attention_back", c.AttentionBack(on, o, lse, o, dq, dk, dv), plan.AttentionBack(att, o, lse, o, dq, dk, dv))
		u, x := f.mat(600, 30, 0, 1), f.mat(600, 70, 0, 1)
		agree("gemm_tn", c.GemmTN(c.up(f.mat(30, 70, 0, 1)), c.up(u), c.up(x), false), plan.GemmTN(f.mat(30, 70, 0, 1), u, x, false))
		w, _ := f.weight(12, 300, 512)
		a := f.mat(9, 512, 0, 1)
		term := native.Term{A: c.up(a), B: c.upWeight(w), Trans: true}
		agree("gemm", c.Gemm(c.up(f.mat(9, 300, 0, 1)), false, term), plan.Gemm(f.mat(9, 300, 0, 1), false, native.Term{A: a, B: w, Trans: true}))
		agree("embed", c.Embed(c.up(f.mat(9, 512, 0, 1)), c.upWeight(w), make([]int32, 9)), plan.Embed(a, w, nil))
	})
}

// A whole pass over larger sizes, on a card only: the emulation would take minutes.
func TestCUDALarge(t *testing.T) {
	if native.CUDAEmulated {
		t.Skip("for a card")
	}
	cards(t, func(t *testing.T, c *card) {
		f := c.f
		for _, s := range []struct{ t, heads, kv, dim int }{{700, 8, 2, 64}, {600, 4, 1, 128}} {
			c.attend(f.attention(s.t, s.heads, s.kv, s.dim, []int{300, 150}))
		}
		w, values := f.weight(12, 1024, 2048)
		x := f.mat(300, 2048, 0, 1)
		y := c.up(f.gapped(300, 1024, 0))
		check(t, c.Gemm(y, false, native.Term{A: c.up(x), B: c.upWeight(w), Trans: true}))
		terms := []native.Term{{A: x, B: w, Trans: true}}
		near(t, "x·wᵀ", c.down(y), reference(f, c.level, f.gapped(300, 1024, 0), false, terms, []native.Mat{x}, []native.Mat{values}), 1e-5)
	})
}

// Copies beside the kernels: what was saved comes back, though the kernels write over it meanwhile, after Join.
func TestCUDAAside(t *testing.T) {
	c := openCard(t, 0, false)
	const layers, n = 5, 3000
	var kept [layers]unsafe.Pointer
	var want [layers]native.Mat
	x := c.up(c.f.mat(1, n, 0, 1))
	for i := range layers {
		p, err := c.Pin(4 * n)
		check(t, err)
		defer c.Unpin(p)
		check(t, c.Scale(x, -1.5))
		kept[i] = p
		ticket, err := c.SaveAside(p, x.Data, 4*n)
		check(t, err)
		check(t, c.Join(ticket))
		want[i] = c.f.gapped(1, n, 0)
		if i == 0 {
			want[i] = c.down(x)
			continue
		}
		for j, v := range want[i-1].Slice() {
			want[i].Slice()[j] = -1.5 * v
		}
	}
	back := []native.Mat{c.up(c.f.mat(1, n, 0, 1)), c.up(c.f.mat(1, n, 0, 1))}
	ticket, err := c.FetchAside(back[0].Data, kept[layers-1], 4*n)
	check(t, err)
	for i := layers - 1; i >= 0; i-- { // one ahead, as a backward pass would
		now := back[(layers-1-i)%2]
		check(t, c.Join(ticket))
		if i > 0 {
			ticket, err = c.FetchAside(back[(layers-i)%2].Data, kept[i-1], 4*n)
			check(t, err)
		}
		near(t, fmt.Sprint("layer ", i), c.down(now), want[i], 0)
		check(t, c.Scale(now, 0))
	}
	if err := c.Join(ticket); !errors.Is(err, native.ErrShape) {
		t.Errorf("a ticket joined twice: %v, want %v", err, native.ErrShape)
	}
}

func TestCUDARefusals(t *testing.T) {
	c := openCard(t, 0, false)
	f := c.f
	x, w, y := c.up(f.mat(4, 32, 0, 1)), c.up(f.mat(8, 32, 0, 1)), c.up(f.mat(4, 8, 0, 1))
	for i, err := range []error{
		c.Gemm(y, false, native.Term{A: x, B: native.Float(w)}),
		c.Gemm(y, false),
		c.GemmTN(y, x, x, false),
		c.Embed(y, native.Float(w), []int32{1, 2, 3, 8}),
		c.Embed(x, native.Float(w), []int32{1, 2, 3, 8}),
		c.RMSNorm(x, x, y, 1e-5),
		c.Rope(x, y, 5, false, false),
		c.Gather(y, x, []int32{0, 1, 2, 3}),
		c.CrossEntropy(y, []int32{0, 1, 2, 8}, false, 1, nil, make([]float64, 4), make([]int32, 4)),
		c.Attention(native.Attention{Q: x, K: x, V: x, Start: []int32{0, 0, 2, 2}, Prefix: 3, Heads: 2, KV: 2, Dim: 16, Scale: 1}, w.Slab(0, 4), y.Columns(0, 2)),
		c.Attention(native.Attention{Q: x, K: x, V: x, Start: []int32{0, 0, 3, 2}, Heads: 2, KV: 2, Dim: 16, Scale: 1}, w.Slab(0, 4), y.Columns(0, 2)),
		c.Drop(x, x, []uint64{1}, 5, false),
		c.Noise(x, nil, nil),
	} {
		if !errors.Is(err, native.ErrShape) {
			t.Errorf("call %d: %v, want %v", i, err, native.ErrShape)
		}
	}
	ternary := native.Weight{Type: ternary, Data: w.Data, Rows: 8, Cols: 256, RowBytes: native.RowBytes(ternary, 256)}
	if err := c.Gemm(y, false, native.Term{A: f.mat(4, 256, 0, 1), B: ternary, Trans: true}); !errors.Is(err, native.ErrType) {
		t.Errorf("TQ2_0, which no card dequantises: %v, want %v", err, native.ErrType)
	}
	if _, err := native.OpenCUDA(99, false); !errors.Is(err, native.ErrDevice) {
		t.Errorf("card 99: %v, want %v", err, native.ErrDevice)
	}
	if _, err := c.Alloc(1 << 50); !errors.Is(err, native.ErrMemory) {
		t.Errorf("a pebibyte: %v, want %v", err, native.ErrMemory)
	}
	check(t, c.Zero(x)) // and the card goes on
	list, err := native.CUDADevices()
	check(t, err)
	if len(list) == 0 || list[0].Total <= 0 || list[0].Name == "" || list[0].Major < 5 {
		t.Errorf("cards: %+v", list)
	}
}
