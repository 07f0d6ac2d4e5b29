package llama

import "cloister/llama/internal/capi"

// Placement says where a model lies: its last Layers, the output matrix being
// one, on the named Devices, the rest in the host's memory. Split gives each
// device's share of the layers, in any unit; without it they go by free
// memory. The zero value uses no device. Package offload plans one.
type Placement capi.Offload

// Memory is what a model and a context take in one place, bytes.
type Memory capi.Memory

// Measure asks llama.cpp what a model and a context would take on each device
// of the placement, in order, and on the host, which is last, without taking
// it. It costs about the loading of the tokenizer. Nothing else may load a
// model meanwhile.
func Measure(path string, p Placement, o ContextOptions) ([]Memory, error) {
	rows, err := capi.Measure(path, capi.Offload(p), o.size())
	if err != nil {
		return nil, err
	}
	out := make([]Memory, len(rows))
	for i, r := range rows {
		out[i] = Memory(r)
	}
	return out, nil
}
