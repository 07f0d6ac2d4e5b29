//go:build cuda || cudaemu

package native

// #include "cuda.h"
import "C"

import "unsafe"

// AddRow is CPU.AddRow.
func (c *CUDA) AddRow(x, row Mat) error {
	if err := need(x.plain() && row.is(1, x.Cols), "add_row"); err != nil {
		return err
	}
	return c.status("add_row", C.cd_add_row(c.p, x.cuda(), row.cuda()))
}

// Copy is CPU.Copy.
func (c *CUDA) Copy(dst, x Mat) error {
	if err := need(x.plain() && dst.is(x.Rows, x.Cols), "copy"); err != nil {
		return err
	}
	return c.status("copy", C.cd_copy(c.p, dst.cuda(), x.cuda()))
}

// Gather is CPU.Gather.
func (c *CUDA) Gather(dst, x Mat, ids []int32) error {
	if err := need(dst.is(len(ids), x.Cols) && x.plain() && inRange(ids, x.Rows), "gather"); err != nil {
		return err
	}
	return c.status("gather", C.cd_gather(c.p, dst.cuda(), x.cuda(), ints(ids)))
}

// ScatterAdd is CPU.ScatterAdd.
func (c *CUDA) ScatterAdd(dst, x Mat, ids []int32) error {
	if err := need(x.is(len(ids), dst.Cols) && dst.plain() && inRange(ids, dst.Rows), "scatter_add"); err != nil {
		return err
	}
	return c.status("scatter_add", C.cd_scatter_add(c.p, dst.cuda(), x.cuda(), ints(ids)))
}

// Add is CPU.Add.
func (c *CUDA) Add(dst, x Mat) error {
	if err := need(x.plain() && dst.is(x.Rows, x.Cols), "add"); err != nil {
		return err
	}
	return c.status("add", C.cd_add(c.p, dst.cuda(), x.cuda()))
}

// ScaleRows is CPU.ScaleRows.
func (c *CUDA) ScaleRows(x, w Mat) error {
	if err := need(x.plain() && w.column(x.Rows), "scale_rows"); err != nil {
		return err
	}
	return c.status("scale_rows", C.cd_scale_rows(c.p, x.cuda(), w.cuda()))
}

// DotRows is CPU.DotRows.
func (c *CUDA) DotRows(dst, x, y Mat) error {
	if err := need(x.plain() && y.is(x.Rows, x.Cols) && dst.column(x.Rows), "dot_rows"); err != nil {
		return err
	}
	return c.status("dot_rows", C.cd_dot_rows(c.p, dst.cuda(), x.cuda(), y.cuda()))
}

// SoftCap is CPU.SoftCap.
func (c *CUDA) SoftCap(x Mat, limit float32) error {
	if err := need(x.plain() && limit > 0, "softcap"); err != nil {
		return err
	}
	return c.status("softcap", C.cd_softcap(c.p, x.cuda(), C.float(limit)))
}

// SoftCapBack is CPU.SoftCapBack.
func (c *CUDA) SoftCapBack(d, y Mat, limit float32) error {
	if err := need(y.plain() && d.is(y.Rows, y.Cols) && limit > 0, "softcap_back"); err != nil {
		return err
	}
	return c.status("softcap_back", C.cd_softcap_back(c.p, d.cuda(), y.cuda(), C.float(limit)))
}

// Zero clears x.
func (c *CUDA) Zero(x Mat) error {
	if err := need(x.plain(), "zero"); err != nil {
		return err
	}
	return c.status("zero", C.cd_zero(c.p, x.cuda()))
}

// Scale is x *= by.
func (c *CUDA) Scale(x Mat, by float32) error {
	if err := need(x.plain(), "scale"); err != nil {
		return err
	}
	return c.status("scale", C.cd_scale(c.p, x.cuda(), C.float(by)))
}

// Drop writes src with dropout to dst, or adds it: a value becomes 0 where the
// draw for it is below limit of 65536, and else grows by 65536/(65536 - limit).
// Every row has a key; the 64 bits drawn for values i to i+3 are SplitMix64's
// finaliser of key + i, the lowest 16 those of value i.
func (c *CUDA) Drop(dst, src Mat, keys []uint64, limit uint64, add bool) error {
	if err := need(src.plain() && dst.is(src.Rows, src.Cols) && len(keys) == src.Rows && src.Rows > 0 && limit < 1<<16, "drop"); err != nil {
		return err
	}
	return c.status("drop", C.cd_drop(c.p, dst.cuda(), src.cuda(), (*C.uint64_t)(&keys[0]), C.uint64_t(limit), C.bool(add)))
}

// Noise adds to value i of a row bound·(2u - 1), u in [0,1) the upper 53 bits of
// SplitMix64's finaliser of the row's key + i.
func (c *CUDA) Noise(x Mat, keys []uint64, bounds []float64) error {
	if err := need(x.plain() && len(keys) == x.Rows && len(bounds) == x.Rows && x.Rows > 0, "noise"); err != nil {
		return err
	}
	return c.status("noise", C.cd_noise(c.p, x.cuda(), (*C.uint64_t)(&keys[0]), (*C.double)(&bounds[0])))
}

// Update is AdamW.Update on the card; the matrices have one shape and no gaps.
func (c *CUDA) Update(a AdamW, p, g, m, v Mat) error {
	if err := need(g.dense(p) && m.dense(p) && v.dense(p), "adamw"); err != nil {
		return err
	}
	step := a.step()
	return c.status("adamw", C.cd_adamw(c.p, p.cuda(), g.cuda(), m.cuda(), v.cuda(), &step))
}

// SumSquares is Σ x², in an order that depends on the shape alone.
func (c *CUDA) SumSquares(x Mat) (float64, error) {
	if err := need(x.plain(), "sum_squares"); err != nil {
		return 0, err
	}
	var out float64
	err := c.status("sum_squares", C.cd_sum_squares(c.p, x.cuda(), (*C.double)(unsafe.Pointer(&out))))
	return out, err
}
