package native_test

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"

	"cloister/lora/internal/native"
)

// report gives GFLOP/s by the clock and by one core's CPU time; the second is
// what the kernel reaches when other programs share the machine.
func report(b *testing.B, flop float64, f func()) {
	f()
	b.ResetTimer()
	wall, cpu := time.Now(), processTime()
	for range b.N {
		f()
	}
	w, c := time.Since(wall).Seconds(), (processTime() - cpu).Seconds()
	b.ReportMetric(flop*float64(b.N)/w/1e9, "GFLOP/s")
	b.ReportMetric(flop*float64(b.N)/c/1e9, "GFLOP/s/core")
}

func processTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkGemm multiplies with frozen matrices of SmolLM2-135M and of an 8B
// model, forward (x·wᵀ) and backward (dy·w), the left operand packed in the
// time that is measured.
func BenchmarkGemm(b *testing.B) {
	for _, s := range []struct {
		typeName string
		ggmlType uint32
		m, in, n int
	}{
		{"Q4_1", 3, 1024, 576, 1536}, {"Q4_1", 3, 1024, 1536, 576}, {"Q4_1", 3, 1024, 576, 192}, {"Q4_1", 3, 256, 576, 1536},
		{"F32", 0, 1024, 576, 1536}, {"Q8_0", 8, 128, 576, 49152}, {"Q4_K", 12, 512, 4096, 4096}, {"Q6_K", 14, 512, 4096, 4096},
	} {
		for _, dir := range []string{"forward", "backward"} {
			b.Run(fmt.Sprintf("%s_%dx%dx%d_%s", s.typeName, s.m, s.in, s.n, dir), func(b *testing.B) {
				f := &fixture{t: b}
				check(b, f.arena.Reserve(1<<30))
				defer f.arena.Free()
				c, err := native.Open(runtime.NumCPU(), native.Best)
				check(b, err)
				defer c.Close()
				data := f.arena.Bytes(s.n * native.RowBytes(s.ggmlType, s.in))
				w := native.Weight{Type: s.ggmlType, Data: addr(data), Rows: s.n, Cols: s.in, RowBytes: len(data) / s.n}
				in, out := s.in, s.n
				if dir == "backward" {
					in, out = out, in
				}
				x, y, p := f.arena.Mat(s.m, in), f.arena.Mat(s.m, out), c.Packed(&f.arena, s.m, in)
				report(b, 2*float64(s.m)*float64(s.in)*float64(s.n), func() {
					check(b, c.Pack(p, x))
					check(b, c.Gemm(y, false, native.Term{A: p, B: w, Trans: dir == "forward"}))
				})
			})
		}
	}
}

func BenchmarkGemmTN(b *testing.B) {
	f := &fixture{t: b}
	check(b, f.arena.Reserve(1<<28))
	defer f.arena.Free()
	c, err := native.Open(runtime.NumCPU(), native.Best)
	check(b, err)
	defer c.Close()
	u, x, g := f.arena.Mat(1024, 16), f.arena.Mat(1024, 1536), f.arena.Mat(16, 1536)
	report(b, 2*1024*16*1536, func() { check(b, c.GemmTN(g, u, x, false)) })
}

// BenchmarkAttention is attention of SmolLM2-135M over 2048 tokens in segments
// of one length. What is counted are the products of the pairs that see each
// other, two forward and five backward, so masked work and computing scores
// twice lower the figure.
func BenchmarkAttention(b *testing.B) {
	const tokens, heads, kv, dim = 2048, 9, 3, 64
	for _, level := range native.Levels()[1:] {
		for _, n := range []int{52, 134, 512, 2048} {
			f := &fixture{t: b, rng: rand.New(rand.NewPCG(1, 2))}
			check(b, f.arena.Reserve(1<<27))
			c, err := native.Open(runtime.NumCPU(), level)
			check(b, err)
			a := f.attention(tokens, heads, kv, dim, slices.Repeat([]int{n}, tokens/n))
			o, lse, dO := f.mat(tokens, heads*dim, 0, 1), f.mat(tokens, heads, 0, 1), f.mat(tokens, heads*dim, 0, 1)
			dq, dk, dv := f.mat(tokens, heads*dim, 0, 1), f.mat(tokens, kv*dim, 0, 1), f.mat(tokens, kv*dim, 0, 1)
			pairs := 0.0
			for i, start := range a.Start {
				pairs += float64(i - int(start) + 1)
			}
			b.Run(fmt.Sprintf("%s/%d_forward", level, n), func(b *testing.B) {
				report(b, 4*pairs*heads*dim, func() { check(b, c.Attention(a, o, lse)) })
			})
			b.Run(fmt.Sprintf("%s/%d_backward", level, n), func(b *testing.B) {
				report(b, 10*pairs*heads*dim, func() { check(b, c.AttentionBack(a, o, lse, dO, dq, dk, dv)) })
			})
			c.Close()
			f.arena.Free()
		}
	}
}
