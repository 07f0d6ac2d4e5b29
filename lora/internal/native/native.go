// Package native is the only cgo of training: kernels in C, for CPUs. It holds
// no opinions: a method is one function of native.h, named after it.
//
// A CPU is a pool of threads with a level of kernels, for one goroutine at a
// time; it sleeps between calls. Matrices live outside Go's heap, in an Arena,
// and are valid until the arena's next Reserve or Free. Data of a Weight must
// live outside Go's heap too (a mapped file or an arena) and outlive the call.
// Methods check shapes and return ErrShape; no kernel keeps a pointer.
//
// A result is the same to the byte for any number of threads.
package native

/*
#cgo CFLAGS: -std=gnu11 -O3 -Wall -Wextra -I${SRCDIR}/../../../third_party/native/include
#cgo LDFLAGS: -L${SRCDIR}/../../../third_party/native/lib -Wl,--start-group -lggml -lggml-cpu -lggml-base -Wl,--end-group -lstdc++ -lm -lpthread
#include "native.h"
*/
import "C"

import (
	"errors"
	"fmt"
	"runtime"
)

var (
	// ErrMemory means that the system gave no memory for scratch.
	ErrMemory = errors.New("native: out of memory")
	// ErrType means that ggml cannot dequantise a weight of this type and width.
	ErrType = errors.New("native: weights of this type cannot be turned into float")
	// ErrShape means that operands do not fit together.
	ErrShape = errors.New("native: shapes do not fit together")
	// ErrThread means that the system started no more threads.
	ErrThread = errors.New("native: cannot start threads")
)

// status maps the codes of native.h.
func status(code C.int) error {
	switch code {
	case C.CK_OK:
		return nil
	case C.CK_NOMEM:
		return ErrMemory
	case C.CK_TYPE:
		return ErrType
	case C.CK_SHAPE:
		return ErrShape
	case C.CK_THREAD:
		return ErrThread
	}
	return fmt.Errorf("native: unknown status %d", int(code))
}

// Level is a set of kernels for one kind of CPU.
type Level int

// Levels. Best is the fastest that this CPU runs, Float32 the fastest of those
// that compute in float32 throughout. The products of AVX512BF16 and AMX round
// both operands to BF16 and add in float32; all else is float32 there too.
// AMXBF16x3 cuts both operands into two parts of BF16, which keep 16 bits, and
// adds three products.
const (
	Best       Level = C.CK_LEVEL_BEST
	Float32    Level = C.CK_LEVEL_FLOAT
	Naive      Level = C.CK_LEVEL_NAIVE       // plain C, the oracle of the others
	AVX2       Level = C.CK_LEVEL_AVX2        // AVX2 and FMA
	AVX512     Level = C.CK_LEVEL_AVX512      // AVX-512 F, BW, DQ, VL and VBMI
	AVX512BF16 Level = C.CK_LEVEL_AVX512_BF16 // vdpbf16ps
	AMX        Level = C.CK_LEVEL_AMX         // tiles of BF16
	AMXBF16x3  Level = C.CK_LEVEL_AMX_BF16X3  // three of them for one
)

var levelNames = map[Level]string{Best: "best", Float32: "float32", Naive: "naive", AVX2: "avx2", AVX512: "avx512", AVX512BF16: "avx512-bf16", AMX: "amx", AMXBF16x3: "amx-bf16x3"}

func (l Level) String() string {
	if name, ok := levelNames[l]; ok {
		return name
	}
	return fmt.Sprintf("level %d", int(l))
}

// Levels are those that this CPU runs, the slowest first but for AMXBF16x3, the last.
func Levels() []Level {
	var out []Level
	for l := Naive; l <= AMXBF16x3; l++ {
		if l.Supported() {
			out = append(out, l)
		}
	}
	return out
}

// BF16 says whether the level's products round their operands to BF16.
func (l Level) BF16() bool { return l == AVX512BF16 || l == AMX }

// Split says whether the level's products cut their operands into two parts of BF16.
func (l Level) Split() bool { return l == AMXBF16x3 }

// Finer is the level whose products do not round to BF16, or hardly do, and that
// is the next best in speed; the level itself if its do not.
func (l Level) Finer() Level {
	switch l {
	case AMX:
		return AMXBF16x3
	case AVX512BF16:
		return AVX512
	}
	return l
}

// Supported is ck_level_supported.
func (l Level) Supported() bool {
	return l == Best || l == Float32 || bool(C.ck_level_supported(C.int(l)))
}

// CPU is a ck_pool.
type CPU struct {
	p       *C.ck_pool
	threads int
}

// Open is ck_pool_new. 0 threads means one for each core, here and in Plan.
func Open(threads int, level Level) (*CPU, error) {
	return open(threads, level, func(t, l C.int, out **C.ck_pool) C.int { return C.ck_pool_new(t, l, out) })
}

func open(threads int, level Level, pool func(t, l C.int, out **C.ck_pool) C.int) (*CPU, error) {
	if !level.Supported() {
		return nil, fmt.Errorf("native: this CPU does not run the %s kernels", level)
	}
	c := &CPU{threads: Threads(threads)}
	if err := status(pool(C.int(c.threads), C.int(level), &c.p)); err != nil {
		return nil, err
	}
	return c, nil
}

// Plan is ck_pool_plan: a CPU that computes nothing and needs no operands; its
// Packed, Gemm, GemmTN, Attention and AttentionBack check shapes, and Scratch
// then is what they would have taken on that many threads. The other methods
// must not be called.
func Plan(threads int, level Level) (*CPU, error) {
	return open(threads, level, func(t, l C.int, out **C.ck_pool) C.int { return C.ck_pool_plan(t, l, out) })
}

// Threads is the number of threads that Open and Plan understand by asked.
func Threads(asked int) int {
	if asked <= 0 {
		return runtime.NumCPU()
	}
	return asked
}

// Close is ck_pool_free. A second call does nothing.
func (c *CPU) Close() {
	C.ck_pool_free(c.p)
	c.p = nil
}

// Level is ck_pool_level.
func (c *CPU) Level() Level { return Level(C.ck_pool_level(c.p)) }

// Use is ck_pool_use: the calls that follow run at another level. What Pack has
// packed is for the level of that call.
func (c *CPU) Use(l Level) error { return status(C.ck_pool_use(c.p, C.int(l))) }

// Finer runs f with products of the next finer level; see Level.Finer.
func (c *CPU) Finer(f func()) error {
	level := c.Level()
	err := c.Use(level.Finer())
	f()
	return errors.Join(err, c.Use(level))
}

// Scratch is ck_pool_scratch: bytes that the threads hold beside the arenas.
func (c *CPU) Scratch() int64 { return int64(C.ck_pool_scratch(c.p)) }

// Trim is ck_pool_trim.
func (c *CPU) Trim() { C.ck_pool_trim(c.p) }

// TypeOK is ck_type_ok: rows of cols values of this ggml type can be used.
func TypeOK(ggmlType uint32, cols int) bool {
	return bool(C.ck_type_ok(C.int(ggmlType), C.int64_t(cols)))
}

// RowBytes is ck_row_bytes, 0 for a type or width that cannot be used.
func RowBytes(ggmlType uint32, cols int) int {
	return int(C.ck_row_bytes(C.int(ggmlType), C.int64_t(cols)))
}

// Dequantize is ck_dequantize: len(dst) values, whole blocks of them.
func Dequantize(ggmlType uint32, src []byte, dst []float32) error {
	if len(dst) == 0 || len(src) == 0 || len(src) != RowBytes(ggmlType, len(dst)) {
		return fmt.Errorf("%w: %d bytes of type %d for %d values", ErrShape, len(src), ggmlType, len(dst))
	}
	return status(C.ck_dequantize(C.int(ggmlType), ptr(src), (*C.float)(&dst[0]), C.int64_t(len(dst))))
}

// Quantize is ck_quantize: rows of cols values, into a type that ggml quantises
// without an importance matrix.
func Quantize(ggmlType uint32, src []float32, rows, cols int) []byte {
	dst := make([]byte, rows*RowBytes(ggmlType, cols))
	C.ck_quantize(C.int(ggmlType), (*C.float)(&src[0]), ptr(dst), C.int64_t(rows), C.int64_t(cols))
	return dst
}
