// Package llamatest gives tests the real model.
package llamatest

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
)

var fetch = sync.OnceValues(func() (string, error) {
	_, file, _, _ := runtime.Caller(0)
	script := filepath.Join(filepath.Dir(file), "..", "..", "third_party", "model.sh")
	out, err := exec.Command(script).Output()
	return strings.TrimSpace(string(out)), err
})

// Model returns the path of SmolLM2-135M-Instruct (Q4_1): $CLOISTER_TEST_MODEL
// if set, else what third_party/model.sh fetches, once, into the build cache.
func Model(tb testing.TB) string {
	tb.Helper()
	if path := os.Getenv("CLOISTER_TEST_MODEL"); path != "" {
		return path
	}
	path, err := fetch()
	if err != nil {
		tb.Fatalf("third_party/model.sh: %v", err)
	}
	return path
}
