// Package bench measures what the kernels of training reach on this machine,
// level by level and beside ggml's, and writes models of random weights to
// measure on. It is for the command line and shares no state; a run takes all
// cores that it is given.
package bench

import (
	"context"
	"runtime"
	"time"
	"unsafe"

	"cloister/llama/gguf"
	"cloister/lora/internal/native"
)

// Product is the speed of one product with a frozen matrix [Out × In], in
// GFLOP/s, dequantising and packing included.
type Product struct {
	Kernels  string  `json:"kernels"` // a level of ours, or "ggml"
	Type     string  `json:"type"`    // of the matrix
	Rows     int     `json:"rows"`    // tokens
	In       int     `json:"in"`
	Out      int     `json:"out"`
	Forward  float64 `json:"forward"`  // x [Rows × In] · Wᵀ
	Backward float64 `json:"backward"` // dy [Rows × Out] · W; 0 for ggml, which has none for quantised matrices
}

// Products are those of a layer of SmolLM2-135M and of an 8B Llama.
var products = []struct {
	typ           gguf.Type
	rows, in, out int
}{
	{gguf.Q4_1, 1024, 576, 1536}, {gguf.Q4_1, 256, 1536, 576}, {gguf.BF16, 1024, 576, 1536}, {gguf.Q8_0, 512, 4096, 4096},
	{gguf.Q4_K, 512, 4096, 4096}, {gguf.Q6_K, 512, 4096, 4096},
}

// Gemm measures the products on every level of this CPU, the plain C one
// excepted, and on ggml, each figure for so long. 0 threads means one for each core.
func Gemm(ctx context.Context, threads int, each time.Duration) ([]Product, error) {
	if threads <= 0 {
		threads = runtime.NumCPU()
	}
	var out []Product
	for _, p := range products {
		for _, l := range append(native.Levels()[1:], native.Naive) { // Naive stands for ggml here
			r := Product{Kernels: l.String(), Type: p.typ.String(), Rows: p.rows, In: p.in, Out: p.out}
			err := measure(ctx, threads, each, l, uint32(p.typ), &r)
			if err != nil {
				return out, err
			}
			out = append(out, r)
		}
	}
	return out, ctx.Err()
}

func measure(ctx context.Context, threads int, each time.Duration, level native.Level, ggmlType uint32, r *Product) error {
	var a native.Arena
	rowBytes := native.RowBytes(ggmlType, r.In)
	if err := a.Reserve(int64(r.Out)*int64(rowBytes) + 3*4*int64(r.Rows+64)*int64(r.In+r.Out+128)); err != nil {
		return err
	}
	defer a.Free()
	mem := a.Bytes(r.Out * rowBytes)
	w := native.Weight{Type: ggmlType, Data: unsafe.Pointer(unsafe.SliceData(mem)), Rows: r.Out, Cols: r.In, RowBytes: rowBytes}
	x, y := a.Mat(r.Rows, r.In), a.Mat(r.Rows, r.Out)
	clear(x.Slice())
	flop := 2 * float64(r.Rows) * float64(r.In) * float64(r.Out)
	if level == native.Naive {
		r.Kernels = "ggml"
		var err error
		r.Forward, err = speed(ctx, each, flop, func() error { return native.GGMLGemm(threads, y, x, w) })
		return err
	}
	c, err := native.Open(threads, level)
	if err != nil {
		return err
	}
	defer c.Close()
	px, py := c.Packed(&a, r.Rows, r.In), c.Packed(&a, r.Rows, r.Out)
	forward := func() error {
		if err := c.Pack(px, x); err != nil {
			return err
		}
		return c.Gemm(y, false, native.Term{A: px, B: w, Trans: true})
	}
	backward := func() error {
		if err := c.Pack(py, y); err != nil {
			return err
		}
		return c.Gemm(x, false, native.Term{A: py, B: w})
	}
	if r.Forward, err = speed(ctx, each, flop, forward); err != nil {
		return err
	}
	r.Backward, err = speed(ctx, each, flop, backward)
	return err
}

// speed repeats f, after once to warm up, and returns GFLOP/s.
func speed(ctx context.Context, each time.Duration, flop float64, f func() error) (float64, error) {
	if err := f(); err != nil {
		return 0, err
	}
	begin, n := time.Now(), 0
	for ; n == 0 || time.Since(begin) < each; n++ {
		if err := f(); err != nil {
			return 0, err
		}
		if ctx.Err() != nil {
			return 0, ctx.Err()
		}
	}
	return flop * float64(n) / time.Since(begin).Seconds() / 1e9, nil
}
