// Package estimate says what a fine-tuning job would take before it runs:
// tokens by the model's own tokenizer and by OpenAI's, steps, time and memory
// by a short calibration on this machine, and what the same tokens would cost
// at the prices of a table that the user may edit.
//
// A Service is safe for concurrent use. Nothing here dials: OpenAI's
// vocabularies are compiled in.
package estimate

import "cloister/lora/train"

// Request names what would be trained, and how.
type Request struct {
	Model   string
	Dataset string
	Version int // 0: the newest
	Hyper   train.Hyperparameters
}

// Estimate is what a job would take.
type Estimate struct {
	Model   string `json:"model"` // the base model
	Dataset string `json:"dataset"`
	Version int    `json:"version"`

	Examples      int `json:"examples"`       // of the training split
	ValidExamples int `json:"valid_examples"` // of the validation split

	// Tokens of one epoch by the model's tokenizer, with its chat template.
	Tokens int64 `json:"tokens"`
	// LossTokens are those of them that the loss is taken on.
	LossTokens int64 `json:"loss_tokens"`
	// OpenAITokens are the tokens of one epoch by OpenAI's encodings, counted
	// as OpenAI counts chat files.
	OpenAITokens map[string]int64 `json:"openai_tokens"`

	Resolved train.Hyperparameters `json:"resolved"`
	Choices  []train.Choice        `json:"choices,omitempty"`
	Steps    int                   `json:"steps"`

	// Seconds of the whole job and TokensPerSecond are measured by a short
	// calibration; 0: it was not run.
	Seconds         float64 `json:"seconds,omitempty"`
	TokensPerSecond float64 `json:"tokens_per_second,omitempty"`
	MemoryBytes     int64   `json:"memory_bytes,omitempty"`

	Prices   []Cost   `json:"prices"`
	Warnings []string `json:"warnings,omitempty"`
}

// Cost is what the job costs at one line of the price table.
type Cost struct {
	Name     string  `json:"name"`
	Tokens   int64   `json:"tokens,omitempty"` // of all epochs, by the line's encoding
	Cost     float64 `json:"cost"`
	Currency string  `json:"currency"`
	Basis    string  `json:"basis"` // how it was reckoned, in words
}
