package store

import (
	"encoding/json"
	"time"
)

// Origin says where an adapter comes from that another site made, or evaluated.
// It holds no texts of examples.
type Origin struct {
	Adapter string `json:"adapter"` // its name here
	// Site and Key are the name and the public key of the site that signed the
	// bundle; Trusted says whether this site trusted the key then.
	Site    string `json:"site"`
	Key     string `json:"key"`
	Trusted bool   `json:"trusted"`
	Bundle  string `json:"bundle"` // SHA-256 of the bundle's manifest
	// System is the system prompt that the model was tuned with.
	System string `json:"system,omitempty"`
	// Evaluations names the site that made it for each evaluation that came along,
	// by its id here.
	Evaluations map[string]string `json:"evaluations,omitempty"`
	// Lineage and Releases are appliance/bundle.Lineage and a list of its Release,
	// in JSON; empty for an adapter that was made here.
	Lineage    json.RawMessage `json:"lineage,omitempty"`
	Releases   json.RawMessage `json:"releases,omitempty"`
	ExportedAt time.Time       `json:"exported_at"`
	ImportedAt time.Time       `json:"imported_at"`
}

// origins stand among the settings, so that a program of before there were any
// opens, checks and serves the data all the same.
var origins = kind[Origin]{
	noun:  "origin",
	at:    settingSpace + "origin/",
	parts: func(o *Origin) []string { return []string{o.Adapter} },
}

// Origin returns where an adapter comes from. The error wraps ErrNotFound for
// one that was made, or imported by itself, here.
func (s *Store) Origin(adapter string) (Origin, error) {
	return viewing(s, func(x tx) (Origin, error) { return origins.get(x, adapter) })
}

// Arrival is what comes from another site at once.
type Arrival struct {
	Adapters    []Adapter    // new ones
	Evaluations []Evaluation // new ones, with their ids
	Origins     []Origin     // of adapters that are here or arrive
}

// PutArrival writes all of it in one transaction, or nothing. The error wraps
// ErrExists when an adapter or an evaluation is here already.
func (s *Store) PutArrival(a Arrival) error {
	for i := range a.Adapters {
		stamp(&a.Adapters[i].CreatedAt)
	}
	for i := range a.Evaluations {
		stamp(&a.Evaluations[i].CreatedAt)
	}
	return s.update(func(x tx) error {
		for i := range a.Adapters {
			if err := adapters.create(x, &a.Adapters[i]); err != nil {
				return err
			}
		}
		for i := range a.Evaluations {
			if err := evaluations.create(x, &a.Evaluations[i]); err != nil {
				return err
			}
		}
		for i := range a.Origins {
			o := &a.Origins[i]
			if _, err := adapters.get(x, o.Adapter); err != nil {
				return err
			}
			stamp(&o.ExportedAt)
			stamp(&o.ImportedAt)
			if err := origins.put(x, o); err != nil {
				return err
			}
		}
		return nil
	})
}
