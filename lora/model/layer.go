package model

import (
	"math"

	"cloister/lora/internal/native"
)

// saved is what the backward pass of a layer needs of the forward one. x comes
// from the layer before; the rest is computed again for layers that do not fit.
// Shapes for t tokens; q and o have heads·headDim columns, k and v kvHeads·headDim.
type saved struct {
	x        native.Mat        // [t × width] the input
	q, k, v  native.Mat        // after RoPE
	o, lse   native.Mat        // attention's output, and [t × heads]
	xmid     native.Mat        // [t × width] after attention
	gate, up native.Mat        // [t × ffn]
	u        [slots]native.Mat // [t × rank] scale·input·Aᵀ of each adapted matrix
}

func (p *pass) newSaved() *saved {
	s, sh := new(saved), p.m.shape
	q, kv := sh.out(attnQ), sh.out(attnK)
	s.q, s.k, s.v, s.o = p.a.Mat(p.t, q), p.a.Mat(p.t, kv), p.a.Mat(p.t, kv), p.a.Mat(p.t, q)
	s.lse = p.a.Mat(p.t, sh.heads)
	s.xmid = p.a.Mat(p.t, sh.width)
	s.gate, s.up = p.a.Mat(p.t, sh.ffn), p.a.Mat(p.t, sh.ffn)
	for _, m := range allSlots {
		if p.m.w.layers[0].linear[m].adapted {
			s.u[m] = p.a.Mat(p.t, p.m.cfg.Rank)
		}
	}
	return s
}

func (p *pass) attention(s *saved) native.Attention {
	sh := p.m.shape
	return native.Attention{Q: s.q, K: s.k, V: s.v, Start: p.start, Prefix: p.shared, Heads: sh.heads, KV: sh.kvHeads, Dim: sh.headDim,
		Scale: float32(1 / math.Sqrt(float64(sh.headDim)))}
}

// forwardLayer computes, from s.x,
//
//	q, k, v = linear(norm(x)); q, k turned by RoPE
//	xmid    = x + linear(attention(q, k, v))
//	out     = xmid + linear(act(gate)·up),  gate, up = linear(norm(xmid))
//
// and fills s. Without out it stops before the last product.
func (p *pass) forwardLayer(l *layer, s *saved, out native.Mat) {
	sh := p.m.shape
	mark := p.a.Mark()
	defer p.a.Release(mark)
	h := p.a.Mat(p.t, sh.width)

	p.do("norm", p.k.RMSNorm(h, s.x, l.attnNorm, sh.epsilon))
	p.forward(&groups[groupQKV], l, h, &s.u, []native.Mat{s.q, s.k, s.v}, false)
	p.do("rope", p.k.Rope(s.q, p.rope, sh.headDim, sh.neox, false))
	p.do("rope", p.k.Rope(s.k, p.rope, sh.headDim, sh.neox, false))
	p.do("attention forward", p.k.Attention(p.attention(s), s.o, s.lse))
	p.do("copy", p.k.Copy(s.xmid, s.x))
	p.forward(&groups[groupOutput], l, s.o, &s.u, []native.Mat{s.xmid}, true)

	p.do("norm", p.k.RMSNorm(h, s.xmid, l.ffnNorm, sh.epsilon))
	p.forward(&groups[groupGateUp], l, h, &s.u, []native.Mat{s.gate, s.up}, false)
	act := p.a.Mat(p.t, sh.ffn)
	p.do("activation", p.k.GLU(act, s.gate, s.up, sh.activation))
	if out.Rows == 0 {
		p.forward(&groups[groupDown], l, act, &s.u, nil, false)
		return
	}
	p.do("copy", p.k.Copy(out, s.xmid))
	p.forward(&groups[groupDown], l, act, &s.u, []native.Mat{out}, true)
}

// below says whether the gradient is needed of what group g of layer i reads:
// there is an adapter further down.
func (p *pass) below(i, g int) bool {
	if i > 0 {
		return true
	}
	for lower := range groups[:g] {
		if p.m.w.layers[0].adapted(&groups[lower]) {
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
	var dAct, dh native.Mat
	act := p.a.Mat(p.t, sh.ffn)
	p.do("activation", p.k.GLU(act, s.gate, s.up, sh.activation))
	if p.below(i, groupDown) {
		dAct = p.a.Mat(p.t, sh.ffn)
	}
	p.backward(&groups[groupDown], l, act, &s.u, []native.Mat{dx}, dAct)
	if !p.below(i, groupDown) {
		return false
	}
	p.do("activation", p.k.GLUBack(s.gate, s.up, dAct, s.gate, s.up, sh.activation))
	h := p.a.Mat(p.t, sh.width)
	if l.adapted(&groups[groupGateUp]) {
		p.do("norm", p.k.RMSNorm(h, s.xmid, l.ffnNorm, sh.epsilon))
	}
	if p.below(i, groupGateUp) {
		dh = p.a.Mat(p.t, sh.width)
	}
	p.backward(&groups[groupGateUp], l, h, &s.u, []native.Mat{s.gate, s.up}, dh)
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
	p.backward(&groups[groupOutput], l, s.o, &s.u, []native.Mat{dx}, dO)
	if !p.below(i, groupOutput) {
		return
	}
	dq, dk, dv := p.a.Mat(p.t, s.q.Cols), p.a.Mat(p.t, s.k.Cols), p.a.Mat(p.t, s.v.Cols)
	p.do("attention backward", p.k.AttentionBack(p.attention(s), s.o, s.lse, dO, dq, dk, dv))
	p.do("rope", p.k.Rope(dq, p.rope, sh.headDim, sh.neox, true))
	p.do("rope", p.k.Rope(dk, p.rope, sh.headDim, sh.neox, true))
	h := p.a.Mat(p.t, sh.width)
	if l.adapted(&groups[groupQKV]) {
		p.do("norm", p.k.RMSNorm(h, s.x, l.attnNorm, sh.epsilon))
	}
	if p.below(i, groupQKV) {
		dh = p.a.Mat(p.t, sh.width)
	}
	p.backward(&groups[groupQKV], l, h, &s.u, []native.Mat{dq, dk, dv}, dh)
	if p.below(i, groupQKV) {
		p.do("norm", p.k.RMSNormBack(dx, dh, s.x, l.attnNorm, sh.epsilon))
	}
}
