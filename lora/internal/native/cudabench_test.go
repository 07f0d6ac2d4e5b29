//go:build cuda || cudaemu

package native_test

import (
	"fmt"
	"slices"
	"testing"
	"time"
	"unsafe"

	"cloister/lora/internal/native"
)

// What a card reaches, on the shapes of an 8B llama and rows of 2048 tokens:
//
//	make test-cuda, or NATIVE.test -test.run - -test.bench CUDA -test.benchtime 20x
//
// Figures on the emulation say nothing.

// benchCard is a card with matrices of zeros: speed does not depend on values, but for power.
type benchCard struct {
	*native.CUDA
	b   *testing.B
	mem []unsafe.Pointer
}

func newBenchCard(b *testing.B, precise bool) *benchCard {
	c, err := native.OpenCUDA(0, precise)
	check(b, err)
	return &benchCard{CUDA: c, b: b}
}

func (c *benchCard) close() {
	for _, p := range c.mem {
		c.Free(p)
	}
	c.Close()
}

func (c *benchCard) alloc(bytes int64) unsafe.Pointer {
	p, err := c.Alloc(bytes)
	check(c.b, err)
	c.mem = append(c.mem, p)
	return p
}

func (c *benchCard) mat(rows, cols int) native.Mat {
	m := native.Mat{Data: c.alloc(4 * int64(rows) * int64(cols)), Rows: rows, Cols: cols, Stride: cols}
	check(c.b, c.Zero(m))
	return m
}

func (c *benchCard) weight(ggmlType uint32, rows, cols int) native.Weight {
	row := native.RowBytes(ggmlType, cols)
	zero := native.Mat{Data: c.alloc(int64(row)*int64(rows) + 4), Rows: 1, Cols: (row*rows + 3) / 4, Stride: (row*rows + 3) / 4}
	check(c.b, c.Zero(zero))
	return native.Weight{Type: ggmlType, Data: zero.Data, Rows: rows, Cols: cols, RowBytes: row}
}

// measure reports TFLOP/s or GB/s of what f queues.
func (c *benchCard) measure(unit string, amount float64, f func() error) {
	check(c.b, f())
	check(c.b, c.Wait())
	c.b.ResetTimer()
	begin := time.Now()
	for range c.b.N {
		check(c.b, f())
	}
	check(c.b, c.Wait())
	c.b.ReportMetric(amount*float64(c.b.N)/time.Since(begin).Seconds(), unit)
}

// small is what the emulation can do at all.
func small(n int) int {
	if native.CUDAEmulated {
		return max(n/32, 32)
	}
	return n
}

func BenchmarkCUDAGemm(b *testing.B) {
	for _, s := range []struct {
		typeName string
		ggmlType uint32
		m, in, n int
	}{
		{"F16", 1, 2048, 4096, 4096}, {"Q4_K", 12, 2048, 4096, 4096}, {"Q4_K", 12, 2048, 4096, 14336}, {"Q4_K", 12, 2048, 14336, 4096},
		{"Q6_K", 14, 2048, 4096, 4096}, {"Q8_0", 8, 2048, 4096, 14336}, {"Q4_K", 12, 128, 4096, 128256}, {"F32", 0, 2048, 4096, 16},
	} {
		m, in, n := small(s.m), max(small(s.in)/256*256, 256), max(small(s.n), 256)
		for _, dir := range []string{"forward", "backward"} {
			b.Run(fmt.Sprintf("%s_%dx%dx%d_%s", s.typeName, s.m, s.in, s.n, dir), func(b *testing.B) {
				c := newBenchCard(b, false)
				defer c.close()
				w, rows, cols := c.weight(s.ggmlType, n, in), in, n
				if dir == "backward" {
					rows, cols = n, in
				}
				x, y, p := c.mat(m, rows), c.mat(m, cols), c.packed(m, rows)
				c.measure("TFLOP/s", 2*float64(m)*float64(in)*float64(n)/1e12, func() error {
					if err := c.Pack(p, x); err != nil {
						return err
					}
					return c.Gemm(y, false, native.Term{A: p, B: w, Trans: dir == "forward"})
				})
			})
		}
	}
}

func (c *benchCard) packed(rows, cols int) native.Mat {
	var count native.Arena
	m := c.Packed(&count, rows, cols)
	m.Data = c.alloc(count.Peak())
	return m
}

// BenchmarkCUDADequantise is a product with so few rows that dequantising is nearly all of it: GB/s of BF16 written.
func BenchmarkCUDADequantise(b *testing.B) {
	for _, ty := range types {
		if !native.CUDATypeOK(ty.id, 256) {
			continue
		}
		b.Run(ty.name, func(b *testing.B) {
			c := newBenchCard(b, false)
			defer c.close()
			n := max(small(4096), 256)
			w, x, y := c.weight(ty.id, n, n), c.mat(8, n), c.mat(8, n)
			c.measure("GB/s", 2*float64(n)*float64(n)/1e9, func() error { return c.Gemm(y, false, native.Term{A: x, B: w, Trans: true}) })
		})
	}
}

func BenchmarkCUDAGemmTN(b *testing.B) {
	c := newBenchCard(b, false)
	defer c.close()
	t, n := small(2048), small(14336)
	u, x, g := c.mat(t, 16), c.mat(t, n), c.mat(16, n)
	c.measure("GB/s", 4*float64(t)*float64(n)/1e9, func() error { return c.GemmTN(g, u, x, false) })
}

// BenchmarkCUDAAttention counts the products of the pairs that see each other, two forward and five backward: masked work, the
// parts of the forward pass, and what the backward pass computes twice lower the figure.
func BenchmarkCUDAAttention(b *testing.B) {
	tokens := small(2048)
	for _, s := range []struct{ heads, kv, dim int }{{32, 8, 128}, {32, 8, 64}, {8, 4, 256}} {
		for _, n := range []int{small(128), tokens} {
			for _, precise := range []bool{false, true} {
				a := (&fixture{}).starts(tokens, slices.Repeat([]int{n}, tokens/n))
				pairs := 0.0
				for i, start := range a {
					pairs += float64(i - int(start) + 1)
				}
				name := fmt.Sprintf("%dx%d/%d", s.heads, s.dim, n)
				if precise {
					name += "_float32"
				}
				for _, back := range []bool{false, true} {
					b.Run(fmt.Sprintf("%s_%s", name, map[bool]string{false: "forward", true: "backward"}[back]), func(b *testing.B) {
						c := newBenchCard(b, precise)
						defer c.close()
						at := native.Attention{Q: c.mat(tokens, s.heads*s.dim), K: c.mat(tokens, s.kv*s.dim), V: c.mat(tokens, s.kv*s.dim), Start: a,
							Heads: s.heads, KV: s.kv, Dim: s.dim, Scale: 0.1}
						o, lse := c.mat(tokens, s.heads*s.dim), c.mat(tokens, s.heads)
						dq, dk, dv := c.mat(tokens, s.heads*s.dim), c.mat(tokens, s.kv*s.dim), c.mat(tokens, s.kv*s.dim)
						flop := pairs * float64(s.heads*s.dim) / 1e12
						if back {
							c.measure("TFLOP/s", 10*flop, func() error { return c.AttentionBack(at, o, lse, o, dq, dk, dv) })
						} else {
							c.measure("TFLOP/s", 4*flop, func() error { return c.Attention(at, o, lse) })
						}
					})
				}
			}
		}
	}
}

func (*fixture) starts(t int, segments []int) []int32 {
	out := make([]int32, 0, t)
	for _, n := range segments {
		begin := int32(len(out))
		for range n {
			out = append(out, begin)
		}
	}
	for len(out) < t {
		out = append(out, int32(t-1))
	}
	return out
}

// BenchmarkCUDARows is what memory bounds: GB/s read and written.
func BenchmarkCUDARows(b *testing.B) {
	t, width, ffn, vocab := small(2048), small(4096), small(14336), small(128256)
	run := func(name string, bytes int, f func(c *benchCard) func() error) {
		b.Run(name, func(b *testing.B) {
			c := newBenchCard(b, false)
			defer c.close()
			c.measure("GB/s", float64(bytes)/1e9, f(c))
		})
	}
	run("rmsnorm", 8*t*width, func(c *benchCard) func() error {
		x, y, w := c.mat(t, width), c.mat(t, width), c.mat(1, width)
		return func() error { return c.RMSNorm(y, x, w, 1e-5) }
	})
	run("rmsnorm_back", 16*t*width, func(c *benchCard) func() error {
		x, y, d, w := c.mat(t, width), c.mat(t, width), c.mat(t, width), c.mat(1, width)
		return func() error { return c.RMSNormBack(d, y, x, w, 1e-5) }
	})
	run("rope", 8*t*width, func(c *benchCard) func() error {
		x, table := c.mat(t, width), c.mat(t, 128)
		return func() error { return c.Rope(x, table, 128, false, false) }
	})
	run("glu", 12*t*ffn, func(c *benchCard) func() error {
		x, y, z := c.mat(t, ffn), c.mat(t, ffn), c.mat(t, ffn)
		return func() error { return c.GLU(z, x, y, native.SiLU) }
	})
	run("glu_back", 20*t*ffn, func(c *benchCard) func() error {
		x, y, z := c.mat(t, ffn), c.mat(t, ffn), c.mat(t, ffn)
		return func() error { return c.GLUBack(x, y, z, x, y, native.SiLU) }
	})
	run("pack", 6*t*ffn, func(c *benchCard) func() error {
		x, p := c.mat(t, ffn), c.packed(t, ffn)
		return func() error { return c.Pack(p, x) }
	})
	run("add", 12*t*width, func(c *benchCard) func() error {
		x, y := c.mat(t, width), c.mat(t, width)
		return func() error { return c.Add(y, x) }
	})
	run("adamw", 28*t*width, func(c *benchCard) func() error {
		p, g, m, v := c.mat(t, width), c.mat(t, width), c.mat(t, width), c.mat(t, width)
		step := native.AdamW{Step: 1, Rate: 1e-4, Beta1: 0.9, Beta2: 0.999, Epsilon: 1e-8, Factor: 1}
		return func() error { return c.Update(step, p, g, m, v) }
	})
	run("cross_entropy", 16*128*vocab, func(c *benchCard) func() error {
		x, targets, loss, correct := c.mat(128, vocab), make([]int32, 128), make([]float64, 128), make([]int32, 128)
		return func() error { return c.CrossEntropy(x, targets, true, 1, nil, loss, correct) }
	})
}
