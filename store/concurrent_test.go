package store_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"cloister/store"
)

// All kinds of work at once, with Check beside it: every state that Check sees is whole.
func TestConcurrent(t *testing.T) {
	h := open(t)
	h.base("m")
	stop := make(chan struct{})
	var wg sync.WaitGroup
	quiet := func(string, ...any) {}
	purge := func(st *store.Store, _ func(string, ...any)) error {
		_, err := st.PurgeAnswers(time.Now().Add(-50 * time.Millisecond))
		return err
	}
	read := func(st *store.Store, _ func(string, ...any)) error {
		if _, _, err := st.Jobs(nil, store.Page{Limit: 10}); err != nil {
			return err
		}
		for range st.Examples("d1", 0, store.Test) {
			continue
		}
		return nil
	}
	for _, work := range []func(*store.Store, func(string, ...any)) error{
		writeVersions, writeFiles, writeFiles, writeJobs, writeJobs, writeAnswers, writeAnswers, purge, read,
	} {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if err := work(h.Store, quiet); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for range 6 {
		if err := h.Check(context.Background()); err != nil {
			t.Errorf("Check in the midst: %v", err)
		}
	}
	close(stop)
	wg.Wait()
}

// A reference that is written while its object is deleted: one of the two fails.
func TestDeleteRace(t *testing.T) {
	h := open(t)
	for i := range 60 {
		base, name := h.base(fmt.Sprint("m", i)), fmt.Sprint("ft:", i)
		var put, del error
		var wg sync.WaitGroup
		wg.Go(func() { put = h.PutAdapter(store.Adapter{Name: name, Base: base, JobID: ""}) })
		wg.Go(func() { del = h.DeleteBaseModel(base) })
		wg.Wait()
		_, err := h.BaseModel(base)
		switch {
		case del != nil:
			want(t, del, store.ErrReferenced)
			no(t, put)
			no(t, err)
		case put == nil: // it came first or refers to what is gone
			want(t, err, store.ErrNotFound)
			t.Errorf("round %d: the adapter was put, and its base model deleted", i)
		default:
			want(t, put, store.ErrNotFound)
		}
	}
}

// The vault that the store gives is one for all who ask, and outlives a crash
// as far as anything stored needs it.
func TestVault(t *testing.T) {
	h := open(t)
	const workers, values = 6, 40
	var wg sync.WaitGroup
	got := make([][values]string, workers)
	for w := range workers {
		wg.Go(func() {
			v, err := h.Vault("clinic")
			if err != nil {
				t.Error(err)
				return
			}
			for i := range values {
				if got[w][i], err = v.Token("PERSON", fmt.Sprint("person ", i)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	for w := range workers {
		if got[w] != got[0] {
			t.Errorf("two askers have different tokens")
		}
	}
	other := ok(h.Vault("law"))(t)
	if tok := ok(other.Token("PERSON", "person 7"))(t); tok != "<PERSON_1>" {
		t.Errorf("the first token of another project is %s", tok)
	}
	if _, err := h.Vault(""); err == nil {
		t.Error("a project without a name")
	}
	no(t, h.PutSetting("anything", 1)) // any write takes the tokens along
	if n := len(ok(h.RawKeys("vault/clinic\x00v"))(t)); n != values {
		t.Errorf("%d values are durable, want %d", n, values)
	}
	h.reopen()
	v := ok(h.Vault("clinic"))(t)
	for i, tok := range got[0] {
		if value := ok(v.Reveal(tok))(t); value != fmt.Sprint("person ", i) {
			t.Errorf("%s reveals %q", tok, value)
		}
	}
}
