package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"cloister/llama"
)

// Codes of cudaGetDeviceCount that need more than the runtime's own words.
const (
	cudaInsufficientDriver = 35 // also where there is no driver
	cudaNoDevice           = 100
	cudaDriverMismatch     = 803
	cudaStub               = 34
)

// cuda looks at NVIDIA's cards: those on the bus, the driver, and what this file can do with them.
func cuda() []finding {
	info, _ := llama.CUDAInfo()
	_, err := os.Stat("/dev/nvidia-uvm")
	return cudaFindings(llama.BuildInfo().CUDA, info, nvidiaHardware{cards: nvidiaOnBus("/sys/bus/pci/devices"), memoryDevice: err == nil})
}

// nvidiaHardware is what the system shows of the cards without CUDA.
type nvidiaHardware struct {
	cards        int  // on the bus
	memoryDevice bool // /dev/nvidia-uvm is there, without which CUDA does not start
}

// nvidiaOnBus counts NVIDIA's display controllers and accelerators under a folder of PCI devices.
func nvidiaOnBus(devices string) int {
	n := 0
	found, _ := filepath.Glob(filepath.Join(devices, "*", "vendor"))
	for _, vendor := range found {
		class, _ := os.ReadFile(filepath.Join(filepath.Dir(vendor), "class"))
		id, _ := os.ReadFile(vendor)
		if strings.TrimSpace(string(id)) == "0x10de" && strings.HasPrefix(string(class), "0x03") {
			n++
		}
	}
	return n
}

// cudaFindings says what holds and what to do. build is nil in a file without CUDA.
func cudaFindings(build *llama.CUDABuild, info llama.CUDA, hw nvidiaHardware) []finding {
	f := finding{Check: "cuda", Status: "ok"}
	if build == nil {
		f.Detail = "this file was built without CUDA; everything runs on the processor"
		if hw.cards > 0 {
			f.Status, f.Advice = "warn", fmt.Sprintf("this machine has %s: take cloister-cuda, which make cuda builds", nvidiaCards(hw.cards))
		}
		return []finding{f}
	}
	if len(info.Cards) > 0 {
		f.Detail = fmt.Sprintf("CUDA %s, the driver runs up to %s; kernels for %s", info.Runtime, info.Driver, strings.Join(build.Archs, " "))
		return append([]finding{f}, cardFindings(build, info.Cards)...)
	}
	f.Status = "warn"
	f.Detail, f.Advice = noCard(info, hw)
	f.Detail += "; everything runs on the processor"
	if hw.cards == 0 && info.Driver == "" {
		f.Status = "ok" // nothing is missing
	}
	return []finding{f}
}

// noCard says why the runtime found none, and what helps.
func noCard(info llama.CUDA, hw nvidiaHardware) (detail, advice string) {
	switch {
	case info.Driver == "" && hw.cards == 0:
		return "no NVIDIA card and no driver (libcuda.so.1)", ""
	case info.Driver == "":
		return fmt.Sprintf("%s, but no driver (libcuda.so.1 is not found)", nvidiaCards(hw.cards)),
			"install NVIDIA's driver, 580 or newer; in a container, start it with the NVIDIA runtime (--gpus all)"
	case info.Code == cudaInsufficientDriver:
		return fmt.Sprintf("the driver runs CUDA up to %s, and this file needs %s", info.Driver, info.Runtime),
			"install NVIDIA's driver 580 or newer"
	case hw.cards > 0 && !hw.memoryDevice:
		return "the driver does not start: /dev/nvidia-uvm is missing", "as root: nvidia-modprobe -u -c=0, at each start of the machine (nvidia-persistenced does it); in a container, give it the device"
	case info.Code == cudaNoDevice:
		return "the driver finds no card",
			"look whether nvidia-smi lists one, whether CUDA_VISIBLE_DEVICES hides it, and whether a container was given it"
	case info.Code == cudaDriverMismatch:
		return "the driver's library and its kernel module are of different versions", "restart the machine, or load the newer module"
	case info.Code == cudaStub:
		return "the libcuda.so.1 that was found is a stub for linking", "take the stubs folder out of LD_LIBRARY_PATH"
	}
	return fmt.Sprintf("the driver does not start: %s (CUDA error %d)", info.Reason, info.Code), "look at nvidia-smi and dmesg"
}

func cardFindings(build *llama.CUDABuild, cards []llama.Card) []finding {
	var out []finding
	for i, c := range cards {
		f := finding{Check: fmt.Sprintf("card %d", i), Status: "ok"}
		f.Detail = fmt.Sprintf("%s (%s, compute capability %s)", c.Name, c.ID, c.Compute)
		switch {
		case !c.Usable:
			f.Status, f.Detail = "warn", f.Detail+": this file has no kernels for it, and leaves it alone"
			f.Advice = fmt.Sprintf("it has kernels for %s; build one with CUDA_ARCHS=%s make cuda", strings.Join(build.Archs, " "), strings.ReplaceAll(c.Compute, ".", ""))
		default:
			f.Detail += fmt.Sprintf(", %s, of which %s are free", byteSize(c.Total), byteSize(c.Free))
			if c.Free < littleMemory {
				f.Status, f.Advice = "warn", "little of its memory is free: nvidia-smi says who has it"
			}
		}
		out = append(out, f)
	}
	return out
}

// nvidiaCards writes "1 NVIDIA card", "2 NVIDIA cards".
func nvidiaCards(n int) string {
	if n == 1 {
		return "1 NVIDIA card"
	}
	return fmt.Sprintf("%d NVIDIA cards", n)
}
