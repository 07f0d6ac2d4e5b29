// Package datasets makes dataset versions out of files and of feedback: seal
// the original, ingest, clean, mask, split, store.
//
// A Service is safe for concurrent use. Two imports into one dataset at the
// same time give two versions, one after the other.
package datasets

import (
	"encoding/json"

	"cloister/appliance/masking"
	"cloister/store/clean"
	"cloister/store/pii"
)

// ImportRequest says how a file becomes a dataset version. It is the admin
// API's wire type as well.
type ImportRequest struct {
	Name           string   `json:"name"`                      // of the dataset; a new one is made, an old one gets a version
	FileName       string   `json:"file_name"`                 // of the original, for its format and for messages
	Format         string   `json:"format,omitempty"`          // "csv", "xlsx", "json" or "jsonl"; empty: detected
	QuestionColumn string   `json:"question_column,omitempty"` // empty: the common names
	AnswerColumn   string   `json:"answer_column,omitempty"`
	SystemColumn   string   `json:"system_column,omitempty"`
	Encoding       string   `json:"encoding,omitempty"` // empty: detected
	Sheet          string   `json:"sheet,omitempty"`    // of an XLSX file; empty: the first with rows
	System         string   `json:"system,omitempty"`   // a system prompt for examples that have none
	Allow          []string `json:"allow,omitempty"`    // values that are never masked; remembered for later imports
	// Policy is a masking policy in JSON (see policy.Policy.JSON), which becomes
	// the project's; empty: it stays as it is.
	Policy   json.RawMessage `json:"policy,omitempty"`
	KeepHTML bool            `json:"keep_html,omitempty"`
	// Append adds the file's examples to those of the newest version. Without
	// it the file is the whole new version.
	Append bool `json:"append,omitempty"`
	// SecondPass has a model read what the rules left for names and addresses;
	// Model names it, empty meaning the one that is served by default.
	SecondPass bool   `json:"second_pass,omitempty"`
	Model      string `json:"model,omitempty"`
}

// Report is what Version.Report holds, in JSON. It has no texts of the data:
// values are shown as mask tokens. Version.Counts has the sizes of the splits.
type Report struct {
	Clean *clean.Report `json:"clean,omitempty"`
	Mask  MaskReport    `json:"mask"`
	// Feedback is set for versions that ApplyCorrections made.
	Feedback *FeedbackReport `json:"feedback,omitempty"`
	// Answered is set for versions that Answered made.
	Answered *AnsweredReport `json:"answered,omitempty"`
	// ValidationFile is set for versions that FromFiles made with one.
	ValidationFile string `json:"validation_file,omitempty"`
	// SecondPass is set for versions that a model read as well.
	SecondPass *SecondPassReport `json:"second_pass,omitempty"`
	// Reviewed is set for versions that decisions of a review made.
	Reviewed bool `json:"reviewed,omitempty"`
	// Source is set for versions that were made of a file: how it was read, so
	// that it can be read again.
	Source   *Source  `json:"source,omitempty"`
	Warnings []string `json:"warnings,omitempty"`
}

// MaskReport counts what was masked.
type MaskReport struct {
	Entities pii.Summary `json:"entities"` // findings by entity
	Rows     int         `json:"rows"`     // examples with at least one finding
	// Used says what it was masked with; absent in versions of older Cloisters.
	Used *masking.Summary `json:"used,omitempty"`
	// Proposals are values for the allow list, most frequent first.
	Proposals []Proposal `json:"proposals,omitempty"`
	// Asked counts values that stand in many answers and are not proposed, as
	// they stand in questions, too.
	Asked int `json:"asked,omitempty"`
}

// Source says how a version's original was read.
type Source struct {
	Request ImportRequest `json:"request"` // without texts: name, system prompt and allow list are elsewhere
	// Carried is the version whose examples were added to the file's, 0 if none.
	Carried int `json:"carried,omitempty"`
}

// SecondPassReport says what a model added to the findings of the rules.
type SecondPassReport struct {
	Model    string `json:"model"`
	Read     int    `json:"read"`     // examples
	Proposed int    `json:"proposed"` // values, most of which may not stand in the texts or be masked already
	Places   int    `json:"places"`   // that were masked because of them
	Rows     int    `json:"rows"`     // examples with such places
	// Tokens are the values that led to places, by the row of the file, so that a
	// later version of the same file needs no second reading.
	Tokens map[int][]string `json:"tokens,omitempty"`
}

// Proposal is a masked value that stands in the answers to several different
// questions and in no question, so that it is likely the institution's own: its
// front desk's number, its doctor's name. It must then be allowed, or the tuned model will
// answer with the token.
type Proposal struct {
	Token     string `json:"token"`
	Entity    string `json:"entity"`
	Rows      int    `json:"rows"`      // examples whose answer holds it
	Questions int    `json:"questions"` // groups of near-duplicate questions among them
	// Value and Contexts, some of the answers' words around it, masked, are set
	// by Reveal only, and never stored in the report.
	Value    string   `json:"value,omitempty"`
	Contexts []string `json:"contexts,omitempty"`
}

// FeedbackReport counts what ApplyCorrections did.
type FeedbackReport struct {
	Replaced int `json:"replaced"` // examples whose answer was corrected
	Added    int `json:"added"`    // new examples
	// HeldOut counts those of them that stand in the validation or test split,
	// because their question does: they are measured on, not learnt.
	HeldOut int `json:"held_out"`
}
