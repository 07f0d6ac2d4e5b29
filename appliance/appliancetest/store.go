// Package appliancetest holds what the tests of the appliance's services share:
// a store that is checked at the end, and an Engine and a Trainer whose answers
// a test decides. The services themselves are the real ones; the real engines
// are tested by their own packages and end to end.
package appliancetest

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"cloister/appliance/masking"
	"cloister/llama/gguf/tinygguf"
	"cloister/store"
	"cloister/store/vault"
)

// Store opens a store in a temporary data directory. At the end of the test it
// is checked and closed.
func Store(t testing.TB) (st *store.Store, home string) {
	t.Helper()
	home = t.TempDir()
	return OpenStore(t, home, vault.NewMasterKey()), home
}

// OpenStore opens the store of a data directory. At the end of the test it is
// checked and closed, unless the test has closed it.
func OpenStore(t testing.TB, home string, key vault.MasterKey) *store.Store {
	t.Helper()
	st, err := store.Open(filepath.Join(home, "store"), key)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := st.Check(context.Background()); err != nil && !errors.Is(err, store.ErrClosed) {
			t.Errorf("the store is not sound: %v", err)
		}
		if err := st.Close(); err != nil && !errors.Is(err, store.ErrClosed) {
			t.Error(err)
		}
	})
	return st
}

// Masking returns the masker of a store.
func Masking(t testing.TB, st *store.Store) *masking.Service {
	t.Helper()
	m, err := masking.New(st)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// GGUF writes a tiny random model and returns its path.
func GGUF(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tiny.gguf")
	if err := tinygguf.WriteFile(path, tinygguf.Default()); err != nil {
		t.Fatal(err)
	}
	return path
}

// Grep returns the files under dir that hold one of the texts.
func Grep(t testing.TB, dir string, texts ...string) (found []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		for _, text := range texts {
			if bytes.Contains(b, []byte(text)) {
				found = append(found, path)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
