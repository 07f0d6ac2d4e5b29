package model

// Scratch is what the threads hold beside the arenas, in bytes.
func (m *Model) Scratch() int64 { return m.cpu.Scratch() }
