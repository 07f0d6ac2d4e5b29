package peft

import "bytes"

// What the tests reach besides the public face.

// ReadAll reads every tensor of a safetensors file in memory.
func ReadAll(b []byte) (map[string][]float32, error) {
	a, err := openArchive(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		return nil, err
	}
	out := map[string][]float32{}
	for i := range a.tensors {
		t := &a.tensors[i]
		if out[t.Name], err = a.floats(t); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// ParseConfig reads an adapter_config.json and returns the scale of a module.
func ParseConfig(b []byte, module string, rank int) (float64, error) {
	c, err := parseConfig(b)
	if err != nil {
		return 0, err
	}
	return c.scale(module, rank)
}

var Permute = permute
