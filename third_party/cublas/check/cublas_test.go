// Package check holds the test of third_party/cublas that needs no card.
package check

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestOnTheHost runs the library's own checks on its host build: the entry points with their arguments, the choice
// of kernels and of their operands, and the plain kernels, thread by thread. The tensor kernels need a card.
func TestOnTheHost(t *testing.T) {
	program := build(t, "../test.cu")
	out, err := exec.Command(program).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{"ok   the choice of kernels", "ok   arguments", "ok   Sgemm f32->f32 ", "ok   GemmEx bf16->f32 ",
		"ok   GemmBatchedEx f16->f16 ", "ok   kernel hopper_bf16_256 ", "ok   StrsmBatched ", "all pass"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("no line %q in\n%s", want, out)
		}
	}
}

// build compiles the checks for the host, and returns the program.
func build(t *testing.T, source string) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "checks")
	cmd := exec.Command("g++", "-O2", "-march=x86-64-v3", "-std=c++17", "-Wall", "-Wextra", "-Werror", "-DCUBLAS_HOST",
		"-I"+filepath.Join(filepath.Dir(source), "host"), "-x", "c++", source, "-o", program)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return program
}
