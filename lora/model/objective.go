package model

import (
	"fmt"

	"cloister/lora/internal/native"
)

// Losses other than the sum of -ln p over the targets. All of them see a row's
// targets in the order of the batch: number i is the i-th position with a target.

// LogProbs returns ln p of every target. base leaves the adapter off: that is
// what the base model says, without a second copy of it.
func (m *Model) LogProbs(b *Batch, base bool) ([]float64, error) {
	r, err := m.row(b, !m.cfg.SeparatePrefixes)
	if err != nil {
		return nil, err
	}
	var out []float64
	_, err = m.run(r, func(p *pass) Loss {
		p.base = base
		l, loss := p.crossEntropy(p.forwardOnly(), 0, nil, native.Mat{})
		out = loss
		return l
	})
	for i := range out {
		out[i] = -out[i]
	}
	return out, err
}

// Weigh gets ln p of every target and returns a weight for each.
type Weigh func(logp []float64) []float32

// BackwardWeighted adds ∂(Σ w·-ln p)/∂param to every Param.Grad, with weights w
// that may depend on the probabilities and count as constants: with
// w_i = -∂L/∂(ln p_i) that is the gradient of any loss L of the probabilities,
// such as one of the sums over a sequence. The loss returned is unweighted.
//
// The layers run forward once; the logits, which are not kept, are computed twice.
func (m *Model) BackwardWeighted(b *Batch, weigh Weigh) (Loss, error) {
	return m.backward(b, func(p *pass, x, dx native.Mat) Loss {
		_, logp := p.crossEntropy(x, 0, nil, native.Mat{})
		if p.err != nil {
			return Loss{}
		}
		var weights []float32
		if !p.plan {
			for i := range logp {
				logp[i] = -logp[i]
			}
			if weights = weigh(logp); len(weights) != len(logp) {
				p.do("weights", fmt.Errorf("%d weights for %d targets", len(weights), len(logp)))
				return Loss{}
			}
		}
		l, _ := p.crossEntropy(x, 1, weights, dx)
		return l
	})
}
