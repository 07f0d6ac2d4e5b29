package capi

// #include <stdlib.h>
// #include "shim.h"
import "C"

import (
	"strings"
	"unsafe"
)

// Offload says where a model lies: its last Layers, the output matrix being
// one, on the devices of these names (ggml_backend_dev_name), the rest in the
// host's memory. Split gives each device's share of the layers, in any unit;
// without it they go by free memory. The zero value uses no device.
type Offload struct {
	Layers  int
	Devices []string
	Split   []float32
}

// c returns the C value and the func that frees what it points to.
func (o Offload) c() (C.cl_offload, func()) {
	names := C.CString(strings.Join(o.Devices, ","))
	out := C.cl_offload{layers: C.int(o.Layers), devices: names}
	if len(o.Split) != len(o.Devices) || len(o.Split) == 0 {
		return out, func() { C.free(unsafe.Pointer(names)) }
	}
	split := C.malloc(C.size_t(4 * len(o.Split)))
	copy(unsafe.Slice((*float32)(split), len(o.Split)), o.Split)
	out.split = (*C.float)(split)
	return out, func() {
		C.free(unsafe.Pointer(names))
		C.free(split)
	}
}

// Memory is what a model and a context take on one device, bytes.
type Memory struct{ Weights, Cache, Compute int64 }

// Measure is common_get_device_memory_data: what llama.cpp would allocate for a
// model and a context on each device of where, in order, and at last on the
// host. No other model may be loaded meanwhile.
func Measure(path string, where Offload, s Size) ([]Memory, error) {
	initOnce.Do(func() { C.cl_init() })
	cpath := C.CString(path)
	defer C.free(unsafe.Pointer(cpath))
	place, free := where.c()
	defer free()
	rows := make([]C.cl_memory, len(where.Devices)+1)
	n := C.int(0)
	err := withErr(func(buf *C.char, l C.size_t) bool {
		n = C.cl_measure(cpath, place, s.c(), &rows[0], C.int(len(rows)), buf, l)
		return n >= 0
	})
	if err != nil {
		return nil, err
	}
	out := make([]Memory, n)
	for i := range out {
		out[i] = Memory{int64(rows[i].weights), int64(rows[i].cache), int64(rows[i].compute)}
	}
	return out, nil
}
