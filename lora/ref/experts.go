package ref

import (
	"math"
	"slices"
)

// use is one token's experts: which, how much of each, and what they gave.
type use struct {
	expert        []int
	weight        []float64
	gate, up, y   [][]float64 // [F], [F], [E] of each expert
	probabilities []float64   // [X] of all experts
	sum           float64     // of those of the chosen
}

// choose takes the likeliest experts of a softmax over all and divides their
// probabilities by their sum, as build_moe_ffn of llama.cpp does.
func (m *Model) choose(logits []float64) use {
	u := use{probabilities: make([]float64, len(logits))}
	order, total := make([]int, len(logits)), 0.0
	for i, v := range logits {
		order[i] = i
		u.probabilities[i] = math.Exp(v - slices.Max(logits))
		total += u.probabilities[i]
	}
	for i := range logits {
		u.probabilities[i] /= total
	}
	slices.SortStableFunc(order, func(a, b int) int {
		switch {
		case logits[a] > logits[b]:
			return -1
		case logits[a] < logits[b]:
			return 1
		}
		return 0
	})
	u.expert = order[:m.used]
	for _, x := range u.expert {
		u.sum += u.probabilities[x]
	}
	for _, x := range u.expert {
		u.weight = append(u.weight, u.probabilities[x]/u.sum)
	}
	return u
}

// expertsForward is, for each token, Σ weight·down(act(gate(h))·up(h)) over its experts: [T × E].
func (m *Model) expertsForward(l *layer, c *kept) []float64 {
	e := m.Embedding
	logits := l.router.forward(c.h2)
	out := make([]float64, len(c.h2))
	for t := range len(c.h2) / e {
		h := c.h2[t*e : (t+1)*e]
		u := m.choose(logits[t*m.experts : (t+1)*m.experts])
		for i, x := range u.expert {
			gate, up := l.expertGate[x].forward(h), l.expertUp[x].forward(h)
			hidden := make([]float64, len(gate))
			for j := range hidden {
				g, _ := m.activation(gate[j])
				hidden[j] = g * up[j]
			}
			y := l.expertDown[x].forward(hidden)
			u.gate, u.up, u.y = append(u.gate, gate), append(u.up, up), append(u.y, y)
			axpy(u.weight[i], y, out[t*e:(t+1)*e])
		}
		c.experts = append(c.experts, u)
	}
	return out
}

// expertsBackward returns the gradient of c.h2: through the experts, and
// through the weights, whose gradient dw[i] is dy·y[i], the quotient, the
// softmax and the router.
func (m *Model) expertsBackward(l *layer, c *kept, dy []float64) []float64 {
	e := m.Embedding
	dh, dlogits := make([]float64, len(c.h2)), make([]float64, len(c.experts)*m.experts)
	for t, u := range c.experts {
		h, d := c.h2[t*e:(t+1)*e], dy[t*e:(t+1)*e]
		dw, mean := make([]float64, m.used), 0.0
		for i, x := range u.expert {
			dw[i] = dot(d, u.y[i])
			mean += u.weight[i] * dw[i]
			scaled := make([]float64, e)
			axpy(u.weight[i], d, scaled)
			dhidden := l.expertDown[x].backward(make([]float64, m.FFN), scaled)
			dgate, dup := make([]float64, m.FFN), make([]float64, m.FFN)
			for j, v := range dhidden {
				g, slope := m.activation(u.gate[i][j])
				dgate[j], dup[j] = v*u.up[i][j]*slope, v*g
			}
			add(dh[t*e:(t+1)*e], l.expertGate[x].backward(h, dgate))
			add(dh[t*e:(t+1)*e], l.expertUp[x].backward(h, dup))
		}
		// Of the probabilities: weight_i = p_i / sum. Of the logits: softmax over all.
		dp, total := make([]float64, m.experts), 0.0
		for i, x := range u.expert {
			dp[x] = (dw[i] - mean) / u.sum
			total += dp[x] * u.probabilities[x]
		}
		for x, p := range u.probabilities {
			dlogits[t*m.experts+x] = p * (dp[x] - total)
		}
	}
	add(dh, l.router.backward(c.h2, dlogits))
	return dh
}
