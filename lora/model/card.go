package model

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unsafe"

	"cloister/lora/internal/native"
)

var (
	// ErrNoDevice is wrapped by errors about a card that is asked for and cannot be had.
	ErrNoDevice = errors.New("no such device")
	// ErrDeviceFailed is wrapped by errors of a card that failed during the work:
	// its driver reported an error, or it was lost. The model must be closed.
	ErrDeviceFailed = native.ErrDevice
	// ErrDeviceMemory is wrapped by errors about memory that cannot be had, on a card or here.
	ErrDeviceMemory = native.ErrMemory
)

// The names of devices: the CPU, the card number N, any card (the one with the
// most free memory), and any card if there is one, else the CPU.
const (
	OnCPU  = "cpu"
	OnCUDA = "cuda" // or cuda:N
	OnAuto = "auto"
)

// Card is a device with memory of its own.
type Card struct {
	Device string // its name for Config.Device, such as "cuda:0"
	Name   string // such as "NVIDIA H100 80GB HBM3"
	Total  int64  // bytes of memory
	Free   int64  // bytes that nobody has taken
}

// Cards are those that this program can train on; none, with a reason, where
// it was built without CUDA or the driver is missing.
func Cards() ([]Card, error) {
	found, err := native.CUDADevices()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoDevice, err)
	}
	var out []Card
	for _, d := range found {
		out = append(out, Card{fmt.Sprintf("%s:%d", OnCUDA, d.Index), d.Name, d.Total, d.Free})
	}
	return out, nil
}

// CheckDevice says what is wrong with the name of a device; "" is the CPU.
func CheckDevice(name string) error {
	kind, number, numbered := strings.Cut(name, ":")
	n, err := strconv.Atoi(number)
	switch {
	case (name == "" || name == OnCPU || name == OnAuto || kind == OnCUDA) && !numbered:
		return nil
	case kind == OnCUDA && err == nil && n >= 0 && n < 1<<10:
		return nil
	}
	return fmt.Errorf("device %q; it must be %s, %s, %s:N or %s", name, OnCPU, OnCUDA, OnCUDA, OnAuto)
}

// FindDevice turns the name of a device into that of one which is there: "cpu",
// or a card's. For the CPU card is nil. The error says why there is no such card.
func FindDevice(name string) (device string, card *Card, err error) {
	if err := CheckDevice(name); err != nil || name == "" || name == OnCPU {
		return OnCPU, nil, err
	}
	cards, err := Cards()
	for i := range cards {
		c := &cards[i]
		if name == c.Device || name != c.Device && !strings.Contains(name, ":") && (card == nil || c.Free > card.Free) {
			card = c
		}
	}
	switch {
	case card != nil:
		return card.Device, card, nil
	case name == OnAuto:
		return OnCPU, nil, nil
	case err != nil:
		return "", nil, fmt.Errorf("device %s: %w", name, err)
	case len(cards) > 0:
		return "", nil, fmt.Errorf("device %s: %w: the cards here are %s to %s", name, ErrNoDevice, cards[0].Device, cards[len(cards)-1].Device)
	}
	if _, err := native.OpenCUDA(0, false); errors.Is(err, native.ErrNoCUDA) {
		return "", nil, fmt.Errorf("device %s: %w: this program was built without CUDA; take cloister-cuda, or train on the CPU", name, ErrNoDevice)
	}
	return "", nil, fmt.Errorf("device %s: %w: the driver finds no card; see cloister doctor, or train on the CPU", name, ErrNoDevice)
}

// onCard says whether a device's name is that of a card, without looking for it.
func onCard(name string) bool { return strings.HasPrefix(name, OnCUDA) }

// card is a CUDA device.
type card struct{ *native.CUDA }

var (
	_ device = card{}
	_ remote = card{}
)

func openCard(name string, precise bool) (device, error) {
	index, err := strconv.Atoi(strings.TrimPrefix(name, OnCUDA+":"))
	if err != nil {
		return nil, err
	}
	c, err := native.OpenCUDA(index, precise)
	if err != nil {
		return nil, fmt.Errorf("device %s: %w", name, err)
	}
	return card{c}, nil
}

func (c card) Upload(dst native.Mat, src []float32) error {
	if err := fits(dst, src); err != nil {
		return err
	}
	return c.Put(dst.Data, raw(src))
}

func (c card) Download(dst []float32, src native.Mat) error {
	if err := fits(src, dst); err != nil {
		return err
	}
	return c.Get(raw(dst), src.Data)
}

// fits says whether a matrix has no gaps and as many values.
func fits(x native.Mat, values []float32) error {
	if x.Stride != x.Cols || len(values) != x.Rows*x.Cols || len(values) == 0 {
		return fmt.Errorf("%d values for a matrix of %d × %d: %w", len(values), x.Rows, x.Cols, native.ErrShape)
	}
	return nil
}

// raw is the bytes of values.
func raw(values []float32) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(values))), 4*len(values))
}

func (card) Finer(f func()) error { f(); return nil }

func (card) TypeOK(ggmlType uint32, cols int) bool { return native.CUDATypeOK(ggmlType, cols) }

func (card) Precisions() []Precision { return cardPrecisions }

func (card) Kernels() string { return OnCUDA }

var cardPrecisions = []Precision{BF16, Float32}

// plannedCard counts what a card would take. What it does not count it does not do.
type plannedCard struct {
	*native.CUDAPlan
	nothing
}

// nothing is a planner whose methods give way to those of what is embedded beside it.
type nothing struct{ planner }

var (
	_ device = plannedCard{}
	_ remote = plannedCard{}
)

func (plannedCard) Alloc(int64) (unsafe.Pointer, error)                  { return nil, native.ErrMemory }
func (plannedCard) Free(unsafe.Pointer)                                  {}
func (plannedCard) Put(unsafe.Pointer, []byte) error                     { return nil }
func (plannedCard) Pin(int64) (unsafe.Pointer, error)                    { return nil, native.ErrMemory }
func (plannedCard) Unpin(unsafe.Pointer)                                 {}
func (plannedCard) Join(int) error                                       { return nil }
func (plannedCard) Wait() error                                          { return nil }
func (plannedCard) Upload(native.Mat, []float32) error                   { return nil }
func (plannedCard) Download([]float32, native.Mat) error                 { return nil }
func (plannedCard) SumSquares(native.Mat) (float64, error)               { return 0, nil }
func (plannedCard) Update(_ native.AdamW, _, _, _, _ native.Mat) error   { return nil }
func (plannedCard) Finer(f func()) error                                 { f(); return nil }
func (plannedCard) TypeOK(ggmlType uint32, cols int) bool                { return native.CUDATypeOK(ggmlType, cols) }
func (plannedCard) Precisions() []Precision                              { return cardPrecisions }
func (plannedCard) Kernels() string                                      { return OnCUDA }
func (plannedCard) SaveAside(_, _ unsafe.Pointer, _ int64) (int, error)  { return 0, nil }
func (plannedCard) FetchAside(_, _ unsafe.Pointer, _ int64) (int, error) { return 0, nil }
func (plannedCard) Close()                                               {}
