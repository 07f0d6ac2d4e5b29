package evaluate

import (
	"context"
	"errors"
	"sync"

	"cloister/appliance/engine"
	"cloister/appliance/models"
	"cloister/llama/chat"
	"cloister/lora/eval"
)

// side points to what one model does with an item.
type side struct {
	answer    *string
	truncated *bool
	tokens    *int
	loss      *eval.Loss
}

// engine returns the engine of a model and how many requests it takes at once.
func (r *run) engine(ctx context.Context, m models.Resolved) (engine.Engine, int, error) {
	e, err := r.models.Engine(ctx, m)
	if err != nil {
		return nil, 0, err
	}
	info, err := e.Info(ctx)
	if err != nil {
		return nil, 0, err
	}
	return e, max(1, info.ParallelSlots), nil
}

// ask has a model answer every case and scores the expected answers. Models
// are asked one after the other, as an engine does not mix adapters in a batch.
func (r *run) ask(ctx context.Context, m models.Resolved, of func(*eval.Item) side) error {
	e, slots, err := r.engine(ctx, m)
	if err != nil {
		return err
	}
	return parallel(ctx, slots, len(r.cases), func(ctx context.Context, i int) error {
		c := &r.cases[i]
		to := of(&c.item)
		if err := r.answer(ctx, e, m.AdapterName(), c.messages, to); err != nil {
			return err
		}
		r.tick(1)
		defer r.tick(1)
		return r.score(ctx, e, m.AdapterName(), c.messages, to.loss)
	})
}

// answer asks for a greedy answer to all but the last turn.
func (r *run) answer(ctx context.Context, e engine.Engine, adapter string, messages []chat.Message, to side) error {
	req := engine.ChatRequest{
		Adapter: adapter, Messages: messages[:len(messages)-1],
		MaxTokens: r.req.MaxTokens,
	}
	result, err := retry(ctx, func() (engine.ChatResult, error) { return e.Chat(ctx, req, nil) })
	if r.tooLong(err) {
		return nil
	}
	if err != nil {
		return err
	}
	*to.answer, *to.tokens = result.Text, result.CompletionTokens
	*to.truncated = result.FinishReason == "length"
	return nil
}

// score measures the loss of the last turn.
func (r *run) score(ctx context.Context, e engine.Engine, adapter string, messages []chat.Message, to *eval.Loss) error {
	s, err := retry(ctx, func() (engine.Score, error) { return e.Score(ctx, adapter, messages) })
	if r.tooLong(err) {
		return nil
	}
	if err != nil {
		return err
	}
	to.Add(s.LossSum, s.Tokens)
	return nil
}

// tooLong notes a request that does not fit into the context.
func (r *run) tooLong(err error) bool {
	if _, ok := errors.AsType[*engine.ContextError](err); !ok {
		return false
	}
	r.skipped.Add(1)
	return true
}

// retry repeats a request whose worker died; the engine has a new one then.
func retry[T any](ctx context.Context, f func() (T, error)) (T, error) {
	for n := 1; ; n++ {
		v, err := f()
		if !errors.Is(err, engine.ErrWorkerDied) || n == tries || ctx.Err() != nil {
			return v, err
		}
	}
}

// parallel calls f for 0 to n-1, several at a time, and returns the first
// error after all calls have ended.
func parallel(ctx context.Context, workers, n int, f func(ctx context.Context, i int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	next := make(chan int)
	var wg sync.WaitGroup
	for range min(workers, n) {
		wg.Go(func() {
			for i := range next {
				if err := f(ctx, i); err != nil {
					cancel(err)
				}
			}
		})
	}
feed:
	for i := range n {
		select {
		case next <- i:
		case <-ctx.Done():
			break feed
		}
	}
	close(next)
	wg.Wait()
	return context.Cause(ctx)
}
