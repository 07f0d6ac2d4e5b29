package store

import (
	"encoding/json"
	"time"
)

// Split is the part of a dataset version that an example belongs to.
type Split string

// The three splits. Membership is derived by hash from the group of
// near-duplicate questions, and frozen with the version: adding data keeps old
// test questions in the test set.
const (
	Train Split = "train"
	Valid Split = "valid"
	Test  Split = "test"
)

// Message is one turn of an example or of an answered conversation.
type Message struct {
	Role    string `json:"role"`
	Content string `json:"content"`
	Weight  *int   `json:"weight,omitempty"` // 0 keeps an assistant turn out of the loss
}

// BaseModel is a GGUF file that can be served and trained on.
type BaseModel struct {
	Name         string    `json:"name"` // unique, such as "smollm2-135m-instruct"
	Path         string    `json:"path"`
	SHA256       string    `json:"sha256"`
	Bytes        int64     `json:"bytes"`
	Architecture string    `json:"architecture"`
	Parameters   int64     `json:"parameters"`
	CreatedAt    time.Time `json:"created_at"`
}

// Dataset names a series of versions.
type Dataset struct {
	Name      string    `json:"name"`
	Latest    int       `json:"latest"` // number of the newest version, from 1
	CreatedAt time.Time `json:"created_at"`
}

// Version is a frozen state of a dataset.
type Version struct {
	Dataset string        `json:"dataset"`
	Number  int           `json:"number"` // from 1
	Parent  int           `json:"parent,omitempty"`
	Origin  string        `json:"origin"`            // "import", "feedback", "openai-file"
	FileID  string        `json:"file_id,omitempty"` // the sealed original
	System  string        `json:"system,omitempty"`  // the system prompt that was added
	Counts  map[Split]int `json:"counts"`
	// Report is the cleaning and masking report, JSON, without texts of personal data.
	Report    json.RawMessage `json:"report,omitempty"`
	CreatedAt time.Time       `json:"created_at"`
}

// Example is a stored conversation; every text in it was masked.
type Example struct {
	ID       string    `json:"id"`    // derived from the content: the same in every version
	Row      int       `json:"row"`   // row or line of the original file, from 1; 0 when none
	Group    string    `json:"group"` // hash of the normalised question; one group, one split
	Split    Split     `json:"split"`
	Messages []Message `json:"messages"`
}

// File is an uploaded file; its content is sealed and kept beside it.
type File struct {
	ID        string     `json:"id"` // "file-…"
	Name      string     `json:"name"`
	Purpose   string     `json:"purpose"` // OpenAI's: "fine-tune", "fine-tune-results", …; ours: "import"
	Bytes     int64      `json:"bytes"`
	SHA256    string     `json:"sha256"`
	CreatedAt time.Time  `json:"created_at"`
	ExpiresAt *time.Time `json:"expires_at,omitempty"`
}

// JobStatus is a state of a fine-tuning job, in OpenAI's words.
type JobStatus string

// The states: validating → queued → running → one of the last three.
const (
	JobValidating JobStatus = "validating_files"
	JobQueued     JobStatus = "queued"
	JobRunning    JobStatus = "running"
	JobSucceeded  JobStatus = "succeeded"
	JobFailed     JobStatus = "failed"
	JobCancelled  JobStatus = "cancelled"
)

// Terminal reports whether a job in this state will never change again.
func (s JobStatus) Terminal() bool {
	return s == JobSucceeded || s == JobFailed || s == JobCancelled
}

// Job is a fine-tuning job.
type Job struct {
	ID             string `json:"id"`      // "ftjob-…"
	Model          string `json:"model"`   // as the user wrote it
	Base           string `json:"base"`    // name of the base model that it means
	Dataset        string `json:"dataset"` // and version: what is trained on
	Version        int    `json:"version"`
	TrainingFile   string `json:"training_file,omitempty"` // file id, when it came through the OpenAI API
	ValidationFile string `json:"validation_file,omitempty"`
	Suffix         string `json:"suffix,omitempty"`
	// Requested and Resolved are lora/train.Hyperparameters in JSON: as asked for, and as run.
	Requested     json.RawMessage   `json:"requested,omitempty"`
	Resolved      json.RawMessage   `json:"resolved,omitempty"`
	Metadata      map[string]string `json:"metadata,omitempty"`
	Seed          int64             `json:"seed"`
	Status        JobStatus         `json:"status"`
	Error         *JobError         `json:"error,omitempty"`
	Adapter       string            `json:"adapter,omitempty"` // name of the finished model, "ft:…"
	ResultFiles   []string          `json:"result_files,omitempty"`
	TrainedTokens int64             `json:"trained_tokens,omitempty"`
	// Result is lora/train.Result in JSON, once the job has succeeded.
	Result     json.RawMessage `json:"result,omitempty"`
	CreatedAt  time.Time       `json:"created_at"`
	StartedAt  *time.Time      `json:"started_at,omitempty"`
	FinishedAt *time.Time      `json:"finished_at,omitempty"`
}

// JobError says why a job failed, in OpenAI's shape.
type JobError struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Param   string `json:"param,omitempty"`
}

// Event is one line of a job's log. Messages and data never hold texts of examples.
type Event struct {
	ID        string          `json:"id"` // "ftevent-…"
	JobID     string          `json:"job_id"`
	Seq       uint64          `json:"seq"`   // order within the job, from 1
	Level     string          `json:"level"` // "info", "warn", "error"
	Type      string          `json:"type"`  // "message" or "metrics"
	Message   string          `json:"message"`
	Data      json.RawMessage `json:"data,omitempty"`
	CreatedAt time.Time       `json:"created_at"`
}

// Adapter is a trained LoRA adapter: a model of its own to users.
type Adapter struct {
	Name   string `json:"name"` // "ft:<base>:<org>:<suffix>:<id>"; checkpoints end in ":ckpt-step-N"
	Base   string `json:"base"`
	JobID  string `json:"job_id,omitempty"`
	Path   string `json:"path"` // GGUF
	SHA256 string `json:"sha256"`
	Step   int    `json:"step,omitempty"`
	// Checkpoint is true for an adapter of an epoch that was not the last word.
	Checkpoint bool `json:"checkpoint,omitempty"`
	// Metrics hold step, train_loss, valid_loss and so on.
	Metrics   map[string]float64 `json:"metrics,omitempty"`
	CreatedAt time.Time          `json:"created_at"`
}

// Evaluation is the comparison of a model with a baseline on held-out data.
type Evaluation struct {
	ID       string `json:"id"` // "eval-…"
	Model    string `json:"model"`
	Baseline string `json:"baseline,omitempty"`
	Dataset  string `json:"dataset,omitempty"` // empty when a file was used
	Version  int    `json:"version,omitempty"`
	Split    Split  `json:"split,omitempty"`
	Examples int    `json:"examples"`
	// Report is lora/eval.Report in JSON.
	Report    json.RawMessage `json:"report"`
	CreatedAt time.Time       `json:"created_at"`
}

// Release puts a model behind an alias.
type Release struct {
	ID           string    `json:"id"` // "rel-…"
	Alias        string    `json:"alias"`
	Number       int       `json:"number"` // from 1 within the alias
	Model        string    `json:"model"`
	EvaluationID string    `json:"evaluation_id,omitempty"`
	Forced       bool      `json:"forced,omitempty"` // deployed against the gate
	Reason       string    `json:"reason,omitempty"` // what the gate said
	By           string    `json:"by"`
	CreatedAt    time.Time `json:"created_at"`
}

// Alias points to the release that serves under its name.
type Alias struct {
	Name    string `json:"name"`
	Current int    `json:"current"` // Release.Number
	Latest  int    `json:"latest"`  // highest number given out
}

// Answer is a served conversation, masked, kept so that it can be rated.
type Answer struct {
	ID        string    `json:"id"`    // the completion's id, "chatcmpl-…"
	Model     string    `json:"model"` // adapter or base that answered
	Alias     string    `json:"alias,omitempty"`
	Messages  []Message `json:"messages"`
	Answer    string    `json:"answer"`
	CreatedAt time.Time `json:"created_at"`
}

// Feedback is a user's judgement of an answer.
type Feedback struct {
	ID         string `json:"id"` // "fb-…"
	AnswerID   string `json:"answer_id"`
	Rating     int    `json:"rating"`               // 1 (bad) to 5 (good); 0: none given
	Correction string `json:"correction,omitempty"` // masked
	Comment    string `json:"comment,omitempty"`    // masked
	By         string `json:"by,omitempty"`
	// AppliedTo is the dataset version that took the correction up, "name@3".
	AppliedTo string    `json:"applied_to,omitempty"`
	CreatedAt time.Time `json:"created_at"`
}

// Key is an API key; only its hash is kept.
type Key struct {
	ID        string    `json:"id"`   // "key-…", safe to show
	Hash      string    `json:"hash"` // hex SHA-256 of the secret
	Role      string    `json:"role"` // "admin", "trainer" or "user"
	Label     string    `json:"label,omitempty"`
	CreatedAt time.Time `json:"created_at"`
}

// Audit is one entry of the log of who did what. Detail never holds texts of examples.
type Audit struct {
	Seq    uint64    `json:"seq"`
	At     time.Time `json:"at"`
	Actor  string    `json:"actor"`  // key id, or "local" for the control socket
	Action string    `json:"action"` // such as "deploy"
	Object string    `json:"object"`
	Detail string    `json:"detail,omitempty"`
}
