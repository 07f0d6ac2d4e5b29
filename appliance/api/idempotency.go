package api

import (
	"errors"
	"sync"
	"time"
)

// Bounds of what is remembered.
const (
	idempotencyAge  = 24 * time.Hour
	idempotencySize = 10000
)

// idempotency remembers which job a caller's Idempotency-Key led to, so that a
// request that a client repeats after a broken connection starts no second
// job. It is kept in memory: a client does not repeat a request for longer
// than a restart takes. The zero value is ready.
type idempotency struct {
	mu   sync.Mutex
	done map[string]*outcome
}

// outcome of the first request with a key.
type outcome struct {
	ready chan struct{} // closed when id or err is set
	id    string
	err   error
	at    time.Time
}

// do runs f, or waits for and returns what it gave before under this key. A
// failure is not remembered. Without a key it just runs f.
func (i *idempotency) do(actor, key string, f func() (string, error)) (string, error) {
	if key == "" {
		return f()
	}
	key = actor + "\x00" + key
	i.mu.Lock()
	if o := i.done[key]; o != nil {
		i.mu.Unlock()
		<-o.ready
		return o.id, o.err
	}
	o := &outcome{ready: make(chan struct{}), at: time.Now(), err: errors.New("the first request with this Idempotency-Key did not end")}
	i.forget()
	i.done[key] = o
	i.mu.Unlock()

	defer func() { // after a panic of f too
		if o.err != nil {
			i.mu.Lock()
			delete(i.done, key)
			i.mu.Unlock()
		}
		close(o.ready)
	}()
	o.id, o.err = f()
	return o.id, o.err
}

// forget makes room; the caller holds mu.
func (i *idempotency) forget() {
	if i.done == nil || len(i.done) >= idempotencySize {
		i.done = map[string]*outcome{}
	}
	for key, o := range i.done {
		if time.Since(o.at) > idempotencyAge {
			delete(i.done, key)
		}
	}
}
