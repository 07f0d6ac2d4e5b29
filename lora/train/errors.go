package train

import (
	"context"
	"errors"
	"fmt"
)

var (
	// ErrDiverged says that training stopped because its loss or gradient was
	// not a number several times in a row, or grew far above its start.
	ErrDiverged = errors.New("training diverged")
	// ErrStopped says that the context was cancelled. A checkpoint was written;
	// the same request resumes from it.
	ErrStopped = fmt.Errorf("training was stopped before its end: %w", context.Canceled)
	// ErrNoExamples says that no example was left to learn from.
	ErrNoExamples = errors.New("there is no example to learn from")
	// ErrMemory says that the job would not fit into the memory that is free.
	ErrMemory = errors.New("not enough memory")
	// ErrDevice says that the card failed in the middle of a job: it was lost, or
	// others took its memory. The same request, here or on the CPU, resumes from
	// the last checkpoint.
	ErrDevice = errors.New("the card failed")
)
