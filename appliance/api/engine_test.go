package api_test

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"cloister/appliance/appliancetest"
	"cloister/appliance/engine"
	"cloister/llama/chat"
	"cloister/lora/train"
)

// scripted is an engine whose answers follow from the last message, so that a
// test of HTTP decides what happens. A word with the space after it is a token.
// The real engines have their own tests, and serve in the end-to-end tests.
//
//	say X          the answer is X
//	seed           the answer is the seed
//	who            the answer is the adapter's name
//	last system    the answer is the system prompt
//	die            the worker dies after the first word
//	stuck          nothing comes until the request is cancelled
//	refuse         the template does not take the messages
//	removed        the adapter is not loaded any more
//	panic          the engine panics
type scripted struct {
	*appliancetest.Engine
	context   int
	before    func(word int) // called before each word; may be nil
	mu        sync.Mutex
	running   int
	cancelled int
	requests  []engine.ChatRequest
}

func newScripted() *scripted {
	e := &scripted{Engine: &appliancetest.Engine{}, context: 256}
	e.Loss = func(adapter string, messages []chat.Message) (engine.Score, error) {
		score := engine.Score{Tokens: len(strings.Fields(messages[len(messages)-1].Content))}
		score.LossSum = float64(score.Tokens)
		if adapter == "" {
			score.LossSum *= 2 // what was tuned is better
		}
		return score, nil
	}
	return e
}

func (e *scripted) Info(context.Context) (engine.Info, error) {
	return engine.Info{Architecture: "llama", ServeContext: e.context, TrainContext: e.context, ParallelSlots: 4}, nil
}

func (e *scripted) CountTokens(_ context.Context, messages []chat.Message) (int, error) {
	n := 0
	for _, m := range messages {
		n += 4 + len(strings.Fields(m.Content))
	}
	return n, nil
}

func (e *scripted) Chat(ctx context.Context, req engine.ChatRequest, emit func(engine.Chunk) error) (engine.ChatResult, error) {
	e.begin(req)
	defer e.end(ctx)
	prompt, err := e.CountTokens(ctx, req.Messages)
	if err != nil {
		return engine.ChatResult{}, err
	}
	if prompt >= e.context {
		return engine.ChatResult{}, &engine.ContextError{Limit: e.context, Prompt: prompt}
	}
	result := engine.ChatResult{FinishReason: "stop", PromptTokens: prompt, CachedTokens: 1}
	last := req.Messages[len(req.Messages)-1].Content
	switch last {
	case "stuck":
		<-ctx.Done()
		return result, ctx.Err()
	case "refuse":
		return result, fmt.Errorf("%w: roles must alternate", engine.ErrTemplate)
	case "removed":
		return result, fmt.Errorf("%w: ft:tiny", engine.ErrNoAdapter)
	case "panic":
		panic("secret text of the request")
	}
	for i, word := range strings.SplitAfter(e.answer(req, last), " ") {
		if req.MaxTokens > 0 && i == req.MaxTokens {
			result.FinishReason = "length"
			break
		}
		if e.before != nil {
			e.before(i)
		}
		if last == "die" && i == 1 {
			return result, fmt.Errorf("in a test: %w", engine.ErrWorkerDied)
		}
		if cut, stop := stopAt(word, req.Stop); stop {
			word = cut
			if word == "" {
				break
			}
		}
		chunk := engine.Chunk{Text: word}
		if req.Logprobs {
			chunk.Logprobs = []engine.TokenLogprob{logprobs(word, req.TopLogprobs)}
		}
		result.Text += word
		result.CompletionTokens++
		if emit != nil {
			if err := emit(chunk); err != nil {
				return result, err
			}
		}
		if err := ctx.Err(); err != nil {
			return result, err
		}
	}
	return result, nil
}

func (e *scripted) answer(req engine.ChatRequest, last string) string {
	text, said := strings.CutPrefix(last, "say ")
	switch {
	case said:
		return text
	case last == "who":
		return "adapter " + req.Adapter
	case last == "seed":
		if req.Sampling.Seed == nil {
			return "none"
		}
		return fmt.Sprint(*req.Sampling.Seed)
	case last == "last system":
		for _, m := range slices.Backward(req.Messages) {
			if m.Role == "system" {
				return m.Content
			}
		}
		return "none"
	}
	return "I heard " + last
}

func stopAt(word string, stops []string) (string, bool) {
	for _, s := range stops {
		if i := strings.Index(word, s); i >= 0 {
			return word[:i], true
		}
	}
	return word, false
}

func logprobs(word string, top int) engine.TokenLogprob {
	out := engine.TokenLogprob{Token: word, Bytes: []byte(word), Logprob: -0.5}
	for i := range top {
		out.Top = append(out.Top, engine.TokenLogprob{Token: fmt.Sprint(i), Bytes: []byte{byte('0' + i)}, Logprob: -float64(i) - 0.5})
	}
	return out
}

func (e *scripted) begin(req engine.ChatRequest) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.running++
	e.requests = append(e.requests, req)
}

func (e *scripted) end(ctx context.Context) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.running--
	if ctx.Err() != nil {
		e.cancelled++
	}
}

// last is the last request that came.
func (e *scripted) last() engine.ChatRequest {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.requests[len(e.requests)-1]
}

// state is the number of requests that run and that were cancelled.
func (e *scripted) state() (running, cancelled int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.running, e.cancelled
}

// resolving is a trainer that learns nothing and says what it chose.
type resolving struct{ *appliancetest.Trainer }

func (r resolving) Train(ctx context.Context, req train.Request, emit func(train.Event)) (train.Result, error) {
	out, err := r.Trainer.Train(ctx, req, emit)
	out.Resolved.BatchSize = cmp.Or(out.Resolved.BatchSize, 4)
	out.Resolved.LearningRateMultiplier = cmp.Or(out.Resolved.LearningRateMultiplier, 1)
	return out, err
}

// eventually waits until f is true.
func eventually(f func() bool) bool {
	for range 200 {
		if f() {
			return true
		}
		time.Sleep(10 * time.Millisecond)
	}
	return false
}
