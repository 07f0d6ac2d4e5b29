package model

import (
	"errors"
	"math"

	"cloister/llama/gguf/tinygguf"
	"cloister/lora/internal/native"
)

// Embeddings are what Backward's first layer reads, noise included: [T × width].
func (m *Model) Embeddings(b *Batch) ([]float32, error) {
	r, err := m.row(b, false)
	if err != nil {
		return nil, err
	}
	var out []float32
	_, err = m.run(r, func(p *pass) Loss {
		x := p.a.Mat(p.t, m.shape.width)
		p.noisy = m.cfg.noisy()
		if p.embed(x); !p.plan {
			out = append(out, p.values("embeddings", x)...)
		}
		return Loss{}
	})
	return out, err
}

// HalfGELU makes m compute GELU as ggml does, which looks it up by an argument
// and gives a value of 16 bits (ggml_vec_geglu_f32).
func (m *Model) HalfGELU() { m.k = halfGELU{m.k, m.dev} }

type halfGELU struct {
	kernels
	dev device
}

func (k halfGELU) GLU(dst, gate, up native.Mat, act native.Activation) error {
	if act != native.GELU {
		return k.kernels.GLU(dst, gate, up, act)
	}
	gates, ups := make([]float32, gate.Rows*gate.Cols), make([]float32, gate.Rows*gate.Cols)
	if err := errors.Join(k.dev.Download(gates, gate), k.dev.Download(ups, up)); err != nil {
		return err
	}
	for i, g := range gates {
		x := tinygguf.FromHalf(tinygguf.Half(g))
		y := tinygguf.FromHalf(tinygguf.Half(float32(0.5 * float64(x) * (1 + math.Tanh(math.Sqrt(2/math.Pi)*float64(x)*(1+0.044715*float64(x)*float64(x)))))))
		switch {
		case g <= -10:
			y = 0
		case g >= 10:
			y = g
		}
		ups[i] *= y
	}
	return k.dev.Upload(dst, ups)
}

// Scratch is what the threads hold beside the arenas, in bytes.
func (m *Model) Scratch() int64 { return m.dev.Scratch() }
