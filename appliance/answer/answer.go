// Package answer has a model answer the questions of a dataset, so that another
// one can learn its answers: distillation at the level of sequences (Kim and
// Rush, arXiv:1606.07947). The model may be of any family, as it is texts that
// are learnt; they are masked like all others.
//
// A Service is safe for concurrent use.
package answer

import (
	"context"
	"errors"
	"sync"

	"cloister/appliance/datasets"
	"cloister/appliance/engine"
	"cloister/appliance/models"
	"cloister/llama/chat"
	"cloister/store"
)

// defaultMaxTokens bounds an answer; one that does not end within it is left out.
const defaultMaxTokens = 512

// Models leads names to engines; *models.Registry is one.
type Models interface {
	Resolve(name string) (models.Resolved, error)
	Engine(ctx context.Context, m models.Resolved) (engine.Engine, error)
}

var _ Models = (*models.Registry)(nil)

// Service lets models answer.
type Service struct {
	models Models
	data   *datasets.Service
}

// New returns a Service.
func New(m Models, data *datasets.Service) *Service { return &Service{m, data} }

// Run makes the version. Answers are greedy. progress, which may be nil, is
// called with the number of questions that are answered and that there are, one
// call at a time.
func (s *Service) Run(ctx context.Context, req datasets.AnswerRequest, progress func(done, total int)) (store.Version, error) {
	m, err := s.models.Resolve(req.Model)
	if err != nil {
		return store.Version{}, err
	}
	req.Model = m.Name()
	if req.MaxTokens <= 0 {
		req.MaxTokens = defaultMaxTokens
	}
	return s.data.Answered(ctx, req, func(ctx context.Context, questions [][]chat.Message) ([]string, error) {
		e, err := s.models.Engine(ctx, m)
		if err != nil {
			return nil, err
		}
		info, err := e.Info(ctx)
		if err != nil {
			return nil, err
		}
		answers := make([]string, len(questions))
		var mu sync.Mutex
		done := 0
		err = engine.Each(ctx, max(1, info.ParallelSlots), len(questions), func(ctx context.Context, i int) error {
			var err error
			answers[i], err = ask(ctx, e, engine.ChatRequest{Adapter: m.AdapterName(), Messages: questions[i], MaxTokens: req.MaxTokens})
			mu.Lock()
			defer mu.Unlock()
			if done++; progress != nil {
				progress(done, len(questions))
			}
			return err
		})
		return answers, err
	})
}

// ask returns an answer; empty if it did not end, or the question does not fit.
func ask(ctx context.Context, e engine.Engine, req engine.ChatRequest) (string, error) {
	result, err := engine.Retry(ctx, func() (engine.ChatResult, error) { return e.Chat(ctx, req, nil) })
	if _, long := errors.AsType[*engine.ContextError](err); long || err == nil && result.FinishReason == "length" {
		return "", nil
	}
	return result.Text, err
}
