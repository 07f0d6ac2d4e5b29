package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"cloister/llama/chat"
)

// Child is the Engine in a worker process of the same binary. When the worker
// dies, its requests fail with ErrWorkerDied and a new worker starts at once,
// with the same adapters; on the processor if a card is to blame (fallback.go).
type Child struct {
	exe      []string // the command line of `worker infer`
	model    string
	opts     Options
	patience patience

	ctx    context.Context // ends at Close
	cancel context.CancelFunc

	changing sync.Mutex        // held while one worker takes the place of another
	mu       sync.Mutex        // held while a worker starts that requests wait for
	adapters map[string]string // name → path, to load again after a restart
	worker   *worker           // the latest; it may have died
	closed   bool
	moved    bool // to the processor, by Move
	fall     fallback
	again    *time.Timer // until the card is tried again; nil before it failed

	seen    sync.Mutex // never held for long
	state   State
	visible *worker
}

var _ Engine = (*Child)(nil)

// NewChild starts a worker for a GGUF model and waits until it is ready. exe
// is the command line that runs ServeInfer on its standard input and output.
func NewChild(ctx context.Context, exe []string, model string, o Options) (*Child, error) {
	c := &Child{exe: exe, model: model, opts: o, patience: usualPatience, moved: o.Moved, adapters: map[string]string{}}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	w, err := c.live(ctx)
	if err != nil {
		c.cancel()
		return nil, err
	}
	w.using.Done()
	return c, nil
}

// live returns the running worker and starts one if there is none. The caller
// says when it needs it no longer: using.Done.
func (c *Child) live(ctx context.Context) (*worker, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, ErrClosed
	}
	if c.worker != nil && !c.worker.ended() {
		c.worker.using.Add(1)
		return c.worker, nil
	}
	if c.worker != nil {
		c.note(c.worker)
	}
	defer c.show()
	w, err := c.start(ctx)
	if err != nil {
		return nil, err
	}
	if err := c.loadAll(ctx, w); err != nil {
		w.stop()
		return nil, err
	}
	c.worker = w
	w.using.Add(1)
	go c.revive(w)
	return w, nil
}

// loadAll loads the adapters into a new worker; mu is held.
func (c *Child) loadAll(ctx context.Context, w *worker) error {
	for _, name := range slices.Sorted(maps.Keys(c.adapters)) {
		if err := w.load(ctx, adapterRequest{name, c.adapters[name]}); err != nil {
			return fmt.Errorf("adapter %s after a restart: %w", name, err)
		}
	}
	return nil
}

// revive starts the next worker as soon as this one dies, so that the next
// request need not wait for the model to load.
func (c *Child) revive(w *worker) {
	<-w.dead
	if w.stopped.Load() {
		return
	}
	ctx, cancel := context.WithTimeout(c.ctx, 10*time.Minute)
	defer cancel()
	if next, err := c.live(ctx); err == nil { // an error comes again, and is told, at the next request
		next.using.Done()
	}
}

// attempts is how many workers a request that none of them begins with may meet.
const attempts = 3

// begin sends a request to the running worker, which has begun with it when
// this returns; the caller says when it has ended: using.Done. One that dies before that, such as of a signal a moment ago,
// costs the request nothing: it goes to the next worker.
func (c *Child) begin(ctx context.Context, path string, body any) (*worker, *http.Response, error) {
	for try := 1; ; try++ {
		w, err := c.live(ctx)
		if err != nil {
			return nil, nil, err
		}
		resp, err := w.post(ctx, path, body)
		if err == nil {
			return w, resp, nil
		}
		w.using.Done()
		if try == attempts || !errors.Is(err, ErrWorkerDied) {
			return nil, nil, err
		}
	}
}

// answer reads what a method that answers once has to say.
func answer[A any](ctx context.Context, w *worker, resp *http.Response) (A, error) {
	defer resp.Body.Close()
	var out reply[A]
	if err := json.NewDecoder(resp.Body).Decode(&out); err != nil {
		return out.Result, w.explain(ctx, err)
	}
	return out.Result, out.Error.err()
}

// call runs a method that answers once on the running worker.
func call[A any](ctx context.Context, c *Child, path string, body any) (A, error) {
	w, resp, err := c.begin(ctx, path, body)
	if err != nil {
		var zero A
		return zero, err
	}
	defer w.using.Done()
	return answer[A](ctx, w, resp)
}

// Info implements Engine.
func (c *Child) Info(ctx context.Context) (Info, error) {
	return call[Info](ctx, c, "/info", struct{}{})
}

// CountTokens implements Engine.
func (c *Child) CountTokens(ctx context.Context, messages []chat.Message) (int, error) {
	return call[int](ctx, c, "/count", countRequest{messages})
}

// Score implements Engine.
func (c *Child) Score(ctx context.Context, adapter string, messages []chat.Message) (Score, error) {
	return call[Score](ctx, c, "/score", scoreRequest{adapter, messages})
}

// LoadAdapter implements Engine.
func (c *Child) LoadAdapter(ctx context.Context, name, path string) error {
	for {
		w, resp, err := c.begin(ctx, "/load", adapterRequest{name, path})
		if err != nil {
			return err
		}
		_, err = answer[struct{}](ctx, w, resp)
		w.using.Done()
		if err != nil {
			return err
		}
		c.mu.Lock()
		c.adapters[name] = path
		latest := c.worker == w
		c.mu.Unlock()
		if latest {
			return nil
		}
		// The worker died and the next one began before the adapter was noted.
	}
}

// UnloadAdapter implements Engine.
func (c *Child) UnloadAdapter(ctx context.Context, name string) error {
	c.mu.Lock()
	delete(c.adapters, name) // first, or a worker that starts now would load it again
	c.mu.Unlock()
	_, err := call[struct{}](ctx, c, "/unload", adapterRequest{Name: name})
	return err
}

// Chat implements Engine.
func (c *Child) Chat(ctx context.Context, req ChatRequest, emit func(Chunk) error) (ChatResult, error) {
	w, resp, err := c.begin(ctx, "/chat", req)
	if err != nil {
		return ChatResult{}, err
	}
	defer w.using.Done()
	defer resp.Body.Close() // before its end, it cancels the request
	dec := json.NewDecoder(resp.Body)
	for {
		var line chatLine
		if err := dec.Decode(&line); err != nil {
			return ChatResult{}, w.explain(ctx, err)
		}
		switch {
		case line.Error != nil:
			if ctx.Err() != nil {
				return ChatResult{}, ctx.Err()
			}
			return ChatResult{}, line.Error.err()
		case line.Result != nil:
			return *line.Result, nil
		case line.Chunk != nil && emit != nil:
			if err := emit(*line.Chunk); err != nil {
				return ChatResult{}, err
			}
		}
	}
}

// PID is the process id of the running worker, for tests and status pages; 0 if none runs.
func (c *Child) PID() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.worker == nil || c.worker.ended() {
		return 0
	}
	return c.worker.cmd.Process.Pid
}

// Close implements Engine.
func (c *Child) Close() error {
	if w := c.end(); w != nil {
		w.stop()
	}
	return nil
}

// Retire is Close that lets running requests end first, until the limit.
func (c *Child) Retire(limit time.Duration) error {
	if w := c.end(); w != nil {
		w.retire(limit)
	}
	return nil
}

// end closes the engine to new requests and returns the last worker.
func (c *Child) end() *worker {
	c.cancel()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	if c.again != nil {
		c.again.Stop()
	}
	return c.worker
}
