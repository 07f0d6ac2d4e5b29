package native

// #include "native.h"
import "C"

// Add is ck_add: dst += x.
func (c *CPU) Add(dst, x Mat) error {
	if err := need(x.plain() && dst.is(x.Rows, x.Cols), "add"); err != nil {
		return err
	}
	return status(C.ck_add(c.p, dst.f(), dst.ld(), x.f(), x.ld(), C.int(x.Rows), C.int(x.Cols)))
}

// column says whether w has one value for each of rows rows.
func (m Mat) column(rows int) bool { return m.is(rows, 1) && m.Stride == 1 }

// ScaleRows is ck_scale_rows: row i of x is multiplied by w[i]; w is [rows × 1].
func (c *CPU) ScaleRows(x, w Mat) error {
	if err := need(x.plain() && w.column(x.Rows), "scale_rows"); err != nil {
		return err
	}
	return status(C.ck_scale_rows(c.p, x.f(), x.ld(), w.f(), C.int(x.Rows), C.int(x.Cols)))
}

// DotRows is ck_dot_rows: dst[i] = x[i]·y[i]; dst is [rows × 1].
func (c *CPU) DotRows(dst, x, y Mat) error {
	if err := need(x.plain() && y.is(x.Rows, x.Cols) && dst.column(x.Rows), "dot_rows"); err != nil {
		return err
	}
	return status(C.ck_dot_rows(c.p, dst.f(), x.f(), x.ld(), y.f(), y.ld(), C.int(x.Rows), C.int(x.Cols)))
}

// SoftCap is ck_softcap: x = limit·tanh(x/limit).
func (c *CPU) SoftCap(x Mat, limit float32) error {
	if err := need(x.plain(), "softcap"); err != nil {
		return err
	}
	return status(C.ck_softcap(c.p, x.f(), x.ld(), C.float(limit), C.int(x.Rows), C.int(x.Cols)))
}

// SoftCapBack is ck_softcap_back: d, the gradient after the cap, becomes the one before it; y is what SoftCap gave.
func (c *CPU) SoftCapBack(d, y Mat, limit float32) error {
	if err := need(y.plain() && d.is(y.Rows, y.Cols), "softcap_back"); err != nil {
		return err
	}
	return status(C.ck_softcap_back(c.p, d.f(), d.ld(), y.f(), y.ld(), C.float(limit), C.int(y.Rows), C.int(y.Cols)))
}
