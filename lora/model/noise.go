package model

import (
	"hash/fnv"
	"math"
	"runtime"
	"sync"

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

// mix is the finaliser of SplitMix64 (Steele, Lea and Flood, 2014): of numbers
// that follow each other it makes ones that look random.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// rowKey begins the draws of one token for one stream.
func (p *pass) rowKey(t int, stream uint64) uint64 {
	return mix(mix(p.m.key^stream) + uint64(p.batch.Seq[t])<<32 + uint64(p.batch.Pos[t]))
}

// eachRow calls f for every token, on all threads. Each row has one writer.
func (p *pass) eachRow(f func(t int)) {
	if p.plan {
		return
	}
	threads := p.m.cfg.Threads
	if threads <= 0 {
		threads = runtime.GOMAXPROCS(0)
	}
	var wg sync.WaitGroup
	for w := range threads {
		wg.Go(func() {
			for t := p.t * w / threads; t < p.t*(w+1)/threads; t++ {
				f(t)
			}
		})
	}
	wg.Wait()
}

// drop writes src with dropout over dst, or adds it: values are set to zero
// with the probability of Config.Dropout, to within 1/65536, and the others
// grow so that the mean stays. A draw of 64 bits decides over four values.
func (p *pass) drop(dst, src []float32, t int, stream uint64, add bool) {
	const all = 1 << 16
	limit := uint64(math.Round(p.m.cfg.Dropout * all))
	grow := float32(all / (all - float64(limit)))
	key := p.rowKey(t, stream)
	var bits uint64
	for i, v := range src {
		if i%4 == 0 {
			bits = mix(key + uint64(i))
		}
		if bits%all < limit {
			v = 0
		}
		bits >>= 16
		if add {
			dst[i] += grow * v
		} else {
			dst[i] = grow * v
		}
	}
}

// dropped is drop(x), what A of this matrix reads: x with dropout (PEFT's
// lora_dropout; Srivastava et al., JMLR 15, 2014). The frozen matrix reads x.
func (p *pass) dropped(x native.Mat, lin *linear) native.Mat {
	out := p.a.Mat(x.Rows, x.Cols)
	p.eachRow(func(t int) { p.drop(line(out, t), line(x, t), t, lin.stream, false) })
	p.do("dropout", nil)
	return out
}

// addDropped adds the part of dx that comes through A: drop(du·A), with the
// draws of the forward pass.
func (p *pass) addDropped(dx, du native.Mat, lin *linear) {
	mark := p.a.Mark()
	defer p.a.Release(mark)
	through := p.a.Mat(dx.Rows, dx.Cols)
	p.do("adapters backward", p.k.Gemm(through, false, native.Term{A: du, B: native.Float(lin.a)}))
	p.eachRow(func(t int) { p.drop(line(dx, t), line(through, t), t, lin.stream, true) })
	p.do("dropout", nil)
}

// line is one row of a matrix, which may have gaps between its rows.
func line(x native.Mat, t int) []float32 {
	row := x.Slab(t, t+1)
	row.Stride = row.Cols
	return row.Slice()
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
	stream := streamOf("embedding noise")
	p.eachRow(func(t int) {
		bound := p.m.cfg.EmbeddingNoise / math.Sqrt(float64(length[p.batch.Seq[t]]*x.Cols))
		key := p.rowKey(t, stream)
		for i, row := 0, line(x, t); i < len(row); i++ {
			unit := float64(mix(key+uint64(i))>>11) / (1 << 53)
			row[i] += float32(bound * (2*unit - 1))
		}
	})
	p.do("embedding noise", nil)
}
