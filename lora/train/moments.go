package train

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"runtime"
	"runtime/debug"
	"unsafe"

	"cloister/lora/internal/native"
	"cloister/lora/model"
)

// like makes zeros in the shapes of the params, outside Go's heap: the
// collector lets as much garbage pile up as there is on it. The memory is given
// back some time after the slice of slices is out of use.
func like(params []*model.Param) [][]float32 {
	out := make([][]float32, len(params))
	if len(params) == 0 {
		return out
	}
	count, arena := new(native.Arena), new(native.Arena)
	for _, p := range params {
		count.Mat(1, p.Len())
	}
	if arena.Reserve(max(1, count.Peak())) != nil {
		for i, p := range params {
			out[i] = make([]float32, p.Len()) // Go's own error is the clearer one
		}
		return out
	}
	for i, p := range params {
		out[i] = arena.Float32(p.Len())
	}
	runtime.AddCleanup(&out[0], func(a *native.Arena) { a.Free() }, arena)
	return out
}

// littleEndian is the values as a file has them; no copy where memory has the same order.
func littleEndian(values []float32) []byte {
	if binary.NativeEndian.Uint16([]byte{1, 0}) == 1 {
		return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(values))), 4*len(values))
	}
	out := make([]byte, 0, 4*len(values))
	for _, v := range values {
		out = binary.LittleEndian.AppendUint32(out, math.Float32bits(v))
	}
	return out
}

// matrix is one of the params' matrices, on their device or on the host.
type matrix interface {
	// Values are read only.
	Values() ([]float32, error)
	Write(src []float32) error
}

// onHost is a matrix in the host's memory.
type onHost []float32

func (m onHost) Values() ([]float32, error) { return m, nil }

func (m onHost) Write(src []float32) error {
	copy(m, src)
	return nil
}

// dataOf are the params' own values, meansOf and squaresOf their moments.
func dataOf(params []*model.Param) []matrix {
	return of(params, func(p *model.Param) model.Tensor { return p.Data })
}
func meansOf(params []*model.Param) []matrix {
	return of(params, func(p *model.Param) model.Tensor { return p.Mean })
}
func squaresOf(params []*model.Param) []matrix {
	return of(params, func(p *model.Param) model.Tensor { return p.Square })
}

func of(params []*model.Param, which func(*model.Param) model.Tensor) []matrix {
	out := make([]matrix, len(params))
	for i, p := range params {
		out[i] = which(p)
	}
	return out
}

func hostMatrices(values [][]float32) []matrix {
	out := make([]matrix, len(values))
	for i, v := range values {
		out[i] = onHost(v)
	}
	return out
}

// save copies the params' values to the host.
func save(dst [][]float32, params []*model.Param) error {
	for i, p := range params {
		if err := p.Data.Read(dst[i]); err != nil {
			return fmt.Errorf("%s: %w", p.Name, err)
		}
	}
	return nil
}

// takeOver copies values of the host into matrices.
func takeOver(dst []matrix, src [][]float32) error {
	for i := range src {
		if err := dst[i].Write(src[i]); err != nil {
			return err
		}
	}
	return nil
}

// restore takes up the snapshot of a checkpoint and gives back the memory in
// which it was read, which is as large as all matrices together.
func (j *job) restore(r *restored) error {
	params := j.m.Params()
	err := errors.Join(takeOver(dataOf(params), r.params), takeOver(meansOf(params), r.m), takeOver(squaresOf(params), r.v))
	if r.best != nil {
		j.best = like(params)
		err = errors.Join(err, takeOver(hostMatrices(j.best), r.best))
	}
	r.params, r.m, r.v, r.best = nil, nil, nil, nil
	debug.FreeOSMemory()
	return err
}
