package evaluate

import (
	"context"
	"errors"

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
	return engine.Each(ctx, slots, len(r.cases), func(ctx context.Context, i int) error {
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
	result, err := engine.Retry(ctx, func() (engine.ChatResult, error) { return e.Chat(ctx, req, nil) })
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
	s, err := engine.Retry(ctx, func() (engine.Score, error) { return e.Score(ctx, adapter, messages) })
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
