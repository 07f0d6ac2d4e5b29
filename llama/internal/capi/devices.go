package capi

/*
#cgo cuda CXXFLAGS: -DCL_CUDA -I${SRCDIR}/../../../third_party/cuda/include
#cgo cuda LDFLAGS: -L${SRCDIR}/../../../third_party/cuda/lib -Wl,--start-group -lggml-cuda -lggml-base -lcublas-cloister -lcuda-build -lcudart_static -Wl,--end-group -lstdc++ -ldl -lrt -lpthread
#include <stdlib.h>
#include "devices.h"
#include "shim.h"
*/
import "C"

import "unsafe"

// Device is one entry of ggml's registry.
type Device struct {
	Name, Description string // ggml_backend_dev_name, _description
	Backend           string // ggml_backend_reg_name
	ID                string // where it sits on the bus; "" for the CPU
	GPU               bool   // ggml_backend_dev_type
	Free, Total       int64  // ggml_backend_dev_memory, bytes
}

// Devices lists ggml's registry. Cards that the file has no kernels for are not in it.
func Devices() []Device {
	initOnce.Do(func() { C.cl_init() })
	out := make([]Device, 0, 4)
	for i := C.size_t(0); ; i++ {
		var d C.struct_cl_device
		if !C.cl_device_get(i, &d) {
			return out
		}
		out = append(out, Device{
			Name: C.GoString(d.name), Description: C.GoString(d.description), Backend: C.GoString(d.backend), ID: C.GoString(d.id),
			GPU: bool(d.gpu), Free: int64(d.free), Total: int64(d.total),
		})
	}
}

// Card is one CUDA device, with or without kernels for it in the file.
type Card struct {
	Name         string // cudaDeviceProp.name
	ID           string // cudaDeviceGetPCIBusId
	Major, Minor int    // compute capability
	Usable       bool   // the file has code for it, so it is registered
}

// Facts is what third_party/cuda-native.sh wrote into the archive of the kernels.
type Facts struct {
	Archs   string // what the kernels were compiled for, in CMake's words, such as "90-real;90-virtual"
	Toolkit string // of nvcc, such as "13.0.88"
	CUBLAS  string // whose cuBLAS is linked
}

// CUDAFacts asks no driver; ok is false without the tag cuda.
func CUDAFacts() (f Facts, ok bool) {
	var c C.struct_cl_facts
	if !C.cl_cuda_facts(&c) {
		return Facts{}, false
	}
	return Facts{Archs: C.GoString(c.archs), Toolkit: C.GoString(c.toolkit), CUBLAS: C.GoString(c.cublas)}, true
}

// CUDA is what the CUDA runtime says of this machine.
type CUDA struct {
	Driver, Runtime int    // cudaDriverGetVersion (0: no driver), cudaRuntimeGetVersion: 1000·major + 10·minor
	Code            int    // cudaGetDeviceCount's error, 0: none
	Reason          string // cudaGetErrorString of it
	Cards           []Card
}

// CUDAState asks the runtime, which starts the driver, if there is one; ok is false without the tag cuda.
func CUDAState() (out CUDA, ok bool) {
	var c C.struct_cl_cuda
	if !C.cl_cuda_get(&c) {
		return CUDA{}, false
	}
	out = CUDA{Driver: int(c.driver), Runtime: int(c.runtime), Code: int(c.code), Reason: C.GoString(c.reason)}
	for i := C.int(0); i < c.cards; i++ {
		var d C.struct_cl_card
		if C.cl_cuda_card(i, &d) {
			out.Cards = append(out.Cards, Card{Name: C.GoString(&d.name[0]), ID: C.GoString(&d.id[0]), Major: int(d.major), Minor: int(d.minor), Usable: bool(d.usable)})
		}
	}
	return out, true
}

// ArchsRun says whether code for these architectures, in CMake's words, runs on a card of this compute capability.
func ArchsRun(archs string, major, minor int) bool {
	carchs := C.CString(archs)
	defer C.free(unsafe.Pointer(carchs))
	return bool(C.cl_archs_run(carchs, C.int(major), C.int(minor)))
}

// Commit is llama_commit: the revision of the linked llama.cpp, short.
func Commit() string { return C.GoString(C.cl_commit()) }
