// Package estimate says what a fine-tuning job would take before it runs:
// tokens by the model's own tokenizer and by OpenAI's, steps, time and memory
// by a short calibration on this machine, and what the same tokens would cost
// at the prices of a table that the user may edit.
//
// A Service is safe for concurrent use. Nothing here dials: OpenAI's
// vocabularies are compiled in.
package estimate

import (
	"cloister/appliance/jobs"
	"cloister/lora/train"
)

// Request names what would be trained, and how; it has a Dataset.
type Request struct {
	jobs.CreateRequest
	Memory int64 // bytes that the job may take; 0: those that are free here
}

// Estimate is what a job would take.
type Estimate struct {
	Model   string `json:"model"` // the base model
	Dataset string `json:"dataset"`
	Version int    `json:"version"`

	// The tokens by the model's own tokenizer, steps, time and memory by part.
	// Time is 0 when the job does not fit into the memory of this machine.
	train.Estimation

	// OpenAITokens are the tokens of one epoch by OpenAI's encodings, counted
	// as OpenAI counts chat files.
	OpenAITokens map[string]int64 `json:"openai_tokens"`
	Prices       []Cost           `json:"prices"`
}

// Cost is what the job costs at one line of the price table.
type Cost struct {
	Name     string  `json:"name"`
	Tokens   int64   `json:"tokens,omitempty"` // of all epochs, by the line's encoding
	Cost     float64 `json:"cost"`
	Currency string  `json:"currency"`
	Basis    string  `json:"basis"` // how it was reckoned, in words
}
