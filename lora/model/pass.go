package model

import (
	"fmt"
	"math"

	"cloister/lora/internal/native"
)

// pass is one run over one batch. Kernels report to do; the first error sticks.
type pass struct {
	m     *Model
	k     kernels
	a     *native.Arena
	prof  *profile
	plan  bool // count memory only: matrices have no data
	err   error
	batch *Batch

	t      int        // tokens
	shared int        // the first tokens, which all segments see
	rope   native.Mat // [t × rotated]: cosines, then sines
	start  []int32    // [t]
}

func (p *pass) do(name string, err error) {
	if err != nil && p.err == nil {
		p.err = fmt.Errorf("%s: %w", name, err)
	}
	p.prof.lap(name)
}

// begin hands out what all layers share.
func (p *pass) begin() {
	s := p.m.shape
	p.prof.start()
	p.start = p.a.Int32(p.t)
	p.rope = p.a.Mat(p.t, s.rotated)
	if p.plan {
		return
	}
	p.batch.starts(p.shared, p.start)
	fillRope(p.rope, s, p.m.w.ropeFreqs, p.batch.Pos)
	p.prof.lap("rope table")
}

// fillRope computes the angles of llama.cpp's ggml_rope_ext: pair i of position
// p turns by p·scale·base^(-2i/rotated)/freqs[i].
func fillRope(table native.Mat, s *shape, freqs native.Mat, pos []int32) {
	half := s.rotated / 2
	speed := make([]float64, half)
	for i := range speed {
		speed[i] = s.ropeScale * math.Pow(s.ropeBase, -2*float64(i)/float64(s.rotated))
		if freqs.Data != nil {
			speed[i] /= float64(freqs.Slice()[i])
		}
	}
	out := table.Slice()
	for t, p := range pos {
		row := out[t*s.rotated : (t+1)*s.rotated]
		if t > 0 && pos[t-1] == p {
			copy(row, out[(t-1)*s.rotated:])
			continue
		}
		for i, v := range speed {
			sin, cos := math.Sincos(float64(p) * v)
			row[i], row[half+i] = float32(cos*s.ropeFactor), float32(sin*s.ropeFactor)
		}
	}
}

// zero clears a matrix without gaps.
func (p *pass) zero(x native.Mat) {
	if !p.plan {
		clear(x.Slice())
	}
}

// forward computes the products of a group: for each matrix of it
//
//	u_i = scale·x·A_iᵀ                       [t × rank]
//	y_i = x·W_iᵀ + u_i·B_iᵀ + bias_i         [t × out], or y_i += with add
//
// x is [t × in]. Without y only u is computed.
func (p *pass) forward(g *group, l *layer, x native.Mat, u *[slots]native.Mat, y []native.Mat, add bool) {
	mark := p.a.Mark()
	defer p.a.Release(mark)
	packed := p.m.cpu.Packed(p.a, x.Rows, x.Cols)
	p.do("pack", p.k.Pack(packed, x))
	for i, s := range g.slots {
		lin := &l.linear[s]
		terms := []native.Term{{A: packed, B: lin.w, Trans: true}}
		if lin.adapted {
			p.do("adapters forward", p.k.Gemm(u[s], false, native.Term{A: packed, B: native.Float(lin.a), Trans: true, Scale: p.m.scale}))
			terms = append(terms, native.Term{A: u[s], B: native.Float(lin.b), Trans: true})
		}
		if y == nil {
			continue
		}
		p.do(g.name+" forward", p.k.Gemm(y[i], add, terms...))
		if lin.bias.Data != nil {
			p.do("bias", p.k.AddRow(y[i], lin.bias))
		}
	}
}

// backward adds the gradients of a group's adapters, from the gradients dy of
// its outputs, and unless dx is empty computes the gradient of its input:
//
//	du_i = scale·dy_i·B_i                    [t × rank]
//	dB_i += dy_iᵀ·u_i,  dA_i += du_iᵀ·x      (u_i holds the scale, so does du_i)
//	dx = Σ_i dy_i·W_i + du_i·A_i             [t × in]
func (p *pass) backward(g *group, l *layer, x native.Mat, u *[slots]native.Mat, dy []native.Mat, dx native.Mat) {
	mark := p.a.Mark()
	defer p.a.Release(mark)
	var terms []native.Term
	for i, s := range g.slots {
		lin := &l.linear[s]
		left := dy[i]
		if dx.Rows > 0 {
			left = p.m.cpu.Packed(p.a, dy[i].Rows, dy[i].Cols)
			p.do("pack", p.k.Pack(left, dy[i]))
			terms = append(terms, native.Term{A: left, B: lin.w})
		}
		if !lin.adapted {
			continue
		}
		du := p.a.Mat(dy[i].Rows, p.m.cfg.Rank)
		p.do("adapters backward", p.k.Gemm(du, false, native.Term{A: left, B: native.Float(lin.b), Scale: p.m.scale}))
		p.do("adapters gradient", p.k.GemmTN(lin.db, u[s], dy[i], true))
		p.do("adapters gradient", p.k.GemmTN(lin.da, du, x, false))
		if dx.Rows > 0 {
			terms = append(terms, native.Term{A: du, B: native.Float(lin.a)})
		}
	}
	if dx.Rows > 0 {
		p.do(g.name+" backward", p.k.Gemm(dx, false, terms...))
	}
}

// adapted says whether any matrix of the group has an adapter.
func (l *layer) adapted(g *group) bool {
	for _, s := range g.slots {
		if l.linear[s].adapted {
			return true
		}
	}
	return false
}
