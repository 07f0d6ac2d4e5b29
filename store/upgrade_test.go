package store_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"cloister/store"
	"cloister/store/vault"
)

// oldHome unpacks the data directory that the first command line wrote (commit
// a15f464, schema 1): a dataset, a tuned model behind an alias, a rating, a key.
// All of it is made up.
func oldHome(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if out, err := exec.Command("tar", "xzf", filepath.Join("testdata", "schema1.tar.gz"), "-C", dir).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return filepath.Join(dir, "home")
}

// Everything that the first program wrote is there, is sound, and takes part in
// what this one does.
func TestOldStore(t *testing.T) {
	home := oldHome(t)
	key := ok(vault.ReadKeyFile(filepath.Join(home, "master.key")))(t)
	for range 2 { // the second time, nothing is left to migrate
		s := ok(store.Open(filepath.Join(home, "store"), key))(t)
		no(t, s.Check(context.Background()))
		if got := ok(s.RawKeys("meta/schema"))(t); string(got["meta/schema"]) != "2" {
			t.Errorf("the schema is %q", got["meta/schema"])
		}
		rows := 0
		for e, err := range s.Examples("faq", 1, "") {
			no(t, err)
			rows++
			if len(e.Messages) < 2 {
				t.Error("an example without question and answer")
			}
		}
		jobs, _, err := s.Jobs(nil, store.Page{})
		no(t, err)
		if rows != 12 || len(jobs) != 1 || jobs[0].Status != store.JobSucceeded {
			t.Errorf("%d examples, jobs %+v", rows, jobs)
		}
		if keys := ok(s.Keys())(t); len(keys) != 1 || keys[0].Label != "fixture" {
			t.Errorf("keys %+v", keys)
		}
		no(t, s.PutSetting("new", 1))
		no(t, s.Close())
	}
}

// A store of a newer program is refused, with what to do, and no byte of it
// changes; so does one whose marker was written by the first programs.
func TestNewerStore(t *testing.T) {
	for name, marker := range map[string]bool{"by its marker": true, "by its database": false} {
		t.Run(name, func(t *testing.T) {
			h := open(t)
			h.base("m")
			restore := store.SetMigrations(make([]func(*store.Store) error, 7)...)
			defer restore()
			no(t, h.RawSet("meta/schema", []byte("8")))
			no(t, h.Close())
			if marker {
				h.Store = nil
				h.reopen() // writes the number into the marker
				no(t, h.Close())
			}
			before := contents(t, h.dir)
			restore()
			_, err := store.Open(h.dir, h.key)
			want(t, err, store.ErrNewer)
			if !strings.Contains(err.Error(), "its schema is 8 and this program knows 2; nothing was changed") {
				t.Error(err)
			}
			if marker {
				if after := contents(t, h.dir); after != before {
					t.Error("opening it changed something")
				}
			}
			store.SetMigrations(make([]func(*store.Store) error, 7)...)
			h.Store = nil
			h.reopen()
			ok(h.BaseModel("m"))(t)
		})
	}
}

// contents is every file below a directory with its bytes.
func contents(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	no(t, filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		b.WriteString(path + "\n" + string(text) + "\n")
		return err
	}))
	return b.String()
}
