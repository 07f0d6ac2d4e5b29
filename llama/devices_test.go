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
	cuda := llama.CUDAInfo()
	usable := 0
	for _, c := range cuda.Cards {
		if c.Usable {
			usable++
		}
	}
	if gpus := len(devices) - cpus; gpus != usable {
		t.Errorf("%d devices are cards, %d of %+v are usable", gpus, usable, cuda)
	}
	if cuda.Built != (cuda.Archs != "" && cuda.Toolkit != "" && cuda.CUBLAS != "" && cuda.Runtime != "") {
		t.Errorf("built %v, but: %+v", cuda.Built, cuda)
	}
	if cuda.Built && len(cuda.Cards) == 0 && cuda.Reason == "" {
		t.Errorf("no card and no reason: %+v", cuda)
	}
}

func TestCommit(t *testing.T) {
	if c := llama.Commit(); len(c) < 7 || c == "unknown" {
		t.Errorf("llama.cpp's revision is %q", c)
	}
}
