package models

import (
	"maps"
	"slices"
	"time"

	"cloister/appliance/engine"
)

// States of a model.
const (
	Starting = "starting"
	Running  = "running"
	Asleep   = "asleep" // a job trains; see WhileTraining
)

// Status is what a model does at present that runs or would.
type Status struct {
	Name  string `json:"name"`
	State string `json:"state"`
	// Engine says where it lies; nothing unless it runs.
	Engine engine.State `json:"engine,omitzero"`
	// For is the job for which it sleeps or left its card, and Since when.
	For   string    `json:"for,omitempty"`
	Since time.Time `json:"since,omitzero"`
}

// OnCard reports whether the model uses a card.
func (s Status) OnCard() bool { return s.Engine.OnCard() }

// Status describes the models that run, are being started or sleep, by name.
func (r *Registry) Status() []Status {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := []Status{}
	for _, name := range slices.Sorted(maps.Keys(r.running)) {
		run := r.running[name]
		s := Status{Name: name, State: Starting}
		select {
		case <-run.ready:
			s.State = Running
			if e, ok := run.engine.(stater); ok {
				s.Engine = e.State()
			}
		default:
		}
		if r.held != nil && s.Engine.Moved {
			s.For, s.Since = r.held.job, r.held.since
		}
		out = append(out, s)
	}
	if r.held != nil {
		for _, name := range r.held.asleep {
			out = append(out, Status{Name: name, State: Asleep, For: r.held.job, Since: r.held.since})
		}
	}
	return out
}
