package store_test

import (
	"testing"
	"time"

	"cloister/store"
)

func TestAnswersAndFeedback(t *testing.T) {
	h := open(t)
	base := h.base("m")
	old := time.Date(2026, 1, 1, 0, 0, 0, 0, time.FixedZone("KST", 9*3600))
	var ids []string
	for i := range 5 {
		a := ok(h.PutAnswer(store.NewAnswer{
			Model:     base,
			Messages:  []store.NewMessage{{Role: "user", Content: masked(t, "When do you open?")}},
			Answer:    masked(t, "At nine."),
			CreatedAt: old.AddDate(0, 0, i),
		}))(t)
		ids = append(ids, a.ID)
	}
	_, err := h.PutAnswer(store.NewAnswer{Model: "none"})
	want(t, err, store.ErrNotFound)
	_, err = h.PutAnswer(store.NewAnswer{})
	want(t, err, store.ErrInvalid)
	got := ok(h.Answer(ids[0]))(t)
	if got.Answer != "At nine." || got.Messages[0].Content != "When do you open?" || !got.CreatedAt.Equal(old) {
		t.Errorf("answer %+v", got)
	}
	list, more, err := h.Answers(store.Page{Limit: 2})
	if err != nil || !more || len(list) != 2 || list[0].ID != ids[4] {
		t.Errorf("page %+v %v %v", list, more, err)
	}

	f := ok(h.PutFeedback(store.NewFeedback{AnswerID: ids[0], Rating: 1, Correction: masked(t, "At eight."), CreatedAt: old}))(t)
	g := ok(h.PutFeedback(store.NewFeedback{AnswerID: ids[0], Rating: 5, CreatedAt: old.Add(time.Hour)}))(t)
	for _, bad := range []store.NewFeedback{{}, {AnswerID: ids[0], Rating: 6}, {AnswerID: ids[0], Rating: -1}} {
		_, err := h.PutFeedback(bad)
		want(t, err, store.ErrInvalid)
	}
	_, err = h.PutFeedback(store.NewFeedback{AnswerID: "chatcmpl-no"})
	want(t, err, store.ErrNotFound)
	if list := ok(h.AnswerFeedback(ids[0]))(t); len(list) != 2 || list[0].ID != f.ID {
		t.Errorf("of the answer %+v", list)
	}
	if list := ok(h.FeedbackSince(old.Add(time.Hour)))(t); len(list) != 1 || list[0].ID != g.ID {
		t.Errorf("since %+v", list)
	}
	if list := ok(h.FeedbackSince(old.Add(-time.Hour)))(t); len(list) != 2 {
		t.Errorf("since long %+v", list)
	}
	if list, _, err := h.Feedbacks(store.Page{}); err != nil || len(list) != 2 || list[0].ID != g.ID {
		t.Errorf("newest first %+v %v", list, err)
	}
}

func TestPurgeAnswers(t *testing.T) {
	h := open(t)
	base := h.base("m")
	day := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	const n = 620 // more than one transaction of it
	var first string
	for i := range n {
		a := ok(h.PutAnswer(store.NewAnswer{Model: base, CreatedAt: day.Add(time.Duration(i) * time.Minute)}))(t)
		if i == 0 {
			first = a.ID
		}
	}
	f := ok(h.PutFeedback(store.NewFeedback{AnswerID: first, Rating: 2}))(t)
	if got := ok(h.PurgeAnswers(day))(t); got != 0 {
		t.Errorf("%d answers were before the first", got)
	}
	if got := ok(h.PurgeAnswers(day.Add(610 * time.Minute)))(t); got != 610 {
		t.Errorf("%d answers purged, want 610", got)
	}
	if list, _, err := h.Answers(store.Page{}); err != nil || len(list) != 10 {
		t.Errorf("%d answers are left, %v", len(list), err)
	}
	_, err := h.Answer(first)
	want(t, err, store.ErrNotFound)
	if got := ok(h.Feedback(f.ID))(t); got.Rating != 2 {
		t.Errorf("feedback of a purged answer: %+v", got)
	}
	_, err = h.PutFeedback(store.NewFeedback{AnswerID: first, Rating: 2})
	want(t, err, store.ErrNotFound)
	if got := ok(h.PurgeAnswers(day.AddDate(1, 0, 0)))(t); got != 10 {
		t.Errorf("%d answers purged at last", got)
	}
}
