package model

import "cloister/lora/internal/native"

// kernels is the table over which forward and backward are written. The
// comments of native.CPU give shapes; sums over terms and += are part of the
// contract, because they spare passes over memory.
type kernels interface {
	// Products. Pack prepares a left operand that several products read.
	Pack(dst, x native.Mat) error
	Gemm(dst native.Mat, add bool, terms ...native.Term) error
	GemmTN(g, u, x native.Mat, trans bool) error
	// Rows.
	Embed(dst native.Mat, table native.Weight, ids []int32) error
	Copy(dst, x native.Mat) error
	Zero(x native.Mat) error
	Scale(x native.Mat, by float32) error
	Gather(dst, x native.Mat, ids []int32) error
	ScatterAdd(dst, x native.Mat, ids []int32) error
	AddRow(x, row native.Mat) error
	// The parts of a layer, forward and backward.
	RMSNorm(dst, x, w native.Mat, eps float32) error
	RMSNormBack(dx, dy, x, w native.Mat, eps float32) error
	Rope(x, table native.Mat, dim int, neox, inverse bool) error
	Attention(a native.Attention, o, lse native.Mat) error
	AttentionBack(a native.Attention, o, lse, dO, dq, dk, dv native.Mat) error
	GLU(dst, gate, up native.Mat, act native.Activation) error
	GLUBack(dGate, dUp, d, gate, up native.Mat, act native.Activation) error
	// Noise, a key for each row.
	Drop(dst, src native.Mat, keys []uint64, limit uint64, add bool) error
	Noise(x native.Mat, keys []uint64, bounds []float64) error
	// Sums and products by rows, and the soft cap of logits.
	Add(dst, x native.Mat) error
	ScaleRows(x, w native.Mat) error
	DotRows(dst, x, y native.Mat) error
	SoftCap(x native.Mat, limit float32) error
	SoftCapBack(d, y native.Mat, limit float32) error
	CrossEntropy(logits native.Mat, targets []int32, grad bool, scale float32, weights []float32, loss []float64, correct []int32) error
	TopK(logits native.Mat, s *native.Soft) error
	Distill(logits native.Mat, targets []int32, s *native.Soft, grad bool, scale float32, loss, kl []float64, correct []int32) error
}

var (
	_ kernels = (*native.CPU)(nil)
	_ kernels = planner{}
)

// planner computes nothing. A pass over it with an arena that only counts is
// the memory plan: what is planned and what is used cannot differ.
type planner struct{}

func (planner) Pack(_, _ native.Mat) error                                          { return nil }
func (planner) Gemm(native.Mat, bool, ...native.Term) error                         { return nil }
func (planner) GemmTN(_, _, _ native.Mat, _ bool) error                             { return nil }
func (planner) Embed(native.Mat, native.Weight, []int32) error                      { return nil }
func (planner) Copy(_, _ native.Mat) error                                          { return nil }
func (planner) Zero(native.Mat) error                                               { return nil }
func (planner) Scale(native.Mat, float32) error                                     { return nil }
func (planner) Drop(_, _ native.Mat, _ []uint64, _ uint64, _ bool) error            { return nil }
func (planner) Noise(native.Mat, []uint64, []float64) error                         { return nil }
func (planner) Gather(_, _ native.Mat, _ []int32) error                             { return nil }
func (planner) ScatterAdd(_, _ native.Mat, _ []int32) error                         { return nil }
func (planner) AddRow(_, _ native.Mat) error                                        { return nil }
func (planner) RMSNorm(_, _, _ native.Mat, _ float32) error                         { return nil }
func (planner) RMSNormBack(_, _, _, _ native.Mat, _ float32) error                  { return nil }
func (planner) Rope(_, _ native.Mat, _ int, _, _ bool) error                        { return nil }
func (planner) Attention(native.Attention, native.Mat, native.Mat) error            { return nil }
func (planner) AttentionBack(_ native.Attention, _, _, _, _, _, _ native.Mat) error { return nil }
func (planner) GLU(_, _, _ native.Mat, _ native.Activation) error                   { return nil }
func (planner) GLUBack(_, _, _, _, _ native.Mat, _ native.Activation) error         { return nil }
func (planner) Add(_, _ native.Mat) error                                           { return nil }
func (planner) ScaleRows(_, _ native.Mat) error                                     { return nil }
func (planner) DotRows(_, _, _ native.Mat) error                                    { return nil }
func (planner) SoftCap(native.Mat, float32) error                                   { return nil }
func (planner) SoftCapBack(_, _ native.Mat, _ float32) error                        { return nil }
func (planner) CrossEntropy(native.Mat, []int32, bool, float32, []float32, []float64, []int32) error {
	return nil
}
func (planner) TopK(native.Mat, *native.Soft) error { return nil }
func (planner) Distill(native.Mat, []int32, *native.Soft, bool, float32, []float64, []float64, []int32) error {
	return nil
}
