//go:build !cuda && !cudaemu

package native

import "unsafe"

// CUDA is training on a card; this program was built without it, so there is none. The build with the tag cuda describes the
// methods.
type CUDA struct{}

// CUDAEmulated says that cards are emulated on the CPU: this is not such a build.
const CUDAEmulated = false

// CUDADevices is empty in this build.
func CUDADevices() ([]CUDADevice, error) { return nil, nil }

// OpenCUDA returns ErrNoCUDA in this build.
func OpenCUDA(index int, precise bool) (*CUDA, error) { return nil, ErrNoCUDA }

// Close does nothing.
func (*CUDA) Close() {}

// Alloc and the methods below return ErrNoCUDA.
func (*CUDA) Alloc(bytes int64) (unsafe.Pointer, error)                    { return nil, ErrNoCUDA }
func (*CUDA) Free(p unsafe.Pointer)                                        {}
func (*CUDA) Put(dst unsafe.Pointer, src []byte) error                     { return ErrNoCUDA }
func (*CUDA) Get(dst []byte, src unsafe.Pointer) error                     { return ErrNoCUDA }
func (*CUDA) Scratch() int64                                               { return 0 }
func (*CUDA) Memory() (free, total int64, err error)                       { return 0, 0, ErrNoCUDA }
func (*CUDA) Pin(bytes int64) (unsafe.Pointer, error)                      { return nil, ErrNoCUDA }
func (*CUDA) Unpin(p unsafe.Pointer)                                       {}
func (*CUDA) SaveAside(dst, src unsafe.Pointer, bytes int64) (int, error)  { return 0, ErrNoCUDA }
func (*CUDA) FetchAside(dst, src unsafe.Pointer, bytes int64) (int, error) { return 0, ErrNoCUDA }
func (*CUDA) Join(ticket int) error                                        { return ErrNoCUDA }
func (*CUDA) Wait() error                                                  { return ErrNoCUDA }

func (*CUDA) Packed(a *Arena, rows, cols int) Mat                            { return Mat{} }
func (*CUDA) Pack(dst, x Mat) error                                          { return ErrNoCUDA }
func (*CUDA) Gemm(dst Mat, add bool, terms ...Term) error                    { return ErrNoCUDA }
func (*CUDA) GemmTN(g, u, x Mat, trans bool) error                           { return ErrNoCUDA }
func (*CUDA) Embed(dst Mat, table Weight, ids []int32) error                 { return ErrNoCUDA }
func (*CUDA) Copy(dst, x Mat) error                                          { return ErrNoCUDA }
func (*CUDA) Gather(dst, x Mat, ids []int32) error                           { return ErrNoCUDA }
func (*CUDA) ScatterAdd(dst, x Mat, ids []int32) error                       { return ErrNoCUDA }
func (*CUDA) AddRow(x, row Mat) error                                        { return ErrNoCUDA }
func (*CUDA) RMSNorm(dst, x, w Mat, eps float32) error                       { return ErrNoCUDA }
func (*CUDA) RMSNormBack(dx, dy, x, w Mat, eps float32) error                { return ErrNoCUDA }
func (*CUDA) Rope(x, table Mat, dim int, neox, inverse bool) error           { return ErrNoCUDA }
func (*CUDA) Attention(a Attention, o, lse Mat) error                        { return ErrNoCUDA }
func (*CUDA) AttentionBack(a Attention, o, lse, dO, dq, dk, dv Mat) error    { return ErrNoCUDA }
func (*CUDA) GLU(dst, gate, up Mat, act Activation) error                    { return ErrNoCUDA }
func (*CUDA) GLUBack(dGate, dUp, d, gate, up Mat, act Activation) error      { return ErrNoCUDA }
func (*CUDA) Add(dst, x Mat) error                                           { return ErrNoCUDA }
func (*CUDA) ScaleRows(x, w Mat) error                                       { return ErrNoCUDA }
func (*CUDA) DotRows(dst, x, y Mat) error                                    { return ErrNoCUDA }
func (*CUDA) SoftCap(x Mat, limit float32) error                             { return ErrNoCUDA }
func (*CUDA) SoftCapBack(d, y Mat, limit float32) error                      { return ErrNoCUDA }
func (*CUDA) TopK(logits Mat, s *Soft) error                                 { return ErrNoCUDA }
func (*CUDA) Zero(x Mat) error                                               { return ErrNoCUDA }
func (*CUDA) Scale(x Mat, by float32) error                                  { return ErrNoCUDA }
func (*CUDA) Drop(dst, src Mat, keys []uint64, limit uint64, add bool) error { return ErrNoCUDA }
func (*CUDA) Noise(x Mat, keys []uint64, bounds []float64) error             { return ErrNoCUDA }
func (*CUDA) Update(a AdamW, p, g, m, v Mat) error                           { return ErrNoCUDA }
func (*CUDA) SumSquares(x Mat) (float64, error)                              { return 0, ErrNoCUDA }

func (*CUDA) CrossEntropy(logits Mat, targets []int32, grad bool, scale float32, weights []float32, loss []float64, correct []int32) error {
	return ErrNoCUDA
}

func (*CUDA) Distill(logits Mat, targets []int32, s *Soft, grad bool, scale float32, loss, kl []float64, correct []int32) error {
	return ErrNoCUDA
}
