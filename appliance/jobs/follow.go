package jobs

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"cloister/store"
)

// Levels of events, in OpenAI's words.
const (
	info = "info"
	warn = "warn"
	bad  = "error"
)

// news tells those who follow a job that there is something new.
type news struct {
	mu      sync.Mutex
	waiting map[string]chan struct{} // by job; closed at the next news
}

// next is closed when something new happens to the job after this call.
func (n *news) next(job string) <-chan struct{} {
	n.mu.Lock()
	defer n.mu.Unlock()
	ch := n.waiting[job]
	if ch == nil {
		ch = make(chan struct{})
		n.waiting[job] = ch
	}
	return ch
}

func (n *news) tell(job string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if ch := n.waiting[job]; ch != nil {
		close(ch)
		delete(n.waiting, job)
	}
}

// event appends an event to a job's log. data may be nil.
func (m *Manager) event(job, level, message string, data any) {
	m.append(store.Event{JobID: job, Level: level, Type: "message", Message: message}, data)
}

// append stores an event and tells the followers. A log line that cannot be
// written must not stop a job that runs: the store says so itself at the next
// change of state.
func (m *Manager) append(e store.Event, data any) {
	if data != nil {
		raw, err := json.Marshal(data)
		if err != nil {
			return
		}
		e.Data = raw
	}
	e.CreatedAt = time.Now().UTC()
	_, _ = m.st.AppendEvent(e)
	m.news.tell(e.JobID)
}

// Follow calls each with the events of a job whose Seq is above afterSeq, in
// order: first those that are there, then live ones, until the job has ended.
// It returns the error of each, if any, or the context's.
func (m *Manager) Follow(ctx context.Context, id string, afterSeq uint64, each func(store.Event) error) error {
	for {
		changed := m.news.next(id) // before reading, so that nothing is missed
		job, err := m.Job(id)
		if err != nil {
			return err
		}
		events, err := m.st.EventsSince(id, afterSeq)
		if err != nil {
			return err
		}
		for _, e := range events {
			if err := each(e); err != nil {
				return err
			}
			afterSeq = e.Seq
		}
		if job.Status.Terminal() {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		case <-m.ctx.Done():
			return ErrClosed
		}
	}
}
