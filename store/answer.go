package store

import (
	"time"

	"cloister/store/pii"
)

// Message is one turn of an example or of an answered conversation, masked.
type Message struct {
	Role    string `json:"role"`
	Content string `json:"content"`
	Weight  *int   `json:"weight,omitempty"` // 0 keeps an assistant turn out of the loss
}

// NewMessage is a turn to be stored. Only a masker makes its text.
type NewMessage struct {
	Role    string
	Content pii.Masked
	Weight  *int
}

func plain(messages []NewMessage) []Message {
	out := make([]Message, len(messages))
	for i, m := range messages {
		out[i] = Message{Role: m.Role, Content: m.Content.String(), Weight: m.Weight}
	}
	return out
}

// Answer is a served conversation, masked, kept so that it can be rated.
type Answer struct {
	ID        string    `json:"id"`    // the completion's id, "chatcmpl-…"
	Model     string    `json:"model"` // adapter or base that answered
	Alias     string    `json:"alias,omitempty"`
	Messages  []Message `json:"messages"`
	Answer    string    `json:"answer"`
	CreatedAt time.Time `json:"created_at"`
}

// NewAnswer is an answer to be stored.
type NewAnswer struct {
	ID       string // empty: one is given
	Model    string
	Alias    string
	Messages []NewMessage
	Answer   pii.Masked
	// CreatedAt is when it was given; zero: now.
	CreatedAt time.Time
}

var answers = kind[Answer]{
	noun:  "answer",
	at:    answerSpace,
	parts: func(a *Answer) []string { return []string{a.ID} },
	indexes: []index[Answer]{
		byTime(answerTimeSpace, func(a *Answer) time.Time { return a.CreatedAt }, func(a *Answer) string { return a.ID }),
	},
	gone: true,
}

func (a *Answer) refs(l *links) {
	l.model(l.strict, a.Model)
	to(l, aliases, a.Alias)
}

func (a *Answer) valid() error {
	if a.Model == "" {
		return invalid("answer", "it names no model")
	}
	return nil
}

// PutAnswer writes an answer.
func (s *Store) PutAnswer(n NewAnswer) (Answer, error) {
	a := Answer{ID: n.ID, Model: n.Model, Alias: n.Alias, Messages: plain(n.Messages), Answer: n.Answer.String(), CreatedAt: n.CreatedAt}
	identify(&a.ID, "chatcmpl-")
	stamp(&a.CreatedAt)
	// put and not create: the model may have been deleted while it answered.
	return a, s.update(func(x tx) error { return answers.put(x, &a) })
}

// Answer returns the answer with an id.
func (s *Store) Answer(id string) (Answer, error) {
	return viewing(s, func(x tx) (Answer, error) { return answers.get(x, id) })
}

// Answers returns a page of the answers, and whether there are more.
func (s *Store) Answers(p Page) ([]Answer, bool, error) { return answers.page(s, p, nil) }

// PurgeAnswers deletes the answers that were given before a time and returns
// their number. Judgements of them stay. When it ends early, what it has
// deleted is deleted whole, and the next call goes on.
func (s *Store) PurgeAnswers(before time.Time) (int, error) {
	const batch = 500 // answers in one transaction
	purged := 0
	for {
		n, err := s.purgeAnswers(before, batch)
		purged += n
		if err != nil || n < batch {
			return purged, err
		}
	}
}

func (s *Store) purgeAnswers(before time.Time, limit int) (n int, err error) {
	err = s.updateAlone(func(x tx) error {
		list, _, err := collect(answers.along(x, span{prefix: answerTimeSpace.under()}), limit, nil)
		if err != nil {
			return err
		}
		n = 0
		for _, a := range list {
			if !a.CreatedAt.Before(before) {
				break
			}
			if err := answers.remove(x, a.ID); err != nil {
				return err
			}
			n++
		}
		return nil
	})
	return n, err
}
