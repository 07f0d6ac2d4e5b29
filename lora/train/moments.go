package train

import (
	"encoding/binary"
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
		count.Mat(1, len(p.Data))
	}
	if arena.Reserve(max(1, count.Peak())) != nil {
		for i, p := range params {
			out[i] = make([]float32, len(p.Data)) // Go's own error is the clearer one
		}
		return out
	}
	for i, p := range params {
		out[i] = arena.Mat(1, len(p.Data)).Slice()
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

// takeOver copies the matrices of a checkpoint.
func takeOver(dst, src [][]float32) {
	for i := range src {
		copy(dst[i], src[i])
	}
}

// restore takes up the snapshot of a checkpoint and gives back the memory in
// which it was read, which is as large as all matrices together.
func (j *job) restore(s *snapshot) {
	for i, p := range j.m.Params() {
		copy(p.Data, s.params[i])
	}
	takeOver(j.opt.m, s.m)
	takeOver(j.opt.v, s.v)
	if s.best != nil {
		j.best = like(j.m.Params())
		takeOver(j.best, s.best)
	}
	s.params, s.m, s.v, s.best = nil, nil, nil, nil
	debug.FreeOSMemory()
}
