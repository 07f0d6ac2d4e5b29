package store_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"cloister/store"
)

// What others need is not deleted, and the error says who needs it.
func TestDeletionsRefused(t *testing.T) {
	h := open(t)
	h.base("m")
	h.base("served")
	f := ok(h.put(store.File{}, strings.NewReader("x")))(t)
	j := ok(h.CreateJob(store.Job{Base: "m", TrainingFile: f.ID}))(t)
	no(t, h.PutAdapter(store.Adapter{Name: "ft:x", Base: "m", JobID: j.ID}))
	ok(h.Deploy("a", store.Release{Model: "ft:x"}))(t)
	ok(h.Deploy("b", store.Release{Model: "served"}))(t)
	refused := func(err error, by string) {
		t.Helper()
		want(t, err, store.ErrReferenced)
		if err != nil && !strings.Contains(err.Error(), by) {
			t.Errorf("the error does not name %s: %v", by, err)
		}
	}
	refused(h.DeleteBaseModel("m"), "ft:x")
	refused(h.DeleteBaseModel("served"), `"b"`)
	refused(h.DeleteAdapter("ft:x"), `"a"`)
	refused(h.DeleteFile(f.ID), j.ID)
	ok(h.Deploy("a", store.Release{Model: "served"}))(t)
	no(t, h.DeleteAdapter("ft:x"))
	refused(h.DeleteBaseModel("m"), j.ID)
	ok(h.UpdateJob(j.ID, func(j *store.Job) error { j.Status = store.JobCancelled; return nil }))(t)
	no(t, h.DeleteFile(f.ID))
	no(t, h.DeleteBaseModel("m"))
	h.reopen()
	// History goes on: the finished job may change, and names what is gone.
	got := ok(h.UpdateJob(j.ID, func(j *store.Job) error { j.Error = &store.JobError{Code: "cancelled"}; return nil }))(t)
	if got.TrainingFile != f.ID || got.Base != "m" {
		t.Errorf("job %+v", got)
	}
	// And what is gone cannot be used anew.
	_, err := h.CreateJob(store.Job{Base: "m"})
	want(t, err, store.ErrNotFound)
	_, err = h.CreateJob(store.Job{Base: "served", TrainingFile: f.ID})
	want(t, err, store.ErrNotFound)
	_, err = h.Deploy("c", store.Release{Model: "ft:x"})
	want(t, err, store.ErrNotFound)
	// A name can come back.
	h.base("m")
	no(t, h.PutAdapter(store.Adapter{Name: "ft:x", Base: "m"}))
	ok(h.Deploy("c", store.Release{Model: "ft:x"}))(t)
}

// A job that has not ended needs its teacher, the teacher's adapter and the one that it begins with.
func TestTeacherKept(t *testing.T) {
	h := open(t)
	h.base("m")
	h.base("large")
	no(t, h.PutAdapter(store.Adapter{Name: "ft:wise", Base: "large"}))
	no(t, h.PutAdapter(store.Adapter{Name: "ft:first", Base: "m"}))
	j := ok(h.CreateJob(store.Job{Base: "m", From: "ft:first", Teacher: "large", TeacherAdapter: "ft:wise"}))(t)
	want(t, h.DeleteAdapter("ft:first"), store.ErrReferenced)
	want(t, h.DeleteAdapter("ft:wise"), store.ErrReferenced)
	want(t, h.DeleteBaseModel("large"), store.ErrReferenced)
	ok(h.UpdateJob(j.ID, func(j *store.Job) error { j.Status = store.JobCancelled; return nil }))(t)
	no(t, h.DeleteAdapter("ft:wise"))
	no(t, h.DeleteBaseModel("large"))
}

// The model that answered may be deleted before its answer is kept.
func TestAnswerOfDeletedModel(t *testing.T) {
	h := open(t)
	h.base("m")
	no(t, h.DeleteBaseModel("m"))
	ok(h.PutAnswer(store.NewAnswer{Model: "m"}))(t)
}

func TestVersionKeepsDeletedFile(t *testing.T) {
	h := open(t)
	f := ok(h.put(store.File{}, strings.NewReader("q,a")))(t)
	ok(h.CreateVersion(context.Background(), store.NewVersion{Dataset: "d", FileID: f.ID, Examples: someExamples(t, 3, "x")}))(t)
	no(t, h.DeleteFile(f.ID))
	if v := ok(h.Version("d", 1))(t); v.FileID != f.ID {
		t.Errorf("version %+v", v)
	}
}

// Check finds every kind of damage to the records, and tells which record it is.
func TestCheckFindsDamage(t *testing.T) {
	set := func(h *home, prefix, value string) {
		for k := range ok(h.RawKeys(prefix))(h.t) {
			no(h.t, h.RawSet(k, []byte(value)))
			return
		}
		h.t.Fatalf("no key begins with %s", prefix)
	}
	replace := func(prefix, old, by string) func(h *home) {
		return func(h *home) {
			for k, v := range ok(h.RawKeys(prefix))(h.t) {
				if s := strings.Replace(string(v), old, by, 1); s != string(v) {
					no(h.t, h.RawSet(k, []byte(s)))
					return
				}
			}
			h.t.Fatalf("nothing under %s holds %s", prefix, old)
		}
	}
	lose := func(prefix string) func(h *home) {
		return func(h *home) {
			for k := range ok(h.RawKeys(prefix))(h.t) {
				no(h.t, h.RawDelete(k))
				return
			}
			h.t.Fatalf("no key begins with %s", prefix)
		}
	}
	for name, c := range map[string]struct {
		damage func(h *home)
		says   string
	}{
		"garbage for a record":       {func(h *home) { set(h, "job/", "{") }, "job"},
		"a field nobody knows":       {func(h *home) { set(h, "base/m", `{"name":"m","colour":"red"}`) }, "base"},
		"a key in no space":          {func(h *home) { no(h.t, h.RawSet("jobs/x", []byte("{}"))) }, "jobs/"},
		"a record at another's key":  {func(h *home) { no(h.t, h.RawSet("base/n", []byte(`{"name":"m"}`))) }, "base model"},
		"a lost base model":          {lose("base/m"), "ft:x"},
		"a lost job":                 {lose("job/"), "job"},
		"a lost adapter":             {lose("adapter/ft:x"), `"ft:x"`},
		"a lost dataset":             {lose("dataset/"), "dataset"},
		"a lost version":             {lose("version/"), "version"},
		"a lost example":             {lose("example/"), "example"},
		"a lost group":               {lose("group/"), "version d@"},
		"a lost index entry":         {lose("job.time/"), "index"},
		"an index entry too many":    {func(h *home) { no(h.t, h.RawSet("job.time/x", []byte("job/none"))) }, "index"},
		"a lost release":             {lose("release/"), "support"},
		"a lost alias":               {lose("alias/"), "support"},
		"a lost evaluation":          {lose("evaluation/"), "eval-"},
		"a lost answer":              {lose("answer/"), "chatcmpl-"},
		"a lost file record":         {lose("file/"), "file-"},
		"a lost counter":             {lose("event.last/"), "counter"},
		"a lost audit counter":       {lose("audit.last/"), "audit"},
		"a setting that is not JSON": {func(h *home) { set(h, "setting/", "{") }, "setting"},
		"a tombstone of the living":  {func(h *home) { no(h.t, h.RawSet("gone/base/m", []byte(`"2026-01-01T00:00:00Z"`))) }, "tombstone"},
		"a changed example":          {replace("example/", "says yes", "says no"), "example"},
		"a changed split":            {replace("example/", `"split":"train"`, `"split":"test"`), "train"},
		"a wrong count":              {replace("version/", `"counts":{"test":`, `"counts":{"test":1`), "test"},
		"a lost vault value":         {lose("vault/p\x00v"), "vault"},
		"a changed vault value":      {func(h *home) { set(h, "vault/p\x00v", "garbage of some length, surely") }, "vault"},
		"a vault counter set back":   {func(h *home) { set(h, "vault/p\x00n", "\x00\x00\x00\x00\x00\x00\x00\x00") }, "counter"},
		"a lost second vault value":  {lose("vault/q\x00v"), `vault "q"`},
	} {
		t.Run(name, func(t *testing.T) {
			h := populated(t)
			if err := h.Check(context.Background()); err != nil {
				t.Fatalf("before the damage: %v", err)
			}
			c.damage(h)
			err := h.Check(context.Background())
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("Check says %v; want something about %s", err, c.says)
			}
			no(t, h.Close())
		})
	}
}

// populated is a store with some of everything. The test closes it itself.
func populated(t *testing.T) *home {
	t.Helper()
	h := &home{t: t, dir: t.TempDir(), key: store1}
	h.reopen()
	h.base("m")
	h.version("d", someExamples(t, 40, "x"))
	h.version("d", someExamples(t, 60, "x"))
	f := ok(h.put(store.File{}, strings.NewReader("x")))(t)
	j := ok(h.CreateJob(store.Job{Base: "m", Dataset: "d", Version: 1, TrainingFile: f.ID}))(t)
	ok(h.AppendEvent(store.Event{JobID: j.ID}))(t)
	no(t, h.PutAdapter(store.Adapter{Name: "ft:x", Base: "m", JobID: j.ID}))
	e := ok(h.PutEvaluation(store.Evaluation{Model: "ft:x", Dataset: "d", Version: 2}))(t)
	ok(h.Deploy("support", store.Release{Model: "ft:x", EvaluationID: e.ID}))(t)
	a := ok(h.PutAnswer(store.NewAnswer{Model: "ft:x", Alias: "support"}))(t)
	ok(h.PutFeedback(store.NewFeedback{AnswerID: a.ID, CreatedAt: time.Now()}))(t)
	ok(h.AppendAudit(store.Audit{}))(t)
	no(t, h.PutSetting("s", 1))
	for _, project := range []string{"p", "q"} {
		v := ok(h.Vault(project))(t)
		for _, value := range []string{"A", "B"} {
			ok(v.Token("PERSON", value))(t)
		}
		no(t, v.Flush())
	}
	return h
}
