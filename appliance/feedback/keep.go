package feedback

import (
	"context"

	"cloister/llama/chat"
	"cloister/store"
)

// Served is an answer that was given, with the conversation before it, in the
// words of the user and the model.
type Served struct {
	ID       string // "chatcmpl-…", by which it can be rated
	Model    string // adapter or base that answered
	Alias    string // by which it was asked, if it was one
	Messages []chat.Message
	Answer   string
}

// Keep stores an answer, masked as one record, so that it can be rated.
func (s *Service) Keep(_ context.Context, a Served) error {
	texts := make([]string, 0, len(a.Messages)+1)
	for _, m := range a.Messages {
		texts = append(texts, m.Content)
	}
	masked, _, err := s.mask.MaskRecord(append(texts, a.Answer))
	if err != nil {
		return err
	}
	out := store.NewAnswer{ID: a.ID, Model: a.Model, Alias: a.Alias, Answer: masked[len(a.Messages)]}
	for i, m := range a.Messages {
		out.Messages = append(out.Messages, store.NewMessage{Role: m.Role, Content: masked[i]})
	}
	_, err = s.st.PutAnswer(out)
	return err
}
