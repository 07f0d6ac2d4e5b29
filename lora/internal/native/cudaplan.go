package native

import (
	"errors"
	"fmt"
)

var (
	// ErrNoCUDA means that this program was built without CUDA.
	ErrNoCUDA = errors.New("native: this program was built without CUDA")
	// ErrDevice means that the driver or the card reported a failure. Every later call of the same CUDA returns it too.
	ErrDevice = errors.New("native: the CUDA device failed")
)

// CUDADevice is a card that the driver offers.
type CUDADevice struct {
	Index        int
	Name         string
	Major, Minor int   // compute capability
	Total, Free  int64 // bytes of memory
}

// What a CUDA holds beside what Alloc gave, in bytes. Scratch is one block that all calls share, one after the other, as all
// run on one stream; what it must hold is a rule of the operands' shapes, so CUDAPlan counts it without a card.
const (
	cudaStaging   = 8 << 20  // device side of the ring through which ids, targets and losses go
	cudaWorkspace = 32 << 20 // of cuBLAS
	cudaLeft      = 64 << 20 // at most, of the copy of a left operand
	cudaSlab      = 64 << 20 // at most, of the rows of a right operand that are dequantised at a time
	cudaHeads     = 96 << 20 // at most, of attention's copies of heads, or what one kv head takes
	cudaTail      = 4 << 10  // two blocks of 256 values that some converters need
	cudaAlign     = 256
)

// cudaTypes are the weight types that ggml's CUDA converters know, and the values in a block of each.
var cudaTypes = map[uint32]int{
	0: 1, 1: 1, 30: 1, // F32, F16, BF16
	2: 32, 3: 32, 6: 32, 7: 32, 8: 32, // Q4_0, Q4_1, Q5_0, Q5_1, Q8_0
	10: 256, 11: 256, 12: 256, 13: 256, 14: 256, // Q2_K to Q6_K
	16: 256, 17: 256, 18: 256, 19: 256, 20: 32, 21: 256, 22: 256, 23: 256, 29: 256, // IQ2_XXS, IQ2_XS, IQ3_XXS, IQ1_S, IQ4_NL, IQ3_S, IQ2_S, IQ4_XS, IQ1_M
	39: 32, 40: 64, 41: 128, 42: 64, // MXFP4, NVFP4, Q1_0, Q2_0
}

// CUDATypeOK says whether a card can turn rows of cols values of this ggml type into float.
func CUDATypeOK(ggmlType uint32, cols int) bool {
	block, ok := cudaTypes[ggmlType]
	return ok && cols > 0 && cols%block == 0
}

func roundUp(n, to int64) int64 { return (n + to - 1) / to * to }

// cudaLayout says how a CUDA keeps values, in products BF16, or float32 if it is precise, and how much of them at a time.
type cudaLayout struct {
	precise                       bool
	leftMost, slabMost, headsMost int64 // bytes, as the constants say
}

func newCUDALayout(precise bool) cudaLayout {
	return cudaLayout{precise, cudaLeft, cudaSlab, cudaHeads}
}

func (l cudaLayout) bytes() int64 {
	if l.precise {
		return 4
	}
	return 2
}

// ld is the distance of rows of cols values in a copy: rows begin at multiples of 16 bytes, which fast products need.
func (cudaLayout) ld(cols int) int64 { return roundUp(int64(cols), 8) }

func (l cudaLayout) packed(rows, cols int) int64 {
	return roundUp(int64(rows)*l.ld(cols)*l.bytes(), cudaAlign)
}

// rowsIn is how many of rows rows of cols values fit into limit bytes of copies: at least one, and multiples of 8 unless all do.
func (l cudaLayout) rowsIn(rows, cols int, limit int64) int {
	n := int(limit / (l.ld(cols) * l.bytes()))
	if n >= rows {
		return rows
	}
	return min(rows, max(8, n/8*8))
}

// left is the scratch for a left operand: none if it is packed or read as it is.
func (l cudaLayout) left(a Mat) (rows int, bytes int64) {
	if a.Stride == 0 || l.precise {
		return a.Rows, 0
	}
	rows = l.rowsIn(a.Rows, a.Cols, l.leftMost)
	return rows, l.packed(rows, a.Cols)
}

// right is the scratch for a right operand: none if it is read as it is.
func (l cudaLayout) right(w Weight) (rows int, bytes int64) {
	if l.precise && w.Type == 0 {
		return w.Rows, 0
	}
	rows = l.rowsIn(w.Rows, w.Cols, l.slabMost)
	return rows, l.packed(rows, w.Cols)
}

func (l cudaLayout) gemm(terms []Term) int64 {
	var a, b int64
	for i := range terms {
		_, left := l.left(terms[i].A)
		_, right := l.right(terms[i].B)
		a, b = max(a, left), max(b, right)
	}
	return a + b + cudaTail
}

// gemmTN copies both operands, some rows at a time, but for those that are packed.
func (l cudaLayout) gemmTN(u, x Mat) (rows int, bytes int64) {
	if l.precise {
		return u.Rows, 0
	}
	rows = u.Rows
	for _, m := range []Mat{u, x} {
		if m.Stride != 0 {
			rows = min(rows, l.rowsIn(m.Rows, m.Cols, l.leftMost))
		}
	}
	for _, m := range []Mat{u, x} {
		if m.Stride != 0 {
			bytes += l.packed(rows, m.Cols)
		}
	}
	return rows, bytes
}

// readable says that m is plain or packed.
func readable(m Mat) bool { return m.plain() || m.Stride == 0 && m.Cols > 0 }

// embed gathers quantised rows and turns them into float, some at a time.
func (l cudaLayout) embed(table Weight, rows int) (at int, bytes int64) {
	if table.Type == 0 {
		return rows, 0
	}
	row := int64(table.RowBytes) + 4*int64(table.Cols)
	at = min(rows, max(8, int(l.slabMost/row/8*8)))
	return at, roundUp(int64(at)*int64(table.RowBytes), cudaAlign) + roundUp(4*int64(at)*int64(table.Cols), cudaAlign) + cudaTail
}

// cudaDims are the head sizes that the attention kernels are compiled for; other ones are padded with zeros.
var cudaDims = []int{32, 64, 96, 128, 192, 256}

// paddedDim is 0 for a head that is too large.
func paddedDim(dim int) int {
	for _, d := range cudaDims {
		if dim <= d {
			return d
		}
	}
	return 0
}

// attention is the scratch of a pass over a, and how many kv heads it takes at a time: copies in BF16 of the heads' q, k and v,
// each in two parts in the forward pass; backward of d_o as well, and delta.
func (l cudaLayout) attention(a *Attention, back bool) (kv int, bytes int64) {
	group, t, dim := int64(a.Heads/a.KV), int64(a.Q.Rows), int64(paddedDim(a.Dim))
	values := 2 * (group + 2)
	if back {
		values = 2*group + 2
	}
	head := roundUp(2*values*t*dim, cudaAlign)
	if l.precise {
		head = 0
	}
	if back {
		head += roundUp(4*group*t, cudaAlign)
	}
	kv = a.KV
	if head > 0 {
		kv = min(kv, max(1, int(l.headsMost/head)))
	}
	return kv, int64(kv) * head
}

// CUDAPlan counts the scratch that a CUDA would take for the calls made to it; it needs neither a card nor a build with CUDA,
// and touches no operand.
type CUDAPlan struct {
	layout cudaLayout
	need   int64
}

// PlanCUDA is a plan for a CUDA of this precision; see OpenCUDA.
func PlanCUDA(precise bool) *CUDAPlan { return &CUDAPlan{layout: newCUDALayout(precise)} }

// Scratch is CUDA.Scratch after the same calls.
func (c *CUDAPlan) Scratch() int64 { return cudaStaging + cudaWorkspace + c.need }

func (c *CUDAPlan) count(bytes int64, err error) error {
	if err == nil {
		c.need = max(c.need, roundUp(bytes, cudaAlign))
	}
	return err
}

// Packed is CUDA.Packed.
func (c *CUDAPlan) Packed(a *Arena, rows, cols int) Mat { return c.layout.mat(a, rows, cols) }

func (l cudaLayout) mat(a *Arena, rows, cols int) Mat {
	return Mat{a.bytes(l.packed(rows, cols)), rows, cols, 0}
}

// Pack is CUDA.Pack.
func (c *CUDAPlan) Pack(dst, x Mat) error { return packOK(dst, x) }

func packOK(dst, x Mat) error {
	return need(x.plain() && dst.Rows == x.Rows && dst.Cols == x.Cols && dst.Stride == 0, "pack")
}

// Gemm is CUDA.Gemm.
func (c *CUDAPlan) Gemm(dst Mat, add bool, terms ...Term) error {
	return c.count(c.layout.gemm(terms), cudaGemmOK(dst, terms))
}

func cudaGemmOK(dst Mat, terms []Term) error {
	ok := dst.plain() && len(terms) > 0 && len(terms) <= maxTerms
	for i := range terms {
		t := &terms[i]
		ok = ok && t.A.Rows == dst.Rows && t.A.Cols == t.inner() && t.outer() == dst.Cols && readable(t.A)
	}
	if err := need(ok, "gemm"); err != nil {
		return err
	}
	for i := range terms {
		if err := cudaWeightOK(terms[i].B); err != nil {
			return fmt.Errorf("gemm: %w", err)
		}
	}
	return nil
}

// cudaWeightOK: the type has a converter, and quantised rows follow each other without gaps.
func cudaWeightOK(w Weight) error {
	if !CUDATypeOK(w.Type, w.Cols) {
		return fmt.Errorf("%w: ggml type %d on a card", ErrType, w.Type)
	}
	if w.Type == 0 {
		return need(w.RowBytes%4 == 0 && w.RowBytes >= 4*w.Cols, "weight")
	}
	return need(w.RowBytes == RowBytes(w.Type, w.Cols), "weight")
}

// GemmTN is CUDA.GemmTN.
func (c *CUDAPlan) GemmTN(g, u, x Mat, trans bool) error {
	_, bytes := c.layout.gemmTN(u, x)
	return c.count(bytes, gemmTNOK(g, u, x, trans))
}

func gemmTNOK(g, u, x Mat, trans bool) error {
	rows, cols := u.Cols, x.Cols
	if trans {
		rows, cols = cols, rows
	}
	return need(readable(u) && readable(x) && x.Rows == u.Rows && g.is(rows, cols) && u.Rows > 0, "gemm_tn")
}

// Embed is CUDA.Embed for rows ids.
func (c *CUDAPlan) Embed(dst Mat, table Weight, ids []int32) error {
	_, bytes := c.layout.embed(table, dst.Rows)
	return c.count(bytes, cudaWeightOK(table))
}

// Attention is CUDA.Attention; Start may be empty.
func (c *CUDAPlan) Attention(a Attention, o, lse Mat) error {
	_, bytes := c.layout.attention(&a, false)
	return c.count(bytes, headsOK(&a))
}

// AttentionBack is CUDA.AttentionBack; Start may be empty.
func (c *CUDAPlan) AttentionBack(a Attention, o, lse, dO, dq, dk, dv Mat) error {
	_, bytes := c.layout.attention(&a, true)
	return c.count(bytes, headsOK(&a))
}

func headsOK(a *Attention) error {
	return need(a.KV > 0 && a.Heads > 0 && a.Heads%a.KV == 0 && a.Q.Rows > 0 && paddedDim(a.Dim) > 0, "attention")
}
