package store_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cloister/store"
	"cloister/store/vault"
)

var store1 = vault.NewMasterKey()

func TestWrongKey(t *testing.T) {
	h := open(t)
	h.base("m")
	no(t, h.Close())
	_, err := store.Open(h.dir, vault.NewMasterKey())
	want(t, err, store.ErrWrongKey)
	if !strings.Contains(err.Error(), h.dir) {
		t.Errorf("the error does not say which folder: %v", err)
	}
	if _, err := store.Open(h.dir, vault.MasterKey{}); err == nil {
		t.Error("no key opens the store")
	}
	h.Store = nil
	h.reopen() // the failed attempts have let go of it
	ok(h.BaseModel("m"))(t)
}

func TestOpenErrors(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	no(t, os.WriteFile(file, nil, 0o600))
	if _, err := store.Open(file, store1); err == nil {
		t.Error("a file opens as a store")
	}
}

func TestPermissions(t *testing.T) {
	h := open(t)
	ok(h.put(store.File{}, strings.NewReader("x")))(t)
	for _, name := range []string{"", "db", "files"} {
		if info := ok(os.Stat(filepath.Join(h.dir, name)))(t); name != "" && info.Mode().Perm() != 0o700 {
			t.Errorf("%s has mode %v", name, info.Mode())
		}
	}
}

func TestSchema(t *testing.T) {
	h := open(t)
	h.base("m")
	no(t, h.RawSet("meta/schema", []byte("99")))
	no(t, h.Close())
	_, err := store.Open(h.dir, h.key)
	want(t, err, store.ErrNewer)

	// Two migrations, the second of which is cut off once.
	var ran []string
	cut := errors.New("cut off")
	restore := store.SetMigrations(
		func(s *store.Store) error {
			ran = append(ran, "1→2")
			return s.PutBaseModel(store.BaseModel{Name: "n"})
		},
		func(s *store.Store) error {
			ran = append(ran, "2→3")
			if len(ran) == 2 {
				return cut
			}
			return s.DeleteBaseModel("n")
		})
	defer restore()
	fresh := filepath.Join(t.TempDir(), "new")
	st := ok(store.Open(fresh, h.key))(t) // a new store needs none of them
	if len(ran) != 0 {
		t.Errorf("a new store ran %v", ran)
	}
	no(t, st.RawSet("meta/schema", []byte("1")))
	no(t, st.Close())
	_, err = store.Open(fresh, h.key)
	want(t, err, cut)
	st = ok(store.Open(fresh, h.key))(t)
	if got := strings.Join(ran, " "); got != "1→2 2→3 2→3" {
		t.Errorf("ran %s", got)
	}
	_, err = st.BaseModel("n")
	want(t, err, store.ErrNotFound)
	no(t, st.Check(context.Background()))
	no(t, st.Close())
	st = ok(store.Open(fresh, h.key))(t)
	if len(ran) != 3 {
		t.Errorf("ran again: %v", ran)
	}
	no(t, st.RawSet("meta/schema", []byte("1")))
	no(t, st.Close())
	restore()
	no(t, os.WriteFile(filepath.Join(fresh, "FORMAT"), []byte("A data directory of Cloister.\n"), 0o600)) // as the first programs wrote it
	h.dir, h.Store = fresh, nil
	h.reopen()
}

// A store whose database was lost does not pass for a new one, and its files stay.
func TestLostDatabase(t *testing.T) {
	h := open(t)
	ok(h.put(store.File{}, strings.NewReader("x")))(t)
	no(t, h.Close())
	db := filepath.Join(h.dir, "db")
	no(t, os.Rename(db, db+".away"))
	_, err := store.Open(h.dir, h.key)
	want(t, err, store.ErrCorrupt)
	if len(h.onDisk()) != 1 {
		t.Error("the file was swept")
	}
	no(t, os.RemoveAll(db))
	no(t, os.Rename(db+".away", db))
	h.Store = nil
	h.reopen()
}

// Log files of no length are what a kill in the middle of making one leaves.
func TestUnbornLogs(t *testing.T) {
	h := open(t)
	h.base("m")
	no(t, h.Close())
	for _, name := range []string{"00099.mem", "000099.vlog"} {
		no(t, os.WriteFile(filepath.Join(h.dir, "db", name), nil, 0o600))
	}
	h.Store = nil
	h.reopen()
	ok(h.BaseModel("m"))(t)
}

func TestClosed(t *testing.T) {
	h := open(t)
	h.version("d", someExamples(t, 20, "x"))
	v := ok(h.Vault("p"))(t)
	ok(v.Token("PERSON", "A"))(t)
	// Close waits for the iterator; meanwhile new calls fail, and nothing deadlocks.
	closed := make(chan error, 1)
	rows := 0
	for _, err := range h.Examples("d", 0, "") {
		no(t, err)
		if rows++; rows == 1 {
			go func() { closed <- h.Close() }()
			for {
				if _, err := h.Dataset("d"); errors.Is(err, store.ErrClosed) {
					break
				}
				time.Sleep(time.Millisecond)
			}
		}
		select {
		case <-closed:
			t.Fatal("Close did not wait")
		default:
		}
	}
	no(t, <-closed)
	if rows != 20 {
		t.Errorf("%d rows", rows)
	}
	want(t, h.Close(), store.ErrClosed)
	want(t, h.PutBaseModel(store.BaseModel{Name: "m"}), store.ErrClosed)
	want(t, h.Check(context.Background()), store.ErrClosed)
	_, err := h.put(store.File{}, strings.NewReader("x"))
	want(t, err, store.ErrClosed)
	_, err = h.CreateVersion(context.Background(), store.NewVersion{Dataset: "d", Examples: someExamples(t, 1, "x")})
	want(t, err, store.ErrClosed)
	_, err = v.Token("EMAIL", "a")
	want(t, err, store.ErrClosed)
	_, err = v.Reveal("<PERSON_1>")
	want(t, err, store.ErrClosed)
	h.Store = nil
	h.reopen()
	v = ok(h.Vault("p"))(t)
	if got := ok(v.Token("PERSON", "B"))(t); got != "<PERSON_2>" {
		t.Errorf("the token after a clean stop is %s", got)
	}
	if got := ok(v.Reveal("<PERSON_1>"))(t); got != "A" {
		t.Errorf("the value is %q", got)
	}
}

func TestDiskFull(t *testing.T) {
	h := open(t)
	h.base("m")
	h.version("d", someExamples(t, 3, "x"))
	f := ok(h.put(store.File{}, strings.NewReader("x")))(t)
	h.SetFree(100 << 20)
	want(t, h.PutSetting("a", 1), store.ErrNoSpace)
	_, err := h.put(store.File{}, strings.NewReader("x"))
	want(t, err, store.ErrNoSpace)
	_, err = h.CreateVersion(context.Background(), store.NewVersion{Dataset: "d", Examples: someExamples(t, 3, "x")})
	want(t, err, store.ErrNoSpace)
	no(t, h.DeleteFile(f.ID)) // what makes room goes on
	no(t, h.DeleteDataset("d"))
	if names := h.onDisk(); len(names) != 0 {
		t.Errorf("on disk %v", names)
	}
	ok(h.BaseModel("m"))(t)
	h.SetFree(1 << 40)
	no(t, h.PutSetting("a", 1))
}
