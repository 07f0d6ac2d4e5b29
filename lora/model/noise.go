package model

import (
	"hash/fnv"
	"math"

	"cloister/lora/internal/native"
)

// Draw says from where the next calls of Backward draw their noise
// (Config.Dropout and Config.EmbeddingNoise). The same key gives the same
// draws: they depend on it, on the number of the segment (Batch.Seq), the
// position in it and the matrix, and on nothing else, so neither on threads nor
// on how segments are packed. Loss and Logits have no noise.
func (m *Model) Draw(key uint64) { m.key = key }

// noisy says whether Backward draws anything at random.
func (c *Config) noisy() bool { return c.Dropout > 0 || c.EmbeddingNoise > 0 }

// streamOf numbers what noise is drawn for, by name.
func streamOf(name string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(name))
	return h.Sum64()
}

// keys begin the draws of each token for one stream.
func (p *pass) keys(stream uint64) []uint64 {
	if p.plan {
		return nil
	}
	out := make([]uint64, p.t)
	for t := range out {
		out[t] = native.Mix(native.Mix(p.m.key^stream) + uint64(p.batch.Seq[t])<<32 + uint64(p.batch.Pos[t]))
	}
	return out
}

// limit is the share of values that dropout sets to zero, to within 1/native.DropAll.
func (c *Config) limit() uint64 { return uint64(math.Round(c.Dropout * native.DropAll)) }

// dropped is drop(x), what A of this matrix reads: x with dropout (PEFT's
// lora_dropout; Srivastava et al., JMLR 15, 2014). The frozen matrix reads x.
func (p *pass) dropped(x native.Mat, lin *linear) native.Mat {
	out := p.a.Mat(x.Rows, x.Cols)
	p.do("dropout", p.k.Drop(out, x, p.keys(lin.stream), p.m.cfg.limit(), false))
	return out
}

// addDropped adds the part of dx that comes through A: drop(du·A), with the
// draws of the forward pass.
func (p *pass) addDropped(dx, du native.Mat, lin *linear) {
	mark := p.a.Mark()
	defer p.a.Release(mark)
	through := p.a.Mat(dx.Rows, dx.Cols)
	p.do("adapters backward", p.k.Gemm(through, false, native.Term{A: du, B: native.Float(lin.a)}))
	p.do("dropout", p.k.Drop(dx, through, p.keys(lin.stream), p.m.cfg.limit(), true))
}

// embeddingNoise adds NEFTune's noise (arXiv:2310.05914) to the embeddings x:
// uniform in ±alpha/√(T·width), T the tokens of the segment.
func (p *pass) embeddingNoise(x native.Mat) {
	if p.m.cfg.EmbeddingNoise <= 0 || p.plan {
		return
	}
	length := map[int32]int{}
	for _, s := range p.batch.Seq {
		length[s]++
	}
	bounds := make([]float64, p.t)
	for t := range bounds {
		bounds[t] = p.m.cfg.EmbeddingNoise / math.Sqrt(float64(length[p.batch.Seq[t]]*x.Cols))
	}
	p.do("embedding noise", p.k.Noise(x, p.keys(streamOf("embedding noise")), bounds))
}
