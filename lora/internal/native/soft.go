package native

/*
#include "native.h"
*/
import "C"

import (
	"runtime"
	"unsafe"
)

// Soft is what a teacher says about rows of logits, as ck_soft: of each row its
// K likeliest tokens at a temperature. Rows·K ids and logarithms, and Rows
// logarithms of what all other tokens have together.
type Soft struct {
	K           int
	Temperature float32
	Alpha       float32 // the share of cross-entropy in Distill's loss
	IDs         []int32
	LogP, Rest  []float32
}

func (s *Soft) ok(rows int) bool {
	return s.K > 0 && len(s.IDs) == rows*s.K && len(s.LogP) == rows*s.K && len(s.Rest) == rows && rows > 0
}

// with calls f with the struct in C's form; the slices do not move meanwhile.
func (s *Soft) with(f func(*C.ck_soft) C.int) error {
	var pin runtime.Pinner
	defer pin.Unpin()
	ids, logp, rest := unsafe.SliceData(s.IDs), unsafe.SliceData(s.LogP), unsafe.SliceData(s.Rest)
	pin.Pin(ids)
	pin.Pin(logp)
	pin.Pin(rest)
	return status(f(&C.ck_soft{k: C.int(s.K), temperature: C.float(s.Temperature), alpha: C.float(s.Alpha),
		ids: (*C.int32_t)(ids), logp: (*C.float)(logp), rest: (*C.float)(rest)}))
}

// TopK is ck_top_k: it fills s from logits [rows × n], which it overwrites.
func (c *CPU) TopK(logits Mat, s *Soft) error {
	if err := need(logits.plain() && s.ok(logits.Rows) && s.K <= logits.Cols, "top_k"); err != nil {
		return err
	}
	return s.with(func(soft *C.ck_soft) C.int {
		return C.ck_top_k(c.p, logits.f(), logits.ld(), C.int(logits.Rows), C.int(logits.Cols), soft)
	})
}

// Distill is ck_distill on logits [rows × n].
func (c *CPU) Distill(logits Mat, targets []int32, s *Soft, grad bool, scale float32, loss, kl []float64, correct []int32) error {
	t := logits.Rows
	if err := need(logits.plain() && s.ok(t) && s.K <= logits.Cols && len(targets) == t && len(loss) == t && len(kl) == t && len(correct) == t, "distill"); err != nil {
		return err
	}
	return s.with(func(soft *C.ck_soft) C.int {
		return C.ck_distill(c.p, logits.f(), logits.ld(), C.int(t), C.int(logits.Cols), ints(targets), soft, C.bool(grad), C.float(scale),
			(*C.double)(&loss[0]), (*C.double)(&kl[0]), ints(correct))
	})
}
