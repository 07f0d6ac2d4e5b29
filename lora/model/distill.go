package model

import (
	"fmt"
	"math"

	"cloister/lora/internal/native"
)

// Soft is what a teacher says about the targets of a row: for each its K
// likeliest tokens, the likeliest first, with the logarithms of their
// probabilities at a temperature, and that of all other tokens together.
type Soft struct {
	K           int
	Temperature float64
	IDs         []int32   // [targets × K]
	LogP        []float32 // [targets × K]
	Rest        []float32 // [targets]
}

// Slice is what the teacher says about targets from to to.
func (s *Soft) Slice(from, to int) *Soft {
	return &Soft{s.K, s.Temperature, s.IDs[from*s.K : to*s.K], s.LogP[from*s.K : to*s.K], s.Rest[from:to]}
}

// Append adds the targets of another row.
func (s *Soft) Append(o *Soft) {
	s.IDs, s.LogP, s.Rest = append(s.IDs, o.IDs...), append(s.LogP, o.LogP...), append(s.Rest, o.Rest...)
}

// Bytes is what the slices of n targets take.
func (s *Soft) Bytes(n int64) int64 { return n * int64(8*s.K+4) }

// slab is what the teacher says about targets from to to, with alpha.
func (s *Soft) slab(from, to int, alpha float64) *native.Soft {
	return &native.Soft{K: s.K, Temperature: float32(s.Temperature), Alpha: float32(alpha), IDs: s.IDs[from*s.K : to*s.K],
		LogP: s.LogP[from*s.K : to*s.K], Rest: s.Rest[from:to]}
}

// TopK asks the model, as a teacher and with its adapter if it has one, for the k
// likeliest tokens at every target of the row, among the first vocab ones: the
// student may have fewer that fill its vocabulary up.
func (m *Model) TopK(b *Batch, k int, temperature float64, vocab int) (*Soft, error) {
	r, err := m.row(b, !m.cfg.SeparatePrefixes)
	if err != nil {
		return nil, err
	}
	vocab = min(vocab, m.shape.vocab)
	if k < 1 || k >= vocab || !(temperature > 0) || math.IsInf(temperature, 0) {
		return nil, fmt.Errorf("%d likeliest tokens at the temperature %g; at least 1 of fewer than %d tokens, and a temperature above 0, are needed", k, temperature, vocab)
	}
	at, _ := r.targets()
	out := &Soft{K: k, Temperature: temperature, IDs: make([]int32, len(at)*k), LogP: make([]float32, len(at)*k), Rest: make([]float32, len(at))}
	_, err = m.run(r, func(p *pass) Loss {
		p.head(p.forwardOnly(), at, native.Mat{}, func(logits native.Mat, from, to int) {
			p.do("likeliest tokens", p.k.TopK(logits.Columns(0, vocab), out.slab(from, to, 0)))
		})
		return Loss{}
	})
	return out, err
}

// Distilled is the loss of a row that learns from a teacher.
type Distilled struct {
	Loss         // the targets' cross-entropy
	KL   float64 // the sum of KL(teacher‖student) at the temperature, over the targets
}

// BackwardDistilled adds scale·∂L/∂param to every Param.Grad, with
//
//	L  = Σ over the targets of  α·(-ln p_target) + (1-α)·T²·KL
//	KL = Σ_k q_j·ln(q_j/p_j) + q_R·ln(q_R/p_R)
//
// where q is the teacher's and p the student's distribution, both softmax(logits/T):
// over the teacher's k likeliest tokens and, as one more outcome R, all others
// together. The loss is Hinton, Vinyals and Dean's (arXiv:1503.02531), with T²
// because soft gradients shrink by 1/T². R keeps what the k tokens leave out: a
// teacher cut to k tokens and renormalised would teach a distribution that is too
// sharp (arXiv:2503.16870), and one where both are renormalised would leave the
// probability of all other tokens free. With k = vocabulary - 1 it is the full KL.
func (m *Model) BackwardDistilled(b *Batch, s *Soft, alpha, scale float64) (Distilled, error) {
	var d Distilled
	l, err := m.backward(b, func(p *pass, x, dx native.Mat) Loss {
		var l Loss
		l, d.KL = p.distill(x, s, alpha, scale, dx)
		return l
	})
	d.Loss = l
	return d, err
}

// LossDistilled is the forward pass alone.
func (m *Model) LossDistilled(b *Batch, s *Soft) (Distilled, error) {
	var d Distilled
	r, err := m.row(b, !m.cfg.SeparatePrefixes)
	if err != nil {
		return d, err
	}
	d.Loss, err = m.run(r, func(p *pass) Loss {
		var l Loss
		l, d.KL = p.distill(p.forwardOnly(), s, 0, 1, native.Mat{})
		return l
	})
	return d, err
}

func (p *pass) distill(x native.Mat, s *Soft, alpha, scale float64, dx native.Mat) (Loss, float64) {
	at, targets := p.batch.targets()
	if n := len(at); len(s.Rest) != n || len(s.IDs) != n*s.K || len(s.LogP) != n*s.K {
		p.do("teacher", fmt.Errorf("the teacher speaks of %d targets and the row has %d", len(s.Rest), n))
		return Loss{}, 0
	}
	loss, kl, correct := make([]float64, len(at)), make([]float64, len(at)), make([]int32, len(at))
	p.head(x, at, dx, func(logits native.Mat, from, to int) {
		p.do("distillation", p.k.Distill(logits, targets[from:to], s.slab(from, to, alpha), dx.Rows > 0, float32(scale), loss[from:to], kl[from:to], correct[from:to]))
	})
	sum := 0.0
	for _, v := range kl {
		sum += v
	}
	return p.sum(loss, correct), sum
}
