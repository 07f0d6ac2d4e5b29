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

// Memory is where an arena takes its memory from.
type Memory interface {
	// Alloc returns bytes of memory with undefined content, or an error that wraps ErrMemory.
	Alloc(bytes int64) (unsafe.Pointer, error)
	// Free gives back what Alloc returned.
	Free(p unsafe.Pointer)
}

// Arena hands out memory in order and takes it back all at once. Without
// Reserve it only counts, so that the same code plans and allocates.
type Arena struct {
	// Of is the memory that Reserve takes; nil means this process's own, outside
	// Go's heap. It must not change while anything is reserved.
	Of   Memory
	mem  unsafe.Pointer
	size int64
	used int64
	peak int64
}

// Reserve makes room for bytes and forgets what was handed out. The memory is
// mapped anew only when there is too little; its content is undefined.
func (a *Arena) Reserve(bytes int64) error {
	a.used, a.peak = 0, 0
	if bytes <= a.size {
		return nil
	}
	a.Free()
	bytes = (bytes + pageSize - 1) / pageSize * pageSize
	alloc := mapMemory
	if a.Of != nil {
		alloc = a.Of.Alloc
	}
	mem, err := alloc(bytes)
	if err != nil {
		return fmt.Errorf("%d bytes: %w", bytes, err)
	}
	a.mem, a.size = mem, bytes
	return nil
}

// mapMemory takes memory of this process outside Go's heap.
func mapMemory(bytes int64) (unsafe.Pointer, error) {
	mem, err := syscall.Mmap(-1, 0, int(bytes), syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMemory, err)
	}
	_ = syscall.Madvise(mem, madvHugepage) // fewer TLB misses where the system has huge pages
	mapped.Add(int64(len(mem)))
	return ptr(mem), nil
}

// Free gives the memory back. Everything handed out is invalid.
func (a *Arena) Free() {
	switch {
	case a.mem == nil:
	case a.Of != nil:
		a.Of.Free(a.mem)
	default:
		mapped.Add(-a.size)
		_ = syscall.Munmap(unsafe.Slice((*byte)(a.mem), a.size))
	}
	*a = Arena{Of: a.Of}
}

// Size is the bytes reserved.
func (a *Arena) Size() int64 { return a.size }

// Peak is the most bytes that were in use since Reserve.
func (a *Arena) Peak() int64 { return a.peak }

// Mark and Release take back what was handed out in between, like a stack.
func (a *Arena) Mark() int64        { return a.used }
func (a *Arena) Release(mark int64) { a.used = mark }

// Raw hands out n bytes, not cleared; nil from an arena that only counts.
func (a *Arena) Raw(n int64) unsafe.Pointer { return a.bytes(n) }

func (a *Arena) bytes(n int64) unsafe.Pointer {
	at := a.used
	a.used += (n + alignment - 1) / alignment * alignment
	a.peak = max(a.peak, a.used)
	if a.mem == nil {
		return nil
	}
	if a.used > a.size {
		panic(fmt.Sprintf("native: arena of %d bytes overrun by %d", a.size, a.used-a.size))
	}
	return unsafe.Add(a.mem, at)
}

// Mat hands out rows x cols values, not cleared.
func (a *Arena) Mat(rows, cols int) Mat {
	return Mat{a.bytes(4 * int64(rows) * int64(cols)), rows, cols, cols}
}

// Int32 hands out n values, not cleared; nil from an arena that only counts.
func (a *Arena) Int32(n int) []int32 { return view[int32](a, 4*int64(n), n) }

// Float32 hands out n values, not cleared; nil from an arena that only counts.
func (a *Arena) Float32(n int) []float32 { return view[float32](a, 4*int64(n), n) }

// Float64 hands out n values, not cleared; nil from an arena that only counts.
func (a *Arena) Float64(n int) []float64 { return view[float64](a, 8*int64(n), n) }

// Bytes hands out n bytes, not cleared; nil from an arena that only counts.
func (a *Arena) Bytes(n int) []byte { return view[byte](a, int64(n), n) }

func view[T any](a *Arena, bytes int64, n int) []T {
	if a.Of != nil {
		panic("native: a slice of a device's memory")
	}
	p := a.bytes(bytes)
	if p == nil {
		return nil
	}
	return unsafe.Slice((*T)(p), n)
}
