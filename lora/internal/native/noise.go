package native

import "sync"

// Mix is the finaliser of SplitMix64 (Steele, Lea and Flood, 2014): of numbers
// that follow each other it makes ones that look random.
func Mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// DropAll is the limit of Drop with which nothing would be left.
const DropAll = 1 << 16

// Drop writes src with dropout over dst, or adds it: values are set to zero
// with a probability of limit of DropAll, and the others grow so that the mean
// stays. Draws of row i depend on keys[i] alone: one of 64 bits, Mix(key + 4j),
// decides over values 4j to 4j+3, from its lowest 16 bits up.
func (c *CPU) Drop(dst, src Mat, keys []uint64, limit uint64, add bool) error {
	if err := need(src.plain() && dst.is(src.Rows, src.Cols) && len(keys) == src.Rows && limit < DropAll, "drop"); err != nil {
		return err
	}
	grow := float32(DropAll / (DropAll - float64(limit)))
	c.eachRow(src.Rows, func(t int) { dropRow(dst.row(t), src.row(t), keys[t], limit, grow, add) })
	return nil
}

func dropRow(dst, src []float32, key, limit uint64, grow float32, add bool) {
	var bits uint64
	for i, v := range src {
		if i%4 == 0 {
			bits = Mix(key + uint64(i))
		}
		if bits%DropAll < limit {
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

// Noise adds to value i of row t a uniform draw from ±bounds[t], of which
// Mix(keys[t] + i) decides.
func (c *CPU) Noise(x Mat, keys []uint64, bounds []float64) error {
	if err := need(x.plain() && len(keys) == x.Rows && len(bounds) == x.Rows, "noise"); err != nil {
		return err
	}
	c.eachRow(x.Rows, func(t int) {
		for i, row := 0, x.row(t); i < len(row); i++ {
			unit := float64(Mix(keys[t]+uint64(i))>>11) / (1 << 53)
			row[i] += float32(bounds[t] * (2*unit - 1))
		}
	})
	return nil
}

// row is one row of a matrix, which may have gaps between its rows.
func (m Mat) row(t int) []float32 {
	row := m.Slab(t, t+1)
	row.Stride = row.Cols
	return row.Slice()
}

// eachRow calls f for every row, on all threads. Each row has one writer.
func (c *CPU) eachRow(rows int, f func(t int)) {
	var wg sync.WaitGroup
	for w := range c.threads {
		wg.Go(func() {
			for t := rows * w / c.threads; t < rows*(w+1)/c.threads; t++ {
				f(t)
			}
		})
	}
	wg.Wait()
}
