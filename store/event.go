package store

import (
	"encoding/json"
	"time"
)

// Event is one line of a job's log. Messages and data never hold texts of examples.
type Event struct {
	ID        string          `json:"id"` // "ftevent-…"
	JobID     string          `json:"job_id"`
	Seq       uint64          `json:"seq"`   // order within the job, from 1
	Level     string          `json:"level"` // "info", "warn", "error"
	Type      string          `json:"type"`  // "message" or "metrics"
	Message   string          `json:"message"`
	Data      json.RawMessage `json:"data,omitempty"`
	CreatedAt time.Time       `json:"created_at"`
}

var events = kind[Event]{
	noun:  "event",
	at:    eventSpace,
	parts: func(e *Event) []string { return []string{e.JobID, number(e.Seq)} },
	indexes: []index[Event]{
		{eventIDSpace, func(e *Event) []string { return []string{e.JobID, e.ID} }},
	},
}

func (e *Event) refs(l *links) { to(l, jobs, e.JobID) }

// AppendEvent adds an event to the log of its job. It gets the next number of
// the job, an id and a time.
func (s *Store) AppendEvent(e Event) (Event, error) {
	identify(&e.ID, "ftevent-")
	stamp(&e.CreatedAt)
	return updating(s, func(x tx) (Event, error) {
		var err error
		if e.Seq, err = x.next(eventLastSpace.key(e.JobID)); err != nil {
			return Event{}, err
		}
		return e, events.create(x, &e)
	})
}

// Events returns a page of a job's log, newest first unless the page is
// ascending, and whether there is more.
func (s *Store) Events(jobID string, p Page) (list []Event, more bool, err error) {
	err = s.view(func(x tx) error {
		sp := span{prefix: eventSpace.under(jobID), reverse: !p.Ascending}
		if p.After != "" {
			if sp.after, err = x.get(eventIDSpace.key(jobID, p.After)); err != nil {
				return err
			}
			if sp.after == nil {
				return notFound("event", p.After)
			}
		}
		list, more, err = collect(events.all(x, sp), p.Limit, nil)
		return err
	})
	return list, more, err
}

// EventsSince returns the events of a job beyond a number, oldest first.
func (s *Store) EventsSince(jobID string, seq uint64) ([]Event, error) {
	return events.listAll(s, span{prefix: eventSpace.under(jobID), after: eventSpace.key(jobID, number(seq))})
}
