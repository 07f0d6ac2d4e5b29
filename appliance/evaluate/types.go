// Package evaluate compares a model with a baseline on held-out examples,
// through the engines that serve them: greedy answers, the loss of the
// expected answers, and the figures of package eval over both.
//
// A Service is safe for concurrent use; each Run uses as many requests at a
// time as the engine has slots.
package evaluate

import "cloister/store"

// Request names the models and the held-out data: a split of a dataset
// version, or a file of questions and expected answers.
type Request struct {
	Model    string      `json:"model"`
	Baseline string      `json:"baseline,omitempty"` // empty: the base of a tuned model; "none": no baseline
	Dataset  string      `json:"dataset,omitempty"`
	Version  int         `json:"version,omitempty"` // 0: the newest
	Split    store.Split `json:"split,omitempty"`   // empty: test
	// FileName is the name of the file that comes along: CSV, JSONL, JSON or
	// XLSX. Without a Dataset it has question and expected and, if it has them,
	// key (alternatives a|b of the fact that an answer must hold), human_score
	// and answer (the answer that the people scored, if not the model's). With a
	// Dataset it has question and key, for the questions of the split.
	FileName string `json:"file_name,omitempty"`
	// QuestionColumn and AnswerColumn name the columns of a file of examples;
	// empty: question and expected.
	QuestionColumn string `json:"question_column,omitempty"`
	AnswerColumn   string `json:"answer_column,omitempty"`
	// System is the system prompt for a file's questions; empty: that of the
	// dataset the model was tuned on.
	System string `json:"system,omitempty"`
	// Limit bounds the number of examples, chosen by hash; 0: all.
	Limit int `json:"limit,omitempty"`
	// MaxTokens bounds each answer; 0: 256.
	MaxTokens int `json:"max_tokens,omitempty"`
	// Leak makes the leak test a thorough one: all files, all prompts, samples
	// beside the likeliest answers, and the exposure of canaries. The data may
	// then be left out: it is the test split of what the model was tuned on.
	Leak bool `json:"leak,omitempty"`
	// CanarySample is the number of random sequences that each canary of a
	// thorough leak test is ranked among; 0: 255.
	CanarySample int `json:"canary_sample,omitempty"`
	// Search are absolute paths of further files and folders on the appliance's
	// machine that a leak test looks into, such as logs.
	Search []string `json:"search,omitempty"`
}
