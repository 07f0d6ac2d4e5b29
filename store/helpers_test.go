package store_test

import (
	"context"
	"fmt"
	"testing"

	"cloister/store"
	"cloister/store/pii"
	"cloister/store/vault"
)

// home is a data directory that a test can close and open again.
type home struct {
	t   testing.TB
	dir string
	key vault.MasterKey
	*store.Store
}

// open makes a store in a new folder. The test ends with Check.
func open(t testing.TB) *home {
	t.Helper()
	h := &home{t: t, dir: t.TempDir(), key: vault.NewMasterKey()}
	h.reopen()
	t.Cleanup(func() {
		h.check()
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	return h
}

// reopen closes the store, if it is open, and opens it again.
func (h *home) reopen() {
	h.t.Helper()
	if h.Store != nil {
		no(h.t, h.Close())
	}
	st, err := store.Open(h.dir, h.key)
	no(h.t, err)
	h.Store = st
}

func (h *home) check() {
	h.t.Helper()
	if err := h.Check(context.Background()); err != nil {
		h.t.Errorf("Check: %v", err)
	}
}

// no fails the test at an error.
func no(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// ok returns v, or fails the test.
func ok[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		no(t, err)
		return v
	}
}

// masked returns a text without personal data as the store wants it.
func masked(t testing.TB, text string) pii.Masked {
	t.Helper()
	m, err := pii.New(pii.MemoryVault(), pii.Options{})
	no(t, err)
	out, _, err := m.Mask(text)
	no(t, err)
	return out
}

// example is a question and an answer.
func example(t testing.TB, row int, group, question, answer string) store.NewExample {
	t.Helper()
	return store.NewExample{Row: row, Group: group, Messages: []store.NewMessage{
		{Role: "user", Content: masked(t, question)},
		{Role: "assistant", Content: masked(t, answer)},
	}}
}

// someExamples returns n different ones.
func someExamples(t testing.TB, n int, topic string) []store.NewExample {
	t.Helper()
	list := make([]store.NewExample, n)
	for i := range list {
		q := fmt.Sprintf("What is %s rule %d?", topic, i)
		list[i] = example(t, i+2, q, q, fmt.Sprintf("Rule %d says yes.", i))
	}
	return list
}

// version makes a version of a dataset.
func (h *home) version(name string, list []store.NewExample) store.Version {
	h.t.Helper()
	v, err := h.CreateVersion(context.Background(), store.NewVersion{Dataset: name, Origin: "import", Examples: list})
	no(h.t, err)
	return v
}

// base makes a base model.
func (h *home) base(name string) string {
	h.t.Helper()
	no(h.t, h.PutBaseModel(store.BaseModel{Name: name, Path: "/models/" + name + ".gguf", Architecture: "llama"}))
	return name
}

// all returns the examples of a version.
func (h *home) all(name string, n int, split store.Split) []store.Example {
	h.t.Helper()
	var list []store.Example
	for e, err := range h.Examples(name, n, split) {
		no(h.t, err)
		list = append(list, e)
	}
	return list
}
