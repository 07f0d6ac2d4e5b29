// Package engine is the border between the appliance and native code. An
// Engine serves one base model and its adapters; a Trainer trains adapters.
// Each has two implementations, in the same process (tests, one-shot commands)
// and in a child process of the same binary (the appliance), and one contract
// suite in enginetest runs on both. ggml ends the process on an assert and when
// memory runs out: with a child, that costs one request and not the appliance.
//
// All methods are safe for concurrent use.
package engine

import (
	"context"

	"cloister/llama"
	"cloister/llama/chat"
	"cloister/llama/sched"
	"cloister/lora/train"
)

// Info describes a loaded base model.
type Info struct {
	Architecture  string `json:"architecture"`   // general.architecture, such as "llama"
	Description   string `json:"description"`    // llama.cpp's own words, such as "llama 135M Q4_1"
	Parameters    int64  `json:"parameters"`     // number of weights
	SizeBytes     int64  `json:"size_bytes"`     // of all tensors
	Vocabulary    int    `json:"vocabulary"`     // number of tokens
	TrainContext  int    `json:"train_context"`  // context length that the model was trained with, tokens
	ServeContext  int    `json:"serve_context"`  // longest prompt and answer of one request, tokens
	ParallelSlots int    `json:"parallel_slots"` // requests that run at the same time
	Placement
}

// The requests and answers are those of the scheduler: one set of types from
// the API to the batch.
type (
	// Sampling says how the next token is chosen. The zero value is greedy.
	Sampling = llama.Sampling
	// ChatRequest asks for one answer.
	ChatRequest = sched.Request
	// Chunk is a piece of an answer.
	Chunk = sched.Chunk
	// TokenLogprob is a token with the natural logarithm of its probability.
	TokenLogprob = sched.TokenLogprob
	// ChatResult closes an answer.
	ChatResult = sched.Result
	// ContextError says that a prompt leaves no room for an answer in the context.
	ContextError = sched.ContextError
)

// Score is the loss of one example under a model.
type Score struct {
	// LossSum is the sum of -ln p over the tokens that training would count:
	// the assistant's text and its end tokens.
	LossSum float64 `json:"loss_sum"`
	Tokens  int     `json:"tokens"` // number of those tokens
}

// Engine serves one base model and any number of adapters on it.
type Engine interface {
	// Info describes the model.
	Info(ctx context.Context) (Info, error)
	// Chat generates an answer and calls emit for each piece, in order, from
	// one goroutine. An error of emit ends the generation and is returned. A
	// prompt that does not fit is a *ContextError before the first piece.
	// emit may be nil.
	Chat(ctx context.Context, req ChatRequest, emit func(Chunk) error) (ChatResult, error)
	// CountTokens renders the messages as Chat would and returns their number of
	// tokens. Messages that are certain not to fit may be a *ContextError instead.
	CountTokens(ctx context.Context, messages []chat.Message) (int, error)
	// Score returns the loss of one example with the adapter ("" for the base).
	Score(ctx context.Context, adapter string, messages []chat.Message) (Score, error)
	// LoadAdapter makes the GGUF adapter at path available under name, live.
	// Loading a name again replaces it for requests that start later.
	LoadAdapter(ctx context.Context, name, path string) error
	// UnloadAdapter forgets the name once the requests that use it have ended.
	UnloadAdapter(ctx context.Context, name string) error
	// Close ends running requests with ErrClosed and frees the model.
	Close() error
}

// Trainer trains one adapter at a time.
type Trainer interface {
	// Train runs the job to its end and calls emit for each event, in order,
	// from one goroutine. Cancelling ctx stops it at the next step, after a
	// checkpoint; the same request resumes from there.
	Train(ctx context.Context, req train.Request, emit func(train.Event)) (train.Result, error)
}

// Estimator says what a training job would take, by running a few steps of it.
type Estimator interface {
	Estimate(ctx context.Context, req train.Request) (train.Estimation, error)
}
