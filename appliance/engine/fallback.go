package engine

import (
	"context"
	"errors"
	"path/filepath"
	"time"

	"cloister/llama/offload"
)

// patience with a card. The first worker that dies there may have died of its
// request; the second within window, or the first that cannot even load, goes
// to the processor. The card is tried again after retry, and later each time.
type patience struct {
	window, retry, maxRetry time.Duration
}

var usualPatience = patience{window: 5 * time.Minute, retry: time.Minute, maxRetry: time.Hour}

// fallback is why a model that may use a card is on the processor. The zero
// value is a model that has no reason to be there.
type fallback struct {
	since  time.Time // zero: it is not
	reason string
	retry  time.Time // when the card is tried again

	tries int       // times in a row that the card failed
	death time.Time // of the last worker that died on a card
}

func (f *fallback) active() bool { return !f.since.IsZero() }

// fail sends the model to the processor.
func (f *fallback) fail(now time.Time, reason string, p patience) {
	if !f.active() {
		f.since = now
	}
	wait := p.retry << min(f.tries, 20)
	f.tries++
	f.reason, f.retry = reason, now.Add(min(wait, p.maxRetry))
}

// died is called when a worker has died on a card after it had lived so long.
// It reports whether the model goes to the processor.
func (f *fallback) died(now time.Time, lived time.Duration, reason string, p patience) bool {
	before := f.death
	f.death = now
	if lived >= p.window {
		f.tries = 0 // the card had recovered
	}
	if f.tries == 0 && now.Sub(before) > p.window {
		return false
	}
	f.fail(now, reason, p)
	return true
}

// recovered says that a worker runs on the card again. tries stay until it has
// lived for some time.
func (f *fallback) recovered() { f.since, f.reason, f.retry = time.Time{}, "", time.Time{} }

// OnProcessor says why a model that may use a card does not.
type OnProcessor struct {
	Since   time.Time `json:"since"`
	Because string    `json:"because"`
	Retry   time.Time `json:"retry"` // when the card is tried again
}

// State is what a Child does at present.
type State struct {
	Placement
	PID         int          `json:"pid,omitempty"` // of the running worker
	OnProcessor *OnProcessor `json:"on_processor,omitempty"`
	Moved       bool         `json:"moved,omitempty"` // to the processor, by Move
}

// State returns at once, whatever the engine does.
func (c *Child) State() State {
	c.seen.Lock()
	defer c.seen.Unlock()
	s := c.state
	if w := c.visible; w != nil && !w.ended() {
		s.PID = w.cmd.Process.Pid
	}
	return s
}

// show makes what State returns; mu is held.
func (c *Child) show() {
	c.seen.Lock()
	defer c.seen.Unlock()
	c.visible = c.worker
	c.state = State{Moved: c.moved}
	if c.worker != nil {
		c.state.Placement = c.worker.placed
	}
	if c.fall.active() {
		c.state.OnProcessor = &OnProcessor{Since: c.fall.since, Because: c.fall.reason, Retry: c.fall.retry}
	}
}

// options of the next worker; mu is held.
func (c *Child) options() Options {
	o := c.opts
	if c.moved || c.fall.active() {
		o.Layers = offload.None
	}
	return o
}

// cardFailed tells whether a worker did not come up because of a card, and why.
func cardFailed(err error) (reason string, ok bool) {
	e, started := errors.AsType[*startError](err)
	switch {
	case errors.Is(err, ErrDevice):
		return cut(err.Error()), true
	case !started || e.reason == "":
		return "", false
	}
	return e.reason, e.placed == nil || e.placed.OnCard() // it died, perhaps in the driver
}

// start starts a worker where it belongs, and on the processor if the card does
// not have it; mu is held.
func (c *Child) start(ctx context.Context) (*worker, error) {
	o := c.options()
	w, err := startWorker(ctx, c.exe, c.model, o)
	if err == nil || o.Layers == offload.None || ctx.Err() != nil {
		return w, err
	}
	reason, ok := cardFailed(err)
	if !ok {
		return nil, err
	}
	o.Layers = offload.None
	if w, err = startWorker(ctx, c.exe, c.model, o); err != nil {
		return nil, err // the file is to blame, not the card
	}
	c.toProcessor(reason)
	return w, nil
}

// toProcessor notes that the card failed and arranges for another try; mu is held.
func (c *Child) toProcessor(reason string) {
	c.fall.fail(time.Now(), reason, c.patience)
	c.arrange()
}

// arrange tells that the card failed, and tries it again when it is time; mu is held.
func (c *Child) arrange() {
	if c.opts.Log != nil {
		c.opts.Log.Warn("the card failed; the model answers on the processor", "model", filepath.Base(c.model), "because", c.fall.reason, "retry", c.fall.retry)
	}
	if c.again != nil {
		c.again.Stop()
	}
	c.again = time.AfterFunc(time.Until(c.fall.retry), c.tryCard)
}

// note draws the conclusions from a worker that died by itself; mu is held.
func (c *Child) note(w *worker) {
	if w.noted || w.stopped.Load() {
		return
	}
	w.noted = true
	if !w.placed.OnCard() {
		return
	}
	now := time.Now()
	if c.fall.died(now, now.Sub(w.began), w.stderr.reason(w.cmd.ProcessState), c.patience) {
		c.arrange()
	}
}

// tryCard brings a model that fell back to the processor onto the card again.
// Requests are answered meanwhile.
func (c *Child) tryCard() {
	c.mu.Lock()
	stay := c.closed || c.moved || !c.fall.active()
	c.mu.Unlock()
	if stay {
		return
	}
	err := c.replace(c.ctx, c.opts, func() {
		c.fall.recovered()
		if c.opts.Log != nil {
			c.opts.Log.Info("the model is on the card again", "model", filepath.Base(c.model))
		}
	})
	reason, ok := cardFailed(err)
	switch {
	case err == nil || c.ctx.Err() != nil:
		return
	case !ok:
		reason = cut(err.Error())
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || !c.fall.active() {
		return
	}
	c.toProcessor(reason)
	c.show()
}

// retirement is how long requests of a worker that is replaced may go on.
const retirement = time.Minute

// Move takes the model to the processor, away from cards that somebody else
// needs, or lets it back. Requests are answered meanwhile; the old worker, and
// its memory, has gone when Move returns.
func (c *Child) Move(ctx context.Context, toProcessor bool) error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return ErrClosed
	}
	c.moved = toProcessor
	o := c.options()
	running := c.worker != nil && !c.worker.ended()
	same := !running || o.Layers == offload.None && !c.worker.placed.OnCard()
	c.show()
	c.mu.Unlock()
	if same {
		return nil
	}
	return c.replace(ctx, o, func() {})
}

// replace starts another worker, puts it in the place of the one that runs, and
// lets that one end. done is called with mu held, when the new one is in place.
func (c *Child) replace(ctx context.Context, o Options, done func()) error {
	c.changing.Lock()
	defer c.changing.Unlock()
	w, err := startWorker(ctx, c.exe, c.model, o)
	if err != nil {
		return err
	}
	c.mu.Lock()
	if c.closed {
		err = ErrClosed
	} else {
		err = c.loadAll(ctx, w)
	}
	if err != nil {
		c.mu.Unlock()
		w.stop()
		return err
	}
	old := c.worker
	c.worker = w
	done()
	c.show()
	c.mu.Unlock()
	go c.revive(w)
	if old != nil {
		old.retire(retirement)
	}
	return nil
}
