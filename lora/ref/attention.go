package ref

import "math"

// sees says whether token t attends to token s ≤ t: it is in the same segment
// and not before the window.
func (b *Batch) sees(t, s, window int) bool {
	return b.Seq[s] == b.Seq[t] && (window == 0 || int(b.Pos[t]-b.Pos[s]) < window)
}

// attend computes the output [T × H·D] of causal attention within segments and
// the probabilities [H × T × T] that the backward pass needs:
//
//	p[h][t][s] = softmax over the s ≤ t that t sees of scale·q[t][h]·k[s][h/(H/K)]
//	out[t][h]  = Σ_s p[h][t][s]·v[s][h/(H/K)]
func (m *Model) attend(q, k, v []float64, b *Batch, window int) (out, probs []float64) {
	n, d := len(b.Seq), m.HeadDim
	out, probs = make([]float64, n*m.Heads*d), make([]float64, m.Heads*n*n)
	for h := range m.Heads {
		for t := range n {
			p := probs[(h*n+t)*n : (h*n+t+1)*n]
			largest := math.Inf(-1)
			for s := 0; s <= t; s++ {
				if b.sees(t, s, window) {
					p[s] = dot(m.head(q, t, h), m.kvHead(k, s, h)) * m.scale
					largest = max(largest, p[s])
				}
			}
			total := 0.0
			for s := 0; s <= t; s++ {
				if b.sees(t, s, window) {
					p[s] = math.Exp(p[s] - largest)
					total += p[s]
				}
			}
			for s := 0; s <= t; s++ {
				p[s] /= total
				axpy(p[s], m.kvHead(v, s, h), m.head(out, t, h))
			}
		}
	}
	return out, probs
}

// attendBackward returns the gradients of q, k and v. With dp[s] = dout·v[s],
// the gradient of a score is p[s]·(dp[s] - Σ_r p[r]·dp[r]).
func (m *Model) attendBackward(q, k, v, probs, dout []float64, n int) (dq, dk, dv []float64) {
	dq, dk, dv = make([]float64, len(q)), make([]float64, len(k)), make([]float64, len(v))
	dp := make([]float64, n)
	for h := range m.Heads {
		for t := range n {
			p := probs[(h*n+t)*n : (h*n+t+1)*n]
			mean := 0.0
			for s := 0; s <= t; s++ {
				dp[s] = dot(m.head(dout, t, h), m.kvHead(v, s, h))
				mean += p[s] * dp[s]
				axpy(p[s], m.head(dout, t, h), m.kvHead(dv, s, h))
			}
			for s := 0; s <= t; s++ {
				score := p[s] * (dp[s] - mean) * m.scale
				axpy(score, m.kvHead(k, s, h), m.head(dq, t, h))
				axpy(score, m.head(q, t, h), m.kvHead(dk, s, h))
			}
		}
	}
	return dq, dk, dv
}

// head is query head h of token t in x [T × H·D].
func (m *Model) head(x []float64, t, h int) []float64 {
	at := (t*m.Heads + h) * m.HeadDim
	return x[at : at+m.HeadDim]
}

// kvHead is the key or value head, in x [T × K·D], that query head h looks at.
func (m *Model) kvHead(x []float64, t, h int) []float64 {
	at := (t*m.KVHeads + h/(m.Heads/m.KVHeads)) * m.HeadDim
	return x[at : at+m.HeadDim]
}

func dot(x, y []float64) float64 {
	sum := 0.0
	for i := range x {
		sum += x[i] * y[i]
	}
	return sum
}

// axpy adds a·x to y.
func axpy(a float64, x, y []float64) {
	for i := range x {
		y[i] += a * x[i]
	}
}
