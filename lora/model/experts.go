package model

import (
	"math"
	"slices"

	"cloister/lora/internal/native"
)

// experts are the feed-forward parts of a layer of which each token uses some.
type experts struct {
	router         native.Weight   // [experts × width]
	gate, up, down []native.Weight // of each expert: [ffn × width] twice, [width × ffn]
}

func (l *loader) experts(s *shape, name func(string) string) *experts {
	// stack cuts a tensor [experts × out × in] into the matrices of the experts.
	stack := func(tensor string, in, out int) []native.Weight {
		t := l.tensor(name(tensor+".weight"), in, out, s.expertCount)
		if t == nil {
			return nil
		}
		all := l.asWeight(t, in, out*s.expertCount)
		list := make([]native.Weight, s.expertCount)
		for e := range list {
			list[e] = all.Slab(e*out, (e+1)*out)
		}
		return list
	}
	return &experts{
		router: l.matrix(name("ffn_gate_inp.weight"), s.width, s.expertCount),
		gate:   stack("ffn_gate_exps", s.width, s.ffn),
		up:     stack("ffn_up_exps", s.width, s.ffn),
		down:   stack("ffn_down_exps", s.ffn, s.width),
	}
}

// route says which experts each token uses, best first, and how much.
type route struct {
	used    int       // experts of a token
	chosen  []int32   // [t × used] expert of each
	weights []float32 // [t × used] softmax over the chosen
}

func (p *pass) newRoute() route {
	k := p.m.shape.expertsUsed
	return route{k, p.ints(p.t * k), p.floats(p.t * k)}
}

// choose fills the route from the router's logits [t × experts]: the largest
// ones, and their softmax, which is what llama.cpp's softmax over all experts
// divided by the sum of the chosen is.
func (r *route) choose(logits []float32) {
	k := r.used
	tokens := len(r.chosen) / k
	n := len(logits) / tokens
	for t := range tokens {
		row, out, chosen := logits[t*n:(t+1)*n], r.weights[t*k:(t+1)*k], r.chosen[t*k:(t+1)*k]
		total := 0.0
		for i := range k {
			best := -1
			for e, v := range row {
				if (best < 0 || v > row[best]) && !slices.Contains(chosen[:i], int32(e)) {
					best = e
				}
			}
			chosen[i] = int32(best)
			out[i] = float32(math.Exp(float64(row[best] - row[chosen[0]])))
			total += float64(out[i])
		}
		for i := range out {
			out[i] = float32(float64(out[i]) / total)
		}
	}
}

// of lists the tokens that use expert e, and where their weights stand in the route.
func (r *route) of(e int, tokens, at []int32) int {
	n, k := 0, int32(r.used)
	for i, c := range r.chosen {
		if int(c) == e {
			tokens[n], at[n] = int32(i)/k, int32(i)
			n++
		}
	}
	return n
}

// visit is one expert with the tokens that use it.
type visit struct {
	e          int
	tokens, at []int32    // as route.of gives them
	x, w       native.Mat // [n × width] their inputs, and [n × 1] the weights
	gate, up   native.Mat // [n × ffn]
	act        native.Mat // [n × ffn] act(gate)·up
}

// visits runs f for every expert that is used, its gate, up and act computed
// from the rows of h [t × width]. The plan of memory is one expert with all tokens.
func (p *pass) visits(l *layer, s *saved, h native.Mat, f func(v *visit)) {
	mark := p.a.Mark()
	defer p.a.Release(mark)
	sh := p.m.shape
	tokens, at := p.ints(p.t), p.ints(p.t)
	x, w := p.a.Mat(p.t, sh.width), p.a.Mat(p.t, 1)
	gate, up, act := p.a.Mat(p.t, sh.ffn), p.a.Mat(p.t, sh.ffn), p.a.Mat(p.t, sh.ffn)
	inner := p.a.Mark()
	for e := range sh.expertCount {
		n := p.t
		if !p.plan {
			if n = s.route.of(e, tokens, at); n == 0 {
				continue
			}
		}
		v := &visit{e: e, x: x.Slab(0, n), w: w.Slab(0, n), gate: gate.Slab(0, n), up: up.Slab(0, n), act: act.Slab(0, n)}
		if !p.plan {
			v.tokens, v.at = tokens[:n], at[:n]
		}
		p.fill("gather", v.w, func(w []float32) {
			for i, j := range v.at {
				w[i] = s.route.weights[j]
			}
		})
		p.do("gather", p.k.Gather(v.x, h, v.tokens))
		packed := p.m.dev.Packed(p.a, n, sh.width)
		p.do("pack", p.k.Pack(packed, v.x))
		p.do("experts forward", p.k.Gemm(v.gate, false, native.Term{A: packed, B: l.experts.gate[e], Trans: true}))
		p.do("experts forward", p.k.Gemm(v.up, false, native.Term{A: packed, B: l.experts.up[e], Trans: true}))
		p.a.Release(inner)
		p.do("activation", p.k.GLU(v.act, v.gate, v.up, sh.activation))
		f(v)
		p.a.Release(inner)
		if p.plan {
			return
		}
	}
}

// forwardExperts computes out = xmid + Σ_e w_e·down_e(act(gate_e(h))·up_e(h)) over
// the experts e that a token uses, from h = norm(xmid), and fills s.route. Without
// out it computes the route only.
func (p *pass) forwardExperts(l *layer, s *saved, h, out native.Mat) {
	sh := p.m.shape
	mark := p.a.Mark()
	logits := p.a.Mat(p.t, sh.expertCount)
	p.do("router", p.k.Gemm(logits, false, native.Term{A: h, B: l.experts.router, Trans: true}))
	if z := p.values("router", logits); p.err == nil && !p.plan {
		s.route.choose(z)
	}
	p.a.Release(mark)
	if out.Rows == 0 {
		return
	}
	p.do("copy", p.k.Copy(out, s.xmid))
	p.visits(l, s, h, func(v *visit) {
		p.do("experts forward", p.k.Gemm(v.x, false, native.Term{A: v.act, B: l.experts.down[v.e], Trans: true}))
		p.do("experts forward", p.k.ScaleRows(v.x, v.w))
		p.do("gather", p.k.ScatterAdd(out, v.x, v.tokens))
	})
}

// backwardExperts computes dh, the gradient of the experts' input, from that of
// their output. With z = dx·down_e [n × ffn] for the tokens of expert e,
//
//	dw_e = z·act,  dact = w_e·z,  dh += dgate·gate_e + dup·up_e
//	dlogit_e = w_e·(dw_e − Σ_f w_f·dw_f),  dh += dlogits·router
func (p *pass) backwardExperts(l *layer, s *saved, dx, dh native.Mat) {
	sh := p.m.shape
	mark := p.a.Mark()
	defer p.a.Release(mark)
	// The dot products of all visits come to the host together, and where each belongs is in order.
	n, done := p.t*sh.expertsUsed, 0
	order, dw := p.ints(n), p.floats(n)
	h, dots := p.a.Mat(p.t, sh.width), p.a.Mat(n, 1)
	dlogits, z := p.a.Mat(p.t, sh.expertCount), p.a.Mat(p.t, sh.ffn)
	p.do("norm", p.k.RMSNorm(h, s.xmid, l.ffnNorm, sh.epsilon))
	p.do("zero", p.k.Zero(dh))
	p.visits(l, s, h, func(v *visit) {
		n := v.x.Rows
		dAct, dot := z.Slab(0, n), dots.Slab(done, done+n)
		p.do("gather", p.k.Gather(v.x, dx, v.tokens))
		p.do("experts backward", p.k.Gemm(dAct, false, native.Term{A: v.x, B: l.experts.down[v.e]}))
		p.do("experts backward", p.k.DotRows(dot, dAct, v.act))
		done += copy(order[done:], v.at)
		p.do("experts backward", p.k.ScaleRows(dAct, v.w))
		p.do("activation", p.k.GLUBack(v.gate, v.up, dAct, v.gate, v.up, sh.activation))
		p.do("experts backward", p.k.Gemm(v.x, false, native.Term{A: v.gate, B: l.experts.gate[v.e]}, native.Term{A: v.up, B: l.experts.up[v.e]}))
		p.do("gather", p.k.ScatterAdd(dh, v.x, v.tokens))
	})
	for i, v := range p.values("router", dots) {
		dw[order[i]] = v
	}
	p.fill("router", dlogits, func(out []float32) { s.route.back(out, dw) })
	p.do("router", p.k.Gemm(dh, true, native.Term{A: dlogits, B: l.experts.router}))
}

// back writes the gradient of the router's logits, from that of the weights.
func (r *route) back(out, dw []float32) {
	k := r.used
	tokens := len(r.chosen) / k
	n := len(out) / tokens
	clear(out)
	for t := range tokens {
		w, d := r.weights[t*k:(t+1)*k], dw[t*k:(t+1)*k]
		mean := float32(0)
		for i := range w {
			mean += w[i] * d[i]
		}
		for i, e := range r.chosen[t*k : (t+1)*k] {
			out[t*n+int(e)] = w[i] * (d[i] - mean)
		}
	}
}
