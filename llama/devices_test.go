package llama_test

import (
	"testing"

	"cloister/llama"
)

// The CPU is always there, and a file without CUDA lists nothing else.
func TestDevices(t *testing.T) {
	devices := llama.Devices()
	cpus := 0
	for _, d := range devices {
		if d.Name == "" || d.Description == "" || d.Backend == "" {
			t.Errorf("a device without a name: %+v", d)
		}
		if d.Total <= 0 || d.Free < 0 || d.Free > d.Total {
			t.Errorf("%s: %d of %d bytes are free", d.Name, d.Free, d.Total)
		}
		if !d.GPU {
			cpus++
		}
	}
	if cpus != 1 {
		t.Errorf("%d CPUs among %+v", cpus, devices)
	}
	cuda, ok := llama.CUDAInfo()
	usable := 0
	for _, c := range cuda.Cards {
		if c.Usable {
			usable++
		}
	}
	if gpus := len(devices) - cpus; gpus != usable {
		t.Errorf("%d devices are cards, %d of %+v are usable", gpus, usable, cuda)
	}
	if ok && len(cuda.Cards) == 0 && (cuda.Code == 0 || cuda.Reason == "") {
		t.Errorf("no card and no reason: %+v", cuda)
	}
	b := llama.BuildInfo()
	if ok != (b.CUDA != nil) {
		t.Errorf("CUDA is linked: %v, and %+v", ok, b)
	}
	if len(b.LlamaCpp) < 7 || b.LlamaCpp == "unknown" {
		t.Errorf("llama.cpp's revision is %q", b.LlamaCpp)
	}
	if b.CUDA != nil && (len(b.CUDA.Archs) == 0 || b.CUDA.Toolkit == "" || b.CUDA.CUBLAS == "" || cuda.Runtime == "") {
		t.Errorf("a fact is missing: %+v, %+v", b.CUDA, cuda)
	}
}
