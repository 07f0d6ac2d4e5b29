package native

// What a device does besides the kernels in C. Matrices have no gaps here.

// Zero sets all values of x to 0.
func (c *CPU) Zero(x Mat) error {
	if err := need(x.dense(x), "zero"); err != nil {
		return err
	}
	clear(x.Slice())
	return nil
}

// Scale multiplies x by a number.
func (c *CPU) Scale(x Mat, by float32) error {
	if err := need(x.dense(x), "scale"); err != nil {
		return err
	}
	for i, values := 0, x.Slice(); i < len(values); i++ {
		values[i] *= by
	}
	return nil
}

// Upload copies values of the host into x.
func (c *CPU) Upload(x Mat, src []float32) error {
	if err := need(x.dense(x) && len(src) == x.Rows*x.Cols, "upload"); err != nil {
		return err
	}
	copy(x.Slice(), src)
	return nil
}

// Download copies x, to the host.
func (c *CPU) Download(dst []float32, x Mat) error {
	if err := need(x.dense(x) && len(dst) == x.Rows*x.Cols, "download"); err != nil {
		return err
	}
	copy(dst, x.Slice())
	return nil
}
