package engine

import (
	"errors"

	"cloister/llama"
	"cloister/llama/sched"
)

// ErrClosed is returned to requests of an engine that has been closed.
var ErrClosed = sched.ErrClosed

// ErrNoAdapter is wrapped in errors that name an adapter which is not loaded.
var ErrNoAdapter = sched.ErrNoAdapter

// ErrDevice is wrapped in errors for which a card is to blame: its memory, its
// driver, or that there is none. The processor may do what it did not.
var ErrDevice = errors.New("the card cannot be used")

// ErrTemplate is wrapped in errors about messages that the model's chat
// template does not take.
var ErrTemplate = llama.ErrTemplate

// ErrWorkerDied is wrapped in the errors of requests that had begun when the
// worker process died. The next request finds a new worker.
var ErrWorkerDied = errors.New("the model worker died during this request; try again")
