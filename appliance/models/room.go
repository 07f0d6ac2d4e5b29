package models

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"cloister/appliance/engine"
	"cloister/appliance/fault"
)

// WhileTraining says what becomes of models that answer while a job trains that
// may need their memory.
type WhileTraining string

// The ways.
const (
	Choose      WhileTraining = "auto"  // Keep if both fit, else ToProcessor if the host's memory holds them, else Sleep
	ToProcessor WhileTraining = "cpu"   // off the card; the processor answers, slower
	Sleep       WhileTraining = "sleep" // unloaded; requests are told to come again
	Keep        WhileTraining = "keep"
)

// ParseWhileTraining reads one of the ways; nothing is Choose.
func ParseWhileTraining(s string) (WhileTraining, error) {
	switch w := WhileTraining(s); w {
	case "":
		return Choose, nil
	case Choose, ToProcessor, Sleep, Keep:
		return w, nil
	}
	return "", fmt.Errorf("%q is none of %s, %s, %s and %s", s, Choose, ToProcessor, Sleep, Keep)
}

// Need is what a training run wants, and what there is, in bytes. What is not
// known is 0.
type Need struct {
	Job      string // whose it is, for messages
	Card     string // ggml's name of the card that trains; "" is the processor
	Bytes    int64  // that training takes there
	Free     int64  // that are free there, with the models loaded
	HostFree int64  // that are free in the host's memory
}

// spare is left alone when it is asked whether two fit side by side: a tenth
// of what training needs, at least 256 MiB.
func (n Need) spare() int64 { return max(n.Bytes/10, 256<<20) }

// mover is an Engine that can leave its card; *engine.Child is one.
type mover interface {
	Move(ctx context.Context, toProcessor bool) error
}

// retirer is an Engine that lets its requests end before it closes.
type retirer interface {
	Retire(limit time.Duration) error
}

// stater is an Engine that says where it is.
type stater interface {
	State() engine.State
}

// lastAnswers is how long answers may go on of a model that is to sleep.
const lastAnswers = time.Minute

// sleepAgain is when a client of a sleeping model may ask again.
const sleepAgain = 30 * time.Second

// hold is what holds while a job trains.
type hold struct {
	way    WhileTraining // ToProcessor or Sleep
	job    string
	since  time.Time
	asleep []string // models that were running
}

// decide chooses the way for the models that training disturbs, and says why. Way is never Choose.
func decide(policy WhileTraining, n Need, loaded []engine.State) (way WhileTraining, why string) {
	var here, host int64 // what the models have there, and what they would take of the host's memory
	for _, s := range loaded {
		host += s.HostBytes
		if here += s.DeviceBytes; n.Card == "" {
			here += s.HostBytes
		}
	}
	switch {
	case policy != Choose:
		return policy, fmt.Sprintf("--while-training %s says so", policy)
	case here == 0:
		return Keep, "no model is loaded there"
	case n.Bytes == 0 || n.Free == 0:
		return Keep, "what training needs is not known"
	case n.Bytes+n.spare() <= n.Free:
		return Keep, "both fit"
	case n.Bytes > n.Free+here:
		return Keep, "training does not fit even alone"
	}
	why = fmt.Sprintf("training needs %s and %s are free", size(n.Bytes), size(n.Free))
	if n.Card != "" && (n.HostFree == 0 || host+here <= n.HostFree) {
		return ToProcessor, why
	}
	return Sleep, why
}

// size is a number of bytes for people.
func size(n int64) string {
	if n >= 1e9 {
		return fmt.Sprintf("%.1f GB", float64(n)/1e9)
	}
	return fmt.Sprintf("%d MB", n/1e6)
}

// disturbs reports whether a model lies where training wants to be.
func disturbs(n Need, s engine.State) bool {
	if n.Card == "" {
		return !s.OnCard() || s.Layers < s.LayersTotal
	}
	return slices.Contains(s.Devices, n.Card)
}

// affected are the running models that the training run disturbs, with their engines.
func (r *Registry) affected(n Need) (names []string, states []engine.State) {
	for _, s := range r.Status() {
		if s.State != Running {
			continue
		}
		if !disturbs(n, s.Engine) {
			continue
		}
		names, states = append(names, s.Name), append(states, s.Engine)
	}
	return names, states
}

// MakeRoom gives a training run the memory that it needs, by the way of
// Config.WhileTraining, and returns when it is there. said tells what became of
// the models, "" if nothing did; back undoes it. Only one may have room at a time.
func (r *Registry) MakeRoom(ctx context.Context, n Need) (said string, back func() (said string), err error) {
	names, states := r.affected(n)
	way, why := decide(cmp.Or(r.config.WhileTraining, Choose), n, states)
	nothing := func() string { return "" }
	if way == Keep || way == ToProcessor && n.Card == "" {
		return "", nothing, nil
	}
	h := &hold{way: way, job: n.Job, since: time.Now().UTC()}
	r.mu.Lock()
	switch {
	case r.closed:
		err = engine.ErrClosed
	case r.held != nil:
		err = fmt.Errorf("job %s has room made for it already", r.held.job)
	}
	if err != nil {
		r.mu.Unlock()
		return "", nothing, err
	}
	r.held = h
	runs := make([]*running, len(names))
	for i, name := range names {
		runs[i] = r.running[name]
		if way == Sleep {
			delete(r.running, name)
			h.asleep = append(h.asleep, name)
		}
	}
	r.mu.Unlock()
	var errs []error
	for _, run := range runs {
		if run != nil {
			errs = append(errs, run.leave(ctx, way))
		}
	}
	if err := errors.Join(errs...); err != nil {
		r.wake(h)
		return "", nothing, err
	}
	if len(names) == 0 {
		return "", func() string { return r.wake(h) }, nil
	}
	verb := map[WhileTraining]string{Sleep: "sleep while this job trains", ToProcessor: "answer on the processor while this job trains"}[way]
	return fmt.Sprintf("%s: %s (%s)", strings.Join(names, ", "), verb, why), func() string { return r.wake(h) }, nil
}

// leave gives an engine's memory back.
func (run *running) leave(ctx context.Context, way WhileTraining) error {
	<-run.ready
	if run.err != nil {
		return nil
	}
	if m, ok := run.engine.(mover); ok && way == ToProcessor {
		return m.Move(ctx, true)
	}
	if e, ok := run.engine.(retirer); ok && way == Sleep {
		return e.Retire(lastAnswers)
	}
	if way == Sleep {
		return run.engine.Close()
	}
	return nil
}

// wake ends a hold: models that slept start again, those on the processor go
// back to the card, both while others go on. It returns at once.
func (r *Registry) wake(h *hold) string {
	r.mu.Lock()
	if r.held != h {
		r.mu.Unlock()
		return ""
	}
	r.held = nil
	closed := r.closed
	var names []string
	for name, run := range r.running {
		if h.way != ToProcessor || closed {
			break
		}
		select {
		case <-run.ready:
		default:
			continue // it is being started, and goes back by itself
		}
		if m, ok := run.engine.(mover); ok {
			names = append(names, name)
			r.background.Go(func() { r.moveBack(m) }) // under the lock: Close waits for it
		}
	}
	r.mu.Unlock()
	if closed {
		return ""
	}
	for _, name := range h.asleep {
		if base, err := r.st.BaseModel(name); err == nil {
			if _, err := r.run(base); err == nil {
				names = append(names, name)
			}
		}
	}
	if len(names) == 0 {
		return ""
	}
	slices.Sort(names)
	return "Training has ended; models are woken: " + strings.Join(names, ", ")
}

// moveBack lets a model onto the card.
func (r *Registry) moveBack(m mover) {
	if err := m.Move(r.ctx, false); err != nil && r.ctx.Err() == nil {
		r.config.log().Warn("a model stays on the processor", "error", err)
	}
}

// refuse is what a request hears whose model sleeps.
func (h *hold) refuse(name string) error {
	f := fault.New(fault.Unavailable, "model_asleep", "model", "The model %q sleeps until job %s has trained, which needs its memory.", name, h.job)
	f.RetryAfter = sleepAgain
	return f
}
