package api_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

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
//	panic          the engine panics
type scripted struct {
	context   int
	before    func(word int) // called before each word; may be nil
	mu        sync.Mutex
	adapters  []string
	running   int
	cancelled int
	requests  []engine.ChatRequest
}

var _ engine.Engine = (*scripted)(nil)

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

func (e *scripted) Score(_ context.Context, adapter string, messages []chat.Message) (engine.Score, error) {
	tokens := len(strings.Fields(messages[len(messages)-1].Content))
	loss := 2.0
	if adapter != "" {
		loss = 1
	}
	return engine.Score{LossSum: loss * float64(tokens), Tokens: tokens}, nil
}

func (e *scripted) LoadAdapter(_ context.Context, name, path string) error {
	if _, err := os.Stat(path); err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.adapters = append(e.adapters, name)
	return nil
}

func (e *scripted) UnloadAdapter(_ context.Context, name string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.adapters = slices.DeleteFunc(e.adapters, func(a string) bool { return a == name })
	return nil
}

func (e *scripted) Close() error { return nil }

// quick is a trainer that reports two epochs of two steps and writes files in
// the place of adapters. While hold is not closed it waits after the first step.
type quick struct {
	hold chan struct{}
	fail error
}

var _ engine.Trainer = (*quick)(nil)

func (q *quick) Train(ctx context.Context, req train.Request, emit func(train.Event)) (train.Result, error) {
	emit(train.Event{Kind: "choice", Choice: &train.Choice{Name: "n_epochs", Value: "2", Reason: "a test"}})
	out := train.Result{OutPath: req.OutPath, Steps: 4, TrainedTokens: 1234, BestEpoch: 2, Resolved: req.Hyperparameters}
	for step := 1; step <= 4; step++ {
		epoch := (step + 1) / 2
		emit(train.Event{Kind: "step", Step: step, TotalSteps: 4, Epoch: epoch, Epochs: 2, Loss: 2 / float64(step), Accuracy: 0.5, LearningRate: 1e-3})
		select {
		case <-q.hold:
		case <-ctx.Done():
			return out, ctx.Err()
		}
		if q.fail != nil {
			return out, q.fail
		}
		if step%2 == 0 {
			valid := 1 / float64(step)
			emit(train.Event{Kind: "epoch", Step: step, TotalSteps: 4, Epoch: epoch, Epochs: 2, Loss: 2 / float64(step), ValidLoss: &valid, ValidAccuracy: &valid})
			path := filepath.Join(req.WorkDir, fmt.Sprintf("epoch-%d.gguf", epoch))
			if err := os.WriteFile(path, []byte("adapter"), 0o600); err != nil {
				return out, err
			}
			out.Curve = append(out.Curve, train.EpochStat{Epoch: epoch, Step: step, TrainLoss: 2 / float64(step), ValidLoss: &valid})
			if epoch == 1 {
				out.Checkpoints = append(out.Checkpoints, train.Checkpoint{Step: step, Epoch: epoch, Path: path, TrainLoss: 1, ValidLoss: &valid})
			}
			emit(train.Event{Kind: "checkpoint", Step: step, Path: path})
		}
	}
	out.Resolved.Epochs, out.Resolved.BatchSize, out.Resolved.LearningRateMultiplier = 2, 4, 1
	return out, os.WriteFile(req.OutPath, []byte("adapter"), 0o600)
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
