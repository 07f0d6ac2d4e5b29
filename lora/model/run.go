package model

import (
	"errors"
	"fmt"
	"sort"

	"cloister/lora/internal/native"
)

// Loss is the forward pass alone.
func (m *Model) Loss(b *Batch) (Loss, error) {
	r, err := m.row(b, !m.cfg.SeparatePrefixes)
	if err != nil {
		return Loss{}, err
	}
	return m.run(r, func(p *pass) Loss {
		l, _ := p.crossEntropy(p.forwardOnly(), 0, nil, native.Mat{})
		return l
	})
}

// Backward adds scale · ∂Sum/∂param to every Param.Grad and returns the loss.
// With noise every segment has its own draws, so nothing is shared then.
func (m *Model) Backward(b *Batch, scale float64) (Loss, error) {
	return m.backward(b, sumOf(scale))
}

// objective is a loss: from the output x of the last layer it writes the
// gradient dx, both [t × width].
type objective func(p *pass, x, dx native.Mat) Loss

// sumOf is scale·Sum.
func sumOf(scale float64) objective {
	return func(p *pass, x, dx native.Mat) Loss {
		l, _ := p.crossEntropy(x, scale, nil, dx)
		return l
	}
}

// backward adds the gradient of an objective to every Param.Grad.
func (m *Model) backward(b *Batch, o objective) (Loss, error) {
	if m.cfg.Frozen {
		return Loss{}, errors.New("a frozen model has nothing to learn with")
	}
	r, err := m.row(b, !m.cfg.separate())
	if err != nil {
		return Loss{}, err
	}
	kept, err := m.keep(r)
	if err != nil {
		return Loss{}, err
	}
	return m.run(r, func(p *pass) Loss { return p.train(kept, o) })
}

// Logits are those of every position, [T × vocab] row-major.
func (m *Model) Logits(b *Batch) ([]float32, error) {
	r, err := m.row(b, false)
	if err != nil {
		return nil, err
	}
	out := make([]float32, len(b.Tokens)*m.shape.vocab)
	_, err = m.run(r, func(p *pass) Loss {
		p.logits(p.forwardOnly(), out)
		return Loss{}
	})
	return out, err
}

// MemoryFor is the number of bytes that Backward takes at its peak for a packed
// row of rowLen tokens, beside weights and parameters, on the device: the
// activations, work and scratch of Plan; 0 for a row that does not fit.
func (m *Model) MemoryFor(rowLen int) int64 {
	p, err := m.Plan(Full(rowLen))
	if err != nil {
		return 0
	}
	if m.remote() {
		return p.Card.Activations + p.Card.Work + p.Card.Scratch
	}
	return p.Activations + p.Work + p.Scratch
}

// separate says that Backward computes what segments begin with for each of them.
func (c *Config) separate() bool { return c.SeparatePrefixes || c.noisy() }

// row is a checked batch whose first tokens are shared by all segments.
type row struct {
	*Batch
	shared int
}

// fold is the batch as it is computed, and the number of tokens that all segments share.
func (s *shape) fold(b *Batch, share bool) (*Batch, int) {
	if !share || !s.shares(b) {
		return b, 0
	}
	return b.share()
}

func (m *Model) row(b *Batch, share bool) (row, error) {
	if m.w == nil {
		return row{}, ErrClosed
	}
	if err := b.check(m.shape.vocab); err != nil {
		return row{}, err
	}
	folded, n := m.shape.fold(b, share)
	return row{folded, n}, nil
}

// run plans a pass over the row, reserves what it needs, and runs it.
func (m *Model) run(r row, f func(*pass) Loss) (Loss, error) {
	if err := m.work.Reserve(m.planned(r, func(p *pass) { f(p) })); err != nil {
		return Loss{}, fmt.Errorf("a row of %d tokens: %w", len(r.Tokens), err)
	}
	p := &pass{m: m, k: m.k, a: &m.work, prof: m.prof, batch: r.Batch, t: len(r.Tokens), shared: r.shared}
	p.begin()
	loss := f(p)
	return loss, p.err
}

// planned is the peak of a pass over the row, in bytes.
func (m *Model) planned(r row, f func(*pass)) int64 {
	var count native.Arena
	p := &pass{m: m, k: planner{}, a: &count, plan: true, batch: r.Batch, t: len(r.Tokens), shared: r.shared}
	p.begin()
	f(p)
	return count.Peak()
}

// keep is the number of layers, the last ones, whose activations are kept.
func (m *Model) keep(r row) (int, error) {
	if m.cfg.Recompute {
		return 0, nil
	}
	if m.cfg.MemoryLimit <= 0 {
		return m.shape.layers, nil
	}
	need := func(kept int) int64 { return m.planned(r, func(p *pass) { p.train(kept, sumOf(1)) }) }
	// More layers never need less.
	kept := max(0, sort.Search(m.shape.layers+1, func(kept int) bool { return need(kept) > m.cfg.MemoryLimit })-1)
	if n := need(kept); n > m.cfg.MemoryLimit {
		return 0, fmt.Errorf("a row of %d tokens needs %d MiB for activations, and the limit is %d MiB: use shorter rows",
			len(r.Tokens), n>>20, m.cfg.MemoryLimit>>20)
	}
	return kept, nil
}

// forwardOnly runs all layers and returns the output of the last one.
func (p *pass) forwardOnly() native.Mat {
	width := p.m.shape.width
	x, y := p.a.Mat(p.t, width), p.a.Mat(p.t, width)
	mark := p.a.Mark()
	defer p.a.Release(mark)
	p.embed(x)
	s := p.newSaved()
	for i := range p.m.w.layers {
		s.x = x
		p.forwardLayer(&p.m.w.layers[i], s, y)
		x, y = y, x
	}
	return x
}

// train is forward and backward, with the activations of the last kept layers
// kept and those of the others computed again.
func (p *pass) train(kept int, o objective) Loss {
	m := p.m
	n := m.shape.layers
	in, err := p.newInputs(n - kept)
	if err != nil {
		p.do("offload", err)
		return Loss{}
	}
	x := in.x
	all := make([]*saved, n)
	var scratch *saved
	for i := range all {
		switch {
		case i >= n-kept:
			all[i] = p.newSaved()
		case scratch == nil:
			scratch = p.newSaved()
			fallthrough
		default:
			all[i] = scratch
		}
	}
	p.noisy = m.cfg.noisy()
	p.embed(x[0])
	for i := range all {
		all[i].x = x[i]
		in.forward(i)
		p.forwardLayer(&m.w.layers[i], all[i], x[i+1])
	}
	at, _ := p.batch.targets()
	dx := p.a.Mat(p.t, m.shape.width)
	loss := o(p, x[n], dx)
	for i := n - 1; i >= 0 && p.err == nil && len(at) > 0; i-- {
		s := all[i]
		s.x = x[i]
		in.backward(i)
		if i < n-kept {
			p.forwardLayer(&m.w.layers[i], s, native.Mat{})
		}
		p.backwardLayer(i, s, dx)
		in.done(i)
	}
	return loss
}
