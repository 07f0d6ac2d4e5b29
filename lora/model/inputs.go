package model

import (
	"unsafe"

	"cloister/lora/internal/native"
)

// inputs are those of the layers [t × width], which wait for the backward pass,
// with the last output after them. With Config.Offload those of the layers that
// are computed twice wait on the host: they pass through two places on the card
// by turns, and are copied beside the kernels, out while their layer computes
// and back a layer ahead of it.
type inputs struct {
	p    *pass
	x    []native.Mat
	away int          // the first layers, whose inputs leave; the next two are in the two places in the end
	host []native.Mat // where they wait
	copy []int        // tickets of the copies under way
}

// pinned is host memory that a card copies from and to by itself.
type pinned struct{ remote }

func (p pinned) Alloc(bytes int64) (unsafe.Pointer, error) { return p.Pin(bytes) }
func (p pinned) Free(at unsafe.Pointer)                    { p.Unpin(at) }

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
	var count native.Arena
	for range in.away {
		count.Mat(p.t, sh.width)
	}
	if p.away = count.Peak(); p.plan || in.away == 0 {
		return in, nil
	}
	if err := p.m.waiting.Reserve(p.away); err != nil {
		return nil, err
	}
	in.copy = make([]int, in.away)
	for range in.away {
		in.host = append(in.host, p.m.waiting.Mat(p.t, sh.width))
	}
	return in, nil
}

// moves says whether there is anything to do for the input of layer i.
func (in *inputs) moves(i int) bool {
	return i >= 0 && i < in.away && !in.p.plan && in.p.err == nil
}

func (in *inputs) bytes() int64 { return 4 * int64(in.x[0].Rows) * int64(in.x[0].Cols) }

// forward comes before layer i computes: its input begins to leave, and that of
// the layer before must have left, because layer i writes to its place.
func (in *inputs) forward(i int) {
	if in.moves(i - 1) {
		in.p.do("offload", in.p.m.far.Join(in.copy[i-1]))
	}
	if in.moves(i) {
		var err error
		in.copy[i], err = in.p.m.far.SaveAside(in.host[i].Data, in.x[i].Data, in.bytes())
		in.p.do("offload", err)
	}
}

// backward comes before layer i runs backward: its input must be there.
func (in *inputs) backward(i int) {
	if in.moves(i) {
		in.p.do("offload", in.p.m.far.Join(in.copy[i]))
	}
}

// done comes after: to the place of layer i's input another one comes back.
func (in *inputs) done(i int) {
	if i -= 2; in.moves(i) {
		var err error
		in.copy[i], err = in.p.m.far.FetchAside(in.x[i].Data, in.host[i].Data, in.bytes())
		in.p.do("offload", err)
	}
}
