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
	q0, k0, o                   []float64 // before the norms of heads, before the norm after attention
	x2, h2, gate, up, hidden    []float64 // after attention, its norm, gated unit
	f                           []float64 // before the norm after the feed-forward part
	experts                     []use     // of each token
}

// Logits returns [T × V].
func (m *Model) Logits(b *Batch) ([]float64, error) {
	if err := m.check(b); err != nil {
		return nil, err
	}
	x, _ := m.forward(b)
	return m.capped(m.output.forward(rmsNorm(x, m.norm, m.eps))), nil
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
	logits := m.capped(m.output.forward(h))
	loss, dlogits := m.crossEntropy(logits, b.Targets, scale)
	if m.cap > 0 {
		for i, y := range logits {
			dlogits[i] *= 1 - y/m.cap*y/m.cap
		}
	}
	dx := rmsNormBackward(x, m.norm, m.eps, m.output.backward(h, dlogits))
	for i := len(layers) - 1; i >= 0; i-- {
		dx = m.layerBackward(m.layers[i], layers[i], b, dx)
	}
	return loss, nil
}

// capped is cap·tanh(x/cap) of each logit, in place.
func (m *Model) capped(x []float64) []float64 {
	for i := range x {
		if m.cap > 0 {
			x[i] = m.cap * math.Tanh(x[i]/m.cap)
		}
	}
	return x
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
	size := 1.0
	if m.is("gemma3") {
		size = math.Sqrt(float64(e))
	}
	for t, tok := range b.Tokens {
		for i := range e {
			x[t*e+i] = size * float64(m.embed[int(tok)*e+i])
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
	if l.qkv != nil {
		parts := split(l.qkv.forward(c.h1), m.Heads*m.HeadDim, m.KVHeads*m.HeadDim, m.KVHeads*m.HeadDim)
		c.q, c.k, c.v = parts[0], parts[1], parts[2]
	} else {
		c.q, c.k, c.v = l.q.forward(c.h1), l.k.forward(c.h1), l.v.forward(c.h1)
	}
	if l.qNorm != nil {
		c.q0, c.k0 = c.q, c.k
		c.q, c.k = rmsNorm(c.q0, l.qNorm, m.eps), rmsNorm(c.k0, l.kNorm, m.eps)
	}
	m.rotate(l.rope, c.q, b, 1)
	m.rotate(l.rope, c.k, b, 1)
	c.att, c.probs = m.attend(c.q, c.k, c.v, b, l.window)
	c.x2 = l.o.forward(c.att)
	if l.attnPost != nil {
		c.o = c.x2
		c.x2 = rmsNorm(c.o, l.attnPost, m.eps)
	}
	add(c.x2, x)

	c.h2 = rmsNorm(c.x2, l.ffnNorm, m.eps)
	y := m.feedForward(l, c)
	if l.ffnPost != nil {
		c.f = y
		y = rmsNorm(c.f, l.ffnPost, m.eps)
	}
	add(y, c.x2)
	return y, c
}

// feedForward maps c.h2 to [T × E].
func (m *Model) feedForward(l *layer, c *kept) []float64 {
	switch {
	case l.router != nil:
		return m.expertsForward(l, c)
	case l.gate == nil:
		parts := split(l.up.forward(c.h2), m.FFN, m.FFN)
		c.gate, c.up = parts[0], parts[1]
	default:
		c.gate, c.up = l.gate.forward(c.h2), l.up.forward(c.h2)
	}
	c.hidden = make([]float64, len(c.gate))
	for i := range c.hidden {
		g, _ := m.activation(c.gate[i])
		c.hidden[i] = g * c.up[i]
	}
	return l.fd.forward(c.hidden)
}

// feedForwardBackward returns the gradient of c.h2.
func (m *Model) feedForwardBackward(l *layer, c *kept, dy []float64) []float64 {
	if l.router != nil {
		return m.expertsBackward(l, c, dy)
	}
	dhidden := l.fd.backward(c.hidden, dy)
	dgate, dup := make([]float64, len(dhidden)), make([]float64, len(dhidden))
	for i, d := range dhidden {
		g, slope := m.activation(c.gate[i])
		dgate[i], dup[i] = d*c.up[i]*slope, d*g
	}
	if l.gate == nil {
		return l.up.backward(c.h2, merge(len(dgate)/m.FFN, dgate, dup))
	}
	dh := l.gate.backward(c.h2, dgate)
	add(dh, l.up.backward(c.h2, dup))
	return dh
}

// layerBackward takes the gradient of the layer's output and returns that of
// its input, both [T × E].
func (m *Model) layerBackward(l *layer, c *kept, b *Batch, dy []float64) []float64 {
	df := dy
	if l.ffnPost != nil {
		df = rmsNormBackward(c.f, l.ffnPost, m.eps, dy)
	}
	dx2 := rmsNormBackward(c.x2, l.ffnNorm, m.eps, m.feedForwardBackward(l, c, df))
	add(dx2, dy)

	do := dx2
	if l.attnPost != nil {
		do = rmsNormBackward(c.o, l.attnPost, m.eps, dx2)
	}
	dq, dk, dv := m.attendBackward(c.q, c.k, c.v, c.probs, l.o.backward(c.att, do), len(b.Tokens))
	m.rotate(l.rope, dq, b, -1)
	m.rotate(l.rope, dk, b, -1)
	if l.qNorm != nil {
		dq, dk = rmsNormBackward(c.q0, l.qNorm, m.eps, dq), rmsNormBackward(c.k0, l.kNorm, m.eps, dk)
	}
	var dh []float64
	if l.qkv != nil {
		dh = l.qkv.backward(c.h1, merge(len(b.Tokens), dq, dk, dv))
	} else {
		dh = l.q.backward(c.h1, dq)
		add(dh, l.k.backward(c.h1, dk))
		add(dh, l.v.backward(c.h1, dv))
	}
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
