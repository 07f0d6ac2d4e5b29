package pii

// Steps returns how many steps of loops over texts the masker has done.
func (m *Masker) Steps() int64 { return m.work.Load() }
