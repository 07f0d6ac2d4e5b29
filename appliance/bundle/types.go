// Package bundle carries tuned models from site to site as one signed file:
// adapters, how they were made, their evaluations and their releases. Package
// archive is the file; this package knows what is in it.
//
// What never travels: base models (a bundle tells their names and checksums),
// examples, answers, vault, policy and metadata, which may hold texts. Of an
// evaluation, samples and the names of labels are left out unless they are
// asked for, and then they are masked. The system prompt that a model was tuned
// with goes along, as the model answers best with it.
//
// An import verifies everything before anything is written, and writes all of
// it in one transaction, after the adapters' files lie where they belong; files
// that a crash leaves without a record are swept at the next start. Nothing that
// arrives is deployed by itself.
//
// A Service is safe for concurrent use; imports run one after the other.
package bundle

import (
	"encoding/json"
	"time"

	"cloister/appliance/bundle/archive"
	"cloister/appliance/masking"
	"cloister/lora/train"
	"cloister/store"
	"cloister/store/pii"
)

// ExportRequest says what goes into a bundle.
type ExportRequest struct {
	// Models are tuned models, checkpoints, or aliases of such.
	Models []string `json:"models"`
	// All adds every tuned model that is no checkpoint.
	All bool `json:"all,omitempty"`
	// Samples keeps questions and answers, masked, and label names in the
	// evaluations.
	Samples bool `json:"samples,omitempty"`
}

// ImportRequest says how a bundle is taken.
type ImportRequest struct {
	// As is the suffix in the names that adapters get here; empty: they keep theirs.
	As string `json:"as,omitempty"`
	// AllowUntrusted takes a bundle that nobody trusted has signed. Its
	// evaluations do not count then.
	AllowUntrusted bool `json:"allow_untrusted,omitempty"`
}

// Adapter is the record of an adapter in a bundle.
type Adapter struct {
	Name       string             `json:"name"`
	Base       string             `json:"base"` // SHA-256 of the base model
	File       string             `json:"file"` // name of the part with its GGUF
	SHA256     string             `json:"sha256"`
	Step       int                `json:"step,omitempty"`
	Checkpoint bool               `json:"checkpoint,omitempty"`
	Metrics    map[string]float64 `json:"metrics,omitempty"`
	// System is the system prompt that it was tuned with.
	System    string    `json:"system,omitempty"`
	CreatedAt time.Time `json:"created_at"`
	Lineage   Lineage   `json:"lineage"`
}

// Lineage says how an adapter came to be. It holds no texts of examples.
type Lineage struct {
	Adapter string       `json:"adapter"`
	SHA256  string       `json:"sha256,omitempty"`
	Base    archive.Base `json:"base"`
	// Training is nil for an adapter that was imported by itself.
	Training *Training `json:"training,omitempty"`
	// Parent is the adapter that the training went on from; only its name is
	// known if it is gone.
	Parent *Lineage `json:"parent,omitempty"`
	// Sites are those that signed it, the one that trained it first.
	Sites []Hop `json:"sites,omitempty"`
}

// Hop is a site that an adapter has been exported from.
type Hop struct {
	Name        string    `json:"name"`
	Fingerprint string    `json:"fingerprint"`
	ExportedAt  time.Time `json:"exported_at"`
}

// Training is the job that made an adapter.
type Training struct {
	Job           string                `json:"job"`
	Dataset       Dataset               `json:"dataset"`
	Requested     train.Hyperparameters `json:"requested"`
	Resolved      train.Hyperparameters `json:"resolved"`
	Teacher       string                `json:"teacher,omitempty"`
	Seed          int64                 `json:"seed"`
	Canaries      int                   `json:"canaries,omitempty"` // that were planted
	TrainedTokens int64                 `json:"trained_tokens,omitempty"`
	Steps         int                   `json:"steps,omitempty"`
	BestEpoch     int                   `json:"best_epoch,omitempty"`
	StoppedEarly  bool                  `json:"stopped_early,omitempty"`
	Seconds       float64               `json:"seconds,omitempty"`
	PeakBytes     int64                 `json:"peak_bytes,omitempty"`
	Curve         []train.EpochStat     `json:"curve,omitempty"`
	// Metrics are the figures of the job's log, oldest first: at most some 2,000 lines.
	Metrics    []map[string]float64 `json:"metrics,omitempty"`
	CreatedAt  time.Time            `json:"created_at"`
	FinishedAt *time.Time           `json:"finished_at,omitempty"`
}

// Dataset is the dataset version that was trained on, without its texts.
type Dataset struct {
	Name    string              `json:"name"`
	Version int                 `json:"version"`
	Origin  string              `json:"origin,omitempty"`
	Kind    store.Kind          `json:"kind,omitempty"`
	Counts  map[store.Split]int `json:"counts,omitempty"`
	// Fingerprint is the SHA-256 over the ids of all examples, which are hashes of
	// the masked content, with their splits: the same at two sites only for the same
	// examples. Empty if the version is gone.
	Fingerprint string           `json:"fingerprint,omitempty"`
	Masked      *masking.Summary `json:"masked,omitempty"`   // with what, in numbers and hashes
	Entities    pii.Summary      `json:"entities,omitempty"` // what was masked, counted
	CreatedAt   *time.Time       `json:"created_at,omitempty"`
}

// Evaluation is the record of an evaluation in a bundle.
type Evaluation struct {
	ID        string          `json:"id"`
	Model     string          `json:"model"`
	Baseline  string          `json:"baseline,omitempty"`
	Split     store.Split     `json:"split,omitempty"`
	Examples  int             `json:"examples"`
	Report    json.RawMessage `json:"report"` // lora/eval.Report
	CreatedAt time.Time       `json:"created_at"`
}

// Release is the record of an alias in a bundle: the releases of the models in
// it. They are history; nothing is deployed by them.
type Release struct {
	Alias   string     `json:"alias"`
	Current string     `json:"current,omitempty"` // the model that served then, if it is in the bundle
	History []Deployed `json:"history"`           // newest first
}

// Deployed is one release.
type Deployed struct {
	Number     int       `json:"number"`
	Model      string    `json:"model"`
	Evaluation string    `json:"evaluation,omitempty"`
	Forced     bool      `json:"forced,omitempty"`
	Reason     string    `json:"reason,omitempty"` // what the gate said
	CreatedAt  time.Time `json:"created_at"`
}

// States of an Item, as a bundle meets this site.
const (
	StateNew      = "new"      // it is not here
	StateHere     = "here"     // the same is here
	StateConflict = "conflict" // another with its name is here
	StateNoBase   = "no base"  // its base model is not here
)

// Item is an adapter of a bundle as this site sees it.
type Item struct {
	Name        string `json:"name"`         // here
	Was         string `json:"was"`          // in the bundle
	Base        string `json:"base"`         // the base model's name here, or there if it is not here
	Evaluations int    `json:"evaluations"`  // in the bundle
	Bytes       int64  `json:"bytes"`        // of its file
	SHA256      string `json:"sha256"`       //
	Checkpoint  bool   `json:"checkpoint"`   //
	State       string `json:"state"`        // before an import
	Trained     string `json:"trained"`      // on which dataset version, as named there; may be empty
	Fingerprint string `json:"fingerprint"`  // of that version; may be empty
	ParentModel string `json:"parent_model"` // it was trained on from; may be empty
}

// BaseModel is a base model that a bundle needs.
type BaseModel struct {
	archive.Base
	Here string `json:"here"` // its name here; empty: missing
}

// Contents is a bundle as this site sees it, every byte verified.
type Contents struct {
	SHA256    string    `json:"sha256"` // of the manifest
	CreatedAt time.Time `json:"created_at"`
	Program   string    `json:"program"`
	// Site is what the signer calls itself, Key and Fingerprint what it signed with.
	Site        string `json:"site"`
	Key         string `json:"key"`
	Fingerprint string `json:"fingerprint"`
	// TrustedAs is this site's name for the signer; empty: it is not trusted.
	TrustedAs   string      `json:"trusted_as"`
	Bases       []BaseModel `json:"bases"`
	Adapters    []Item      `json:"adapters"`
	Evaluations int         `json:"evaluations"`
	Releases    []Release   `json:"releases"`
	Bytes       int64       `json:"bytes"` // of all parts
}

// Importable reports whether an import would be taken as it is.
func (c Contents) Importable() bool {
	for _, a := range c.Adapters {
		if a.State == StateConflict || a.State == StateNoBase {
			return false
		}
	}
	return c.TrustedAs != ""
}

// Imported is the result of an import.
type Imported struct {
	Contents
	Added            int `json:"added"` // adapters that were not here
	AddedEvaluations int `json:"added_evaluations"`
}
