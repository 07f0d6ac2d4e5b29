package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cloister/llama"
)

// What doctor says of machines that this one is not.
func TestCUDAFindings(t *testing.T) {
	build := &llama.CUDABuild{Archs: []string{"90-real", "90-virtual"}}
	h200 := llama.Card{Name: "NVIDIA H200", ID: "0000:C1:00.0", Compute: "9.0", Usable: true, Free: 140e9, Total: 150e9}
	full, old := h200, llama.Card{Name: "NVIDIA A100", ID: "0000:41:00.0", Compute: "8.0"}
	full.Free = 1e9
	for _, c := range []struct {
		name   string
		build  *llama.CUDABuild
		info   llama.CUDA
		onBus  int
		want   []string // for each finding: its status, then what its text contains
		advice string   // in one of them
	}{
		{"without CUDA", nil, llama.CUDA{}, 0, []string{"ok built without CUDA"}, ""},
		{"without CUDA, with a card", nil, llama.CUDA{}, 1, []string{"warn built without CUDA"}, "1 NVIDIA card: take cloister-cuda"},
		{"bare machine", build, llama.CUDA{Code: 35}, 0, []string{"ok no NVIDIA card and no driver (libcuda.so.1); everything runs on the processor"}, ""},
		{"no driver", build, llama.CUDA{Code: 35}, 2, []string{"warn 2 NVIDIA cards, but no driver"}, "580"},
		{"old driver", build, llama.CUDA{Code: 35, Driver: "12.4", Runtime: "13.0"}, 1, []string{"warn up to 12.4, and this file needs 13.0"}, "580"},
		{"hidden", build, llama.CUDA{Code: 100, Driver: "13.0"}, 1, []string{"warn finds no card"}, "CUDA_VISIBLE_DEVICES"},
		{"no memory device", build, llama.CUDA{Code: 999, Driver: "13.0", Reason: "unknown error"}, 1, []string{"warn /dev/nvidia-uvm is missing"}, "nvidia-modprobe"},
		{"mismatch", build, llama.CUDA{Code: 803, Driver: "13.0"}, 1, []string{"warn different versions"}, "restart"},
		{"stub", build, llama.CUDA{Code: 34, Driver: "13.0"}, 0, []string{"warn stub"}, "LD_LIBRARY_PATH"},
		{"broken", build, llama.CUDA{Code: 999, Driver: "13.0", Reason: "unknown error"}, 1, []string{"warn unknown error (CUDA error 999)"}, "dmesg"},
		{"cards", build, llama.CUDA{Driver: "13.1", Runtime: "13.0", Cards: []llama.Card{h200, old, full}}, 3,
			[]string{"ok CUDA 13.0, the driver runs up to 13.1; kernels for 90-real 90-virtual", "ok H200 (0000:C1:00.0, compute capability 9.0), 150 GB, of which 140 GB", "warn no kernels for it", "warn 1.0 GB are free"},
			"CUDA_ARCHS=80 make cuda"},
	} {
		got := cudaFindings(c.build, c.info, nvidiaHardware{cards: c.onBus, memoryDevice: c.name != "no memory device"})
		if len(got) != len(c.want) {
			t.Errorf("%s: %+v", c.name, got)
			continue
		}
		advice := ""
		for i, f := range got {
			status, text, _ := strings.Cut(c.want[i], " ")
			if f.Status != status || !strings.Contains(f.Detail, text) {
				t.Errorf("%s: %+v; want %s", c.name, f, c.want[i])
			}
			advice += f.Advice
		}
		if !strings.Contains(advice, c.advice) {
			t.Errorf("%s: advice is %q; want %q", c.name, advice, c.advice)
		}
	}
}

func TestNVIDIAOnBus(t *testing.T) {
	dir := t.TempDir()
	for name, d := range map[string][2]string{
		"0000:00:01.0": {"0x10de\n", "0x030200\n"}, // a card
		"0000:00:01.1": {"0x10de\n", "0x040300\n"}, // its sound
		"0000:00:02.0": {"0x8086\n", "0x030000\n"}, // another maker's
	} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
		for i, file := range []string{"vendor", "class"} {
			if err := os.WriteFile(filepath.Join(dir, name, file), []byte(d[i]), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n := nvidiaOnBus(dir); n != 1 {
		t.Errorf("%d cards", n)
	}
	if n := nvidiaOnBus(filepath.Join(dir, "none")); n != 0 {
		t.Errorf("%d cards where no bus is", n)
	}
}
