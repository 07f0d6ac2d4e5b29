// Package jobs runs fine-tuning jobs: a durable state machine over the store.
//
//	validating_files → queued → running → succeeded | failed | cancelled
//
// Every change of state is a transaction of the store, and every step before
// the last one can be repeated, so a job survives kill -9 at any point: the
// next Manager finds it where it was and goes on from its checkpoint.
//
// A Manager runs one job at a time in one goroutine, and validates files in
// another, so that a wrong file is reported while a long job runs. Its methods
// are safe for concurrent use. Close stops the running job at its next step,
// after a checkpoint, and leaves it "running" for the next start.
package jobs

import (
	"cloister/lora/train"
)

// CreateRequest asks for a job. Either Dataset or TrainingFile is set.
type CreateRequest struct {
	// Model is a base model to train anew, or a tuned one, a checkpoint or an
	// alias, whose adapter is trained on, as at OpenAI. Empty: that of From.
	Model string
	// From is a tuned model or a checkpoint whose adapter is trained on; InitPath
	// an adapter file on this machine. At most one is set.
	From     string
	InitPath string
	// Teacher is another model, a base or a tuned one, by name, whose likeliest
	// tokens are learnt too; TeacherPath one in a file of this machine. At most
	// one is set.
	Teacher     string
	TeacherPath string
	// DumpPath is a file of this machine for the gradients of the first step.
	DumpPath       string
	Dataset        string
	Version        int // 0: the newest
	TrainingFile   string
	ValidationFile string
	Suffix         string // 1 to 64 characters, part of the model's name
	Hyper          train.Hyperparameters
	Metadata       map[string]string // at most 16 pairs, keys up to 64 and values up to 512 characters
	Seed           *int64            // 0 to 2³¹-1; nil: chosen
	// Canaries are planted into the training examples, one for each number, so
	// many times (0: a control); see store.Canary. They go with supervised training only.
	Canaries []int
	// Notes become warning events of the job, such as about a part of the
	// request that was ignored.
	Notes []string
}
