package model

import (
	"fmt"

	"cloister/lora/internal/native"
)

// Loss is the forward pass alone.
func (m *Model) Loss(b *Batch) (Loss, error) {
	return m.run(b, func(p *pass) Loss {
		at, targets := b.targets()
		return p.head(p.forwardOnly(), at, targets, false, 0, native.Mat{})
	})
}

// Backward adds scale · ∂Sum/∂param to every Param.Grad and returns the loss.
func (m *Model) Backward(b *Batch, scale float64) (Loss, error) {
	kept, err := m.keep(b)
	if err != nil {
		return Loss{}, err
	}
	return m.run(b, func(p *pass) Loss { return p.train(scale, kept) })
}

// Logits are those of every position, [T × vocab] row-major.
func (m *Model) Logits(b *Batch) ([]float32, error) {
	var out []float32
	_, err := m.run(b, func(p *pass) Loss {
		if !p.plan {
			out = make([]float32, p.t*m.shape.vocab)
		}
		p.logits(p.forwardOnly(), out)
		return Loss{}
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// MemoryFor is the number of bytes that Backward takes at its peak for a packed
// row of rowLen tokens, beside the mapped file and the parameters: with a loss
// at every token, and within Config.MemoryLimit if that is enough at all.
func (m *Model) MemoryFor(rowLen int) int64 {
	if m.w == nil || rowLen < 1 {
		return 0
	}
	b := &Batch{Tokens: make([]int32, rowLen), Pos: make([]int32, rowLen), Seq: make([]int32, rowLen), Targets: make([]int32, rowLen)}
	kept, err := m.keep(b)
	if err != nil {
		kept = 0
	}
	return m.planTrain(b, kept) + m.cpu.Scratch()
}

// run plans a pass over the batch, reserves what it needs, and runs it.
func (m *Model) run(b *Batch, f func(*pass) Loss) (Loss, error) {
	if m.w == nil {
		return Loss{}, ErrClosed
	}
	if err := b.check(m.shape.vocab); err != nil {
		return Loss{}, err
	}
	if err := m.work.Reserve(m.planned(b, func(p *pass) { f(p) })); err != nil {
		return Loss{}, fmt.Errorf("a row of %d tokens: %w", len(b.Tokens), err)
	}
	p := &pass{m: m, k: m.k, a: &m.work, prof: m.prof, batch: b, t: len(b.Tokens)}
	p.begin()
	loss := f(p)
	return loss, p.err
}

// planned is the peak of a pass over the batch, in bytes.
func (m *Model) planned(b *Batch, f func(*pass)) int64 {
	var count native.Arena
	p := &pass{m: m, k: planner{}, a: &count, plan: true, batch: b, t: len(b.Tokens)}
	p.begin()
	f(p)
	return count.Peak()
}

func (m *Model) planTrain(b *Batch, kept int) int64 {
	return m.planned(b, func(p *pass) { p.train(1, kept) })
}

// keep is the number of layers, the last ones, whose activations are kept.
func (m *Model) keep(b *Batch) (int, error) {
	if m.w == nil {
		return 0, ErrClosed
	}
	if m.cfg.Recompute {
		return 0, nil
	}
	if m.cfg.MemoryLimit <= 0 {
		return m.shape.layers, nil
	}
	kept := m.shape.layers
	for ; kept > 0 && m.planTrain(b, kept) > m.cfg.MemoryLimit; kept-- {
	}
	if need := m.planTrain(b, kept); need > m.cfg.MemoryLimit {
		return 0, fmt.Errorf("a row of %d tokens needs %d MiB for activations, and the limit is %d MiB: use shorter rows",
			len(b.Tokens), need>>20, m.cfg.MemoryLimit>>20)
	}
	return kept, nil
}

// forwardOnly runs all layers and returns the output of the last one.
func (p *pass) forwardOnly() native.Mat {
	width := p.m.shape.width
	x, y := p.a.Mat(p.t, width), p.a.Mat(p.t, width)
	mark := p.a.Mark()
	defer p.a.Release(mark)
	p.do("embedding", p.k.Embed(x, p.m.w.embedding, p.batch.Tokens))
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
func (p *pass) train(scale float64, kept int) Loss {
	m := p.m
	n := m.shape.layers
	x := make([]native.Mat, n+1) // inputs of the layers, and the last output
	for i := range x {
		x[i] = p.a.Mat(p.t, m.shape.width)
	}
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
	p.do("embedding", p.k.Embed(x[0], m.w.embedding, p.batch.Tokens))
	for i := range all {
		all[i].x = x[i]
		p.forwardLayer(&m.w.layers[i], all[i], x[i+1])
	}
	at, targets := p.batch.targets()
	dx := p.a.Mat(p.t, m.shape.width)
	loss := p.head(x[n], at, targets, true, scale, dx)
	for i := n - 1; i >= 0 && p.err == nil && len(at) > 0; i-- {
		s := all[i]
		s.x = x[i]
		if i < n-kept {
			p.forwardLayer(&m.w.layers[i], s, native.Mat{})
		}
		p.backwardLayer(i, s, dx)
	}
	return loss
}
