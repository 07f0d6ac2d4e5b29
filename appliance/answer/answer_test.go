package answer_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"cloister/appliance/answer"
	"cloister/appliance/appliancetest"
	"cloister/appliance/datasets"
	"cloister/appliance/engine"
	"cloister/appliance/fault"
	"cloister/appliance/models"
	"cloister/llama/chat"
	"cloister/store"
)

// one is a registry of one model.
type one struct{ engine *appliancetest.Engine }

func (o one) Resolve(name string) (models.Resolved, error) {
	if name != "large" {
		return models.Resolved{}, models.ErrUnknownModel
	}
	return models.Resolved{Base: store.BaseModel{Name: "large"}}, nil
}

func (o one) Engine(context.Context, models.Resolved) (engine.Engine, error) { return o.engine, nil }

const number = "010-9876-5432" // invented

// clinic is a store with a dataset of 60 questions.
func clinic(t *testing.T) (*store.Store, *datasets.Service, store.Version) {
	t.Helper()
	st, _ := appliancetest.Store(t)
	sets := datasets.New(st, appliancetest.Masking(t, st))
	var b strings.Builder
	b.WriteString("question,answer\n")
	for i := range 60 {
		fmt.Fprintf(&b, "Where is room %d?,On floor %d.\n", i, i%7)
	}
	v, err := sets.Import(t.Context(), datasets.ImportRequest{Name: "clinic", FileName: "a.csv"}, strings.NewReader(b.String()))
	if err != nil {
		t.Fatal(err)
	}
	return st, sets, v
}

// The teacher's answers take the place of those to learn and to validate with,
// masked; test examples stay; splits stay; what does not end is left out.
func TestRun(t *testing.T) {
	st, sets, source := clinic(t)
	e := &appliancetest.Engine{Slots: 3, Answer: func(_ string, messages []chat.Message) (string, error) {
		q := messages[len(messages)-1].Content
		if messages[len(messages)-1].Role != "user" {
			return "", errors.New("the last turn is no question")
		}
		if strings.Contains(q, "room 7?") {
			return "", &engine.ContextError{}
		}
		return "The teacher says: call " + number + " about " + q, nil
	}}
	service := answer.New(one{e}, sets)
	last := 0
	v, err := service.Run(t.Context(), datasets.AnswerRequest{Dataset: "clinic", Model: "large", Name: "taught"}, func(done, total int) {
		if done != last+1 || total != source.Counts[store.Train]+source.Counts[store.Valid] {
			t.Errorf("progress %d of %d after %d", done, total, last)
		}
		last = done
	})
	if err != nil {
		t.Fatal(err)
	}
	was := map[string]store.Split{}
	for ex, err := range st.Examples("clinic", 0, "") {
		if err != nil {
			t.Fatal(err)
		}
		was[ex.Messages[0].Content] = ex.Split
	}
	for ex, err := range st.Examples("taught", 0, "") {
		if err != nil {
			t.Fatal(err)
		}
		text := ex.Messages[len(ex.Messages)-1].Content
		if ex.Split != was[ex.Messages[0].Content] {
			t.Errorf("row %d moved from %s to %s", ex.Row, was[ex.Messages[0].Content], ex.Split)
		}
		if taught := strings.HasPrefix(text, "The teacher says: call <PHONE"); taught != (ex.Split != store.Test) || strings.Contains(text, number) {
			t.Errorf("row %d of %s has the wrong answer", ex.Row, ex.Split)
		}
	}
	rep, err := sets.Report("taught", 0)
	if err != nil || rep.Answered == nil {
		t.Fatal(rep, err)
	}
	a := *rep.Answered
	left := 0
	if was["Where is room 7?"] != store.Test {
		left = 1
	}
	if a.Model != "large" || a.Source != "clinic@1" || a.Left != left || a.Answered != last-left || a.Kept != source.Counts[store.Test] || v.Origin != "answered" {
		t.Errorf("report %+v of a version by %q", a, v.Origin)
	}
	if err := st.Check(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestRunRefuses(t *testing.T) {
	_, sets, _ := clinic(t)
	e := &appliancetest.Engine{Answer: func(string, []chat.Message) (string, error) { return "", &engine.ContextError{} }}
	service := answer.New(one{e}, sets)
	_, err := service.Run(t.Context(), datasets.AnswerRequest{Dataset: "clinic", Model: "large", Name: "silent"}, nil)
	if f, ok := errors.AsType[*fault.Error](err); !ok || f.Code != "no_examples" {
		t.Errorf("a teacher without answers: %v", err)
	}
	for name, req := range map[string]datasets.AnswerRequest{
		"model": {Dataset: "clinic", Model: "nobody", Name: "x"}, "dataset": {Dataset: "nowhere", Model: "large", Name: "x"}, "name": {Dataset: "clinic", Model: "large", Name: "a/b"},
	} {
		if _, err := service.Run(t.Context(), req, nil); err == nil {
			t.Errorf("another %s is accepted", name)
		}
	}
}
