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

	"cloister/llama/chat"
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
}

// Sampling says how the next token is chosen. The zero value is greedy.
type Sampling struct {
	Temperature      float32           `json:"temperature"`          // 0: greedy
	TopK             int               `json:"top_k"`                // 0: off
	TopP             float32           `json:"top_p"`                // 0 or 1: off
	MinP             float32           `json:"min_p"`                // 0: off
	RepeatPenalty    float32           `json:"repeat_penalty"`       // 0 or 1: off
	PresencePenalty  float32           `json:"presence_penalty"`     // 0: off
	FrequencyPenalty float32           `json:"frequency_penalty"`    // 0: off
	Seed             *int64            `json:"seed,omitempty"`       // nil: random
	LogitBias        map[int32]float32 `json:"logit_bias,omitempty"` // by token id
}

// ChatRequest asks for one answer.
type ChatRequest struct {
	// Adapter is a name given to LoadAdapter; empty means the base model.
	Adapter   string         `json:"adapter,omitempty"`
	Messages  []chat.Message `json:"messages"`
	Sampling  Sampling       `json:"sampling"`
	MaxTokens int            `json:"max_tokens"` // 0: until the end token or the end of the context
	Stop      []string       `json:"stop,omitempty"`
	IgnoreEOS bool           `json:"ignore_eos,omitempty"`
	// TopLogprobs below 0 leaves log-probabilities out; 0 gives the chosen
	// token's, n gives the n likeliest beside it.
	TopLogprobs int `json:"top_logprobs"`
}

// Chunk is a piece of an answer: whole UTF-8 characters, never empty except
// for the last one of an answer without text.
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

// ChatResult closes an answer.
type ChatResult struct {
	Text             string `json:"text"`          // the whole answer
	FinishReason     string `json:"finish_reason"` // "stop" or "length"
	PromptTokens     int    `json:"prompt_tokens"`
	CachedTokens     int    `json:"cached_tokens"`
	CompletionTokens int    `json:"completion_tokens"`
}

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
	// CountTokens renders the messages as Chat would and returns their number of tokens.
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
