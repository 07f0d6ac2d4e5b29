package store

import "time"

// BaseModel is a GGUF file that can be served and trained on.
type BaseModel struct {
	Name         string    `json:"name"` // unique, such as "smollm2-135m-instruct"
	Path         string    `json:"path"`
	SHA256       string    `json:"sha256"`
	Bytes        int64     `json:"bytes"`
	Architecture string    `json:"architecture"`
	Parameters   int64     `json:"parameters"`
	CreatedAt    time.Time `json:"created_at"`
}

var baseModels = kind[BaseModel]{
	noun:  "base model",
	at:    baseSpace,
	parts: func(m *BaseModel) []string { return []string{m.Name} },
	gone:  true,
}

// PutBaseModel writes a base model, new or in the place of the one with its name.
func (s *Store) PutBaseModel(m BaseModel) error {
	stamp(&m.CreatedAt)
	return s.update(func(x tx) error { return baseModels.put(x, &m) })
}

// BaseModel returns the base model with a name.
func (s *Store) BaseModel(name string) (BaseModel, error) {
	return viewing(s, func(x tx) (BaseModel, error) { return baseModels.get(x, name) })
}

// BaseModels returns all base models by name.
func (s *Store) BaseModels() ([]BaseModel, error) {
	return baseModels.listAll(s, span{prefix: baseSpace.under()})
}

// DeleteBaseModel forgets a base model; its file stays. The error wraps
// ErrReferenced while an adapter, the current release of an alias or a job that
// has not ended needs it.
func (s *Store) DeleteBaseModel(name string) error {
	return s.updateAlone(func(x tx) error {
		err := unneeded("base model", name, adapters.all(x, span{prefix: adapterSpace.under()}),
			func(a *Adapter) bool { return a.Base == name },
			func(a *Adapter) string { return "adapter " + a.Name })
		if err != nil {
			return err
		}
		err = unneededByJobs(x, "base model", name, func(j *Job) bool { return j.Base == name || j.Teacher == name })
		if err != nil {
			return err
		}
		if err := notServed(x, name); err != nil {
			return err
		}
		return baseModels.remove(x, name)
	})
}
