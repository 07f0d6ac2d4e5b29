package llama

import (
	"fmt"
	"strings"

	"cloister/llama/internal/capi"
)

// Device is something that a model can run on: the processor, or a card that
// this file has kernels for.
type Device struct {
	Name        string // ggml's: "CPU", "CUDA0"
	Description string // "NVIDIA H200"
	Backend     string // ggml's: "CPU", "CUDA"
	ID          string // where it sits on the PCI bus, "0000:c1:00.0"; "" for the CPU
	GPU         bool
	Free, Total int64 // bytes of its memory; another program may take of what is free
}

// Devices lists the devices that can be used now; the CPU is among them. Without
// a driver, without a card and in a file that was built without CUDA it is alone.
// The first call starts the driver.
func Devices() []Device {
	native := capi.Devices()
	out := make([]Device, len(native))
	for i, d := range native {
		out[i] = Device(d)
	}
	return out
}

// Card is an NVIDIA card of this machine.
type Card struct {
	Name        string
	ID          string // its place on the PCI bus
	Compute     string // its compute capability, such as "9.0"
	Usable      bool   // this file has kernels for it
	Free, Total int64  // bytes; 0 where it is not usable
}

// Build is what was linked into this file.
type Build struct {
	LlamaCpp string     // llama.cpp's revision, shortened
	CUDA     *CUDABuild // nil without NVIDIA's cards
}

// CUDABuild is what a file that runs on NVIDIA's cards was made of.
type CUDABuild struct {
	Archs   []string // what its kernels were compiled for, in CMake's words: "90-real", "90-virtual" (PTX)
	Toolkit string   // version of nvcc
	CUBLAS  string   // whose matrix products are linked
}

// BuildInfo asks no driver.
func BuildInfo() Build {
	b := Build{LlamaCpp: capi.Commit()}
	if c, ok := capi.CUDAFacts(); ok {
		b.CUDA = &CUDABuild{Archs: strings.Split(c.Archs, ";"), Toolkit: c.Toolkit, CUBLAS: c.CUBLAS}
	}
	return b
}

// CUDA is what the CUDA runtime finds on this machine.
type CUDA struct {
	Runtime string // the version of CUDA that is linked
	Driver  string // the newest CUDA that the installed driver runs; "" without a driver
	Code    int    // why there is no card: cudaError_t, 0 where there is one
	Reason  string // its words
	Cards   []Card
}

// CUDAInfo asks the CUDA runtime, which starts the driver if there is one. ok is
// false in a file that was built without it.
func CUDAInfo() (info CUDA, ok bool) {
	c, ok := capi.CUDAState()
	if !ok {
		return CUDA{}, false
	}
	info = CUDA{Runtime: cudaVersion(c.Runtime), Code: c.Code, Reason: c.Reason}
	if c.Driver > 0 {
		info.Driver = cudaVersion(c.Driver)
	}
	for _, card := range c.Cards {
		info.Cards = append(info.Cards, Card{Name: card.Name, ID: card.ID, Compute: fmt.Sprintf("%d.%d", card.Major, card.Minor), Usable: card.Usable})
	}
	if len(info.Cards) > 0 {
		fillMemory(info.Cards, Devices())
	}
	return info, true
}

// fillMemory takes the cards' memory from ggml's devices, which are found by their place on the bus.
func fillMemory(cards []Card, devices []Device) {
	for i := range cards {
		for _, d := range devices {
			if d.ID != "" && strings.EqualFold(d.ID, cards[i].ID) {
				cards[i].Free, cards[i].Total = d.Free, d.Total
			}
		}
	}
}

// cudaVersion writes 13000 as "13.0".
func cudaVersion(v int) string { return fmt.Sprintf("%d.%d", v/1000, v%1000/10) }
