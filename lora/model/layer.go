package model

import "cloister/lora/internal/native"

// saved is what the backward pass of a layer needs of the forward one. x comes
// from the layer before; the rest is computed again for layers that do not fit.
// Shapes for t tokens; q and o have heads·headDim columns, k and v kvHeads·headDim.
type saved struct {
	x        native.Mat             // [t × width] the input
	q0, k0   native.Mat             // before the norms of heads; empty when there are none
	q, k, v  native.Mat             // after RoPE
	o, lse   native.Mat             // attention's output, and [t × heads]
	attnOut  native.Mat             // [t × width] linear(o), when a norm follows
	xmid     native.Mat             // [t × width] after attention
	gate, up native.Mat             // [t × ffn]; empty when there are experts
	ffnOut   native.Mat             // [t × width] linear(act), when a norm follows
	route    route                  // which experts, when there are some
	u        [groupCount]native.Mat // [t × n·rank] scale·input·Aᵀ of the n adapted matrices of a group
}

func (p *pass) newSaved() *saved {
	s, sh := new(saved), p.m.shape
	q, kv := sh.heads*sh.headDim, sh.kvHeads*sh.headDim
	s.q, s.k, s.v, s.o = p.a.Mat(p.t, q), p.a.Mat(p.t, kv), p.a.Mat(p.t, kv), p.a.Mat(p.t, q)
	if sh.headNorms {
		s.q0, s.k0 = p.a.Mat(p.t, q), p.a.Mat(p.t, kv)
	}
	s.lse = p.a.Mat(p.t, sh.heads)
	s.xmid = p.a.Mat(p.t, sh.width)
	if sh.experts {
		s.route = p.newRoute()
	} else {
		s.gate, s.up = p.a.Mat(p.t, sh.ffn), p.a.Mat(p.t, sh.ffn)
	}
	if sh.postNorms {
		s.attnOut, s.ffnOut = p.a.Mat(p.t, sh.width), p.a.Mat(p.t, sh.width)
	}
	for g, a := range p.m.w.layers[0].a {
		if a.Rows > 0 {
			s.u[g] = p.a.Mat(p.t, a.Rows)
		}
	}
	return s
}

func (p *pass) attention(l *layer, s *saved) native.Attention {
	sh := p.m.shape
	return native.Attention{Q: s.q, K: s.k, V: s.v, Start: p.view(l).start, Prefix: p.shared, Heads: sh.heads, KV: sh.kvHeads, Dim: sh.headDim,
		Scale: float32(sh.attentionScale())}
}

// forwardLayer computes, from s.x,
//
//	q, k, v = linear(norm(x)); q, k turned by RoPE, with a norm of each head before in some architectures
//	xmid    = x + linear(attention(q, k, v))
//	out     = xmid + linear(act(gate)·up),  gate, up = linear(norm(xmid)), or experts(norm(xmid))
//
// and fills s. Some architectures normalise what is added. Without out it stops
// when s is full.
func (p *pass) forwardLayer(l *layer, s *saved, out native.Mat) {
	sh := p.m.shape
	mark := p.a.Mark()
	defer p.a.Release(mark)
	h := p.a.Mat(p.t, sh.width)

	p.do("norm", p.k.RMSNorm(h, s.x, l.attnNorm, sh.epsilon))
	q, k := s.q, s.k
	if sh.headNorms {
		q, k = s.q0, s.k0
	}
	p.forward(groupQKV, l, h, s.u[groupQKV], []native.Mat{q, k, s.v}, false)
	p.turn(l, s.q, s.q0, l.qNorm)
	p.turn(l, s.k, s.k0, l.kNorm)
	p.finer(func() { p.do("attention forward", p.k.Attention(p.attention(l, s), s.o, s.lse)) })
	p.join(groupOutput, l, s, s.xmid, s.x, s.o, s.attnOut, l.attnPost)

	p.do("norm", p.k.RMSNorm(h, s.xmid, l.ffnNorm, sh.epsilon))
	if sh.experts {
		p.forwardExperts(l, s, h, out)
		return
	}
	p.forward(groupGateUp, l, h, s.u[groupGateUp], []native.Mat{s.gate, s.up}, false)
	act := p.a.Mat(p.t, sh.ffn)
	p.do("activation", p.k.GLU(act, s.gate, s.up, sh.activation))
	p.join(groupDown, l, s, out, s.xmid, act, s.ffnOut, l.ffnPost)
}

// turn applies RoPE to x, q or k, after the norm of each head of raw if there is one.
func (p *pass) turn(l *layer, x, raw, norm native.Mat) {
	sh := p.m.shape
	if sh.headNorms {
		p.do("norm", p.k.RMSNorm(heads(x, sh.headDim), heads(raw, sh.headDim), norm, sh.epsilon))
	}
	p.do("rope", p.k.Rope(x, p.view(l).rope, sh.headDim, sh.neox, false))
}

// turnBack makes of d, the gradient of what turn gave, the one of what it was given.
func (p *pass) turnBack(l *layer, d, raw, norm native.Mat) native.Mat {
	sh := p.m.shape
	p.do("rope", p.k.Rope(d, p.view(l).rope, sh.headDim, sh.neox, true))
	if !sh.headNorms {
		return d
	}
	out := p.a.Mat(d.Rows, d.Cols)
	p.do("zero", p.k.Zero(out))
	p.do("norm", p.k.RMSNormBack(heads(out, sh.headDim), heads(d, sh.headDim), heads(raw, sh.headDim), norm, sh.epsilon))
	return out
}

// heads is x [t × n·dim] as [t·n × dim].
func heads(x native.Mat, dim int) native.Mat {
	return native.Mat{Data: x.Data, Rows: x.Rows * x.Cols / dim, Cols: dim, Stride: dim}
}

// join computes dst = residual + linear(x), or residual + norm(linear(x)) and
// keeps linear(x) in y then. Without dst it computes only what the backward pass needs.
func (p *pass) join(g int, l *layer, s *saved, dst, residual, x, y, norm native.Mat) {
	if !p.m.shape.postNorms {
		if dst.Rows == 0 {
			p.forward(g, l, x, s.u[g], nil, false)
			return
		}
		p.do("copy", p.k.Copy(dst, residual))
		p.forward(g, l, x, s.u[g], []native.Mat{dst}, true)
		return
	}
	p.forward(g, l, x, s.u[g], []native.Mat{y}, false)
	if dst.Rows > 0 {
		p.do("norm", p.k.RMSNorm(dst, y, norm, p.m.shape.epsilon))
		p.do("copy", p.k.Add(dst, residual))
	}
}

// joinBack is the gradient of linear(x) in join, given that of its result, dx, which stays the residual's.
func (p *pass) joinBack(dx, y, norm native.Mat) native.Mat {
	if !p.m.shape.postNorms {
		return dx
	}
	d := p.a.Mat(p.t, dx.Cols)
	p.do("zero", p.k.Zero(d))
	p.do("norm", p.k.RMSNormBack(d, dx, y, norm, p.m.shape.epsilon))
	return d
}

// below says whether the gradient is needed of what group g of layer i reads:
// there is an adapter further down.
func (p *pass) below(i, g int) bool {
	if i > 0 {
		return true
	}
	for lower := range g {
		if p.adapted(&p.m.w.layers[0], lower) {
			return true
		}
	}
	return false
}

// backwardLayer turns dx, the gradient of the layer's output, into that of its
// input and adds the gradients of its adapters. It overwrites s.gate and s.up.
// In layer 0 it stops below the lowest adapter and leaves dx as it is then.
func (p *pass) backwardLayer(i int, s *saved, dx native.Mat) {
	l := &p.m.w.layers[i]
	mark := p.a.Mark()
	defer p.a.Release(mark)
	if p.backwardFFN(i, l, s, dx) {
		p.a.Release(mark)
		p.backwardAttention(i, l, s, dx)
	}
}

// backwardFFN goes from out to xmid and returns whether to go on.
func (p *pass) backwardFFN(i int, l *layer, s *saved, dx native.Mat) bool {
	sh := p.m.shape
	if sh.experts {
		dh := p.a.Mat(p.t, sh.width)
		p.backwardExperts(l, s, dx, dh)
		p.do("norm", p.k.RMSNormBack(dx, dh, s.xmid, l.ffnNorm, sh.epsilon))
		return true
	}
	var dAct, dh native.Mat
	act := p.a.Mat(p.t, sh.ffn)
	p.do("activation", p.k.GLU(act, s.gate, s.up, sh.activation))
	if p.below(i, groupDown) {
		dAct = p.a.Mat(p.t, sh.ffn)
	}
	p.backward(groupDown, l, act, s.u[groupDown], []native.Mat{p.joinBack(dx, s.ffnOut, l.ffnPost)}, dAct)
	if !p.below(i, groupDown) {
		return false
	}
	p.do("activation", p.k.GLUBack(s.gate, s.up, dAct, s.gate, s.up, sh.activation))
	h := p.a.Mat(p.t, sh.width)
	if p.adapted(l, groupGateUp) {
		p.do("norm", p.k.RMSNorm(h, s.xmid, l.ffnNorm, sh.epsilon))
	}
	if p.below(i, groupGateUp) {
		dh = p.a.Mat(p.t, sh.width)
	}
	p.backward(groupGateUp, l, h, s.u[groupGateUp], []native.Mat{s.gate, s.up}, dh)
	if !p.below(i, groupGateUp) {
		return false
	}
	p.do("norm", p.k.RMSNormBack(dx, dh, s.xmid, l.ffnNorm, sh.epsilon))
	return true
}

// backwardAttention goes from xmid to x.
func (p *pass) backwardAttention(i int, l *layer, s *saved, dx native.Mat) {
	sh := p.m.shape
	var dO, dh native.Mat
	if p.below(i, groupOutput) {
		dO = p.a.Mat(p.t, s.o.Cols)
	}
	p.backward(groupOutput, l, s.o, s.u[groupOutput], []native.Mat{p.joinBack(dx, s.attnOut, l.attnPost)}, dO)
	if !p.below(i, groupOutput) {
		return
	}
	dq, dk, dv := p.a.Mat(p.t, s.q.Cols), p.a.Mat(p.t, s.k.Cols), p.a.Mat(p.t, s.v.Cols)
	p.do("attention backward", p.k.AttentionBack(p.attention(l, s), s.o, s.lse, dO, dq, dk, dv))
	dq, dk = p.turnBack(l, dq, s.q0, l.qNorm), p.turnBack(l, dk, s.k0, l.kNorm)
	h := p.a.Mat(p.t, sh.width)
	if p.adapted(l, groupQKV) {
		p.do("norm", p.k.RMSNorm(h, s.x, l.attnNorm, sh.epsilon))
	}
	if p.below(i, groupQKV) {
		dh = p.a.Mat(p.t, sh.width)
	}
	p.backward(groupQKV, l, h, s.u[groupQKV], []native.Mat{dq, dk, dv}, dh)
	if p.below(i, groupQKV) {
		p.do("norm", p.k.RMSNormBack(dx, dh, s.x, l.attnNorm, sh.epsilon))
	}
}
