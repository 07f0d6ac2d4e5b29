package model

import (
	"fmt"
	"slices"
	"syscall"
	"unsafe"

	"cloister/llama/gguf"
	"cloister/lora/internal/native"
)

// device is a place to compute: the kernels, and what moves values between
// them and the host. Everything runs in the order of the calls.
type device interface {
	kernels
	Upload(dst native.Mat, src []float32) error
	Download(dst []float32, src native.Mat) error
	// Packed is the room for the packed form of a left operand.
	Packed(a *native.Arena, rows, cols int) native.Mat
	// Finer runs f with products of the next finer kind, where the device has one.
	Finer(f func()) error
	// TypeOK says whether the device can read a matrix of this ggml type.
	TypeOK(ggmlType uint32, cols int) bool
	// Precisions are those that it has kernels for, the fastest first.
	Precisions() []Precision
	// Kernels is the name of the set of kernels.
	Kernels() string
	// Scratch is the bytes that it holds beside the arenas.
	Scratch() int64
	Close()
}

// remote is a device whose memory the host cannot touch: it keeps the weights
// and runs the optimiser there.
type remote interface {
	native.Memory
	Upload(dst native.Mat, src []float32) error
	Download(dst []float32, src native.Mat) error
	Put(dst unsafe.Pointer, src []byte) error
	// Memory of the host that the card copies by itself, beside the kernels; see native.CUDA.
	Pin(bytes int64) (unsafe.Pointer, error)
	Unpin(p unsafe.Pointer)
	SaveAside(dst, src unsafe.Pointer, bytes int64) (ticket int, err error)
	FetchAside(dst, src unsafe.Pointer, bytes int64) (ticket int, err error)
	Join(ticket int) error
	// Wait returns when all work is done.
	Wait() error
	Zero(x native.Mat) error
	SumSquares(x native.Mat) (float64, error)
	Update(a native.AdamW, p, g, m, v native.Mat) error
}

// cpu is the device that is the host.
type cpu struct{ *native.CPU }

var _ device = cpu{}

func (cpu) TypeOK(ggmlType uint32, cols int) bool { return native.TypeOK(ggmlType, cols) }
func (cpu) Precisions() []Precision               { return Precisions() }
func (c cpu) Kernels() string                     { return c.Level().String() }

// use takes a device over. Without a card, memory is the host's.
func (m *Model) use(d device, err error) error {
	if err != nil {
		return err
	}
	m.dev, m.k = d, d
	if m.far, _ = d.(remote); m.far != nil && !m.dry {
		m.frozen.Of, m.fixed.Of, m.work.Of, m.waiting.Of = m.far, m.far, m.far, pinned{m.far}
	}
	if has := d.Precisions(); m.cfg.Precision != "" && !slices.Contains(has, m.cfg.Precision) {
		return fmt.Errorf("precision is %q; %s has %q", m.cfg.Precision, d.Kernels(), has)
	}
	return nil
}

// remote says that the host cannot touch what the kernels work on.
func (m *Model) remote() bool { return m.far != nil }

// place is where the device finds a matrix of the file: where it is mapped, or
// in its own memory, to which it is copied piece by piece.
func (m *Model) place(t *gguf.Tensor) (unsafe.Pointer, error) {
	if !m.remote() {
		return mapped(t), nil
	}
	at := m.frozen.Raw(int64(t.Bytes()))
	if at == nil {
		return nil, nil
	}
	for from := 0; from < len(t.Data); from += pieceBytes {
		piece := t.Data[from:min(from+pieceBytes, len(t.Data))]
		if err := m.far.Put(unsafe.Add(at, from), piece); err != nil {
			return nil, err
		}
		forget(piece)
	}
	return at, nil
}

// pieceBytes of a tensor are copied to a device at a time.
const pieceBytes = 16 << 20

// forget takes the pages of a piece of the mapped file, which is not read
// again, out of this process.
func forget(piece []byte) {
	const page = 1 << 12
	at := uintptr(unsafe.Pointer(unsafe.SliceData(piece)))
	skip := int(-at & (page - 1))
	if n := (len(piece) - skip) &^ (page - 1); skip < len(piece) && n > 0 {
		_ = syscall.Madvise(piece[skip:skip+n], syscall.MADV_DONTNEED)
	}
}

// openDevice opens where cfg says that it computes.
func openDevice(cfg *Config) (device, error) {
	name, _, err := FindDevice(cfg.Device)
	if err != nil {
		return nil, err
	}
	if onCard(name) {
		return openCard(name, cfg.Precision == Float32)
	}
	c, err := native.Open(cfg.Threads, cfg.level())
	return cpu{c}, err
}

// planDevice is openDevice for a device that computes nothing, and need not be there.
func planDevice(cfg *Config) (device, error) {
	if onCard(cfg.Device) {
		return plannedCard{native.PlanCUDA(cfg.Precision == Float32), nothing{}}, nil
	}
	c, err := native.Plan(cfg.Threads, cfg.level())
	return cpu{c}, err
}
