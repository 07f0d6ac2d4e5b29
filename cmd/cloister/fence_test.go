package main

import (
	"os"
	"path/filepath"
	"testing"
)

// The helper is called when there is a driver and no device file, and not otherwise.
func TestMakeCardFiles(t *testing.T) {
	dir := t.TempDir()
	driver, file, helper := filepath.Join(dir, "driver"), filepath.Join(dir, "file"), filepath.Join(dir, "helper")
	write := func(path, text string) {
		if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	called := func() bool {
		makeCardFiles(driver, file, helper)
		_, err := os.Stat(file)
		return err == nil
	}
	write(helper, "#!/bin/sh\necho \"$@\" > "+file+"\n")
	if called() {
		t.Error("it was called without a driver")
	}
	write(driver, "")
	if !called() {
		t.Error("it was not called")
	}
	if b, err := os.ReadFile(file); err != nil || string(b) != "-u -c 0\n" {
		t.Errorf("it was called with %q, %v", b, err)
	}
	write(file, "as it was")
	if called() {
		if b, err := os.ReadFile(file); err != nil || string(b) != "as it was" {
			t.Errorf("it was called again: %q, %v", b, err)
		}
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	helper += ".gone" // a machine without it
	if called() {
		t.Error("a helper that is not there made a file")
	}
}
