package model

import "cloister/lora/internal/native"

// logitBytes bounds the logits that exist at one time.
const logitBytes = 64 << 20

// leastRows is how many rows must share a block of the output matrix before
// computing with it takes as long as dequantising and packing it.
const leastRows = 128

// headRows is the number of rows whose logits are computed together.
func (m *Model) headRows() int { return max(leastRows, logitBytes/(4*m.shape.vocab)) }

// scorer makes of the logits of targets from to to what is to be known of
// them, and with a gradient overwrites them with the loss's.
type scorer func(logits native.Mat, from, to int)

// head computes the logits at the positions at, from the output x [t × width]
// of the last layer, and hands them to score. With dx [t × width] it writes
// there the gradient of x, from that of the logits which score leaves; zero at
// the other positions. Logits [rows × vocab] exist for some rows at a time.
func (p *pass) head(x native.Mat, at []int32, dx native.Mat, score scorer) {
	sh, w := p.m.shape, p.m.w
	mark := p.a.Mark()
	defer p.a.Release(mark)
	p.held = mark
	grad := dx.Rows > 0
	if grad {
		p.do("zero", p.k.Zero(dx))
	}
	n := len(at)
	if n == 0 {
		return
	}
	rows, h := p.a.Mat(n, sh.width), p.a.Mat(n, sh.width)
	p.do("gather", p.k.Gather(rows, x, at))
	p.do("norm", p.k.RMSNorm(h, rows, w.outputNorm, sh.epsilon))
	var dh, drows native.Mat
	if grad {
		dh, drows = p.a.Mat(n, sh.width), p.a.Mat(n, sh.width)
	}
	chunk := min(n, p.m.headRows())
	logits := p.a.Mat(chunk, sh.vocab)
	var capped native.Mat
	if sh.cap > 0 && grad {
		capped = p.a.Mat(chunk, sh.vocab)
	}
	packed := p.a.Mark()
	for from := 0; from < n && p.err == nil; from += chunk {
		to := min(from+chunk, n)
		out, left := logits.Slab(0, to-from), p.m.dev.Packed(p.a, to-from, sh.width)
		p.do("pack", p.k.Pack(left, h.Slab(from, to)))
		p.do("output forward", p.k.Gemm(out, false, native.Term{A: left, B: w.output, Trans: true}))
		p.a.Release(packed)
		if p.plan {
			if grad {
				p.do("output backward", p.k.Gemm(dh.Slab(from, to), false, native.Term{A: out, B: w.output}))
			}
			continue
		}
		if sh.cap > 0 {
			p.do("soft cap", p.k.SoftCap(out, sh.cap))
			if grad {
				p.do("soft cap", p.k.Copy(capped.Slab(0, to-from), out))
			}
		}
		score(out, from, to)
		if grad && sh.cap > 0 {
			p.do("soft cap", p.k.SoftCapBack(out, capped.Slab(0, to-from), sh.cap))
		}
		if grad {
			// The logits' gradient is read in place: packing it would double the memory and is no faster.
			p.do("output backward", p.k.Gemm(dh.Slab(from, to), false, native.Term{A: out, B: w.output}))
		}
	}
	if grad {
		p.do("zero", p.k.Zero(drows))
		p.do("norm", p.k.RMSNormBack(drows, dh, rows, w.outputNorm, sh.epsilon))
		p.do("gather", p.k.ScatterAdd(dx, drows, at))
	}
}

// crossEntropy is the loss of the row's targets, -ln p of each. With dx it also
// writes ∂(Σ scale·weight·-ln p)/∂x there; without weights they are 1.
func (p *pass) crossEntropy(x native.Mat, scale float64, weights []float32, dx native.Mat) (Loss, []float64) {
	at, targets := p.batch.targets()
	loss, correct := make([]float64, len(at)), make([]int32, len(at))
	p.head(x, at, dx, func(logits native.Mat, from, to int) {
		w := weights
		if w != nil {
			w = w[from:to]
		}
		p.do("cross-entropy", p.k.CrossEntropy(logits, targets[from:to], dx.Rows > 0, float32(scale), w, loss[from:to], correct[from:to]))
	})
	return p.sum(loss, correct), loss
}

// sum is the loss of a row from those of its targets.
func (p *pass) sum(loss []float64, correct []int32) Loss {
	if p.plan || p.err != nil {
		return Loss{}
	}
	l := Loss{Tokens: len(loss)}
	for i := range loss {
		l.Sum += loss[i]
		l.Correct += int(correct[i])
	}
	return l
}

// logits writes those of every row of x into out [t × vocab].
func (p *pass) logits(x native.Mat, out []float32) {
	sh, w := p.m.shape, p.m.w
	mark := p.a.Mark()
	defer p.a.Release(mark)
	chunk := min(p.t, p.m.headRows())
	h, logits := p.a.Mat(chunk, sh.width), p.a.Mat(chunk, sh.vocab)
	for from := 0; from < p.t && !p.plan; from += chunk {
		to := min(from+chunk, p.t)
		hs, ls := h.Slab(0, to-from), logits.Slab(0, to-from)
		p.do("norm", p.k.RMSNorm(hs, x.Slab(from, to), w.outputNorm, sh.epsilon))
		p.do("output forward", p.k.Gemm(ls, false, native.Term{A: hs, B: w.output, Trans: true}))
		if sh.cap > 0 {
			p.do("soft cap", p.k.SoftCap(ls, sh.cap))
		}
		p.do("logits", p.m.dev.Download(out[from*sh.vocab:to*sh.vocab], ls))
	}
}
