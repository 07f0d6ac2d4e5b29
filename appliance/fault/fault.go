// Package fault holds the one error type by which the appliance's services
// tell a caller what was wrong with a request and what to do about it. The
// HTTP layer maps it in one place; everything else is an internal error.
//
// A *Error is immutable and safe for concurrent use.
package fault

import (
	"fmt"
	"time"
)

// Kind says whose fault it is and whether trying again may help.
type Kind int

// The kinds, with the HTTP status that suits them.
const (
	Invalid     Kind = iota // the request is wrong: 400
	NotFound                // it names something that is not there: 404
	Forbidden               // it is understood and refused, such as by the gate: 403
	Conflict                // it does not fit the present state: 400, or 409 where clients do not retry
	TooLarge                // 413
	Unavailable             // try again later: 503
)

// Error is a failure that the caller can do something about. Messages never
// hold texts of examples, answers or questions.
type Error struct {
	Kind    Kind
	Code    string // OpenAI's where it has one, such as "model_not_found"; may be empty
	Param   string // the field of the request, such as "training_file"; may be empty
	Message string // a sentence or more
	Hint    string // what to type, such as "cloister model list"; may be empty
	// RetryAfter is when an Unavailable one may be tried again; 0: soon.
	RetryAfter time.Duration
	Err        error // the cause, or nil; errors.Is and As see it, the text does not show it
}

// Error returns the message and the hint.
func (e *Error) Error() string {
	if e.Hint == "" {
		return e.Message
	}
	return e.Message + try + e.Hint
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// New returns an Error with a formatted message.
func New(kind Kind, code, param, format string, args ...any) *Error {
	return &Error{Kind: kind, Code: code, Param: param, Message: fmt.Sprintf(format, args...)}
}

// WithHint returns a copy of e that says what to type.
func (e *Error) WithHint(format string, args ...any) *Error {
	c := *e
	c.Hint = fmt.Sprintf(format, args...)
	return &c
}

// Wrap returns a copy of e with a cause.
func (e *Error) Wrap(err error) *Error {
	c := *e
	c.Err = err
	return &c
}
