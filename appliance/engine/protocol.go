package engine

import (
	"errors"

	"cloister/llama/chat"
	"cloister/lora/train"
)

// The worker's protocol: HTTP over Unix sockets without a name, which the
// appliance makes in pairs, as it may connect to nothing; it passes one end of
// each over the airgap.Line that the worker inherits. Requests are JSON; Chat answers a stream of JSON lines, the
// others one line. The header is sent when the work begins. A line that closes a request holds a result or an error.

// lineFD is the descriptor of a worker's end of the Line.
const lineFD = 3

// inferConfig is what a new inference worker reads from its standard input.
type inferConfig struct {
	Model   string  `json:"model"`
	Options Options `json:"options"`
}

// A new inference worker says where the model will lie before it loads it, and
// after that, in a second line, that it is ready or why it is not.
type (
	placedLine = reply[Placement]
	readyLine  = reply[string]
)

// chatLine is a line of Chat's answer.
type chatLine struct {
	Chunk  *Chunk      `json:"chunk,omitempty"`
	Result *ChatResult `json:"result,omitempty"`
	Error  *wireError  `json:"error,omitempty"`
}

// reply is the answer of the other methods.
type reply[T any] struct {
	Result T          `json:"result"`
	Error  *wireError `json:"error,omitempty"`
}

type countRequest struct {
	Messages []chat.Message `json:"messages"`
}

type scoreRequest struct {
	Adapter  string         `json:"adapter"`
	Messages []chat.Message `json:"messages"`
}

type adapterRequest struct {
	Name string `json:"name"`
	Path string `json:"path,omitempty"`
}

// trainRequest is what a new training worker reads from its standard input.
type trainRequest struct {
	Estimate bool              `json:"estimate,omitempty"` // measure only
	Plan     *train.PlanConfig `json:"plan,omitempty"`     // plan the memory only
	train.Request
}

// trainLine is a line of a training worker's standard output.
type trainLine struct {
	Event      *train.Event      `json:"event,omitempty"`
	Result     *train.Result     `json:"result,omitempty"`
	Estimation *train.Estimation `json:"estimation,omitempty"`
	Memory     *train.Memory     `json:"memory,omitempty"`
	Error      *wireError        `json:"error,omitempty"`
}

// wireError carries an error across the border so that errors.Is and errors.As
// find on the other side what they would have found on this one.
type wireError struct {
	Kind    string        `json:"kind,omitempty"`
	Message string        `json:"message"`
	Context *ContextError `json:"context,omitempty"`
}

// kinds of errors that callers tell apart.
var kinds = map[string]error{
	"closed":     ErrClosed,
	"no-adapter": ErrNoAdapter,
	"template":   ErrTemplate,
	"device":     ErrDevice,
	"diverged":   train.ErrDiverged,
	"memory":     train.ErrMemory,
	"card":       train.ErrDevice,
	"stopped":    train.ErrStopped,
}

func toWire(err error) *wireError {
	w := &wireError{Message: err.Error()}
	if errors.As(err, &w.Context) {
		return w
	}
	for kind, sentinel := range kinds {
		if errors.Is(err, sentinel) {
			w.Kind = kind
		}
	}
	return w
}

func (w *wireError) err() error {
	switch {
	case w == nil:
		return nil
	case w.Context != nil:
		return w.Context
	case kinds[w.Kind] != nil:
		return &remoteError{w.Message, kinds[w.Kind]}
	}
	return errors.New(w.Message)
}

// remoteError has the worker's words and the sentinel that they stood for.
type remoteError struct {
	message  string
	sentinel error
}

func (e *remoteError) Error() string { return e.message }
func (e *remoteError) Unwrap() error { return e.sentinel }
