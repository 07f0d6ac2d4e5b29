package model

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
			out = append(out, x.Slice()...)
		}
		return Loss{}
	})
	return out, err
}

// Scratch is what the threads hold beside the arenas, in bytes.
func (m *Model) Scratch() int64 { return m.cpu.Scratch() }
