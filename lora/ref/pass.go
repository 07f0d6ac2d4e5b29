package ref

import (
	"fmt"
	"math"
)

// Batch is one packed row of T tokens. Tokens attend to earlier ones of the
// same Seq; Targets[i] is the token to predict at i, or -1.
type Batch struct{ Tokens, Pos, Seq, Targets []int32 }

// Loss is the sum of -ln p over the targets.
type Loss struct {
	Sum             float64
	Tokens, Correct int
}

// kept is what the backward pass of a layer needs.
type kept struct {
	x1, h1, q, k, v, probs, att []float64 // input, its norm, rotated q and k, v, attention
	x2, h2, gate, up, hidden    []float64 // after attention, its norm, SwiGLU
}

// Logits returns [T × V].
func (m *Model) Logits(b *Batch) ([]float64, error) {
	if err := m.check(b); err != nil {
		return nil, err
	}
	x, _ := m.forward(b)
	return m.output.forward(rmsNorm(x, m.norm, m.eps)), nil
}

// Loss is the forward pass alone.
func (m *Model) Loss(b *Batch) (Loss, error) {
	logits, err := m.Logits(b)
	if err != nil {
		return Loss{}, err
	}
	loss, _ := m.crossEntropy(logits, b.Targets, 0)
	return loss, nil
}

// Backward adds scale·d(Sum)/d(param) to the gradients.
func (m *Model) Backward(b *Batch, scale float64) (Loss, error) {
	if err := m.check(b); err != nil {
		return Loss{}, err
	}
	x, layers := m.forward(b)
	h := rmsNorm(x, m.norm, m.eps)
	loss, dlogits := m.crossEntropy(m.output.forward(h), b.Targets, scale)
	dx := rmsNormBackward(x, m.norm, m.eps, m.output.backward(h, dlogits))
	for i := len(layers) - 1; i >= 0; i-- {
		dx = m.layerBackward(m.layers[i], layers[i], b, dx)
	}
	return loss, nil
}

func (m *Model) check(b *Batch) error {
	n := len(b.Tokens)
	if n == 0 || len(b.Pos) != n || len(b.Seq) != n || len(b.Targets) != n {
		return fmt.Errorf("a batch of %d tokens, %d positions, %d segments and %d targets", n, len(b.Pos), len(b.Seq), len(b.Targets))
	}
	for i := range n {
		if t := b.Tokens[i]; t < 0 || int(t) >= m.Vocab {
			return fmt.Errorf("token %d is not in the vocabulary of %d", t, m.Vocab)
		}
		if t := b.Targets[i]; t < -1 || int(t) >= m.Vocab {
			return fmt.Errorf("target %d is not in the vocabulary of %d", t, m.Vocab)
		}
	}
	return nil
}

// forward returns the output of the last layer, [T × E], and what each layer kept.
func (m *Model) forward(b *Batch) ([]float64, []*kept) {
	e := m.Embedding
	x := make([]float64, len(b.Tokens)*e)
	for t, tok := range b.Tokens {
		for i := range e {
			x[t*e+i] = float64(m.embed[int(tok)*e+i])
		}
	}
	layers := make([]*kept, len(m.layers))
	for i, l := range m.layers {
		x, layers[i] = m.layerForward(l, b, x)
	}
	return x, layers
}

func (m *Model) layerForward(l *layer, b *Batch, x []float64) ([]float64, *kept) {
	c := &kept{x1: x, h1: rmsNorm(x, l.attnNorm, m.eps)}
	c.q, c.k, c.v = l.q.forward(c.h1), l.k.forward(c.h1), l.v.forward(c.h1)
	m.rotate(c.q, b.Pos, 1)
	m.rotate(c.k, b.Pos, 1)
	c.att, c.probs = m.attend(c.q, c.k, c.v, b.Seq)
	c.x2 = l.o.forward(c.att)
	add(c.x2, x)
	c.h2 = rmsNorm(c.x2, l.ffnNorm, m.eps)
	c.gate, c.up = l.gate.forward(c.h2), l.up.forward(c.h2)
	c.hidden = make([]float64, len(c.gate))
	for i := range c.hidden {
		g, _ := silu(c.gate[i])
		c.hidden[i] = g * c.up[i]
	}
	y := l.fd.forward(c.hidden)
	add(y, c.x2)
	return y, c
}

// layerBackward takes the gradient of the layer's output and returns that of
// its input, both [T × E].
func (m *Model) layerBackward(l *layer, c *kept, b *Batch, dy []float64) []float64 {
	dhidden := l.fd.backward(c.hidden, dy)
	dgate, dup := make([]float64, len(dhidden)), make([]float64, len(dhidden))
	for i, d := range dhidden {
		g, slope := silu(c.gate[i])
		dgate[i], dup[i] = d*c.up[i]*slope, d*g
	}
	dh := l.gate.backward(c.h2, dgate)
	add(dh, l.up.backward(c.h2, dup))
	dx2 := rmsNormBackward(c.x2, l.ffnNorm, m.eps, dh)
	add(dx2, dy)

	dq, dk, dv := m.attendBackward(c.q, c.k, c.v, c.probs, l.o.backward(c.att, dx2), len(b.Tokens))
	m.rotate(dq, b.Pos, -1)
	m.rotate(dk, b.Pos, -1)
	dh = l.q.backward(c.h1, dq)
	add(dh, l.k.backward(c.h1, dk))
	add(dh, l.v.backward(c.h1, dv))
	dx := rmsNormBackward(c.x1, l.attnNorm, m.eps, dh)
	add(dx, dx2)
	return dx
}

// crossEntropy returns the loss and its gradient times scale, [T × V]:
// softmax(logits) - onehot(target), zero where there is no target.
func (m *Model) crossEntropy(logits []float64, targets []int32, scale float64) (Loss, []float64) {
	var loss Loss
	grad := make([]float64, len(logits))
	for t, target := range targets {
		if target < 0 {
			continue
		}
		row, g := logits[t*m.Vocab:(t+1)*m.Vocab], grad[t*m.Vocab:(t+1)*m.Vocab]
		best := 0
		for i, v := range row {
			if v > row[best] {
				best = i
			}
		}
		total := 0.0
		for _, v := range row {
			total += math.Exp(v - row[best])
		}
		for i, v := range row {
			g[i] = scale * math.Exp(v-row[best]) / total
		}
		g[target] -= scale
		loss.Sum += math.Log(total) + row[best] - row[target]
		loss.Tokens++
		if best == int(target) {
			loss.Correct++
		}
	}
	return loss, grad
}
