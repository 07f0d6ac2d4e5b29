package ref

import "math"

// linear is y = W x + bias + scale·B (A x), W [out × in] and bias [out] frozen,
// A [rank × in], B [out × rank].
type linear struct {
	name          string
	in, out, rank int
	w, bias       []float32 // bias nil: none
	a, b          *Param    // nil: no adapter
	scale         float64
}

// forward maps x [T × in] to y [T × out].
func (l *linear) forward(x []float64) []float64 {
	rows := len(x) / l.in
	y := make([]float64, rows*l.out)
	for t := range rows {
		xt, yt := x[t*l.in:(t+1)*l.in], y[t*l.out:(t+1)*l.out]
		for o := range yt {
			sum := 0.0
			for i, w := range l.w[o*l.in : (o+1)*l.in] {
				sum += float64(w) * xt[i]
			}
			if l.bias != nil {
				sum += float64(l.bias[o])
			}
			yt[o] = sum
		}
		if l.a == nil {
			continue
		}
		h := l.reduce(xt)
		for o := range yt {
			for r := range h {
				yt[o] += l.scale * l.b.Data[o*l.rank+r] * h[r]
			}
		}
	}
	return y
}

// reduce is A x for one token: [rank].
func (l *linear) reduce(x []float64) []float64 {
	h := make([]float64, l.rank)
	for r := range h {
		for i := range x {
			h[r] += l.a.Data[r*l.in+i] * x[i]
		}
	}
	return h
}

// backward takes the input x [T × in] and the gradient dy [T × out], adds the
// gradients of A and B, and returns dx [T × in]:
//
//	dx = Wᵀ dy + scale·Aᵀ (Bᵀ dy)
//	dB = scale·dy (A x)ᵀ    dA = scale·(Bᵀ dy) xᵀ
func (l *linear) backward(x, dy []float64) []float64 {
	rows := len(x) / l.in
	dx := make([]float64, rows*l.in)
	for t := range rows {
		xt, dxt, dyt := x[t*l.in:(t+1)*l.in], dx[t*l.in:(t+1)*l.in], dy[t*l.out:(t+1)*l.out]
		for o, g := range dyt {
			if g == 0 {
				continue
			}
			for i, w := range l.w[o*l.in : (o+1)*l.in] {
				dxt[i] += float64(w) * g
			}
		}
		if l.a == nil {
			continue
		}
		h := l.reduce(xt)
		for r := range h {
			dh := 0.0
			for o, g := range dyt {
				dh += l.scale * l.b.Data[o*l.rank+r] * g
				l.b.Grad[o*l.rank+r] += l.scale * g * h[r]
			}
			for i := range xt {
				l.a.Grad[r*l.in+i] += dh * xt[i]
				dxt[i] += dh * l.a.Data[r*l.in+i]
			}
		}
	}
	return dx
}

// rmsNorm is y = x / √(mean(x²) + eps) · w for each row of x [T × E].
func rmsNorm(x []float64, w []float32, eps float64) []float64 {
	y := make([]float64, len(x))
	for t := 0; t < len(x); t += len(w) {
		inverse := inverseRMS(x[t:t+len(w)], eps)
		for i := range w {
			y[t+i] = x[t+i] * inverse * float64(w[i])
		}
	}
	return y
}

func inverseRMS(x []float64, eps float64) float64 {
	sum := 0.0
	for _, v := range x {
		sum += v * v
	}
	return 1 / math.Sqrt(sum/float64(len(x))+eps)
}

// rmsNormBackward returns dx. With s = 1/√(mean(x²)+eps) and g = dy·w:
// dx = s·g - s³·x·mean(g·x).
func rmsNormBackward(x []float64, w []float32, eps float64, dy []float64) []float64 {
	dx := make([]float64, len(x))
	for t := 0; t < len(x); t += len(w) {
		s := inverseRMS(x[t:t+len(w)], eps)
		mean := 0.0
		for i := range w {
			mean += dy[t+i] * float64(w[i]) * x[t+i] / float64(len(w))
		}
		for i := range w {
			dx[t+i] = s*dy[t+i]*float64(w[i]) - s*s*s*x[t+i]*mean
		}
	}
	return dx
}

// silu is g·σ(g); its derivative is σ(g)·(1 + g·(1-σ(g))).
func silu(g float64) (value, derivative float64) {
	s := 1 / (1 + math.Exp(-g))
	return g * s, s * (1 + g*(1-s))
}

// gelu is the tanh form, g/2·(1 + tanh(√(2/π)·(g + 0.044715·g³))).
func gelu(g float64) (value, derivative float64) {
	c := math.Sqrt(2 / math.Pi)
	t := math.Tanh(c * (g + 0.044715*g*g*g))
	return g / 2 * (1 + t), (1+t)/2 + g/2*(1-t*t)*c*(1+3*0.044715*g*g)
}

func (m *Model) activation(g float64) (value, derivative float64) {
	if m.is("gemma3") {
		return gelu(g)
	}
	return silu(g)
}

// split cuts the rows of x into columns of these widths, and merge puts them together again.
func split(x []float64, widths ...int) [][]float64 {
	out := make([][]float64, len(widths))
	for at := 0; at < len(x); {
		for i, w := range widths {
			out[i] = append(out[i], x[at:at+w]...)
			at += w
		}
	}
	return out
}

func merge(rows int, parts ...[]float64) []float64 {
	var out []float64
	for t := range rows {
		for _, p := range parts {
			w := len(p) / rows
			out = append(out, p[t*w:(t+1)*w]...)
		}
	}
	return out
}

func add(x, y []float64) {
	for i := range x {
		x[i] += y[i]
	}
}
