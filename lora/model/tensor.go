package model

import (
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"unsafe"

	"cloister/lora/internal/native"
)

// Param is one trained matrix, row-major: A is [rank × in], B is [out × rank].
type Param struct {
	Name       string // of the tensor in the adapter file, such as "blk.0.attn_q.weight.lora_a"
	Rows, Cols int
	// Data, its gradient and the two moments of the optimiser (means of gradients
	// and of their squares) have Rows·Cols values each and are valid until
	// Model.Close.
	Data, Grad, Mean, Square Tensor
	of                       *adapter // nil: it belongs to no model
}

// cardOf is the adapter that all params make up, if it is on a card.
func cardOf(params []*Param) *adapter {
	if len(params) == 0 || params[0].of == nil || params[0].of.on == nil {
		return nil
	}
	return params[0].of
}

// NewParam is a matrix of zeros in Go's memory, which belongs to no model.
func NewParam(name string, rows, cols int) *Param {
	make := func() Tensor { return Tensor{mat: inGo(make([]float32, rows*cols), rows, cols)} }
	return &Param{Name: name, Rows: rows, Cols: cols, Data: make(), Grad: make(), Mean: make(), Square: make()}
}

func inGo(values []float32, rows, cols int) native.Mat {
	return native.Mat{Data: unsafe.Pointer(unsafe.SliceData(values)), Rows: rows, Cols: cols, Stride: cols}
}

// Len is the number of values of each of its matrices.
func (p *Param) Len() int { return p.Rows * p.Cols }

// Tensor is a matrix without gaps in the memory of a device.
type Tensor struct {
	mat native.Mat
	on  remote // nil: it is host memory
}

// Len is the number of values.
func (t Tensor) Len() int { return t.mat.Rows * t.mat.Cols }

// Values are the values themselves where the device is the CPU, and a copy of them otherwise.
func (t Tensor) Values() ([]float32, error) {
	if t.on == nil {
		return t.mat.Slice(), nil
	}
	out := make([]float32, t.Len())
	return out, t.Read(out)
}

// Read copies the values to dst, which has Len of them.
func (t Tensor) Read(dst []float32) error {
	if t.on != nil {
		return t.on.Download(dst, t.mat)
	}
	if len(dst) != t.Len() {
		return native.ErrShape
	}
	copy(dst, t.mat.Slice())
	return nil
}

// Write copies src, which has Len values, into the matrix.
func (t Tensor) Write(src []float32) error {
	if t.on != nil {
		return t.on.Upload(t.mat, src)
	}
	if len(src) != t.Len() {
		return native.ErrShape
	}
	copy(t.mat.Slice(), src)
	return nil
}

// Edit lets f change the values.
func (t Tensor) Edit(f func(values []float32)) error {
	values, err := t.Values()
	if err != nil {
		return err
	}
	if f(values); t.on != nil {
		err = t.Write(values)
	}
	return err
}

func (t Tensor) zero() error {
	if t.on != nil {
		return t.on.Zero(t.mat)
	}
	clear(t.mat.Slice())
	return nil
}

// GradNorm is the Euclidean norm of all gradients together; not finite if one
// of them is not. threads 0 means one for each core.
func GradNorm(params []*Param, threads int) (float64, error) {
	if a := cardOf(params); a != nil {
		sum, err := a.norm2()
		return math.Sqrt(sum), err
	}
	parts := make([]float64, len(params))
	each(params, threads, func(i int, p *Param) { parts[i] = native.SumSquares(p.Grad.mat.Slice()) })
	sum := 0.0
	for _, v := range parts {
		sum += v
	}
	return math.Sqrt(sum), nil
}

// Step is one step of AdamW; see native.AdamW for what the fields mean.
type Step = native.AdamW

// Update makes one step of the optimiser on every matrix, with the constants
// that step gives for it, and changes its moments.
func Update(params []*Param, threads int, step func(*Param) Step) error {
	if a := cardOf(params); a != nil {
		return a.updateEach(params, step)
	}
	errs := make([]error, len(params))
	each(params, threads, func(i int, p *Param) {
		errs[i] = step(p).Update(p.Data.mat.Slice(), p.Grad.mat.Slice(), p.Mean.mat.Slice(), p.Square.mat.Slice())
	})
	return errors.Join(errs...)
}

// updateEach makes a step on each param: in one call if the step is the same for all.
func (a *adapter) updateEach(params []*Param, step func(*Param) Step) error {
	first := step(params[0])
	if !slices.ContainsFunc(params, func(p *Param) bool { return step(p) != first }) {
		return a.update(first)
	}
	for _, p := range params {
		if err := a.on.Update(step(p), p.Data.mat, p.Grad.mat, p.Mean.mat, p.Square.mat); err != nil {
			return fmt.Errorf("%s: %w", p.Name, err)
		}
	}
	return nil
}

// each calls f for every param, on that many threads.
func each(params []*Param, threads int, f func(i int, p *Param)) {
	threads = min(len(params), native.Threads(threads))
	var next atomic.Int64
	var wg sync.WaitGroup
	for range threads {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < len(params); i = int(next.Add(1)) - 1 {
				f(i, params[i])
			}
		})
	}
	wg.Wait()
	runtime.KeepAlive(params)
}
