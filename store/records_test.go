package store_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"cloister/store"
)

// want fails unless err wraps the sentinel.
func want(t testing.TB, err, sentinel error) {
	t.Helper()
	if !errors.Is(err, sentinel) {
		t.Errorf("error %v, want %q", err, sentinel)
	}
}

func TestNewID(t *testing.T) {
	seen := map[string]bool{}
	for range 10000 {
		id := store.NewID("file-")
		rest, ok := strings.CutPrefix(id, "file-")
		if !ok || len(rest) != 24 || strings.Trim(rest, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz") != "" || seen[id] {
			t.Fatalf("id %q", id)
		}
		seen[id] = true
	}
}

func TestBaseModels(t *testing.T) {
	h := open(t)
	_, err := h.BaseModel("smol")
	want(t, err, store.ErrNotFound)
	if !strings.Contains(err.Error(), `base model "smol"`) {
		t.Errorf("the error does not name the record: %v", err)
	}
	h.base("smol")
	h.base("llama/3:8b q4")
	m := store.BaseModel{Name: "smol", Path: "/other.gguf", Bytes: 7, CreatedAt: time.Unix(1, 5)}
	no(t, h.PutBaseModel(m))
	h.reopen()
	got := ok(h.BaseModel("smol"))(t)
	if got.Path != "/other.gguf" || got.Bytes != 7 || !got.CreatedAt.Equal(m.CreatedAt) {
		t.Errorf("came back as %+v", got)
	}
	list := ok(h.BaseModels())(t)
	if len(list) != 2 || list[0].Name != "llama/3:8b q4" || list[1].Name != "smol" {
		t.Errorf("list %+v", list)
	}
	no(t, h.DeleteBaseModel("smol"))
	want(t, h.DeleteBaseModel("smol"), store.ErrNotFound)
	for _, bad := range []string{"", "a\x00b", "\xff", strings.Repeat("x", 513)} {
		want(t, h.PutBaseModel(store.BaseModel{Name: bad}), store.ErrInvalid)
	}
}

// Names that begin like others do not mix.
func TestNamesDoNotMix(t *testing.T) {
	h := open(t)
	h.version("a", someExamples(t, 3, "a"))
	h.version("a/b", someExamples(t, 5, "b"))
	h.version("ab", someExamples(t, 7, "c"))
	for name, n := range map[string]int{"a": 3, "a/b": 5, "ab": 7} {
		if got := len(h.all(name, 0, "")); got != n {
			t.Errorf("dataset %s has %d examples, want %d", name, got, n)
		}
		if v := ok(h.Versions(name))(t); len(v) != 1 {
			t.Errorf("dataset %s has %d versions", name, len(v))
		}
	}
	base := h.base("m")
	for _, id := range []string{"ftjob-1", "ftjob-11"} {
		ok(h.CreateJob(store.Job{ID: id, Base: base}))(t)
		ok(h.AppendEvent(store.Event{JobID: id}))(t)
	}
	if list, _, err := h.Events("ftjob-1", store.Page{}); err != nil || len(list) != 1 {
		t.Errorf("%d events, %v", len(list), err)
	}
}

func TestJobs(t *testing.T) {
	h := open(t)
	base := h.base("m")
	var ids []string
	for i := range 5 {
		j := ok(h.CreateJob(store.Job{Base: base, Metadata: map[string]string{"n": fmt.Sprint(i % 2), "all": "yes"}}))(t)
		if !strings.HasPrefix(j.ID, "ftjob-") || j.Status != store.JobQueued || j.CreatedAt.IsZero() {
			t.Errorf("new job %+v", j)
		}
		ids = append(ids, j.ID)
	}
	_, err := h.CreateJob(store.Job{ID: ids[0], Base: base})
	want(t, err, store.ErrExists)
	_, err = h.CreateJob(store.Job{Base: base, Status: "asleep"})
	want(t, err, store.ErrInvalid)
	_, _, err = h.Jobs(nil, store.Page{After: "ftjob-no"})
	want(t, err, store.ErrNotFound)

	slices.Reverse(ids) // newest first
	for _, c := range []struct {
		name     string
		metadata map[string]string
		page     store.Page
		want     []string
		more     bool
	}{
		{"all", nil, store.Page{}, ids, false},
		{"first page", nil, store.Page{Limit: 2}, ids[:2], true},
		{"second page", nil, store.Page{Limit: 2, After: ids[1]}, ids[2:4], true},
		{"last page", nil, store.Page{Limit: 2, After: ids[3]}, ids[4:], false},
		{"behind the last", nil, store.Page{After: ids[4]}, nil, false},
		{"oldest first", nil, store.Page{Ascending: true, Limit: 2}, []string{ids[4], ids[3]}, true},
		{"oldest first, behind", nil, store.Page{Ascending: true, After: ids[3]}, []string{ids[2], ids[1], ids[0]}, false},
		{"by metadata", map[string]string{"n": "1", "all": "yes"}, store.Page{}, []string{ids[1], ids[3]}, false},
		{"by metadata, one", map[string]string{"n": "1"}, store.Page{Limit: 1}, []string{ids[1]}, true},
		{"by metadata that none has", map[string]string{"x": ""}, store.Page{}, nil, false},
	} {
		list, more, err := h.Jobs(c.metadata, c.page)
		var got []string
		for _, j := range list {
			got = append(got, j.ID)
		}
		if err != nil || !slices.Equal(got, c.want) || more != c.more {
			t.Errorf("%s: %v %v %v, want %v %v", c.name, got, more, err, c.want, c.more)
		}
	}
}

func TestUpdateJob(t *testing.T) {
	h := open(t)
	j := ok(h.CreateJob(store.Job{Base: h.base("m"), Metadata: map[string]string{"a": "1"}}))(t)
	refused := errors.New("refused")
	_, err := h.UpdateJob(j.ID, func(j *store.Job) error { j.Status = store.JobRunning; return refused })
	want(t, err, refused)
	_, err = h.UpdateJob(j.ID, func(j *store.Job) error { j.Adapter = "ft:none"; return nil })
	want(t, err, store.ErrNotFound)
	_, err = h.UpdateJob("ftjob-no", func(*store.Job) error { return nil })
	want(t, err, store.ErrNotFound)
	if got := ok(h.Job(j.ID))(t); got.Status != store.JobQueued {
		t.Errorf("a refused change came through: %+v", got)
	}
	got := ok(h.UpdateJob(j.ID, func(j *store.Job) error {
		j.ID, j.CreatedAt = "ftjob-other", time.Time{}
		j.Status = store.JobSucceeded
		return nil
	}))(t)
	if got.ID != j.ID || !got.CreatedAt.Equal(j.CreatedAt) || got.Status != store.JobSucceeded {
		t.Errorf("updated to %+v", got)
	}
	_, err = h.UpdateJob(j.ID, func(j *store.Job) error { j.Status = store.JobRunning; return nil })
	want(t, err, store.ErrConflict)
	ok(h.UpdateJob(j.ID, func(j *store.Job) error { j.TrainedTokens = 5; return nil }))(t)
}

// Every one of many concurrent changes counts.
func TestUpdateJobConcurrent(t *testing.T) {
	h := open(t)
	j := ok(h.CreateJob(store.Job{Base: h.base("m")}))(t)
	const workers, each = 8, 25
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for range each {
				if _, err := h.UpdateJob(j.ID, func(j *store.Job) error { j.TrainedTokens++; return nil }); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if got := ok(h.Job(j.ID))(t).TrainedTokens; got != workers*each {
		t.Errorf("%d changes counted, want %d", got, workers*each)
	}
}

func TestEvents(t *testing.T) {
	h := open(t)
	base := h.base("m")
	a, b := ok(h.CreateJob(store.Job{Base: base}))(t), ok(h.CreateJob(store.Job{Base: base}))(t)
	const workers, each = 4, 20
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for range each {
				for _, id := range []string{a.ID, b.ID} {
					if _, err := h.AppendEvent(store.Event{JobID: id, Level: "info", Type: "message"}); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
	h.reopen()
	last := ok(h.AppendEvent(store.Event{JobID: a.ID, Message: "last"}))(t)
	if last.Seq != workers*each+1 {
		t.Errorf("the last event has number %d", last.Seq)
	}
	_, err := h.AppendEvent(store.Event{JobID: "ftjob-no"})
	want(t, err, store.ErrNotFound)

	all := ok(h.EventsSince(a.ID, 0))(t)
	for i, e := range all {
		if e.Seq != uint64(i+1) || e.JobID != a.ID {
			t.Fatalf("event %d is %+v", i, e)
		}
	}
	if len(all) != workers*each+1 {
		t.Errorf("%d events", len(all))
	}
	if tail := ok(h.EventsSince(a.ID, last.Seq-2))(t); len(tail) != 2 || tail[0].Seq != last.Seq-1 {
		t.Errorf("since: %+v", tail)
	}
	list, more, err := h.Events(a.ID, store.Page{Limit: 3})
	if err != nil || len(list) != 3 || !more || list[0].ID != last.ID {
		t.Errorf("newest: %+v %v %v", list, more, err)
	}
	list, more, err = h.Events(a.ID, store.Page{After: all[2].ID})
	if err != nil || len(list) != 2 || more || list[0].Seq != 2 {
		t.Errorf("the page behind the third: %+v %v %v", list, more, err)
	}
	_, _, err = h.Events(a.ID, store.Page{After: "ftevent-no"})
	want(t, err, store.ErrNotFound)
}

func TestAdapters(t *testing.T) {
	h := open(t)
	j := ok(h.CreateJob(store.Job{Base: h.base("m")}))(t)
	want(t, h.PutAdapter(store.Adapter{Name: "ft:x", Base: "none"}), store.ErrNotFound)
	want(t, h.PutAdapter(store.Adapter{Name: "ft:x", Base: "m", JobID: "ftjob-no"}), store.ErrNotFound)
	want(t, h.PutAdapter(store.Adapter{Name: "ft:x"}), store.ErrInvalid)
	for _, name := range []string{"ft:m:org:s:1:ckpt-step-10", "ft:m:org:s:1", "ft:free"} {
		a := store.Adapter{Name: name, Base: "m", Metrics: map[string]float64{"valid_loss": 0.5}}
		if name != "ft:free" {
			a.JobID = j.ID
		}
		no(t, h.PutAdapter(a))
		no(t, h.PutAdapter(a)) // a job that runs again after a crash
	}
	if list := ok(h.Adapters())(t); len(list) != 3 || list[0].Name != "ft:m:org:s:1:ckpt-step-10" {
		t.Errorf("adapters %+v", list)
	}
	if list := ok(h.JobAdapters(j.ID))(t); len(list) != 2 || list[1].Name != "ft:m:org:s:1" {
		t.Errorf("adapters of the job %+v", list)
	}
	no(t, h.DeleteAdapter("ft:m:org:s:1"))
	if list := ok(h.JobAdapters(j.ID))(t); len(list) != 1 {
		t.Errorf("adapters of the job after a deletion %+v", list)
	}
	_, err := h.Adapter("ft:m:org:s:1")
	want(t, err, store.ErrNotFound)
	if a := ok(h.Adapter("ft:free"))(t); a.Metrics["valid_loss"] != 0.5 {
		t.Errorf("adapter %+v", a)
	}
}

func TestEvaluations(t *testing.T) {
	h := open(t)
	h.base("m")
	no(t, h.PutAdapter(store.Adapter{Name: "ft:x", Base: "m"}))
	h.version("d", someExamples(t, 5, "d"))
	first := ok(h.PutEvaluation(store.Evaluation{Model: "ft:x", Baseline: "m", Dataset: "d", Version: 1, Split: store.Test, Report: []byte(`{"a":1}`)}))(t)
	second := ok(h.PutEvaluation(store.Evaluation{Model: "ft:x"}))(t)
	ok(h.PutEvaluation(store.Evaluation{Model: "m"}))(t)
	if list := ok(h.Evaluations("ft:x"))(t); len(list) != 2 || list[0].ID != second.ID || list[1].ID != first.ID {
		t.Errorf("of the model %+v", list)
	}
	if list := ok(h.Evaluations(""))(t); len(list) != 3 || list[2].ID != first.ID {
		t.Errorf("all %+v", list)
	}
	if e := ok(h.Evaluation(first.ID))(t); string(e.Report) != `{"a":1}` {
		t.Errorf("report %s", e.Report)
	}
	for _, bad := range []store.Evaluation{{Model: "none"}, {Model: "m", Baseline: "none"}, {Model: "m", Dataset: "none"}, {Model: "m", Dataset: "d", Version: 2}} {
		_, err := h.PutEvaluation(bad)
		want(t, err, store.ErrNotFound)
	}
	_, err := h.PutEvaluation(store.Evaluation{})
	want(t, err, store.ErrInvalid)
	_, err = h.PutEvaluation(store.Evaluation{Model: "m", Split: "half"})
	want(t, err, store.ErrInvalid)
}

// Reports of many megabytes fit, and beyond the limit there is a clear error.
func TestLargeRecords(t *testing.T) {
	h := open(t)
	h.base("m")
	text := func(mib int) []byte { return []byte(`"` + strings.Repeat("0123456789abcdef", mib<<16) + `"`) }
	big := text(2)
	var ids []string
	for range 2 {
		ids = append(ids, ok(h.PutEvaluation(store.Evaluation{Model: "m", Report: big}))(t).ID)
	}
	_, err := h.PutEvaluation(store.Evaluation{Model: "m", Report: text(33)})
	want(t, err, store.ErrTooLarge)
	if len(err.Error()) > 300 {
		t.Errorf("the error has %d bytes", len(err.Error()))
	}
	h.reopen()
	for _, id := range ids {
		if e := ok(h.Evaluation(id))(t); string(e.Report) != string(big) {
			t.Errorf("the report came back with %d bytes", len(e.Report))
		}
	}
}

func TestReleases(t *testing.T) {
	h := open(t)
	h.base("m")
	for i := 1; i <= 3; i++ {
		no(t, h.PutAdapter(store.Adapter{Name: fmt.Sprint("ft:", i), Base: "m"}))
		r := ok(h.Deploy("support", store.Release{Model: fmt.Sprint("ft:", i), By: "local"}))(t)
		if r.Number != i || r.Alias != "support" || !strings.HasPrefix(r.ID, "rel-") {
			t.Errorf("release %+v", r)
		}
	}
	ok(h.Deploy("sup", store.Release{Model: "m"}))(t)
	_, err := h.Deploy("support", store.Release{Model: "ft:none"})
	want(t, err, store.ErrNotFound)
	_, err = h.Deploy("support", store.Release{Model: "m", EvaluationID: "eval-no"})
	want(t, err, store.ErrNotFound)
	_, err = h.Deploy("", store.Release{Model: "m"})
	want(t, err, store.ErrInvalid)
	_, err = h.Deploy("new", store.Release{})
	want(t, err, store.ErrInvalid)
	_, err = h.Alias("new")
	want(t, err, store.ErrNotFound)

	if a := ok(h.Alias("support"))(t); a.Current != 3 || a.Latest != 3 {
		t.Errorf("alias %+v", a)
	}
	if a := ok(h.SetCurrent("support", 1))(t); a.Current != 1 || a.Latest != 3 {
		t.Errorf("rolled back to %+v", a)
	}
	if r := ok(h.Release("support", 0))(t); r.Model != "ft:1" {
		t.Errorf("current %+v", r)
	}
	if r := ok(h.Release("support", 2))(t); r.Model != "ft:2" {
		t.Errorf("second %+v", r)
	}
	for _, n := range []int{0, 4, -1} {
		_, err = h.SetCurrent("support", n)
		want(t, err, store.ErrNotFound)
	}
	_, err = h.SetCurrent("none", 1)
	want(t, err, store.ErrNotFound)
	want(t, h.DeleteAdapter("ft:1"), store.ErrReferenced)
	no(t, h.DeleteAdapter("ft:2"))
	_, err = h.SetCurrent("support", 2)
	want(t, err, store.ErrNotFound)
	if r := ok(h.Deploy("support", store.Release{Model: "ft:3"}))(t); r.Number != 4 {
		t.Errorf("the release after a rollback has number %d", r.Number)
	}
	if list := ok(h.Releases("support"))(t); len(list) != 4 || list[0].Number != 4 {
		t.Errorf("releases %+v", list)
	}
	if list := ok(h.Aliases())(t); len(list) != 2 || list[0].Name != "sup" {
		t.Errorf("aliases %+v", list)
	}
}

func TestKeysAPI(t *testing.T) {
	h := open(t)
	hash := strings.Repeat("ab", 32)
	k := ok(h.PutKey(store.Key{Hash: hash, Role: "user", Label: "front desk"}))(t)
	if got := ok(h.KeyByHash(hash))(t); got.ID != k.ID || got.Label != "front desk" {
		t.Errorf("by hash %+v", got)
	}
	_, err := h.PutKey(store.Key{Hash: hash, Role: "admin"})
	want(t, err, store.ErrExists)
	_, err = h.PutKey(store.Key{Hash: "secret", Role: "admin"})
	want(t, err, store.ErrInvalid)
	_, err = h.PutKey(store.Key{Hash: strings.Repeat("00", 32), Role: "root"})
	want(t, err, store.ErrInvalid)
	if list := ok(h.Keys())(t); len(list) != 1 {
		t.Errorf("keys %+v", list)
	}
	no(t, h.DeleteKey(k.ID))
	_, err = h.KeyByHash(hash)
	want(t, err, store.ErrNotFound)
	want(t, h.DeleteKey(k.ID), store.ErrNotFound)
	ok(h.PutKey(store.Key{Hash: hash, Role: "admin"}))(t)
}

func TestAudit(t *testing.T) {
	h := open(t)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 10 {
				if _, err := h.AppendAudit(store.Audit{Actor: "local", Action: "deploy"}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	list := ok(h.Audits(0, 3))(t)
	if len(list) != 3 || list[0].Seq != 40 || list[2].Seq != 38 {
		t.Errorf("newest %+v", list)
	}
	if list = ok(h.Audits(38, 0))(t); len(list) != 37 || list[0].Seq != 37 {
		t.Errorf("below 38: %d entries, first %+v", len(list), list[0])
	}
}

func TestSettings(t *testing.T) {
	h := open(t)
	type gate struct{ MinGain float64 }
	g := gate{0.3}
	want(t, h.Setting("gate", &g), store.ErrNotFound)
	if g.MinGain != 0.3 {
		t.Error("a setting that is not there changed the default")
	}
	no(t, h.PutSetting("gate", gate{0.5}))
	h.reopen()
	no(t, h.Setting("gate", &g))
	if g.MinGain != 0.5 {
		t.Errorf("came back as %v", g)
	}
	no(t, h.DeleteSetting("gate"))
	no(t, h.DeleteSetting("gate"))
	want(t, h.Setting("gate", &g), store.ErrNotFound)
	want(t, h.PutSetting("", 1), store.ErrInvalid)
	want(t, h.PutSetting("x", func() {}), store.ErrInvalid)
}
