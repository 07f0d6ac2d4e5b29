package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"

	"cloister/appliance/openai"
)

// maxJSON bounds the body of a JSON request: a long conversation, not a file.
const maxJSON = 16 << 20

// writeTimeout is how long a reader of a stream may stand still.
const writeTimeout = 30 * time.Second

// response remembers what was sent, and stamps the time that it took.
type response struct {
	http.ResponseWriter
	start  time.Time
	status int // 0 until the header is written
}

func (w *response) WriteHeader(status int) {
	if w.status == 0 && status >= 200 {
		w.status = status
		w.Header().Set("Openai-Processing-Ms", strconv.FormatInt(time.Since(w.start).Milliseconds(), 10))
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *response) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	return w.ResponseWriter.Write(p)
}

// Unwrap lets http.ResponseController reach the connection.
func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// marshal encodes a value without escaping <, > and &, which are common in answers.
func marshal(v any) ([]byte, error) {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), nil
}

// respond sends a value as JSON.
func respond(w http.ResponseWriter, status int, v any) error {
	data, err := marshal(v)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(data)+1))
	w.WriteHeader(status)
	_, err = w.Write(append(data, '\n'))
	return gone(err)
}

// readJSON decodes the body of a request. Whatever Content-Type a client sends is fine.
func readJSON(w http.ResponseWriter, r *http.Request, v any) error {
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxJSON))
	if err != nil {
		return gone(err)
	}
	return openai.Unmarshal(data, v)
}

// errGone marks an error of the connection: the client has gone, and nobody is
// left to answer to.
var errGone = errors.New("the client has gone")

func gone(err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return err
	}
	return errors.Join(errGone, err)
}

// stream sends values one after the other: as server-sent events or as JSON
// lines. The header is sent with the first value, so an error before it can
// still be an ordinary response. It is safe for concurrent use.
type stream struct {
	mu            sync.Mutex
	w             http.ResponseWriter
	control       *http.ResponseController
	contentType   string
	before, after string
	started       bool
}

// newEvents returns a stream of server-sent events. Old clients take a
// response as a stream only by its Content-Type.
func newEvents(w http.ResponseWriter) *stream {
	return &stream{w: w, control: http.NewResponseController(w), contentType: "text/event-stream", before: "data: ", after: "\n\n"}
}

// newLines returns a stream of JSON lines.
func newLines(w http.ResponseWriter) *stream {
	return &stream{w: w, control: http.NewResponseController(w), contentType: "application/x-ndjson", after: "\n"}
}

// send writes one value and flushes it.
func (s *stream) send(v any) error {
	data, err := marshal(v)
	if err != nil {
		return err
	}
	return s.raw(string(data))
}

// raw writes one frame and flushes it.
func (s *stream) raw(data string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.started {
		s.started = true
		h := s.w.Header()
		h.Set("Content-Type", s.contentType)
		h.Set("Cache-Control", "no-cache")
		h.Set("X-Accel-Buffering", "no") // a proxy must not hold pieces back
		s.w.WriteHeader(http.StatusOK)
	}
	// A test's recorder has no deadline; a connection has.
	if err := s.control.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return gone(err)
	}
	if _, err := io.WriteString(s.w, s.before+data+s.after); err != nil {
		return gone(err)
	}
	return gone(s.control.Flush())
}

// begun reports whether the header was sent.
func (s *stream) begun() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.started
}

// stayAlive sends an empty value now and then until stop is called, so that
// nobody on the way takes a long silence for a broken connection.
func (s *stream) stayAlive(every time.Duration) (stop func()) {
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-quit:
				return
			case <-tick.C:
				if s.send(struct{}{}) != nil {
					return // the next real value meets the same error
				}
			}
		}
	}()
	return func() { close(quit); <-done }
}

// fail ends a stream that has begun with the error as its last value, and
// returns the error for the log.
func (s *stream) fail(ctx context.Context, err error) error {
	if s.begun() && !errors.Is(err, errGone) {
		_ = s.send(openai.ErrorResponse{Error: seenBy(callOf(ctx).who, err).wire()}) // err is what is reported
	}
	return err
}

// end lifts the write deadline, for the connection's next request.
func (s *stream) end() {
	_ = s.control.SetWriteDeadline(time.Time{}) // a connection that is gone needs none
}
