package model

import (
	"encoding/binary"
	"math"

	"cloister/llama/gguf"
)

// rotary is one form of position encoding: how far RoPE turns each pair.
type rotary struct {
	speed    []float64 // radians by which pair i turns from one position to the next
	long     []float64 // the same in texts of more than original tokens; nil: the same
	original int
	factor   float64 // on cosines and sines
}

// scaling is how a model was stretched to longer texts, as llama.cpp reads it.
type scaling struct {
	factor   float64 // positions are multiplied by it
	yarn     bool    // fast pairs keep their speed
	original int     // tokens of the texts before
	base     float64
	attn     float64 // on cosines and sines
}

// rope reads the position encoding, with llama.cpp's defaults.
func (l *loader) rope(s *shape) {
	c := scaling{factor: 1, base: l.float("rope.freq_base", 10000), attn: l.float("rope.scaling.attn_factor", 1)}
	if c.base <= 0 {
		l.fail("%srope.freq_base is %g", l.prefix, c.base)
	}
	c.original = l.number("rope.scaling.original_context_length", s.context)
	kind, ok := l.f.String(l.prefix + "rope.scaling.type")
	if !ok {
		kind = "linear"
	}
	switch {
	case kind == "none":
	case kind == "linear", kind == "yarn", kind == "longrope" && s.longRope:
		if f := l.float("rope.scaling.factor", l.float("rope.scale_linear", 0)); f < 0 {
			l.fail("%srope.scaling.factor is %g", l.prefix, f)
		} else if f != 0 {
			c.factor = 1 / f
		}
		c.yarn = kind == "yarn"
	default:
		l.fail("%w: RoPE scaling %q; supported: none, linear, yarn, the tensor rope_freqs of Llama 3, and longrope of Phi 3", ErrArchitecture, kind)
	}
	if l.err != nil {
		return
	}
	s.rope = l.rotary(s, c)
	if s.windowSize > 0 { // llama.cpp stretches only the layers without a window
		s.windowRope = l.rotary(s, scaling{factor: 1, base: l.float("rope.freq_base_swa", 10000), yarn: c.yarn, original: c.original, attn: c.attn})
	}
}

// The pairs that YaRN (arXiv:2309.00071) leaves alone turn more often than
// yarnFast times in the original context, those that it slows down in full
// less often than yarnSlow. llama.cpp reads other values for no architecture of ours.
const (
	yarnFast = 32
	yarnSlow = 1
)

// rotary computes the speeds of ggml_rope_ext: pair i turns by
// base^(-2i/rotated)·factor/freqs[i]. With YaRN the factor goes from 1 for fast
// pairs to factor for slow ones, and cosines and sines grow.
func (l *loader) rotary(s *shape, c scaling) rotary {
	n := float64(s.rotated)
	r := rotary{speed: make([]float64, s.rotated/2), original: c.original, factor: c.attn}
	corner := func(turns float64) float64 {
		return n * math.Log(float64(c.original)/(turns*2*math.Pi)) / (2 * math.Log(c.base))
	}
	low, high := max(0, math.Floor(corner(yarnFast))), min(n-1, math.Ceil(corner(yarnSlow)))
	if c.yarn {
		// What llama_context divides by and rope_yarn multiplies with is the same for factors that stretch.
		stretch := 1 + 0.1*math.Log(1/c.factor)
		r.factor *= max(1, stretch)
	}
	for i := range r.speed {
		by := c.factor
		if c.yarn {
			mix := 1 - min(1, max(0, (float64(i)-low)/max(0.001, high-low)))
			by = c.factor*(1-mix) + mix
		}
		r.speed[i] = by * math.Pow(c.base, -2*float64(i)/n)
	}
	switch {
	case s.ropeFreqs && l.has("rope_freqs.weight"):
		r.speed = divide(r.speed, l.floats("rope_freqs.weight", s.rotated/2))
	case s.longRope && l.has("rope_factors_short.weight"):
		r.long = divide(r.speed, l.floats("rope_factors_long.weight", s.rotated/2))
		r.speed = divide(r.speed, l.floats("rope_factors_short.weight", s.rotated/2))
	}
	return r
}

func divide(x, y []float64) []float64 {
	out := make([]float64, len(x))
	for i := range min(len(x), len(y)) {
		out[i] = x[i] / y[i]
	}
	return out
}

// floats are the n values of a small F32 tensor.
func (l *loader) floats(name string, n int) []float64 {
	t := l.tensor(name, n)
	if t == nil {
		return nil
	}
	if t.Type != gguf.F32 {
		l.fail("the tensor %s has the type %s; llama.cpp wants F32", name, t.Type)
		return nil
	}
	out := make([]float64, n)
	for i := range out {
		if l.f.HeaderOnly { // a plan computes nothing
			out[i] = 1
			continue
		}
		out[i] = float64(math.Float32frombits(binary.LittleEndian.Uint32(t.Data[4*i:])))
	}
	return out
}

// fill writes the table [tokens × rotated] of RoPE into out. Texts are long or short
// by themselves, however many are packed into the batch.
func (r *rotary) fill(out []float32, b *Batch) {
	half := len(r.speed)
	long := false
	for t := len(b.Pos) - 1; t >= 0; t-- { // from the end: the last token of a segment tells how long it is
		if t+1 == len(b.Pos) || b.Seq[t] != b.Seq[t+1] {
			long = false
		}
		long = long || int(b.Pos[t]) >= r.original
		speed := r.speed
		if long && r.long != nil {
			speed = r.long
		}
		row := out[t*2*half : (t+1)*2*half]
		for i, v := range speed {
			sin, cos := math.Sincos(float64(b.Pos[t]) * v)
			row[i], row[half+i] = float32(cos*r.factor), float32(sin*r.factor)
		}
	}
}
