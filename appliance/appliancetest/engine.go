package appliancetest

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"sync"

	"cloister/appliance/engine"
	"cloister/llama/chat"
)

// Engine is an engine.Engine whose answers a test decides. It is strict about
// adapters as a real one is: an adapter must be loaded, from a file that is
// there, before it answers.
type Engine struct {
	// Answer gives the answer of the base ("") or of an adapter. A request whose
	// answer has begun ends with an assistant's message that holds the beginning.
	Answer func(adapter string, messages []chat.Message) (string, error)
	// Loss gives the loss sum and the tokens of a conversation; nil: 1 for
	// each word of the last turn.
	Loss func(adapter string, messages []chat.Message) (engine.Score, error)
	// Slots is the number of requests at a time; 0: 1.
	Slots int

	mu       sync.Mutex
	adapters map[string]string
	loads    int
	busy     int
	most     int
	closed   bool
}

var _ engine.Engine = (*Engine)(nil)

// Info implements engine.Engine.
func (e *Engine) Info(context.Context) (engine.Info, error) {
	return engine.Info{Architecture: "llama", ServeContext: 256, ParallelSlots: max(1, e.Slots)}, nil
}

// begin checks a request and counts it as running.
func (e *Engine) begin(ctx context.Context, adapter string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return engine.ErrClosed
	}
	if _, ok := e.adapters[adapter]; adapter != "" && !ok {
		return engine.ErrNoAdapter
	}
	e.busy++
	e.most = max(e.most, e.busy)
	return nil
}

func (e *Engine) end() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.busy--
}

// Chat implements engine.Engine.
func (e *Engine) Chat(ctx context.Context, req engine.ChatRequest, emit func(engine.Chunk) error) (engine.ChatResult, error) {
	if err := e.begin(ctx, req.Adapter); err != nil {
		return engine.ChatResult{}, err
	}
	defer e.end()
	messages := req.Messages
	if req.Begun != "" {
		messages = append(slices.Clip(messages), chat.Message{Role: "assistant", Content: req.Begun})
	}
	text, err := e.Answer(req.Adapter, messages)
	if err != nil {
		return engine.ChatResult{}, err
	}
	result := engine.ChatResult{Text: text, FinishReason: "stop", CompletionTokens: len(strings.Fields(text))}
	if req.MaxTokens > 0 && result.CompletionTokens >= req.MaxTokens {
		result.FinishReason = "length"
	}
	if emit != nil {
		err = emit(engine.Chunk{Text: text})
	}
	return result, err
}

// CountTokens implements engine.Engine: a token a word.
func (e *Engine) CountTokens(_ context.Context, messages []chat.Message) (int, error) {
	n := 0
	for _, m := range messages {
		n += len(strings.Fields(m.Content))
	}
	return n, nil
}

// Score implements engine.Engine.
func (e *Engine) Score(ctx context.Context, adapter string, messages []chat.Message) (engine.Score, error) {
	if err := e.begin(ctx, adapter); err != nil {
		return engine.Score{}, err
	}
	defer e.end()
	if e.Loss != nil {
		return e.Loss(adapter, messages)
	}
	n := len(strings.Fields(messages[len(messages)-1].Content))
	return engine.Score{LossSum: float64(n), Tokens: n}, nil
}

// LoadAdapter implements engine.Engine.
func (e *Engine) LoadAdapter(_ context.Context, name, path string) error {
	if _, err := os.Stat(path); err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.adapters == nil {
		e.adapters = map[string]string{}
	}
	e.adapters[name] = path
	e.loads++
	return nil
}

// UnloadAdapter implements engine.Engine.
func (e *Engine) UnloadAdapter(_ context.Context, name string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if _, ok := e.adapters[name]; !ok {
		return engine.ErrNoAdapter
	}
	delete(e.adapters, name)
	return nil
}

// Close implements engine.Engine.
func (e *Engine) Close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return errors.New("closed twice")
	}
	e.closed = true
	return nil
}

// Loads is how often LoadAdapter was called.
func (e *Engine) Loads() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.loads
}

// Adapters names the adapters that are loaded, in order.
func (e *Engine) Adapters() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	var names []string
	for name := range e.adapters {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Most is the highest number of requests that ran at the same time.
func (e *Engine) Most() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.most
}

// Closed reports whether Close was called.
func (e *Engine) Closed() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.closed
}
