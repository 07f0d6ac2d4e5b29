package engine

import (
	"errors"
	"fmt"
)

// ErrClosed is returned to requests of an engine that has been closed.
var ErrClosed = errors.New("the engine has been closed")

// ErrWorkerDied is returned to requests that were running when the worker
// process died. The next request starts a new worker.
var ErrWorkerDied = errors.New("the model worker died during this request; try again")

// ErrNoAdapter is wrapped in errors that name an adapter which is not loaded.
var ErrNoAdapter = errors.New("no such adapter is loaded")

// ContextError says that a prompt and its answer do not fit into the context.
type ContextError struct {
	Limit  int `json:"limit"`  // tokens that fit
	Prompt int `json:"prompt"` // tokens of the prompt
}

func (e *ContextError) Error() string {
	return fmt.Sprintf("This model's maximum context length is %d tokens. However, your messages resulted in %d tokens.", e.Limit, e.Prompt)
}
