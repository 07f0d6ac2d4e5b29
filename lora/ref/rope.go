package ref

import (
	"fmt"
	"math"
)

// rope turns pairs of q and k by their position, as ggml_rope_ext does.
type rope struct {
	base, scale float64
	dims        int  // values of a head that turn
	neox        bool // pairs (i, i+dims/2), not (2i, 2i+1)
	yarn        bool
	original    int // tokens of the texts before scaling
	magnitude   float64
	short, long []float32 // divisors; nil: 1
}

func (m *Model) readRope(r *reader) error {
	float := func(key string, def float64) float64 {
		if v, ok := r.f.Float(m.arch + "." + key); ok {
			return v
		}
		return def
	}
	number := func(key string, def int) int {
		if n, ok := r.f.Uint(m.arch + "." + key); ok {
			return int(n)
		}
		return def
	}
	o := rope{
		base: float("rope.freq_base", 10000), scale: 1, dims: number("rope.dimension_count", m.HeadDim), neox: !m.is("llama"),
		original: number("rope.scaling.original_context_length", number("context_length", 0)), magnitude: float("rope.scaling.attn_factor", 1),
	}
	switch kind, _ := r.f.String(m.arch + ".rope.scaling.type"); kind {
	case "none":
	case "", "linear", "yarn", "longrope":
		if f := float("rope.scaling.factor", 0); f != 0 {
			o.scale = 1 / f
		}
		o.yarn = kind == "yarn"
	default:
		return fmt.Errorf("rope scaling %q is not supported", kind)
	}
	if r.has("rope_freqs.weight") {
		o.short = r.tensor("rope_freqs.weight", o.dims/2)
	}
	if r.has("rope_factors_long.weight") {
		o.short, o.long = r.tensor("rope_factors_short.weight", o.dims/2), r.tensor("rope_factors_long.weight", o.dims/2)
	}
	local := o
	local.base, local.scale = float("rope.freq_base_swa", 10000), 1
	for _, l := range m.layers {
		l.rope = &o
		if l.window > 0 {
			l.rope = &local
		}
	}
	return r.err
}

// angle of pair i at a position, in a text that is long or not, and what
// cosine and sine are multiplied by: rope_yarn of ggml-cpu/ops.cpp.
func (o *rope) angle(pos, i int, long bool) (theta, magnitude float64) {
	extrapolated := float64(pos) * math.Pow(o.base, -2*float64(i)/float64(o.dims))
	if factors := o.short; factors != nil {
		if long && o.long != nil {
			factors = o.long
		}
		extrapolated /= float64(factors[i])
	}
	interpolated := o.scale * extrapolated
	if !o.yarn {
		return interpolated, o.magnitude
	}
	dim := func(turns float64) float64 { // ggml_rope_yarn_corr_dim
		return float64(o.dims) * math.Log(float64(o.original)/(turns*2*math.Pi)) / (2 * math.Log(o.base))
	}
	start, end := math.Max(0, math.Floor(dim(32))), math.Min(float64(o.dims-1), math.Ceil(dim(1)))
	ramp := 1 - math.Min(1, math.Max(0, (float64(i)-start)/math.Max(0.001, end-start)))
	return interpolated*(1-ramp) + extrapolated*ramp, o.magnitude * (1 + 0.1*math.Log(1/o.scale))
}

// rotate turns the pairs of each head of x [T × heads·D] by direction·angle.
// The gradient of a rotation is the rotation back.
func (m *Model) rotate(o *rope, x []float64, b *Batch, direction float64) {
	width := len(x) / len(b.Pos)
	for t, p := range b.Pos {
		long := false
		for s := range b.Pos {
			long = long || b.Seq[s] == b.Seq[t] && int(b.Pos[s]) >= o.original
		}
		for h := t * width; h < (t+1)*width; h += m.HeadDim {
			for i := range o.dims / 2 {
				j, k := h+2*i, h+2*i+1
				if o.neox {
					j, k = h+i, h+i+o.dims/2
				}
				theta, size := o.angle(int(p), i, long)
				sin, cos := math.Sincos(direction * theta)
				x[j], x[k] = size*(x[j]*cos-x[k]*sin), size*(x[j]*sin+x[k]*cos)
			}
		}
	}
}
