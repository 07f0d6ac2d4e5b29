package model

import (
	"errors"
	"fmt"
	"math"
	"sync"
	"unsafe"

	"cloister/lora/internal/native"
)

// pass is one run over one batch. Kernels report to do; the first error sticks.
type pass struct {
	m     *Model
	k     kernels
	a     *native.Arena
	prof  *profile
	plan  bool  // count memory only: matrices have no data
	noisy bool  // training with Config.Dropout or Config.EmbeddingNoise
	held  int64 // bytes that forward leaves for backward
	away  int64 // bytes of inputs that wait on the host
	base  bool  // without the adapter
	err   error
	batch *Batch

	t      int // tokens
	shared int // the first tokens, which all segments see
	views  [2]view
}

// view is what attention of a layer goes by: without and with a window.
type view struct {
	rope  native.Mat // [t × rotated]: cosines, then sines
	start []int32    // [t] the first key that each token sees, beside the shared ones
}

func (p *pass) view(l *layer) *view {
	if l.windowed {
		return &p.views[1]
	}
	return &p.views[0]
}

func (p *pass) do(name string, err error) {
	if err != nil && p.err == nil {
		p.err = fmt.Errorf("%s: %w", name, err)
	}
	if p.prof != nil && p.m.remote() && !p.plan {
		_ = p.m.far.Wait() // a failure shows in the next call
	}
	p.prof.lap(name)
}

// finer runs f with products of the next finer level. That is for the forward
// products whose rounding shows most in the loss for what they cost.
func (p *pass) finer(f func()) {
	p.do("level", p.m.dev.Finer(f))
}

// begin hands out what all layers share.
func (p *pass) begin() {
	s := p.m.shape
	p.prof.start()
	p.look(&p.views[0], &s.rope, 0)
	if s.windowSize > 0 {
		p.look(&p.views[1], &s.windowRope, s.windowSize)
	}
}

func (p *pass) look(v *view, r *rotary, window int) {
	v.start = p.ints(p.t)
	v.rope = p.a.Mat(p.t, p.m.shape.rotated)
	if !p.plan {
		p.batch.starts(p.shared, window, v.start)
	}
	p.fill("rope table", v.rope, func(out []float32) { r.fill(out, p.batch) })
}

// ints and floats are n values of the host for this pass; nil in a plan.
func (p *pass) ints(n int) []int32 {
	if p.m.remote() {
		return make([]int32, n)
	}
	return p.a.Int32(n)
}

func (p *pass) floats(n int) []float32 {
	if p.m.remote() {
		return make([]float32, n)
	}
	return p.a.Float32(n)
}

// fill lets the host write the values of x, a matrix without gaps.
func (p *pass) fill(name string, x native.Mat, f func(values []float32)) {
	if p.plan || p.err != nil {
		return
	}
	if !p.m.remote() {
		f(x.Slice())
		p.do(name, nil)
		return
	}
	values := make([]float32, x.Rows*x.Cols)
	f(values)
	p.do(name, p.m.dev.Upload(x, values))
}

// values are those of x, a matrix without gaps, for the host to read.
func (p *pass) values(name string, x native.Mat) []float32 {
	if p.plan || p.err != nil {
		return nil
	}
	if !p.m.remote() {
		return x.Slice()
	}
	out := make([]float32, x.Rows*x.Cols)
	p.do(name, p.m.dev.Download(out, x))
	return out
}

// embed writes the embeddings of the tokens into x [t × width].
func (p *pass) embed(x native.Mat) {
	if p.m.w.hostEmbedding {
		p.fill("embedding", x, func(out []float32) { p.do("embedding", p.lookUp(out)) })
	} else {
		p.do("embedding", p.k.Embed(x, p.m.w.embedding, p.batch.Tokens))
	}
	if p.m.shape.embeddingScale {
		p.do("embedding", p.k.Scale(x, float32(math.Sqrt(float64(x.Cols)))))
	}
	if p.noisy {
		p.embeddingNoise(x)
	}
}

// lookUp reads the embeddings of the tokens on the host, into out [t × width].
func (p *pass) lookUp(out []float32) error {
	w := &p.m.w.embedding
	workers := native.Threads(p.m.cfg.Threads)
	errs := make([]error, workers)
	var wg sync.WaitGroup
	for i := range workers {
		wg.Go(func() {
			for t := p.t * i / workers; t < p.t*(i+1)/workers && errs[i] == nil; t++ {
				row := unsafe.Slice((*byte)(w.Slab(int(p.batch.Tokens[t]), int(p.batch.Tokens[t])+1).Data), w.RowBytes)
				errs[i] = native.Dequantize(w.Type, row, out[t*w.Cols:(t+1)*w.Cols])
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// forward computes the products of a group: for each output of a matrix of it,
// which is a cut of its rows and mostly all of them,
//
//	u_i = scale·drop(x)·A_iᵀ                 [t × rank]  without noise drop(x) is x
//	y_i = x·W_iᵀ + u_i·B_iᵀ + bias_i         [t × out], or y_i += with add
//
// x is [t × in]; u holds all u_i side by side. Without y only u is computed.
func (p *pass) forward(g int, l *layer, x, u native.Mat, y []native.Mat, add bool) {
	mark := p.a.Mark()
	defer p.a.Release(mark)
	packed := p.m.dev.Packed(p.a, x.Rows, x.Cols)
	p.do("pack", p.k.Pack(packed, x))
	p.project(g, l, x, packed, u)
	for _, s := range p.m.groups[g].slots {
		lin := &l.linear[s]
		for c := 0; c+1 < len(lin.cuts) && len(y) > 0; c++ {
			from, to := lin.cuts[c], lin.cuts[c+1]
			terms := []native.Term{{A: packed, B: lin.w.Slab(from, to), Trans: true}}
			if lin.adapted && !p.base {
				terms = append(terms, native.Term{A: p.part(u, lin), B: native.Float(lin.b.Slab(from, to)), Trans: true})
			}
			p.do(p.m.groups[g].name+" forward", p.k.Gemm(y[0], add, terms...))
			if lin.bias.Data != nil {
				p.do("bias", p.k.AddRow(y[0], lin.bias.Columns(from, to)))
			}
			y = y[1:]
		}
	}
}

// part is the columns of u, or of du, that belong to a matrix.
func (p *pass) part(u native.Mat, lin *linear) native.Mat {
	return u.Columns(lin.at, lin.at+p.m.cfg.Rank)
}

// project computes u: in one product for all matrices of the group unless each
// has a dropout of its own.
func (p *pass) project(g int, l *layer, x, packed, u native.Mat) {
	const name = "adapters forward"
	switch {
	case p.base || u.Rows == 0:
	case !p.drops():
		p.do(name, p.k.Gemm(u, false, native.Term{A: packed, B: native.Float(l.a[g]), Trans: true, Scale: p.m.scale}))
	default:
		p.eachAdapted(g, l, func(lin *linear) {
			in := p.dropped(x, lin)
			p.do(name, p.k.Gemm(p.part(u, lin), false, native.Term{A: in, B: native.Float(lin.a), Trans: true, Scale: p.m.scale}))
		})
	}
}

// drops says whether adapters read their input with dropout.
func (p *pass) drops() bool { return p.noisy && p.m.cfg.Dropout > 0 }

// eachAdapted calls f for the adapted matrices of a group, and takes back what f was handed out.
func (p *pass) eachAdapted(g int, l *layer, f func(lin *linear)) {
	for _, s := range p.m.groups[g].slots {
		if lin := &l.linear[s]; lin.adapted {
			mark := p.a.Mark()
			f(lin)
			p.a.Release(mark)
		}
	}
}

// backward adds the gradients of a group's adapters, from the gradients dy of
// its outputs, and unless dx is empty computes the gradient of its input. With
// sums over the outputs of a matrix, and over the matrices for dx:
//
//	du = scale·Σ dy·B                    [t × rank]
//	dB += dyᵀ·u,  dA += duᵀ·drop(x)      (u holds the scale, so does du)
//	dx = Σ dy·W + Σ drop(du·A)           [t × in]
//
// The du of all matrices stand side by side, as u, so that dA and what comes
// through A are one product each, unless each matrix has a dropout of its own.
func (p *pass) backward(g int, l *layer, x, u native.Mat, dy []native.Mat, dx native.Mat) {
	mark := p.a.Mark()
	defer p.a.Release(mark)
	var terms []native.Term
	du := p.a.Mat(u.Rows, u.Cols)
	for _, s := range p.m.groups[g].slots {
		lin := &l.linear[s]
		var inner []native.Term // of du
		for c := 0; c+1 < len(lin.cuts); c++ {
			from, to := lin.cuts[c], lin.cuts[c+1]
			d := dy[0]
			left := d
			dy = dy[1:]
			if dx.Rows > 0 {
				left = p.m.dev.Packed(p.a, d.Rows, d.Cols)
				p.do("pack", p.k.Pack(left, d))
				terms = append(terms, native.Term{A: left, B: lin.w.Slab(from, to)})
			}
			if lin.adapted {
				inner = append(inner, native.Term{A: left, B: native.Float(lin.b.Slab(from, to)), Scale: p.m.scale})
				if p.m.remote() {
					d = left // a card reads it here too, and need not round it twice
				}
				p.do("adapters gradient", p.k.GemmTN(lin.db.Slab(from, to), p.part(u, lin), d, true))
			}
		}
		if lin.adapted {
			p.do("adapters backward", p.k.Gemm(p.part(du, lin), false, inner...))
		}
	}
	drops := p.drops() && u.Rows > 0
	switch {
	case u.Rows == 0:
	case drops:
		p.eachAdapted(g, l, func(lin *linear) {
			p.do("adapters gradient", p.k.GemmTN(lin.da, p.part(du, lin), p.dropped(x, lin), false))
		})
	default:
		p.do("adapters gradient", p.k.GemmTN(l.da[g], du, x, false))
		terms = append(terms, native.Term{A: du, B: native.Float(l.a[g])})
	}
	if dx.Rows == 0 {
		return
	}
	p.do(p.m.groups[g].name+" backward", p.k.Gemm(dx, false, terms...))
	if drops {
		p.eachAdapted(g, l, func(lin *linear) { p.addDropped(dx, p.part(du, lin), lin) })
	}
}

// adapted says whether any matrix of the group has an adapter.
func (p *pass) adapted(l *layer, g int) bool {
	for _, s := range p.m.groups[g].slots {
		if l.linear[s].adapted {
			return true
		}
	}
	return false
}
