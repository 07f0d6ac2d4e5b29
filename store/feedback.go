package store

import (
	"time"

	"cloister/store/pii"
)

// Feedback is a user's judgement of an answer.
type Feedback struct {
	ID         string `json:"id"` // "fb-…"
	AnswerID   string `json:"answer_id"`
	Rating     int    `json:"rating"`               // 1 (bad) to 5 (good); 0: none given
	Correction string `json:"correction,omitempty"` // masked
	Comment    string `json:"comment,omitempty"`    // masked
	By         string `json:"by,omitempty"`
	// AppliedTo is the dataset version that took the correction up, "name@3".
	AppliedTo string    `json:"applied_to,omitempty"`
	CreatedAt time.Time `json:"created_at"`
}

// NewFeedback is a judgement to be stored.
type NewFeedback struct {
	AnswerID   string
	Rating     int
	Correction pii.Masked
	Comment    pii.Masked
	By         string
	// CreatedAt is when it was given; zero: now.
	CreatedAt time.Time
}

var feedbacks = kind[Feedback]{
	noun:  "feedback",
	at:    feedbackSpace,
	parts: func(f *Feedback) []string { return []string{f.ID} },
	indexes: []index[Feedback]{
		byTime(feedbackTimeSpace, func(f *Feedback) time.Time { return f.CreatedAt }, func(f *Feedback) string { return f.ID }),
		{feedbackAnswerSpace, func(f *Feedback) []string { return []string{f.AnswerID, moment(f.CreatedAt), f.ID} }},
	},
}

func (f *Feedback) refs(l *links) { to(l, answers, f.AnswerID) }

func (f *Feedback) valid() error {
	switch {
	case f.AnswerID == "":
		return invalid("feedback", "it names no answer")
	case f.Rating < 0 || f.Rating > 5:
		return invalid("feedback", "the rating is %d: use 1 (bad) to 5 (good), or 0 for none", f.Rating)
	}
	return nil
}

// PutFeedback writes a new judgement of an answer that is kept. It gets an id.
func (s *Store) PutFeedback(n NewFeedback) (Feedback, error) {
	f := Feedback{
		ID: NewID("fb-"), AnswerID: n.AnswerID, Rating: n.Rating,
		Correction: n.Correction.String(), Comment: n.Comment.String(), By: n.By, CreatedAt: n.CreatedAt,
	}
	stamp(&f.CreatedAt)
	return f, s.update(func(x tx) error { return feedbacks.create(x, &f) })
}

// Feedback returns the judgement with an id.
func (s *Store) Feedback(id string) (Feedback, error) {
	return viewing(s, func(x tx) (Feedback, error) { return feedbacks.get(x, id) })
}

// Feedbacks returns a page of the judgements, and whether there are more.
func (s *Store) Feedbacks(p Page) ([]Feedback, bool, error) { return feedbacks.page(s, p, nil) }

// FeedbackSince returns the judgements that were given at a time or later, oldest first.
func (s *Store) FeedbackSince(t time.Time) ([]Feedback, error) {
	return feedbacks.list(s, span{prefix: feedbackTimeSpace.under(), after: feedbackTimeSpace.under(moment(t))})
}

// AnswerFeedback returns the judgements of an answer, oldest first.
func (s *Store) AnswerFeedback(answerID string) ([]Feedback, error) {
	return feedbacks.list(s, span{prefix: feedbackAnswerSpace.under(answerID)})
}

// markApplied writes the version that took a correction up.
func markApplied(x tx, id, version string) error {
	f, err := feedbacks.get(x, id)
	if err != nil {
		return err
	}
	f.AppliedTo = version
	return feedbacks.put(x, &f)
}
