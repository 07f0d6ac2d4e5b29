package native

// #include "native.h"
import "C"

import (
	"fmt"
	"unsafe"
)

func ptr[T any](s []T) unsafe.Pointer { return unsafe.Pointer(unsafe.SliceData(s)) }

func (m Mat) f() *C.float       { return (*C.float)(m.Data) }
func (m Mat) ld() C.int64_t     { return C.int64_t(m.Stride) }
func ints(s []int32) *C.int32_t { return (*C.int32_t)(unsafe.SliceData(s)) }

// need returns ErrShape with the kernel's name unless ok.
func need(ok bool, kernel string) error {
	if ok {
		return nil
	}
	return fmt.Errorf("%s: %w", kernel, ErrShape)
}

func (m Mat) plain() bool { return m.Stride >= m.Cols && m.Cols > 0 }

func (m Mat) is(rows, cols int) bool { return m.plain() && m.Rows == rows && m.Cols == cols }

// Weight is a matrix of a ggml type, row-major: the right operand of a product.
type Weight struct {
	Type                 uint32 // ggml_type
	Data                 unsafe.Pointer
	Rows, Cols, RowBytes int
}

// Float is m as a right operand.
func Float(m Mat) Weight { return Weight{0, m.Data, m.Rows, m.Cols, 4 * m.Stride} }

// Slab is rows [from, to).
func (w Weight) Slab(from, to int) Weight {
	if from < 0 || to > w.Rows || from > to {
		panic(fmt.Sprintf("native: rows %d to %d of a weight of %d", from, to, w.Rows))
	}
	if w.Rows = to - from; w.Data != nil { // a plan has no data
		w.Data = unsafe.Add(w.Data, from*w.RowBytes)
	}
	return w
}

// Term is one product of a sum: Scale·A·B, or Scale·A·Bᵀ with Trans. Scale 0 means 1.
type Term struct {
	A     Mat // plain or packed
	B     Weight
	Trans bool
	Scale float32
}

func (t *Term) inner() int {
	if t.Trans {
		return t.B.Cols
	}
	return t.B.Rows
}

func (t *Term) outer() int {
	if t.Trans {
		return t.B.Rows
	}
	return t.B.Cols
}

// Packed is the room in a that Pack needs for a matrix of rows x cols.
func (c *CPU) Packed(a *Arena, rows, cols int) Mat {
	return Mat{a.bytes(int64(C.ck_pack_bytes(c.p, C.int(rows), C.int(cols)))), rows, cols, 0}
}

// Pack is ck_pack: dst, from Packed with the same shape, becomes x in the form
// that products read. It pays when more than one product reads x, or a large one.
func (c *CPU) Pack(dst, x Mat) error {
	if err := need(x.plain() && dst.Rows == x.Rows && dst.Cols == x.Cols && dst.Stride == 0, "pack"); err != nil {
		return err
	}
	return status(C.ck_pack(c.p, dst.Data, x.f(), x.ld(), C.int(x.Rows), C.int(x.Cols)))
}

const maxTerms = 16

// Gemm is ck_gemm: dst = Σ terms, or dst += Σ terms.
func (c *CPU) Gemm(dst Mat, add bool, terms ...Term) error {
	var list [maxTerms]C.ck_term
	ok := dst.plain() && len(terms) > 0 && len(terms) <= maxTerms
	for i := range terms {
		if !ok {
			break
		}
		t := &terms[i]
		ok = t.A.Rows == dst.Rows && t.A.Cols == t.inner() && t.outer() == dst.Cols && (t.A.Stride == 0 || t.A.plain())
		scale := t.Scale
		if scale == 0 {
			scale = 1
		}
		list[i] = C.ck_term{a: t.A.Data, lda: t.A.ld(), k: C.int(t.A.Cols), b: C.ck_right{
			data: t.B.Data, row_bytes: C.size_t(t.B.RowBytes), _type: C.int(t.B.Type), trans: C.bool(t.Trans), scale: C.float(scale)}}
	}
	if err := need(ok, "gemm"); err != nil {
		return err
	}
	return status(C.ck_gemm(c.p, dst.f(), dst.ld(), C.int(dst.Rows), C.int(dst.Cols), &list[0], C.int(len(terms)), C.bool(add)))
}

// GGMLGemm is ck_ggml_gemm, ggml's own dst = x·wᵀ, for comparison: it rounds x
// to 8 bits where w is quantised. No operand has gaps.
func GGMLGemm(threads int, dst, x Mat, w Weight) error {
	ok := dst.is(x.Rows, w.Rows) && x.Cols == w.Cols && dst.Stride == dst.Cols && x.Stride == x.Cols && w.RowBytes == RowBytes(w.Type, w.Cols)
	if err := need(ok, "ggml_gemm"); err != nil {
		return err
	}
	return status(C.ck_ggml_gemm(C.int(threads), dst.f(), x.f(), C.int(x.Rows), w.Data, C.int(w.Type), C.int(w.Rows), C.int(w.Cols)))
}

// GemmTN is ck_gemm_tn: g += uᵀ·x, or g += xᵀ·u with trans.
func (c *CPU) GemmTN(g, u, x Mat, trans bool) error {
	rows, cols, gs, gt := u.Cols, x.Cols, g.Stride, 1
	if trans {
		rows, cols, gs, gt = cols, rows, 1, g.Stride
	}
	if err := need(u.plain() && x.is(u.Rows, x.Cols) && g.is(rows, cols), "gemm_tn"); err != nil {
		return err
	}
	return status(C.ck_gemm_tn(c.p, g.f(), C.int64_t(gs), C.int64_t(gt), u.f(), u.ld(), C.int(u.Cols), x.f(), x.ld(), C.int(x.Cols), C.int(x.Rows)))
}

// Embed is ck_embed: dst[i] = row ids[i] of table.
func (c *CPU) Embed(dst Mat, table Weight, ids []int32) error {
	ok := dst.is(len(ids), table.Cols) && len(ids) > 0
	for _, id := range ids {
		ok = ok && id >= 0 && int(id) < table.Rows
	}
	if err := need(ok, "embed"); err != nil {
		return err
	}
	return status(C.ck_embed(c.p, dst.f(), dst.ld(), table.Data, C.size_t(table.RowBytes), C.int(table.Type), C.int(table.Cols), ints(ids), C.int(len(ids))))
}

// RMSNorm is ck_rmsnorm: dst = x·w/rms(x); w is [1 × cols].
func (c *CPU) RMSNorm(dst, x, w Mat, eps float32) error {
	if err := need(x.plain() && dst.is(x.Rows, x.Cols) && w.is(1, x.Cols), "rmsnorm"); err != nil {
		return err
	}
	return status(C.ck_rmsnorm(c.p, dst.f(), dst.ld(), x.f(), x.ld(), w.f(), C.float(eps), C.int(x.Rows), C.int(x.Cols)))
}

// RMSNormBack is ck_rmsnorm_back: dx += the gradient, given dy.
func (c *CPU) RMSNormBack(dx, dy, x, w Mat, eps float32) error {
	if err := need(x.plain() && dx.is(x.Rows, x.Cols) && dy.is(x.Rows, x.Cols) && w.is(1, x.Cols), "rmsnorm_back"); err != nil {
		return err
	}
	return status(C.ck_rmsnorm_back(c.p, dx.f(), dx.ld(), dy.f(), dy.ld(), x.f(), x.ld(), w.f(), C.float(eps), C.int(x.Rows), C.int(x.Cols)))
}

// Rope is ck_rope on x [t × heads·dim]; table is [t × 2·half], cosines first.
func (c *CPU) Rope(x, table Mat, dim int, neox, inverse bool) error {
	if err := need(dim > 0 && x.plain() && x.Cols%dim == 0 && table.is(x.Rows, table.Cols) && table.Stride == table.Cols && table.Cols%2 == 0, "rope"); err != nil {
		return err
	}
	return status(C.ck_rope(c.p, x.f(), x.ld(), table.f(), C.int(x.Rows), C.int(x.Cols/dim), C.int(dim), C.int(table.Cols/2), C.bool(neox), C.bool(inverse)))
}

// Attention describes causal attention, as ck_attn: query i sees keys
// Start[i]..i and, from Prefix on, the first Prefix keys as well. Start must
// live outside Go's heap (Arena.Int32).
type Attention struct {
	Q, K, V   Mat
	Start     []int32
	Prefix    int
	Heads, KV int
	Dim       int
	Scale     float32
}

func (a *Attention) c() C.ck_attn {
	return C.ck_attn{q: a.Q.f(), k: a.K.f(), v: a.V.f(), ldq: a.Q.ld(), ldk: a.K.ld(), ldv: a.V.ld(), start: ints(a.Start), prefix: C.int(a.Prefix),
		t: C.int(a.Q.Rows), heads: C.int(a.Heads), kv_heads: C.int(a.KV), dim: C.int(a.Dim), scale: C.float(a.Scale)}
}

func (a *Attention) ok() bool {
	t := a.Q.Rows
	return a.Q.is(t, a.Heads*a.Dim) && a.K.is(t, a.KV*a.Dim) && a.V.is(t, a.KV*a.Dim) && len(a.Start) == t
}

// Attention is ck_attention: o [t × heads·dim] and lse [t × heads].
func (c *CPU) Attention(a Attention, o, lse Mat) error {
	if err := need(a.ok() && o.is(a.Q.Rows, a.Q.Cols) && lse.is(a.Q.Rows, a.Heads) && lse.Stride == lse.Cols, "attention"); err != nil {
		return err
	}
	ca := a.c()
	return status(C.ck_attention(c.p, &ca, o.f(), o.ld(), lse.f()))
}

// AttentionBack is ck_attention_back: dq, dk, dv, of the shapes and strides of q, k, v.
func (c *CPU) AttentionBack(a Attention, o, lse, dO, dq, dk, dv Mat) error {
	t := a.Q.Rows
	ok := a.ok() && o.is(t, a.Q.Cols) && dO.is(t, a.Q.Cols) && lse.is(t, a.Heads) && lse.Stride == lse.Cols &&
		dq.is(t, a.Q.Cols) && dk.is(t, a.K.Cols) && dv.is(t, a.V.Cols) &&
		dq.Stride == a.Q.Stride && dk.Stride == a.K.Stride && dv.Stride == a.V.Stride
	if err := need(ok, "attention_back"); err != nil {
		return err
	}
	ca := a.c()
	return status(C.ck_attention_back(c.p, &ca, o.f(), o.ld(), lse.f(), dO.f(), dO.ld(), dq.f(), dk.f(), dv.f()))
}

// Activation of a gated unit.
type Activation int

// Activations.
const (
	SiLU Activation = C.CK_SILU
	GELU Activation = C.CK_GELU // tanh form
)

// GLU is ck_glu: dst = act(gate)·up.
func (c *CPU) GLU(dst, gate, up Mat, act Activation) error {
	if err := need(dst.dense(gate) && up.dense(gate), "glu"); err != nil {
		return err
	}
	return status(C.ck_glu(c.p, dst.f(), gate.f(), up.f(), C.int64_t(gate.Rows*gate.Cols), C.int(act)))
}

// GLUBack is ck_glu_back: dGate and dUp, which may be gate and up themselves, from d.
func (c *CPU) GLUBack(dGate, dUp, d, gate, up Mat, act Activation) error {
	if err := need(dGate.dense(gate) && dUp.dense(gate) && d.dense(gate) && up.dense(gate), "glu_back"); err != nil {
		return err
	}
	return status(C.ck_glu_back(c.p, dGate.f(), dUp.f(), d.f(), gate.f(), up.f(), C.int64_t(gate.Rows*gate.Cols), C.int(act)))
}

func (m Mat) dense(as Mat) bool {
	return m.is(as.Rows, as.Cols) && m.Stride == m.Cols && as.Stride == as.Cols
}

// CrossEntropy is ck_cross_entropy over the rows of logits, which it
// overwrites: with grad by scale·weights[i]·(softmax − onehot), else with nothing
// of use. Without weights they are 1.
func (c *CPU) CrossEntropy(logits Mat, targets []int32, grad bool, scale float32, weights []float32, loss []float64, correct []int32) error {
	t := logits.Rows
	if err := need(logits.plain() && t > 0 && len(targets) == t && len(loss) == t && len(correct) == t && (weights == nil || len(weights) == t), "cross_entropy"); err != nil {
		return err
	}
	return status(C.ck_cross_entropy(c.p, logits.f(), logits.ld(), C.int(t), C.int(logits.Cols), ints(targets), C.bool(grad), C.float(scale),
		(*C.float)(unsafe.SliceData(weights)), (*C.double)(&loss[0]), ints(correct)))
}

// AddRow is ck_add_row: row [1 × cols] is added to every row of x.
func (c *CPU) AddRow(x, row Mat) error {
	if err := need(x.plain() && row.is(1, x.Cols), "add_row"); err != nil {
		return err
	}
	return status(C.ck_add_row(c.p, x.f(), x.ld(), row.f(), C.int(x.Rows), C.int(x.Cols)))
}

// Copy is ck_copy: dst = x.
func (c *CPU) Copy(dst, x Mat) error {
	if err := need(x.plain() && dst.is(x.Rows, x.Cols), "copy"); err != nil {
		return err
	}
	return status(C.ck_copy(c.p, dst.f(), dst.ld(), x.f(), x.ld(), C.int(x.Rows), C.int(x.Cols)))
}

// Gather is ck_gather: dst[i] = x[ids[i]].
func (c *CPU) Gather(dst, x Mat, ids []int32) error {
	if err := need(dst.is(len(ids), x.Cols) && x.plain() && inRange(ids, x.Rows), "gather"); err != nil {
		return err
	}
	return status(C.ck_gather(c.p, dst.f(), dst.ld(), x.f(), x.ld(), ints(ids), C.int(len(ids)), C.int(x.Cols)))
}

// ScatterAdd is ck_scatter_add: dst[ids[i]] += x[i]; no id twice.
func (c *CPU) ScatterAdd(dst, x Mat, ids []int32) error {
	if err := need(x.is(len(ids), dst.Cols) && dst.plain() && inRange(ids, dst.Rows), "scatter_add"); err != nil {
		return err
	}
	return status(C.ck_scatter_add(c.p, dst.f(), dst.ld(), x.f(), x.ld(), ints(ids), C.int(len(ids)), C.int(dst.Cols)))
}

func inRange(ids []int32, n int) bool {
	for _, id := range ids {
		if id < 0 || int(id) >= n {
			return false
		}
	}
	return true
}
