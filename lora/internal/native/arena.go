package native

import (
	"fmt"
	"sync/atomic"
	"syscall"
	"unsafe"
)

// Mat is a row-major matrix of float32 outside Go's heap, valid as long as the
// memory it came from. Row i starts at Data + 4·i·Stride. Stride 0 marks the
// form in which Pack leaves a left operand; only a Term reads that.
type Mat struct {
	Data               unsafe.Pointer
	Rows, Cols, Stride int
}

// Slice is the matrix as a Go slice of Rows·Cols values; Stride must be Cols.
func (m Mat) Slice() []float32 {
	if m.Stride != m.Cols {
		panic("native: Slice of a matrix with gaps")
	}
	return unsafe.Slice((*float32)(m.Data), m.Rows*m.Cols)
}

// Slab is rows [from, to).
func (m Mat) Slab(from, to int) Mat {
	if from < 0 || to > m.Rows || from > to || m.Stride < m.Cols {
		panic(fmt.Sprintf("native: rows %d to %d of a matrix of %d", from, to, m.Rows))
	}
	return Mat{m.at(from * m.Stride), to - from, m.Cols, m.Stride}
}

// Columns is columns [from, to).
func (m Mat) Columns(from, to int) Mat {
	if from < 0 || to > m.Cols || from > to || m.Stride < m.Cols {
		panic(fmt.Sprintf("native: columns %d to %d of a matrix of %d", from, to, m.Cols))
	}
	return Mat{m.at(from), m.Rows, to - from, m.Stride}
}

// at is the address of value i; a matrix of an arena that only counts has none.
func (m Mat) at(i int) unsafe.Pointer {
	if m.Data == nil {
		return nil
	}
	return unsafe.Add(m.Data, 4*i)
}

const (
	alignment    = 64
	madvHugepage = 14
	pageSize     = 1 << 12
)

var mapped atomic.Int64

// Mapped is the number of bytes that all arenas of the process hold.
func Mapped() int64 { return mapped.Load() }

// Arena hands out memory in order and takes it back all at once. Without
// Reserve it only counts, so that the same code plans and allocates.
type Arena struct {
	mem  []byte
	used int64
	peak int64
}

// Reserve makes room for bytes and forgets what was handed out. The memory is
// mapped anew only when there is too little; its content is undefined.
func (a *Arena) Reserve(bytes int64) error {
	a.used, a.peak = 0, 0
	if bytes <= int64(len(a.mem)) {
		return nil
	}
	a.Free()
	bytes = (bytes + pageSize - 1) / pageSize * pageSize
	mem, err := syscall.Mmap(-1, 0, int(bytes), syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		return fmt.Errorf("%w: %d bytes: %w", ErrMemory, bytes, err)
	}
	_ = syscall.Madvise(mem, madvHugepage) // fewer TLB misses where the system has huge pages
	a.mem = mem
	mapped.Add(int64(len(mem)))
	return nil
}

// Free gives the memory back. Everything handed out is invalid.
func (a *Arena) Free() {
	if a.mem != nil {
		mapped.Add(-int64(len(a.mem)))
		_ = syscall.Munmap(a.mem)
	}
	*a = Arena{}
}

// Size is the bytes reserved.
func (a *Arena) Size() int64 { return int64(len(a.mem)) }

// Peak is the most bytes that were in use since Reserve.
func (a *Arena) Peak() int64 { return a.peak }

// Mark and Release take back what was handed out in between, like a stack.
func (a *Arena) Mark() int64        { return a.used }
func (a *Arena) Release(mark int64) { a.used = mark }

// bytes returns nil from an arena that only counts.
func (a *Arena) bytes(n int64) unsafe.Pointer {
	at := a.used
	a.used += (n + alignment - 1) / alignment * alignment
	a.peak = max(a.peak, a.used)
	if a.mem == nil {
		return nil
	}
	if a.used > int64(len(a.mem)) {
		panic(fmt.Sprintf("native: arena of %d bytes overrun by %d", len(a.mem), a.used-int64(len(a.mem))))
	}
	return unsafe.Pointer(&a.mem[at])
}

// Mat hands out rows x cols values, not cleared.
func (a *Arena) Mat(rows, cols int) Mat {
	return Mat{a.bytes(4 * int64(rows) * int64(cols)), rows, cols, cols}
}

// Int32 hands out n values, not cleared; nil from an arena that only counts.
func (a *Arena) Int32(n int) []int32 { return view[int32](a.bytes(4*int64(n)), n) }

// Float64 hands out n values, not cleared; nil from an arena that only counts.
func (a *Arena) Float64(n int) []float64 { return view[float64](a.bytes(8*int64(n)), n) }

// Bytes hands out n bytes, not cleared; nil from an arena that only counts.
func (a *Arena) Bytes(n int) []byte { return view[byte](a.bytes(int64(n)), n) }

func view[T any](p unsafe.Pointer, n int) []T {
	if p == nil {
		return nil
	}
	return unsafe.Slice((*T)(p), n)
}
