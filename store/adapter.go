package store

import "time"

// Adapter is a trained LoRA adapter: a model of its own to users.
type Adapter struct {
	Name   string `json:"name"` // "ft:<base>:<org>:<suffix>:<id>"; checkpoints end in ":ckpt-step-N"
	Base   string `json:"base"`
	JobID  string `json:"job_id,omitempty"`
	Path   string `json:"path"` // GGUF
	SHA256 string `json:"sha256"`
	Step   int    `json:"step,omitempty"`
	// Checkpoint is true for an adapter of an epoch that was not the last word.
	Checkpoint bool `json:"checkpoint,omitempty"`
	// Metrics hold step, train_loss, valid_loss and so on.
	Metrics   map[string]float64 `json:"metrics,omitempty"`
	CreatedAt time.Time          `json:"created_at"`
}

var adapters = kind[Adapter]{
	noun:  "adapter",
	at:    adapterSpace,
	parts: func(a *Adapter) []string { return []string{a.Name} },
	indexes: []index[Adapter]{
		byTime(adapterTimeSpace, func(a *Adapter) time.Time { return a.CreatedAt }, func(a *Adapter) string { return a.Name }),
		{adapterJobSpace, func(a *Adapter) []string {
			if a.JobID == "" {
				return nil
			}
			return []string{a.JobID, moment(a.CreatedAt), a.Name}
		}},
	},
	gone: true,
}

func (a *Adapter) refs(l *links) {
	needs(l, baseModels, a.Base)
	to(l, jobs, a.JobID)
}

func (a *Adapter) valid() error {
	if a.Base == "" {
		return invalid("adapter", "it names no base model")
	}
	return nil
}

// PutAdapter writes an adapter, new or in the place of the one with its name.
func (s *Store) PutAdapter(a Adapter) error {
	stamp(&a.CreatedAt)
	return s.update(func(x tx) error { return adapters.put(x, &a) })
}

// Adapter returns the adapter with a name.
func (s *Store) Adapter(name string) (Adapter, error) {
	return viewing(s, func(x tx) (Adapter, error) { return adapters.get(x, name) })
}

// Adapters returns all adapters, oldest first.
func (s *Store) Adapters() ([]Adapter, error) {
	return adapters.list(s, span{prefix: adapterTimeSpace.under()})
}

// JobAdapters returns the adapters that a job made, checkpoints too, oldest first.
func (s *Store) JobAdapters(jobID string) ([]Adapter, error) {
	return adapters.list(s, span{prefix: adapterJobSpace.under(jobID)})
}

// DeleteAdapter forgets an adapter and its origin; its file stays. The error wraps
// ErrReferenced while it is the current release of an alias or a job that has
// not ended begins with it or learns from it.
func (s *Store) DeleteAdapter(name string) error {
	return s.updateAlone(func(x tx) error {
		if err := notServed(x, name); err != nil {
			return err
		}
		err := unneededByJobs(x, "adapter", name, func(j *Job) bool { return j.From == name || j.TeacherAdapter == name })
		if err != nil {
			return err
		}
		if err := x.del(origins.at.key(name)); err != nil {
			return err
		}
		return adapters.remove(x, name)
	})
}
