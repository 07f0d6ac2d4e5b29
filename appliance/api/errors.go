package api

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"cloister/appliance/engine"
	"cloister/appliance/fault"
	"cloister/appliance/jobs"
	"cloister/appliance/models"
	"cloister/appliance/openai"
	"cloister/store"
)

// Types of errors on the wire, in OpenAI's words.
const (
	typeInvalid     = "invalid_request_error"
	typeServer      = "server_error"
	typeUnavailable = "service_unavailable_error"
)

// failure is an error as a client sees it. Clients of OpenAI repeat requests
// that failed with 408, 409, 429 or 5xx unless x-should-retry says otherwise,
// and a request that starts a job must not run three times: only a failure
// with retryAfter invites them to.
type failure struct {
	status     int
	kind       string // one of the types above
	message    string
	param      string // dotted path of the field, or empty
	code       string
	retryAfter time.Duration // 0: do not repeat
	cause      error         // for the log; may be nil
}

func (f *failure) Error() string { return f.message }
func (f *failure) Unwrap() error { return f.cause }

// wire returns the body of the failure.
func (f *failure) wire() openai.Error {
	return openai.Error{Message: f.message, Type: f.kind, Param: optional(f.param), Code: optional(f.code)}
}

// invalid is a 400 about one field.
func invalid(param, format string, args ...any) *failure {
	return &failure{status: http.StatusBadRequest, kind: typeInvalid, message: fmt.Sprintf(format, args...), param: param}
}

// missing is a 400 about a field that must be there.
func missing(param string) *failure {
	return invalid(param, "Missing required parameter: '%s'.", param)
}

// notFound is a 404 about an object, in OpenAI's words.
func notFound(object, id string) *failure {
	return &failure{status: http.StatusNotFound, kind: typeInvalid, message: "No such " + object + ": " + id, param: "id"}
}

// asFailure decides what a client sees of an error. Errors that this function
// does not know are bugs or broken hardware: the client learns that something
// failed, and the log has the error under the request's id.
func asFailure(err error) *failure {
	if f, ok := errors.AsType[*failure](err); ok {
		return f
	}
	if e, ok := errors.AsType[*openai.FieldError](err); ok {
		return invalid(e.Param, "%s", e.Message)
	}
	if e, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return &failure{status: http.StatusRequestEntityTooLarge, kind: typeInvalid,
			message: fmt.Sprintf("The body of the request is larger than %d bytes.", e.Limit)}
	}
	if e, ok := errors.AsType[*fault.Error](err); ok {
		return ofFault(e)
	}
	if e, ok := errors.AsType[*engine.ContextError](err); ok {
		return &failure{status: http.StatusBadRequest, kind: typeInvalid, param: "messages", code: "context_length_exceeded",
			message: e.Error() + " Please reduce the length of the messages."}
	}
	for _, known := range sentinels {
		if errors.Is(err, known.is) {
			f := known.failure
			f.cause = err
			if f.message == "" {
				f.message = sentence(err)
			}
			return &f
		}
	}
	return &failure{status: http.StatusInternalServerError, kind: typeServer, cause: err,
		message: "The appliance failed while it worked on this request. Its log has the reason under the request id."}
}

// ofFault maps the services' own errors. A conflict is a 400: clients repeat a 409.
func ofFault(e *fault.Error) *failure {
	out := &failure{status: http.StatusBadRequest, kind: typeInvalid, message: e.Error(), param: e.Param, code: e.Code, cause: e}
	switch e.Kind {
	case fault.NotFound:
		out.status = http.StatusNotFound
	case fault.Forbidden:
		out.status = http.StatusForbidden
	case fault.TooLarge:
		out.status = http.StatusRequestEntityTooLarge
	case fault.Unavailable:
		out.status, out.kind, out.retryAfter = http.StatusServiceUnavailable, typeUnavailable, cmp.Or(e.RetryAfter, time.Second)
	}
	return out
}

// seenBy is what a caller sees of an error. Administrators see the cause of an
// internal one: it is their machine, and they may have no log at hand.
func seenBy(who principal, err error) *failure {
	f := asFailure(err)
	if f.status == http.StatusInternalServerError && who.role == roleAdmin {
		detailed := *f
		detailed.message = sentence(err)
		return &detailed
	}
	return f
}

// sentinels lists the errors of the services in the order in which they are
// looked for. An empty message means the error's own.
var sentinels = []struct {
	is      error
	failure failure
}{
	{engine.ErrWorkerDied, failure{status: http.StatusServiceUnavailable, kind: typeUnavailable, code: "worker_died", retryAfter: time.Second,
		message: "The model's process died during this request. It starts again with the next one; please repeat the request."}},
	{engine.ErrClosed, failure{status: http.StatusServiceUnavailable, kind: typeUnavailable, code: "model_unloaded", retryAfter: time.Second,
		message: "The model was unloaded during this request; please repeat it."}},
	{engine.ErrNoAdapter, failure{status: http.StatusServiceUnavailable, kind: typeUnavailable, code: "model_unloaded", retryAfter: time.Second,
		message: "The tuned model was removed during this request; please repeat it."}},
	{engine.ErrTemplate, failure{status: http.StatusBadRequest, kind: typeInvalid, param: "messages", code: "invalid_messages"}},
	{jobs.ErrClosed, failure{status: http.StatusServiceUnavailable, kind: typeUnavailable, code: "shutting_down", retryAfter: 5 * time.Second}},
	{models.ErrUnknownModel, failure{status: http.StatusNotFound, kind: typeInvalid, param: "model", code: "model_not_found"}},
	{models.ErrStart, failure{status: http.StatusInternalServerError, kind: typeServer, param: "model", code: "model_not_loadable",
		message: "The model cannot be loaded. The appliance's log has the reason under the request id."}},
	{store.ErrNotFound, failure{status: http.StatusNotFound, kind: typeInvalid}},
	{store.ErrExists, failure{status: http.StatusBadRequest, kind: typeInvalid, code: "already_exists"}},
	{store.ErrReferenced, failure{status: http.StatusBadRequest, kind: typeInvalid, code: "in_use"}},
	{store.ErrInvalid, failure{status: http.StatusBadRequest, kind: typeInvalid}},
	{store.ErrTooLarge, failure{status: http.StatusRequestEntityTooLarge, kind: typeInvalid}},
	{store.ErrConflict, failure{status: http.StatusConflict, kind: typeInvalid, code: "conflict", retryAfter: time.Second}},
	{context.DeadlineExceeded, failure{status: http.StatusGatewayTimeout, kind: typeServer, message: "The request took too long and was stopped."}},
}

// headers writes the failure's advice on repeating the request.
func (f *failure) headers(h http.Header) {
	if f.retryAfter == 0 {
		h.Set("X-Should-Retry", "false")
		return
	}
	h.Set("X-Should-Retry", "true")
	h.Set("Retry-After", strconv.Itoa(int((f.retryAfter+time.Second-1)/time.Second)))
}

// sentence makes an error's text begin with a capital letter and end with a full stop.
func sentence(err error) string {
	text := err.Error()
	if text == "" {
		return "The request failed."
	}
	if c := text[0]; c >= 'a' && c <= 'z' {
		text = string(c-'a'+'A') + text[1:]
	}
	if last := text[len(text)-1]; last != '.' && last != '!' && last != '?' {
		text += "."
	}
	return text
}

// optional returns nil for the empty string.
func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
