//go:build cuda || cudaemu

package native

// #include "cuda.h"
import "C"

import (
	"errors"
	"fmt"
	"runtime"
	"unsafe"
)

// CUDA is a card. Its methods are those of CPU, with the same meaning, for one
// goroutine at a time, with these differences:
//
//   - The Data of matrices and weights is device memory, which the host cannot
//     read; an Arena over memory from Alloc hands it out. Slices are the host's.
//   - Calls return when their work is queued, in order, on one stream; those with
//     results in slices, and Get and Wait, return when all of it is done. So a
//     failure of the card may be reported by a later call. It stays: every further
//     call returns ErrDevice.
//   - Products round their operands to BF16 and add in float32, and so does
//     attention, unless the card was opened as precise or has no tensor cores for
//     BF16.
type CUDA struct {
	p      *C.cd_card
	layout cudaLayout
}

// CUDADevices lists the cards; none is no error. It is one when a driver is there but does not work.
func CUDADevices() ([]CUDADevice, error) {
	var n C.int
	var reason [256]C.char
	if code := C.cd_devices(&n, &reason[0], C.size_t(len(reason))); code != C.CK_OK {
		return nil, fmt.Errorf("%w: %s", ErrDevice, C.GoString(&reason[0]))
	}
	var out []CUDADevice
	for i := range int(n) {
		var d C.cd_device
		if code := C.cd_device_info(C.int(i), &d); code != C.CK_OK {
			return nil, fmt.Errorf("%w: card %d: %s", ErrDevice, i, C.GoString(&d.name[0]))
		}
		out = append(out, CUDADevice{i, C.GoString(&d.name[0]), int(d.major), int(d.minor), int64(d.total), int64(d.free)})
	}
	return out, nil
}

// OpenCUDA opens a card. Products of a precise one are float32 throughout;
// those of another round their operands to BF16 and add in float32.
func OpenCUDA(index int, precise bool) (*CUDA, error) {
	var reason [256]C.char
	c := &CUDA{layout: newCUDALayout(precise)}
	if code := C.cd_open(C.int(index), C.bool(precise), cudaStaging, cudaWorkspace, &c.p, &reason[0], C.size_t(len(reason))); code != C.CK_OK {
		err := ErrDevice
		if code == C.CK_NOMEM {
			err = ErrMemory
		}
		return nil, fmt.Errorf("%w: card %d: %s", err, index, C.GoString(&reason[0]))
	}
	return c, nil
}

// Close gives back all that the card was opened with; what Alloc gave must be freed before. A second call does nothing.
func (c *CUDA) Close() {
	C.cd_close(c.p)
	c.p = nil
}

func (c *CUDA) status(kernel string, code C.int) error {
	if code == C.CD_DEVICE {
		return fmt.Errorf("%s: %w: %s", kernel, ErrDevice, C.GoString(C.cd_error(c.p)))
	}
	if err := status(code); err != nil {
		return fmt.Errorf("%s: %w", kernel, err)
	}
	return nil
}

// Alloc gives device memory, not cleared, aligned to 256 bytes.
func (c *CUDA) Alloc(bytes int64) (unsafe.Pointer, error) {
	var out unsafe.Pointer
	if err := c.status("alloc", C.cd_alloc(c.p, C.size_t(bytes), &out)); err != nil {
		return nil, fmt.Errorf("%w: %d bytes on the card", err, bytes)
	}
	return out, nil
}

// Free gives back what Alloc gave, when all work on it is done.
func (c *CUDA) Free(p unsafe.Pointer) { C.cd_free(c.p, p) }

// Memory is what the driver says of the card's memory, in bytes.
func (c *CUDA) Memory() (free, total int64, err error) {
	var f, t C.size_t
	err = c.status("memory", C.cd_memory(c.p, &f, &t))
	return int64(f), int64(t), err
}

// Put copies src to device memory. src may be changed when it returns.
func (c *CUDA) Put(dst unsafe.Pointer, src []byte) error {
	return c.status("put", C.cd_put(c.p, dst, ptr(src), C.size_t(len(src))))
}

// Get copies device memory to dst, when all work before is done.
func (c *CUDA) Get(dst []byte, src unsafe.Pointer) error {
	return c.status("get", C.cd_get(c.p, ptr(dst), src, C.size_t(len(dst))))
}

// Wait returns when all work is done.
func (c *CUDA) Wait() error { return c.status("wait", C.cd_wait(c.p)) }

// Pin gives host memory for SaveAside and FetchAside; Unpin gives it back.
func (c *CUDA) Pin(bytes int64) (unsafe.Pointer, error) {
	var out unsafe.Pointer
	err := c.status("pin", C.cd_pin(c.p, C.size_t(bytes), &out))
	return out, err
}

// Unpin gives back what Pin gave, when no copy uses it.
func (c *CUDA) Unpin(p unsafe.Pointer) { C.cd_unpin(c.p, p) }

// SaveAside begins to copy device memory to memory from Pin, beside the kernels,
// when all work given before is done. Until Join with the ticket that it
// returns, src must not be written. The copy may be fetched back at once, but
// the host sees it only after Join and Wait. 32 copies may be under way.
func (c *CUDA) SaveAside(dst, src unsafe.Pointer, bytes int64) (ticket int, err error) {
	return c.aside(dst, src, bytes, true)
}

// FetchAside is the other way: until Join, dst must be neither read nor written.
func (c *CUDA) FetchAside(dst, src unsafe.Pointer, bytes int64) (ticket int, err error) {
	return c.aside(dst, src, bytes, false)
}

func (c *CUDA) aside(dst, src unsafe.Pointer, bytes int64, save bool) (int, error) {
	var ticket C.int
	err := c.status("copy", C.cd_begin(c.p, dst, src, C.size_t(bytes), C.bool(save), &ticket))
	return int(ticket), err
}

// Join makes the work that is given from now on wait for a copy; the host goes on. A ticket is joined once.
func (c *CUDA) Join(ticket int) error { return c.status("join", C.cd_join(c.p, C.int(ticket))) }

// Scratch is the bytes of device memory that the card holds beside what Alloc gave. It grows to what the largest call needed.
func (c *CUDA) Scratch() int64 { return int64(C.cd_held(c.p)) }

// room makes sure of scratch for a call.
func (c *CUDA) room(kernel string, bytes int64) error {
	return c.status(kernel, C.cd_scratch(c.p, C.size_t(roundUp(bytes, cudaAlign))))
}

func (m Mat) cuda() C.cd_mat {
	return C.cd_mat{data: m.Data, rows: C.int64_t(m.Rows), cols: C.int64_t(m.Cols), ld: C.int64_t(m.Stride)}
}

func (w Weight) cuda(slab int) C.cd_weight {
	return C.cd_weight{data: w.Data, rows: C.int64_t(w.Rows), cols: C.int64_t(w.Cols), row_bytes: C.int64_t(w.RowBytes), slab: C.int64_t(slab), _type: C.int(w.Type)}
}

// Packed is the room in a that Pack needs for a matrix of rows x cols.
func (c *CUDA) Packed(a *Arena, rows, cols int) Mat { return c.layout.mat(a, rows, cols) }

// Pack is CPU.Pack: the packed form is x in BF16, or as it is on a precise card.
func (c *CUDA) Pack(dst, x Mat) error {
	if err := packOK(dst, x); err != nil {
		return err
	}
	return c.status("pack", C.cd_pack(c.p, dst.cuda(), x.cuda()))
}

// Gemm is CPU.Gemm.
func (c *CUDA) Gemm(dst Mat, add bool, terms ...Term) error {
	if err := cudaGemmOK(dst, terms); err != nil {
		return err
	}
	if err := c.room("gemm", c.layout.gemm(terms)); err != nil {
		return err
	}
	var list [maxTerms]C.cd_term
	for i := range terms {
		t := &terms[i]
		chunk, _ := c.layout.left(t.A)
		slab, _ := c.layout.right(t.B)
		scale := t.Scale
		if scale == 0 {
			scale = 1
		}
		list[i] = C.cd_term{a: t.A.cuda(), b: t.B.cuda(slab), chunk: C.int64_t(chunk), trans: C.bool(t.Trans), scale: C.float(scale)}
	}
	return c.status("gemm", C.cd_gemm(c.p, dst.cuda(), &list[0], C.int(len(terms)), C.bool(add)))
}

// GemmTN is CPU.GemmTN; u and x may be packed.
func (c *CUDA) GemmTN(g, u, x Mat, trans bool) error {
	if err := gemmTNOK(g, u, x, trans); err != nil {
		return err
	}
	chunk, bytes := c.layout.gemmTN(u, x)
	if err := c.room("gemm_tn", bytes); err != nil {
		return err
	}
	return c.status("gemm_tn", C.cd_gemm_tn(c.p, g.cuda(), C.bool(trans), u.cuda(), x.cuda(), C.int64_t(chunk)))
}

// Embed is CPU.Embed.
func (c *CUDA) Embed(dst Mat, table Weight, ids []int32) error {
	if err := need(dst.is(len(ids), table.Cols) && len(ids) > 0 && inRange(ids, table.Rows), "embed"); err != nil {
		return err
	}
	if err := cudaWeightOK(table); err != nil {
		return fmt.Errorf("embed: %w", err)
	}
	at, bytes := c.layout.embed(table, len(ids))
	if err := c.room("embed", bytes); err != nil {
		return err
	}
	return c.status("embed", C.cd_embed(c.p, dst.cuda(), table.cuda(at), ints(ids)))
}

// Attention is CPU.Attention. Start may be Go's. Heads may have up to 256 values.
func (c *CUDA) Attention(a Attention, o, lse Mat) error {
	ok := a.ok() && a.visible() && o.is(a.Q.Rows, a.Q.Cols) && lse.is(a.Q.Rows, a.Heads) && lse.Stride == lse.Cols
	if err := errors.Join(need(ok, "attention"), headsOK(&a)); err != nil {
		return err
	}
	kv, bytes := c.layout.attention(&a, false)
	if err := c.room("attention", bytes); err != nil {
		return err
	}
	ca := a.cuda(kv)
	return c.status("attention", C.cd_attention(c.p, &ca, ints(a.Start), o.cuda(), lse.cuda()))
}

// AttentionBack is CPU.AttentionBack.
func (c *CUDA) AttentionBack(a Attention, o, lse, dO, dq, dk, dv Mat) error {
	t := a.Q.Rows
	ok := a.ok() && a.visible() && o.is(t, a.Q.Cols) && dO.is(t, a.Q.Cols) && lse.is(t, a.Heads) && lse.Stride == lse.Cols &&
		dq.is(t, a.Q.Cols) && dk.is(t, a.K.Cols) && dv.is(t, a.V.Cols) &&
		dq.Stride == a.Q.Stride && dk.Stride == a.K.Stride && dv.Stride == a.V.Stride
	if err := errors.Join(need(ok, "attention_back"), headsOK(&a)); err != nil {
		return err
	}
	kv, bytes := c.layout.attention(&a, true)
	if err := c.room("attention_back", bytes); err != nil {
		return err
	}
	ca := a.cuda(kv)
	return c.status("attention_back", C.cd_attention_back(c.p, &ca, ints(a.Start), o.cuda(), lse.cuda(), dO.cuda(), dq.cuda(), dk.cuda(), dv.cuda()))
}

func (a *Attention) cuda(kv int) C.cd_attn {
	return C.cd_attn{q: a.Q.cuda(), k: a.K.cuda(), v: a.V.cuda(), prefix: C.int(a.Prefix), heads: C.int(a.Heads), kv_heads: C.int(a.KV), dim: C.int(a.Dim),
		padded: C.int(paddedDim(a.Dim)), at_once: C.int(kv), scale: C.float(a.Scale)}
}

// visible says whether Start and Prefix are as ck_attn wants them.
func (a *Attention) visible() bool {
	if a.Prefix < 0 || a.Prefix > len(a.Start) {
		return false
	}
	for i, s := range a.Start {
		if int(s) > i || s < 0 || (i > 0 && s < a.Start[i-1]) || (i < a.Prefix && s != 0) || (i >= a.Prefix && int(s) < a.Prefix) {
			return false
		}
	}
	return true
}

// RMSNorm is CPU.RMSNorm.
func (c *CUDA) RMSNorm(dst, x, w Mat, eps float32) error {
	if err := need(x.plain() && dst.is(x.Rows, x.Cols) && w.is(1, x.Cols), "rmsnorm"); err != nil {
		return err
	}
	return c.status("rmsnorm", C.cd_rmsnorm(c.p, dst.cuda(), x.cuda(), w.cuda(), C.float(eps)))
}

// RMSNormBack is CPU.RMSNormBack.
func (c *CUDA) RMSNormBack(dx, dy, x, w Mat, eps float32) error {
	if err := need(x.plain() && dx.is(x.Rows, x.Cols) && dy.is(x.Rows, x.Cols) && w.is(1, x.Cols), "rmsnorm_back"); err != nil {
		return err
	}
	return c.status("rmsnorm_back", C.cd_rmsnorm_back(c.p, dx.cuda(), dy.cuda(), x.cuda(), w.cuda(), C.float(eps)))
}

// Rope is CPU.Rope.
func (c *CUDA) Rope(x, table Mat, dim int, neox, inverse bool) error {
	ok := dim > 0 && x.plain() && x.Cols%dim == 0 && table.is(x.Rows, table.Cols) && table.Stride == table.Cols && table.Cols%2 == 0 && table.Cols <= dim
	if err := need(ok, "rope"); err != nil {
		return err
	}
	return c.status("rope", C.cd_rope(c.p, x.cuda(), table.cuda(), C.int(dim), C.bool(neox), C.bool(inverse)))
}

// GLU is CPU.GLU.
func (c *CUDA) GLU(dst, gate, up Mat, act Activation) error {
	if err := need(dst.dense(gate) && up.dense(gate) && (act == SiLU || act == GELU), "glu"); err != nil {
		return err
	}
	return c.status("glu", C.cd_glu(c.p, dst.cuda(), gate.cuda(), up.cuda(), C.int(act)))
}

// GLUBack is CPU.GLUBack.
func (c *CUDA) GLUBack(dGate, dUp, d, gate, up Mat, act Activation) error {
	ok := dGate.dense(gate) && dUp.dense(gate) && d.dense(gate) && up.dense(gate) && (act == SiLU || act == GELU)
	if err := need(ok, "glu_back"); err != nil {
		return err
	}
	return c.status("glu_back", C.cd_glu_back(c.p, dGate.cuda(), dUp.cuda(), d.cuda(), gate.cuda(), up.cuda(), C.int(act)))
}

// CrossEntropy is CPU.CrossEntropy.
func (c *CUDA) CrossEntropy(logits Mat, targets []int32, grad bool, scale float32, weights []float32, loss []float64, correct []int32) error {
	t := logits.Rows
	ok := logits.plain() && t > 0 && len(targets) == t && len(loss) == t && len(correct) == t && (weights == nil || len(weights) == t) && inRange(targets, logits.Cols)
	if err := need(ok, "cross_entropy"); err != nil {
		return err
	}
	return c.status("cross_entropy", C.cd_cross_entropy(c.p, logits.cuda(), ints(targets), C.bool(grad), C.float(scale),
		(*C.float)(unsafe.SliceData(weights)), (*C.double)(&loss[0]), ints(correct)))
}

// withSoft is Soft.with for the codes of a card.
func (c *CUDA) withSoft(kernel string, s *Soft, f func(*C.ck_soft) C.int) error {
	var pin runtime.Pinner
	defer pin.Unpin()
	ids, logp, rest := unsafe.SliceData(s.IDs), unsafe.SliceData(s.LogP), unsafe.SliceData(s.Rest)
	pin.Pin(ids)
	pin.Pin(logp)
	pin.Pin(rest)
	return c.status(kernel, f(&C.ck_soft{k: C.int(s.K), temperature: C.float(s.Temperature), alpha: C.float(s.Alpha),
		ids: (*C.int32_t)(ids), logp: (*C.float)(logp), rest: (*C.float)(rest)}))
}

// TopK is CPU.TopK; it leaves logits as they are.
func (c *CUDA) TopK(logits Mat, s *Soft) error {
	if err := need(logits.plain() && s.ok(logits.Rows) && s.K <= logits.Cols, "top_k"); err != nil {
		return err
	}
	return c.withSoft("top_k", s, func(soft *C.ck_soft) C.int { return C.cd_top_k(c.p, logits.cuda(), soft) })
}

// Distill is CPU.Distill.
func (c *CUDA) Distill(logits Mat, targets []int32, s *Soft, grad bool, scale float32, loss, kl []float64, correct []int32) error {
	t := logits.Rows
	ok := logits.plain() && s.ok(t) && s.K <= logits.Cols && s.Temperature > 0 && len(targets) == t && len(loss) == t && len(kl) == t && len(correct) == t &&
		inRange(targets, logits.Cols) && inRange(s.IDs, logits.Cols)
	if err := need(ok, "distill"); err != nil {
		return err
	}
	return c.withSoft("distill", s, func(soft *C.ck_soft) C.int {
		return C.cd_distill(c.p, logits.cuda(), ints(targets), soft, C.bool(grad), C.float(scale), (*C.double)(&loss[0]), (*C.double)(&kl[0]), ints(correct))
	})
}
