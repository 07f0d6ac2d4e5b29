// Package sched serves many requests with one llama.Context: continuous
// batching, a prefix cache for each slot, an adapter for each request.
//
// One goroutine, the loop, owns the context. Callers hand it tasks and read
// their answers from a channel with room for all of them, so a slow reader
// never holds up the others. llama.cpp cannot mix adapters in one batch: the
// loop serves one adapter's slots for a few steps and then the next one's.
// A slot keeps the tokens of its last request, and a request that begins with
// the same tokens under the same adapter does not compute them again.
//
// All exported methods are safe for concurrent use.
package sched

import (
	"context"
	"errors"
	"fmt"
	"math"

	"cloister/llama"
	"cloister/llama/chat"
)

// ErrClosed is returned to requests of a scheduler that has been closed.
var ErrClosed = errors.New("the engine has been closed")

// ErrNoAdapter is wrapped in errors that name an adapter which is not loaded.
var ErrNoAdapter = errors.New("no such adapter is loaded")

// ContextError says that a prompt leaves no room for an answer in the context.
type ContextError struct {
	Limit  int `json:"limit"`  // tokens that fit
	Prompt int `json:"prompt"` // tokens of the prompt; of one far too long, the fewest that it can have
}

func (e *ContextError) Error() string {
	return fmt.Sprintf("This model's maximum context length is %d tokens. However, your messages resulted in %d tokens.", e.Limit, e.Prompt)
}

// Request asks for one answer.
type Request struct {
	// Adapter is a name given to LoadAdapter; empty means the base model.
	Adapter  string         `json:"adapter,omitempty"`
	Messages []chat.Message `json:"messages"`
	// Begun is what the answer begins with; Chat gives what follows it.
	Begun     string         `json:"begun,omitempty"`
	Sampling  llama.Sampling `json:"sampling"`
	MaxTokens int            `json:"max_tokens"` // 0: until the end token or the end of the context
	Stop      []string       `json:"stop,omitempty"`
	IgnoreEOS bool           `json:"ignore_eos,omitempty"`
	// Schema is a JSON schema, as text, that the answer follows; empty: any text.
	// An answer that ends for its length is the beginning of one that does.
	Schema string `json:"schema,omitempty"`
	// Logprobs asks for the log-probability of each token, and TopLogprobs for
	// the so many likeliest beside it.
	Logprobs    bool `json:"logprobs,omitempty"`
	TopLogprobs int  `json:"top_logprobs,omitempty"`
}

// Chunk is a piece of an answer: whole UTF-8 characters, never empty.
type Chunk struct {
	Text     string         `json:"text"`
	Logprobs []TokenLogprob `json:"logprobs,omitempty"`
}

// TokenLogprob is a token with the natural logarithm of its probability.
type TokenLogprob struct {
	Token   string         `json:"token"`
	Bytes   []byte         `json:"bytes"`
	Logprob float64        `json:"logprob"`
	Top     []TokenLogprob `json:"top,omitempty"`
}

// Result closes an answer.
type Result struct {
	Text             string `json:"text"`          // the whole answer
	FinishReason     string `json:"finish_reason"` // "stop" or "length"
	PromptTokens     int    `json:"prompt_tokens"`
	CachedTokens     int    `json:"cached_tokens"` // of the prompt, taken from the prefix cache
	CompletionTokens int    `json:"completion_tokens"`
}

// Options sizes a Scheduler.
type Options struct {
	Context int // tokens of one request, prompt and answer; 0: what the model was trained with, at most 4096
	Slots   int // requests at the same time; 0: 4
	Threads int // 0: all cores
}

// defaultContext bounds the context of models that were trained with a very
// long one, whose cache would fill the memory.
const defaultContext = 4096

// ContextFor is the context of a model that was trained with so many tokens,
// when asked is wanted; 0 is no wish.
func ContextFor(asked, trained int) int {
	if asked > 0 {
		return asked
	}
	return min(trained, defaultContext)
}

// BatchTokens is the most tokens in one step: long enough for fast prompts,
// short enough that the answers of others go on.
const BatchTokens = 512

// Scheduler serves a model. Close it before the model.
type Scheduler struct {
	model   *llama.Model
	limit   int // tokens of one request
	slots   int
	longest int // bytes of the longest token

	tasks    chan *task
	commands chan func(*loop)
	quit     chan struct{} // closed by Close
	done     chan struct{} // closed when the loop has ended
	closing  chan struct{} // holds one token until the first Close takes it
}

// New makes the context and starts the loop.
func New(m *llama.Model, o Options) (*Scheduler, error) {
	o.Context = ContextFor(o.Context, m.TrainContext())
	if o.Slots == 0 {
		o.Slots = 4
	}
	c, err := m.NewContext(llama.ContextOptions{Tokens: o.Context, Sequences: o.Slots, Batch: BatchTokens, Threads: o.Threads})
	if err != nil {
		return nil, err
	}
	s := &Scheduler{
		model: m, limit: c.SequenceTokens(), slots: o.Slots, longest: longestToken(m),
		tasks: make(chan *task), commands: make(chan func(*loop)),
		quit: make(chan struct{}), done: make(chan struct{}), closing: make(chan struct{}, 1),
	}
	s.closing <- struct{}{}
	l := &loop{m: m, c: c, adapters: map[string]*adapter{}}
	for i := range o.Slots {
		l.slots = append(l.slots, &slot{seq: i})
	}
	go l.run(s)
	return s, nil
}

// ContextTokens is the longest prompt and answer of one request.
func (s *Scheduler) ContextTokens() int { return s.limit }

// Slots is the number of requests that run at the same time; more wait.
func (s *Scheduler) Slots() int { return s.slots }

// Chat generates an answer and calls emit, if not nil, for each piece, in
// order, in the caller's goroutine. An error of emit ends the generation and is
// returned. A prompt that does not fit is a *ContextError before the first piece.
func (s *Scheduler) Chat(ctx context.Context, req Request, emit func(Chunk) error) (Result, error) {
	prompt, err := s.prompt(req.Messages, req.Begun)
	if err != nil {
		return Result{}, err
	}
	if len(prompt) >= s.limit {
		return Result{}, &ContextError{Limit: s.limit, Prompt: len(prompt)}
	}
	grammar := ""
	if req.Schema != "" {
		if grammar, err = llama.SchemaGrammar(req.Schema); err != nil {
			return Result{}, err
		}
	}
	room := s.limit - len(prompt)
	if req.MaxTokens <= 0 || req.MaxTokens > room {
		req.MaxTokens = room
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	t := &task{
		ctx: ctx, adapter: req.Adapter, tokens: prompt, req: req, grammar: grammar,
		chunks: make(chan Chunk, req.MaxTokens+1), end: make(chan struct{}),
		out: textOut{stops: req.Stop},
	}
	if err := s.submit(ctx, t); err != nil {
		return Result{}, err
	}
	var emitErr error
	for c := range t.chunks {
		if emit != nil && emitErr == nil {
			if emitErr = emit(c); emitErr != nil {
				cancel()
			}
		}
	}
	<-t.end
	if emitErr != nil {
		return Result{}, emitErr
	}
	return t.result, t.err
}

// Score returns the sum of -ln p of the tokens that mask marks, and their
// number. mask[i] belongs to tokens[i], which is predicted from those before it.
func (s *Scheduler) Score(ctx context.Context, adapterName string, tokens []int32, mask []bool) (lossSum float64, n int, err error) {
	if len(tokens) > s.limit {
		return 0, 0, &ContextError{Limit: s.limit, Prompt: len(tokens)}
	}
	t := &task{ctx: ctx, adapter: adapterName, tokens: tokens, mask: mask, end: make(chan struct{})}
	if err := s.submit(ctx, t); err != nil {
		return 0, 0, err
	}
	<-t.end
	return t.lossSum, t.scored, t.err
}

// submit hands the task to the loop.
func (s *Scheduler) submit(ctx context.Context, t *task) error {
	select {
	case s.tasks <- t:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-s.quit:
		return ErrClosed
	}
}

// do runs f in the loop, between two steps.
func (s *Scheduler) do(ctx context.Context, f func(*loop) error) error {
	out := make(chan error, 1)
	select {
	case s.commands <- func(l *loop) { out <- f(l) }:
		return <-out
	case <-ctx.Done():
		return ctx.Err()
	case <-s.quit:
		return ErrClosed
	}
}

// LoadAdapter makes the GGUF adapter at path available under name. Loading a
// name again replaces it for requests that start later.
func (s *Scheduler) LoadAdapter(ctx context.Context, name, path string) error {
	return s.do(ctx, func(l *loop) error { return l.loadAdapter(name, path) })
}

// UnloadAdapter forgets the name. Requests that use it end undisturbed.
func (s *Scheduler) UnloadAdapter(ctx context.Context, name string) error {
	return s.do(ctx, func(l *loop) error { return l.unloadAdapter(name) })
}

// Close ends running requests with ErrClosed and frees the context.
func (s *Scheduler) Close() {
	select {
	case <-s.closing:
		close(s.quit)
	default:
	}
	<-s.done
}

// logSumExp returns ln Σ exp(x).
func logSumExp(x []float32) float64 {
	top := x[0]
	for _, v := range x {
		top = max(top, v)
	}
	var sum float64
	for _, v := range x {
		sum += math.Exp(float64(v - top))
	}
	return float64(top) + math.Log(sum)
}
