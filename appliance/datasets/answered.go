package datasets

import (
	"context"
	"fmt"

	"cloister/appliance/fault"
	"cloister/llama/chat"
	"cloister/store"
)

// AnswerRequest asks for a dataset's questions with a model's answers to them,
// as a new version: what a smaller model then learns from a larger one. It is
// the admin API's wire type as well.
type AnswerRequest struct {
	Dataset   string `json:"dataset"`
	Version   int    `json:"version,omitempty"` // 0: the newest
	Model     string `json:"model"`             // who answers
	Name      string `json:"name"`              // of the dataset that gets the new version
	MaxTokens int    `json:"max_tokens,omitempty"`
}

// AnsweredReport says where the answers of a version come from.
type AnsweredReport struct {
	Model    string `json:"model"`    // who answered
	Source   string `json:"source"`   // the version with the questions
	Answered int    `json:"answered"` // examples with its answers
	// Left counts questions without an answer that ended in time: they are left out.
	Left int `json:"left"`
	// Kept counts test examples, which keep the answers of people, so that what
	// is measured on them stays the truth.
	Kept int `json:"kept"`
}

// question is an example that somebody else is to answer.
type question struct {
	example  store.Example
	messages []store.Message // through the last question
}

// Answered makes the version. ask, called once, answers conversations that end
// with a question; an empty text is no answer.
func (s *Service) Answered(ctx context.Context, req AnswerRequest, ask func(ctx context.Context, questions [][]chat.Message) ([]string, error)) (store.Version, error) {
	if !goodName.MatchString(req.Name) {
		return store.Version{}, fault.New(fault.Invalid, "", "name", "%q is not a good name for a dataset: use 1 to 64 letters, digits, points, dashes and underscores, a letter or digit first.", req.Name)
	}
	v, err := s.version(req.Dataset, req.Version)
	if err != nil {
		return store.Version{}, err
	}
	asked, kept, err := s.questions(v)
	if err != nil {
		return store.Version{}, err
	}
	var texts [][]chat.Message
	for _, q := range asked {
		var messages []chat.Message
		for _, m := range q.messages {
			messages = append(messages, chat.Message{Role: m.Role, Content: m.Content})
		}
		texts = append(texts, messages)
	}
	answers, err := ask(ctx, texts)
	if err != nil {
		return store.Version{}, err
	}
	rep := AnsweredReport{Model: req.Model, Source: fmt.Sprintf("%s@%d", v.Dataset, v.Number), Kept: len(kept)}
	b := newBuilder(s.mask)
	for i, q := range asked {
		if answers[i] == "" {
			rep.Left++
			continue
		}
		rep.Answered++
		if err := b.addStored(q.example.Row, q.example.Group, q.example.Split, withAnswer(q.messages, answers[i]), store.Judgement{}); err != nil {
			return store.Version{}, err
		}
	}
	if rep.Answered == 0 {
		return store.Version{}, fault.New(fault.Invalid, "no_examples", "", "%s gave no answer that ended within the limit of tokens, to %d questions.", req.Model, len(asked))
	}
	for _, ex := range kept {
		if err := b.addStored(ex.Row, ex.Group, ex.Split, ex.Messages, store.Judgement{}); err != nil {
			return store.Version{}, err
		}
	}
	s.making.Lock()
	defer s.making.Unlock()
	parent, err := s.latest(req.Name)
	if err != nil {
		return store.Version{}, err
	}
	return s.create(ctx, b, store.NewVersion{Dataset: req.Name, Parent: parent, Origin: "answered"}, Report{Answered: &rep})
}

// questions takes a version apart: what is to be answered, and test examples,
// which stay as they are. Of an undesirable answer the question counts.
func (s *Service) questions(v store.Version) (asked []question, kept []store.Example, err error) {
	for ex, err := range s.st.Examples(v.Dataset, v.Number, "") {
		if err != nil {
			return nil, nil, err
		}
		if ex.Split == store.Test {
			if ex.Desirable == nil || *ex.Desirable {
				kept = append(kept, ex)
			}
			continue
		}
		end := len(ex.Messages)
		for end > 0 && ex.Messages[end-1].Role != "user" {
			end--
		}
		if end > 0 {
			asked = append(asked, question{ex, ex.Messages[:end]})
		}
	}
	return asked, kept, nil
}
