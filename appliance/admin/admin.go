// Package admin holds the wire types of Cloister's own API, under /admin: what
// the command line asks the appliance over its control socket. Records of the
// store travel as they are (package store has their JSON names); this package
// has what is not a record. Package api serves these routes and package client
// calls them.
//
// Answers that take long are streams of JSON lines: JobLine, EvaluateLine and VersionLine.
// A line without any field is a sign of life.
package admin

import (
	"time"

	"cloister/appliance/datasets"
	"cloister/appliance/estimate"
	"cloister/appliance/evaluate"
	"cloister/appliance/feedback"
	"cloister/appliance/masking"
	"cloister/appliance/models"
	"cloister/appliance/openai"
	"cloister/appliance/release"
	"cloister/lora/train"
	"cloister/store"
	"cloister/store/risk"
)

// The requests and reports of the services are their own wire types.
type (
	// ImportDataset is the part "options" of POST /admin/datasets; the part
	// "file" follows with the bytes of a raw file.
	ImportDataset = datasets.ImportRequest
	// Proposal is a masked value that may be the institution's own, shown in
	// full: GET /admin/datasets/{name}/versions/{n}/proposals.
	Proposal = datasets.Proposal
	// Risk is GET /admin/datasets/{name}/versions/{n}/risk?k=K.
	Risk = risk.Report
	// Review is what is uncertain in a version, with texts in full:
	// GET /admin/datasets/{name}/versions/{n}/review?from=SCORE&to=SCORE&limit=N.
	Review = datasets.Review
	// ReviewItem is a part of Review.
	ReviewItem = datasets.ReviewItem
	// Decided is the answer to Decide.
	Decided = datasets.Decided
	// Estimate is the answer to POST /admin/estimate.
	Estimate = estimate.Estimate
	// Evaluate is the part "options" of POST /admin/evaluations; the part
	// "file" follows when it names no dataset.
	Evaluate = evaluate.Request
	// ModelStatus is where a model lies at present, a part of Status.
	ModelStatus = models.Status
	// Release is an alias with its releases: GET /admin/releases.
	Release = release.Status
	// FeedbackItem is a line of GET /admin/feedback; its texts are masked.
	FeedbackItem = feedback.Item
	// FeedbackReport is GET /admin/feedback/report?since=TIME&worst=N.
	FeedbackReport = feedback.Report
	// FeedbackImported is the answer to POST /admin/feedback/import.
	FeedbackImported = feedback.ImportResult
)

// Status describes the running appliance: GET /admin/status.
type Status struct {
	Version string `json:"version"`
	PID     int    `json:"pid"`
	Home    string `json:"home"`
	Listen  string `json:"listen,omitempty"` // HOST:PORT, empty when only the control socket is served
	// Sealed: the process and its workers have given up new connections (package airgap).
	Sealed    bool      `json:"sealed"`
	StartedAt time.Time `json:"started_at"`
	// Loaded names the base models whose engines run now.
	Loaded []string `json:"loaded"`
	// Models says of each of those, of those that are being started and of those
	// that sleep, where they lie and why.
	Models   []ModelStatus `json:"models"`
	Running  []string      `json:"running_jobs"` // ids of jobs that have not ended, oldest first
	Releases []Release     `json:"releases"`
}

// ImportModel asks for a GGUF file on the appliance's machine to be added as a
// base model: POST /admin/models.
type ImportModel struct {
	Path string `json:"path"`           // absolute
	Name string `json:"name,omitempty"` // empty: from the file's own metadata
	Copy bool   `json:"copy,omitempty"` // copy it into the data directory; otherwise the file must stay where it is
}

// Dataset is a dataset with its versions, oldest first: GET /admin/datasets/{name}.
type Dataset struct {
	store.Dataset
	Versions []store.Version `json:"versions"`
}

// TrainOn names what is trained on, and how: the body of POST /admin/jobs and,
// without Suffix, Metadata, Canaries and DumpGradients, a part of that of POST
// /admin/estimate.
type TrainOn struct {
	Model string `json:"model"` // a base, or a tuned model to train on; may be empty with From
	// From is a tuned model or a checkpoint to continue from; Init the absolute
	// path of an adapter file on the appliance's machine. At most one is set.
	From string `json:"from,omitempty"`
	Init string `json:"init,omitempty"`
	// Teacher is another model to learn from, a base or a tuned one, by name, or
	// the absolute path of a base on the appliance's machine.
	Teacher string `json:"teacher,omitempty"`
	// DumpGradients is the absolute path of a file that the first step writes;
	// it holds tokens of examples, so only the control socket may ask for it.
	DumpGradients   string                `json:"dump_gradients,omitempty"`
	Dataset         string                `json:"dataset"`
	Version         int                   `json:"version,omitempty"` // 0: the newest
	Suffix          string                `json:"suffix,omitempty"`
	Hyperparameters train.Hyperparameters `json:"hyperparameters"`
	// Canaries are planted into the training examples, one for each number, so
	// many times, to measure what the model learns by heart.
	Canaries []int             `json:"canaries,omitempty"`
	Metadata map[string]string `json:"metadata,omitempty"`
}

// JobLine is one line of GET /admin/jobs/{id}/follow: an event, or, as the
// last line, the job in its final state. Error ends a stream that broke.
type JobLine struct {
	Event *store.Event  `json:"event,omitempty"`
	Job   *store.Job    `json:"job,omitempty"`
	Error *openai.Error `json:"error,omitempty"`
}

// EvaluateLine is one line of the answer to Evaluate: progress, and at last
// the evaluation. Error ends a stream that broke.
type EvaluateLine struct {
	Done       int               `json:"done,omitempty"`
	Total      int               `json:"total,omitempty"`
	Evaluation *store.Evaluation `json:"evaluation,omitempty"`
	Error      *openai.Error     `json:"error,omitempty"`
}

// AnswerDataset asks for a version with a model's answers: POST /admin/answers.
type AnswerDataset = datasets.AnswerRequest

// VersionLine is one line of the answer to ImportDataset and AnswerDataset:
// progress, and at last the version. Error ends a stream that broke.
type VersionLine struct {
	Done    int            `json:"done,omitempty"`
	Total   int            `json:"total,omitempty"`
	Version *store.Version `json:"version,omitempty"`
	Error   *openai.Error  `json:"error,omitempty"`
}

// Decide keeps decisions on items of a review: POST
// /admin/datasets/{name}/versions/{n}/decisions.
type Decide struct {
	Decisions map[string]masking.Verdict `json:"decisions"` // by the items' ids
	// Apply makes a new version with them now.
	Apply bool `json:"apply,omitempty"`
}

// Deploy puts a model behind an alias: POST /admin/deploy. The gate may refuse
// with code "gate_refused"; Force overrides it and is recorded.
type Deploy struct {
	Model string `json:"model"`
	Alias string `json:"alias"`
	Force bool   `json:"force,omitempty"`
}

// Rollback makes the release before the current one serve again: POST /admin/rollback.
type Rollback struct {
	Alias string `json:"alias"`
}

// FeedbackAdded is the answer to POST /v1/feedback.
type FeedbackAdded struct {
	ID        string `json:"id"`         // "fb-…"
	Object    string `json:"object"`     // "feedback"
	CreatedAt int64  `json:"created_at"` // Unix time
	AnswerID  string `json:"answer_id"`
	Rating    int    `json:"rating"` // 0: none given
}

// ApplyFeedback makes a new version of a dataset with the corrections that
// wait: POST /admin/feedback/apply.
type ApplyFeedback struct {
	Dataset string `json:"dataset"`
}

// FeedbackApplied is the answer to ApplyFeedback.
type FeedbackApplied struct {
	Version     store.Version `json:"version"`
	Corrections int           `json:"corrections"` // taken up
}

// NewKey asks for an API key: POST /admin/keys.
type NewKey struct {
	Role  string `json:"role"` // "admin", "trainer" or "user"
	Label string `json:"label,omitempty"`
}

// Key is an API key without its hash. Secret is set once, in the answer to NewKey.
type Key struct {
	ID        string    `json:"id"`
	Role      string    `json:"role"`
	Label     string    `json:"label,omitempty"`
	CreatedAt time.Time `json:"created_at"`
	Secret    string    `json:"secret,omitempty"`
}

// Check is the result of a check of the store: POST /admin/check.
type Check struct {
	OK       bool     `json:"ok"`
	Problems []string `json:"problems"` // a sentence each
}

// List wraps a list of records.
type List[T any] struct {
	Data []T `json:"data"` // never nil
}
