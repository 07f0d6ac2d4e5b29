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
	Name    string `json:"name"`
	ID      string `json:"id"`             // its place on the PCI bus
	Compute string `json:"compute"`        // its compute capability, such as "9.0"
	Usable  bool   `json:"usable"`         // this file has kernels for it
	Free    int64  `json:"free,omitempty"` // bytes; 0 where it is not usable
	Total   int64  `json:"total,omitempty"`
}

// CUDA says whether and how this file was built for NVIDIA's cards, and what it finds.
type CUDA struct {
	Built   bool   `json:"built"`
	Archs   string `json:"archs,omitempty"`   // architectures of the kernels, in CMake's words: "90-real;90-virtual"
	Toolkit string `json:"toolkit,omitempty"` // version of nvcc
	CUBLAS  string `json:"cublas,omitempty"`  // whose matrix products are linked: "cloister" or "nvidia"
	Runtime string `json:"runtime,omitempty"` // version of the CUDA runtime inside
	Driver  string `json:"driver,omitempty"`  // newest CUDA that the installed driver runs; "" without a driver
	Reason  string `json:"reason,omitempty"`  // why there is no card, in the runtime's words
	Cards   []Card `json:"cards,omitempty"`
}

// CUDAInfo asks the CUDA runtime, which starts the driver if there is one.
func CUDAInfo() CUDA {
	c := capi.CUDAInfo()
	out := CUDA{Built: c.Built, Archs: c.Archs, Toolkit: c.Toolkit, CUBLAS: c.CUBLAS, Reason: c.Reason}
	if c.Built {
		out.Runtime = cudaVersion(c.Runtime)
	}
	if c.Driver > 0 {
		out.Driver = cudaVersion(c.Driver)
	}
	for _, card := range c.Cards {
		out.Cards = append(out.Cards, Card{Name: card.Name, ID: card.ID, Compute: fmt.Sprintf("%d.%d", card.Major, card.Minor), Usable: card.Usable})
	}
	if len(out.Cards) > 0 {
		fillMemory(out.Cards, Devices())
	}
	return out
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

// Commit is the revision of llama.cpp that is linked, shortened.
func Commit() string { return capi.Commit() }
