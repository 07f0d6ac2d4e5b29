package store_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"cloister/store"
	"cloister/store/vault"
)

func (h *home) put(f store.File, r io.Reader) (store.File, error) {
	return h.PutFile(context.Background(), f, r)
}

// content reads a file of the store.
func (h *home) content(id string) ([]byte, error) {
	r, err := h.OpenFile(id)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

// onDisk returns the names in the folder of sealed files.
func (h *home) onDisk() []string {
	h.t.Helper()
	list, err := os.ReadDir(filepath.Join(h.dir, "files"))
	no(h.t, err)
	var names []string
	for _, e := range list {
		names = append(names, e.Name())
	}
	return names
}

func TestFiles(t *testing.T) {
	h := open(t)
	data := bytes.Repeat([]byte("question,answer\n"), 20000)
	f := ok(h.put(store.File{Name: "raw.csv", Purpose: "import"}, iotest.HalfReader(bytes.NewReader(data))))(t)
	if f.Bytes != int64(len(data)) || len(f.SHA256) != 64 || !strings.HasPrefix(f.ID, "file-") {
		t.Errorf("file %+v", f)
	}
	empty := ok(h.put(store.File{Purpose: "fine-tune"}, strings.NewReader("")))(t)
	h.reopen()
	if got, err := h.content(f.ID); err != nil || !bytes.Equal(got, data) {
		t.Errorf("came back with %d bytes, %v", len(got), err)
	}
	if got, err := h.content(empty.ID); err != nil || len(got) != 0 {
		t.Errorf("the empty file came back with %d bytes, %v", len(got), err)
	}
	if list, more, err := h.Files("import", store.Page{Limit: 1}); err != nil || more || len(list) != 1 || list[0].ID != f.ID {
		t.Errorf("by purpose %+v %v %v", list, more, err)
	}
	if list, _, err := h.Files("", store.Page{Ascending: true}); err != nil || len(list) != 2 || list[0].ID != f.ID {
		t.Errorf("all %+v %v", list, err)
	}
	_, err := h.put(store.File{ID: f.ID}, strings.NewReader("other"))
	want(t, err, store.ErrExists)
	if got, err := h.content(f.ID); err != nil || !bytes.Equal(got, data) {
		t.Errorf("after a second file of the same id: %d bytes, %v", len(got), err)
	}
	no(t, h.DeleteFile(f.ID))
	want(t, h.DeleteFile(f.ID), store.ErrNotFound)
	_, err = h.OpenFile(f.ID)
	want(t, err, store.ErrNotFound)
	if names := h.onDisk(); len(names) != 1 || names[0] != empty.ID {
		t.Errorf("on disk %v", names)
	}
	for _, bad := range []string{"../x", "a/b", "a.b", "staged-1", "파일", " "} {
		_, err := h.put(store.File{ID: bad}, strings.NewReader("x"))
		want(t, err, store.ErrInvalid)
	}
}

// endless is a reader of n zero bytes that never has more than the buffer in memory.
type endless struct{ n int }

func (e *endless) Read(p []byte) (int, error) {
	if e.n == 0 {
		return 0, io.EOF
	}
	n := min(len(p), e.n)
	clear(p[:n])
	e.n -= n
	return n, nil
}

// A file of 200 MiB passes through a few hundred KiB of memory.
func TestFileMemory(t *testing.T) {
	h := open(t)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f := ok(h.put(store.File{}, &endless{200 << 20}))(t)
	r := ok(h.OpenFile(f.ID))(t)
	n, err := io.Copy(io.Discard, r)
	runtime.ReadMemStats(&after)
	no(t, errors.Join(err, r.Close()))
	if n != 200<<20 {
		t.Errorf("%d bytes came back", n)
	}
	if used := after.TotalAlloc - before.TotalAlloc; used > 8<<20 {
		t.Errorf("%d KiB were allocated", used>>10)
	}
	no(t, h.DeleteFile(f.ID))
}

func TestFileTooLarge(t *testing.T) {
	h := open(t)
	h.SetMaxFile(100_000)
	ok(h.put(store.File{}, &endless{100_000}))(t)
	_, err := h.put(store.File{}, &endless{100_001})
	want(t, err, store.ErrTooLarge)
	if names := h.onDisk(); len(names) != 1 {
		t.Errorf("on disk %v", names)
	}
}

// Whatever fails, at whatever point, the file does not exist and nothing is left.
func TestFileFaults(t *testing.T) {
	h := open(t)
	broken := errors.New("input/output error")
	for _, c := range []struct {
		at    string
		after int
	}{{"create", 0}, {"write", 0}, {"write", 39}, {"write", 41}, {"write", 70_000}, {"sync", 0}, {"close", 0}} {
		h.FailStaging(c.after, c.at, broken)
		_, err := h.put(store.File{}, &endless{150_000})
		if !errors.Is(err, broken) {
			t.Errorf("%s after %d: %v", c.at, c.after, err)
		}
		if names := h.onDisk(); len(names) != 0 {
			t.Errorf("%s after %d leaves %v", c.at, c.after, names)
		}
	}
	h.reopen()
	_, err := h.put(store.File{}, io.MultiReader(&endless{100_000}, iotest.ErrReader(broken)))
	want(t, err, broken)
	_, err = h.PutFile(&cancelled{context.Background(), 2}, store.File{}, &endless{10 << 20})
	want(t, err, context.Canceled)
	// The name cannot be given because a folder has it.
	no(t, os.Mkdir(filepath.Join(h.dir, "files", "file-taken"), 0o700))
	no(t, os.WriteFile(filepath.Join(h.dir, "files", "file-taken", "x"), nil, 0o600))
	if _, err = h.put(store.File{ID: "file-taken"}, &endless{10}); err == nil {
		t.Error("a file took the place of a folder")
	}
	no(t, os.RemoveAll(filepath.Join(h.dir, "files", "file-taken")))
	if names := h.onDisk(); len(names) != 0 {
		t.Errorf("left on disk: %v", names)
	}
	if list, _, err := h.Files("", store.Page{}); err != nil || len(list) != 0 {
		t.Errorf("records %+v, %v", list, err)
	}
	ok(h.put(store.File{}, &endless{100_000}))(t)
}

// Damage of a sealed file is an error for readers and for Check, and never false bytes.
func TestFileDamage(t *testing.T) {
	h := open(t)
	data := make([]byte, 200_000)
	r := rand.NewChaCha8([32]byte{1})
	_, _ = r.Read(data)
	f := ok(h.put(store.File{}, bytes.NewReader(data)))(t)
	other := ok(h.put(store.File{}, bytes.NewReader(data[:100])))(t)
	path := filepath.Join(h.dir, "files", f.ID)
	sealed := ok(os.ReadFile(path))(t)
	otherSealed := ok(os.ReadFile(filepath.Join(h.dir, "files", other.ID)))(t)
	flip := func(i int) []byte {
		b := bytes.Clone(sealed)
		b[i] ^= 4
		return b
	}
	for name, b := range map[string][]byte{
		"empty": {}, "cut at a chunk": sealed[:40+65552], "cut": sealed[:len(sealed)-5],
		"flipped in the header": flip(3), "flipped in the salt": flip(20), "flipped": flip(100_000), "flipped at the end": flip(len(sealed) - 1),
		"longer": append(bytes.Clone(sealed), 1), "another file's": otherSealed,
	} {
		no(t, os.WriteFile(path, b, 0o600))
		got, err := h.content(f.ID)
		if !errors.Is(err, vault.ErrDamaged) || !bytes.HasPrefix(data, got) {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
		if err := h.Check(context.Background()); !errors.Is(err, vault.ErrDamaged) || !strings.Contains(err.Error(), f.ID) {
			t.Errorf("%s: Check says %v", name, err)
		}
	}
	no(t, os.Remove(path))
	if err := h.Check(context.Background()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a lost file: Check says %v", err)
	}
	_, err := h.OpenFile(f.ID)
	want(t, err, os.ErrNotExist)
	no(t, os.WriteFile(path, sealed, 0o600))
	stray := filepath.Join(h.dir, "files", "file-stray")
	no(t, os.WriteFile(stray, sealed, 0o600))
	if err := h.Check(context.Background()); err == nil || !strings.Contains(err.Error(), "file-stray") {
		t.Errorf("a stray file: Check says %v", err)
	}
	no(t, os.WriteFile(filepath.Join(h.dir, "files", "staged-123"), sealed, 0o600))
	h.reopen()
	if names := h.onDisk(); len(names) != 3 {
		t.Errorf("after Open: %v; the stray file is not ours to delete", names)
	}
	no(t, os.Remove(stray))
}

// What a crash leaves between the steps of an upload or a deletion, Open takes away.
func TestFileLeftovers(t *testing.T) {
	h := open(t)
	folder := filepath.Join(h.dir, "files")
	kept := ok(h.put(store.File{}, &endless{100}))(t)
	deleted := ok(h.put(store.File{}, &endless{100}))(t)
	sealed := ok(os.ReadFile(filepath.Join(folder, deleted.ID)))(t)
	no(t, h.DeleteFile(deleted.ID))
	no(t, os.WriteFile(filepath.Join(folder, deleted.ID), sealed, 0o600)) // the record went first
	no(t, os.WriteFile(filepath.Join(folder, "staged-1"), sealed[:50], 0o600))
	no(t, h.RawSet("file.stage/file-a", []byte("staged"))) // marked, no name yet
	no(t, h.RawSet("file.stage/file-b", []byte("staged"))) // marked and named
	no(t, os.WriteFile(filepath.Join(folder, "file-b"), sealed, 0o600))
	h.check() // which is no damage
	h.reopen()
	if names := h.onDisk(); len(names) != 1 || names[0] != kept.ID {
		t.Errorf("on disk %v", names)
	}
	if left := ok(h.RawKeys("file.stage/"))(t); len(left) != 0 {
		t.Errorf("%d markers are left", len(left))
	}
}
