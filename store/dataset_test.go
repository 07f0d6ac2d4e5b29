package store_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"cloister/store"
)

func TestCreateVersion(t *testing.T) {
	h := open(t)
	list := someExamples(t, 300, "clinic")
	weight := 0
	list[0].Messages[1].Weight = &weight
	v := ok(h.CreateVersion(context.Background(), store.NewVersion{
		Dataset: "clinic", Origin: "import", System: "You are the front desk.", Report: []byte(`{"dropped":3}`), Examples: list,
	}))(t)
	if v.Number != 1 || v.Counts[store.Train]+v.Counts[store.Valid]+v.Counts[store.Test] != 300 || v.CreatedAt.IsZero() {
		t.Errorf("version %+v", v)
	}
	h.reopen()
	got := ok(h.Version("clinic", 0))(t)
	if !maps.Equal(got.Counts, v.Counts) || got.System != "You are the front desk." || string(got.Report) != `{"dropped":3}` {
		t.Errorf("came back as %+v", got)
	}
	all := h.all("clinic", 1, "")
	for i, e := range all {
		if e.Row != i+2 || e.Messages[0].Content != list[i].Messages[0].Content.String() || len(e.Messages) != 2 {
			t.Fatalf("example %d is %+v", i, e)
		}
	}
	if w := all[0].Messages[1].Weight; w == nil || *w != 0 {
		t.Errorf("weight %v", w)
	}
	for split, n := range v.Counts {
		if part := h.all("clinic", 1, split); len(part) != n {
			t.Errorf("split %s has %d examples, counted %d", split, len(part), n)
		}
	}
	if d := ok(h.Dataset("clinic"))(t); d.Latest != 1 {
		t.Errorf("dataset %+v", d)
	}
}

func TestVersionErrors(t *testing.T) {
	h := open(t)
	ctx := context.Background()
	one := someExamples(t, 1, "x")
	for name, n := range map[string]store.NewVersion{
		"no name":     {Examples: one},
		"no examples": {Dataset: "d"},
		"bad split":   {Dataset: "d", Examples: []store.NewExample{{Split: "half", Messages: one[0].Messages}}},
		"no messages": {Dataset: "d", Examples: []store.NewExample{{}}},
		"bad report":  {Dataset: "d", Examples: one, Report: []byte("{")},
	} {
		if _, err := h.CreateVersion(ctx, n); !errors.Is(err, store.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, n := range map[string]store.NewVersion{
		"parent":   {Dataset: "d", Examples: one, Parent: 1},
		"file":     {Dataset: "d", Examples: one, FileID: "file-no"},
		"feedback": {Dataset: "d", Examples: one, Applied: []string{"fb-no"}},
	} {
		if _, err := h.CreateVersion(ctx, n); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := h.Dataset("d")
	want(t, err, store.ErrNotFound)
	if left := ok(h.RawKeys("example/"))(t); len(left) != 0 {
		t.Errorf("%d examples of refused versions are left", len(left))
	}
	h.version("d", one)
	_, err = h.Version("d", 2)
	want(t, err, store.ErrNotFound)
	_, err = h.Version("e", 0)
	want(t, err, store.ErrNotFound)
	_, err = h.Versions("e")
	want(t, err, store.ErrNotFound)
	for _, err := range h.Examples("d", 7, "") {
		want(t, err, store.ErrNotFound)
	}
}

// Rows come in order whatever the order they were given in, those without a row last.
func TestRowOrder(t *testing.T) {
	h := open(t)
	rows := []int{5, 0, 2, 9, 0, 2}
	var list []store.NewExample
	for i, r := range rows {
		list = append(list, example(t, r, "", fmt.Sprint("Question ", i), "Answer"))
	}
	h.version("d", list)
	var got []string
	for _, e := range h.all("d", 1, "") {
		got = append(got, fmt.Sprintf("%d:%s", e.Row, strings.TrimPrefix(e.Messages[0].Content, "Question ")))
	}
	if s := strings.Join(got, " "); s != "2:2 2:5 5:0 9:3 0:1 0:4" {
		t.Errorf("order %s", s)
	}
}

// The split of a group depends on its text only: the shares are near 80/10/10,
// and they are the same on every machine, so these numbers are fixed.
func TestSplitShares(t *testing.T) {
	h := open(t)
	v := h.version("d", someExamples(t, 2000, "x"))
	if v.Counts[store.Train] != 1619 || v.Counts[store.Valid] != 192 || v.Counts[store.Test] != 189 {
		t.Errorf("counts %v", v.Counts)
	}
	h.version("e", someExamples(t, 300, "x"))
	splits := map[string]store.Split{}
	for _, e := range h.all("d", 1, "") {
		splits[e.ID] = e.Split
	}
	for _, e := range h.all("e", 1, "") {
		if splits[e.ID] != e.Split {
			t.Fatalf("row %d is in %s in one dataset and %s in another", e.Row, splits[e.ID], e.Split)
		}
	}
}

// Near-duplicates share a split, and old groups keep theirs in every later
// version, even where the first one was given and not derived.
func TestFrozenSplits(t *testing.T) {
	h := open(t)
	first := someExamples(t, 100, "x")
	moved := 0
	for i := range first[:40] {
		first[i].Split = []store.Split{store.Test, store.Valid}[i%2]
		moved++
	}
	h.version("d", first)
	frozen := map[string]store.Split{}
	for _, e := range h.all("d", 0, "") {
		frozen[e.Group] = e.Split
	}
	if len(frozen) != 100 {
		t.Fatalf("%d groups", len(frozen))
	}
	// The second version has half of them, in other words, and new ones; the third the first ones again.
	second := someExamples(t, 150, "x")[50:]
	for i := range second {
		second[i].Messages[0].Content = masked(t, fmt.Sprint("In other words, number ", i))
	}
	h.version("d", second)
	v := h.version("d", someExamples(t, 150, "x"))
	if v.Number != 3 {
		t.Errorf("number %d", v.Number)
	}
	for n := 2; n <= 3; n++ {
		known := 0
		for _, e := range h.all("d", n, "") {
			if s, ok := frozen[e.Group]; ok {
				known++
				if s != e.Split {
					t.Errorf("version %d: group %s went from %s to %s", n, e.Group, s, e.Split)
				}
			}
		}
		if known != []int{50, 100}[n-2] {
			t.Errorf("version %d has %d old groups", n, known)
		}
	}
}

// Examples can be copied from version to version: their groups and ids stay.
func TestCopyExamples(t *testing.T) {
	h := open(t)
	h.version("d", someExamples(t, 30, "x"))
	old := h.all("d", 1, "")
	var list []store.NewExample
	for _, e := range old {
		n := example(t, e.Row, e.Group, e.Messages[0].Content, e.Messages[1].Content)
		list = append(list, n)
	}
	h.version("d", list)
	for i, e := range h.all("d", 2, "") {
		if e.ID != old[i].ID || e.Group != old[i].Group || e.Split != old[i].Split {
			t.Fatalf("example %d became %+v", i, e)
		}
	}
}

// A version that is larger than a transaction of Badger by far.
func TestLargeVersion(t *testing.T) {
	h := open(t)
	const n = 12000
	list := someExamples(t, 50, "x")
	for len(list) < n {
		e := list[len(list)%50]
		e.Row = len(list) + 2
		list = append(list, e)
	}
	text := strings.Repeat("A long answer of the house. ", 40)
	for i := range 5 {
		list[i].Messages = slices.Clone(list[i].Messages)
		list[i].Messages[1].Content = masked(t, strings.Repeat(text, 100))
	}
	v := h.version("big", list)
	if sum := v.Counts[store.Train] + v.Counts[store.Valid] + v.Counts[store.Test]; sum != n {
		t.Errorf("counted %d", sum)
	}
	rows := 0
	for e, err := range h.Examples("big", 1, "") {
		no(t, err)
		if e.Row != rows+2 {
			t.Fatalf("row %d at place %d", e.Row, rows)
		}
		rows++
	}
	if rows != n {
		t.Errorf("%d rows came back", rows)
	}
}

// cancelled is a context that ends after some looks at it.
type cancelled struct {
	context.Context
	left int
}

func (c *cancelled) Err() error {
	if c.left--; c.left < 0 {
		return context.Canceled
	}
	return nil
}

func TestVersionCancelled(t *testing.T) {
	h := open(t)
	h.version("d", someExamples(t, 10, "x"))
	before := ok(h.RawKeys(""))(t)
	ctx := &cancelled{context.Background(), 3}
	_, err := h.CreateVersion(ctx, store.NewVersion{Dataset: "d", Examples: someExamples(t, 2000, "y")})
	want(t, err, context.Canceled)
	after := ok(h.RawKeys(""))(t)
	if !slices.Equal(slices.Sorted(maps.Keys(before)), slices.Sorted(maps.Keys(after))) {
		t.Errorf("%d keys before, %d after", len(before), len(after))
	}
}

// What a crash left in staging is gone after Open, and nobody sees it before.
func TestStagedLeftovers(t *testing.T) {
	h := open(t)
	h.version("d", someExamples(t, 10, "x"))
	before := ok(h.RawKeys(""))(t)
	no(t, h.RawSet("stage/set-left", []byte("staged")))
	for i := range 5000 {
		if i%1000 == 0 {
			no(t, h.RawSet(fmt.Sprintf("example/set-left\x00%016x", i), []byte("{}")))
		}
	}
	no(t, h.RawSet("group/set-left\x00g", []byte("train")))
	h.check() // a marked set is no damage
	h.reopen()
	after := ok(h.RawKeys(""))(t)
	if !slices.Equal(slices.Sorted(maps.Keys(before)), slices.Sorted(maps.Keys(after))) {
		t.Errorf("%d keys before, %d after", len(before), len(after))
	}
}

func TestDeleteDataset(t *testing.T) {
	h := open(t)
	empty := ok(h.RawKeys(""))(t)
	for range 3 {
		h.version("d", someExamples(t, 20, "x"))
	}
	base := h.base("m")
	j := ok(h.CreateJob(store.Job{Base: base, Dataset: "d", Version: 2, Status: store.JobFailed}))(t)
	err := h.DeleteDataset("d")
	want(t, err, store.ErrReferenced)
	if !strings.Contains(err.Error(), j.ID) {
		t.Errorf("the error does not say which: %v", err)
	}
	ok(h.UpdateJob(j.ID, func(j *store.Job) error { j.Dataset, j.Version = "", 0; return nil }))(t)
	e := ok(h.PutEvaluation(store.Evaluation{Model: base, Dataset: "d"}))(t)
	want(t, h.DeleteDataset("d"), store.ErrReferenced)
	no(t, h.RawDelete("evaluation/"+e.ID))
	for k := range ok(h.RawKeys("evaluation."))(t) {
		no(t, h.RawDelete(k))
	}
	no(t, h.DeleteDataset("d"))
	want(t, h.DeleteDataset("d"), store.ErrNotFound)
	for k := range ok(h.RawKeys(""))(t) {
		if empty[k] == nil && !strings.HasPrefix(k, "base/") && !strings.HasPrefix(k, "job") {
			t.Errorf("%q is left", k)
		}
	}
	if v := h.version("d", someExamples(t, 3, "x")); v.Number != 1 {
		t.Errorf("a new dataset of the same name begins with version %d", v.Number)
	}
}

// The corrections that a version takes up are marked with it or not at all.
func TestApplied(t *testing.T) {
	h := open(t)
	a := ok(h.PutAnswer(store.NewAnswer{Model: h.base("m")}))(t)
	f := ok(h.PutFeedback(store.NewFeedback{AnswerID: a.ID, Correction: masked(t, "Better.")}))(t)
	_, err := h.CreateVersion(context.Background(), store.NewVersion{Dataset: "d", Examples: someExamples(t, 3, "x"), Applied: []string{f.ID, "fb-no"}})
	want(t, err, store.ErrNotFound)
	if got := ok(h.Feedback(f.ID))(t); got.AppliedTo != "" {
		t.Errorf("marked by a version that does not exist: %+v", got)
	}
	ok(h.CreateVersion(context.Background(), store.NewVersion{Dataset: "d", Examples: someExamples(t, 3, "x"), Applied: []string{f.ID}}))(t)
	if got := ok(h.Feedback(f.ID))(t); got.AppliedTo != "d@1" || got.Correction != "Better." {
		t.Errorf("feedback %+v", got)
	}
}

// An iterator sees one state, may be left early, and the store may be used inside of it.
func TestExamplesIterator(t *testing.T) {
	h := open(t)
	h.version("d", someExamples(t, 50, "x"))
	n := 0
	for e, err := range h.Examples("d", 0, "") {
		no(t, err)
		if n == 0 {
			h.version("d", someExamples(t, 3, "y"))
			no(t, h.DeleteDataset("d"))
		}
		if n++; e.Row != n+1 {
			t.Fatalf("row %d at place %d", e.Row, n)
		}
	}
	if n != 50 {
		t.Errorf("%d examples", n)
	}
	h.version("d", someExamples(t, 50, "x"))
	for range h.Examples("d", 0, "") {
		break
	}
}

// The examples of a version are all of one kind, and a judgement is part of an
// example's identity.
func TestKinds(t *testing.T) {
	s := open(t)
	yes, no := true, false
	plain, pair := example(t, 1, "a", "Q", "A"), example(t, 2, "b", "Q", "B")
	good, bad := example(t, 3, "c", "Q", "C"), example(t, 4, "c", "Q", "C")
	pair.Rejected = masked(t, "Not this.")
	good.Desirable, bad.Desirable = &yes, &no
	for kind, list := range map[store.Kind][]store.NewExample{store.Answers: {plain}, store.Pairs: {pair}, store.Judged: {good, bad}} {
		v, err := s.CreateVersion(t.Context(), store.NewVersion{Dataset: "d" + string(kind), Origin: "import", Examples: list})
		if err != nil || v.Kind != kind {
			t.Fatalf("kind %q, want %q (%v)", v.Kind, kind, err)
		}
		ids := map[string]bool{}
		for e, err := range s.Examples(v.Dataset, 0, "") {
			if err != nil || e.Kind() != kind {
				t.Errorf("an example of kind %q, want %q (%v)", e.Kind(), kind, err)
			}
			ids[e.ID] = true
		}
		if len(ids) != len(list) {
			t.Errorf("%d ids for %d examples", len(ids), len(list))
		}
	}
	if _, err := s.CreateVersion(t.Context(), store.NewVersion{Dataset: "mixed", Origin: "import", Examples: []store.NewExample{plain, pair}}); !errors.Is(err, store.ErrInvalid) {
		t.Errorf("a mixed version: %v", err)
	}
	if err := s.Check(t.Context()); err != nil {
		t.Error(err)
	}
}
