package main

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"cloister/llama/gguf/tinygguf"
)

// The program's file is replaced while the appliance runs, as an upgrade does:
// the appliance starts its workers from its own version until it is restarted,
// and the restarted one is the new version.
func TestUpgradeWhileRunning(t *testing.T) {
	m := newMachine(t)
	tiny := filepath.Join(t.TempDir(), "tiny.gguf")
	if err := tinygguf.WriteFile(tiny, tinygguf.Default()); err != nil {
		t.Fatal(err)
	}
	m.run("model", "import", tiny, "--name", "tiny")
	installed := filepath.Join(t.TempDir(), "cloister")
	copyProgram(t, installed)
	m.program = installed
	m.serve()
	other := installed + ".new"
	if err := os.WriteFile(other, []byte("#!/bin/sh\necho another version\nexit 7\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(other, installed); err != nil {
		t.Fatal(err)
	}
	if status, body := m.post("/v1/chat/completions", `{"model": "tiny", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 4}`); status != 200 {
		t.Errorf("an answer after the file was replaced: %d %s", status, body)
	}
	m.run("dataset", "import", pairs(t, 12), "--name", "pairs")
	m.run("tune", "--model", "tiny", "--data", "pairs", "--epochs", "1")
	m.stop()
	if out, err := exec.Command(installed).Output(); err == nil || !strings.Contains(string(out), "another version") {
		t.Errorf("the installed file is still the old one: %s, %v", out, err)
	}
}

// copyProgram copies this program.
func copyProgram(t *testing.T, to string) {
	t.Helper()
	in, err := os.Open("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o700)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(out, in); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
}
