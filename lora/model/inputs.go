package model

import "cloister/lora/internal/native"

// inputs are those of the layers [t × width], which wait for the backward pass,
// with the last output after them. With Config.Offload those of the layers that
// are computed twice wait on the host: they pass through two places on the card
// by turns, so that one can be copied while the next layer computes.
type inputs struct {
	p    *pass
	x    []native.Mat
	away int         // the first layers, whose inputs leave, but for the last two of them
	host [][]float32 // what has left
}

// newInputs makes room; the first twice layers are computed twice.
func (p *pass) newInputs(twice int) (*inputs, error) {
	sh := p.m.shape
	in := &inputs{p: p, x: make([]native.Mat, sh.layers+1)}
	if p.m.cfg.Offload && p.m.remote() {
		in.away = max(0, twice-2)
	}
	for i := range in.x {
		if in.away > 0 && i >= 2 && i < twice {
			in.x[i] = in.x[i-2]
		} else {
			in.x[i] = p.a.Mat(p.t, sh.width)
		}
	}
	n := p.t * sh.width
	if p.away = 4 * int64(n) * int64(in.away); p.plan || in.away == 0 {
		return in, nil
	}
	if err := p.m.waiting.Reserve(p.away + int64(in.away)<<6); err != nil {
		return nil, err
	}
	for range in.away {
		in.host = append(in.host, p.m.waiting.Float32(n))
	}
	return in, nil
}

// leave copies the input of layer i to the host if it waits there. Its place is written next by layer i+1.
func (in *inputs) leave(i int) {
	if i < in.away && !in.p.plan && in.p.err == nil {
		in.p.do("offload", in.p.m.dev.Download(in.host[i], in.x[i]))
	}
}

// done says that layer i has run backward: the input that has its place comes back, a layer ahead.
func (in *inputs) done(i int) {
	if i -= 2; i >= 0 && i < in.away && !in.p.plan && in.p.err == nil {
		in.p.do("offload", in.p.m.dev.Upload(in.x[i], in.host[i]))
	}
}
