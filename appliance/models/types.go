// Package models turns the names that users write into models that answer:
// release aliases, tuned adapters, base models and OpenAI's own names lead to
// an engine, which is started on first use.
//
// A Registry is safe for concurrent use. It owns the engines that it starts:
// callers use them and never close them. Close ends them all.
package models

import (
	"errors"
	"log/slog"
	"time"

	"cloister/store"
)

// ErrUnknownModel is wrapped in errors about a name that leads to no model.
var ErrUnknownModel = errors.New("no model has this name")

// ErrStart is wrapped in errors about a base model whose engine does not start,
// such as one of an architecture that llama.cpp does not know.
var ErrStart = errors.New("cannot start the model")

// Config says how names are read.
type Config struct {
	// Map leads OpenAI names to local ones: bases, adapters or aliases.
	Map map[string]string
	// Default is the local name that unmapped OpenAI names and the empty name
	// lead to. Empty: the only base model, if there is one.
	Default string
	// Org stands in the names of tuned models, "ft:<base>:<org>:…".
	Org string
	// Home is the data directory. Imported models are kept in its folder
	// "models"; relative paths of records start here.
	Home string
	// Self is the file that this process and its workers run, if it carries
	// models. What records name in it is read from the running file itself, which
	// its name may not lead to any more: an upgrade puts another one there.
	Self string
	// WhileTraining is what becomes of loaded models while a job trains; empty: Choose.
	WhileTraining WhileTraining
	// Log gets what nobody waits for; nil: nothing is logged.
	Log *slog.Logger
}

func (c Config) log() *slog.Logger {
	if c.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return c.Log
}

// Resolved is what a name leads to.
type Resolved struct {
	Base    store.BaseModel
	Adapter *store.Adapter // nil: the base itself
	Alias   string         // the release alias on the way, if there was one
}

// Name is the name of the model itself: of the adapter, or else of the base.
func (r Resolved) Name() string {
	if r.Adapter != nil {
		return r.Adapter.Name
	}
	return r.Base.Name
}

// AdapterName is what engine requests want: the adapter's name, "" for the base.
func (r Resolved) AdapterName() string {
	if r.Adapter != nil {
		return r.Adapter.Name
	}
	return ""
}

// Kinds of an Entry.
const (
	KindBase       = "base"
	KindAdapter    = "adapter"
	KindCheckpoint = "checkpoint"
	KindAlias      = "alias"
)

// Entry is a name that can be used as "model".
type Entry struct {
	Name      string    `json:"name"`
	Kind      string    `json:"kind"`
	Base      string    `json:"base"`   // name of the base model
	Target    string    `json:"target"` // the model that an alias leads to now; otherwise Name
	CreatedAt time.Time `json:"created_at"`
}
