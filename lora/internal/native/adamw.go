package native

// #include "native.h"
import "C"

import (
	"math"
	"unsafe"
)

// AdamW holds the constants of the optimiser (Loshchilov and Hutter,
// arXiv:1711.05101) for step number Step, from 1.
type AdamW struct {
	Step         int
	Rate         float64 // of learning
	Beta1, Beta2 float64
	Epsilon      float64
	Decay        float64 // of weights, per unit of the rate
	Factor       float64 // on the gradient: clipping
}

// Update is ck_adamw: one step of parameters p with the gradients g and the
// moments m and v, all of one length, on the calling thread:
//
//	m = β₁m + (1-β₁)g    v = β₂v + (1-β₂)g²      g times Factor
//	p = p·(1 - Rate·Decay) - Rate·(m/(1-β₁ᵗ)) / (√(v/(1-β₂ᵗ)) + ε)
func (a AdamW) Update(p, g, m, v []float32) error {
	if err := need(len(g) == len(p) && len(m) == len(p) && len(v) == len(p), "adamw"); err != nil || len(p) == 0 {
		return err
	}
	s := a.step()
	C.ck_adamw(floats(p), floats(g), floats(m), floats(v), C.int64_t(len(p)), &s)
	return nil
}

// step is what of the constants the kernels read.
func (a AdamW) step() C.ck_adamw_step {
	c1, c2 := 1-math.Pow(a.Beta1, float64(a.Step)), 1-math.Pow(a.Beta2, float64(a.Step))
	return C.ck_adamw_step{rate: C.float(a.Rate / c1), factor: C.float(a.Factor), root: C.float(1 / math.Sqrt(c2)), keep: C.float(1 - a.Rate*a.Decay),
		beta1: C.float(a.Beta1), beta2: C.float(a.Beta2), epsilon: C.float(a.Epsilon)}
}

// SumSquares is ck_sum_squares: Σ x², in an order that depends on the length alone.
func SumSquares(x []float32) float64 {
	if len(x) == 0 {
		return 0
	}
	return float64(C.ck_sum_squares(floats(x), C.int64_t(len(x))))
}

func floats(s []float32) *C.float { return (*C.float)(unsafe.Pointer(unsafe.SliceData(s))) }
