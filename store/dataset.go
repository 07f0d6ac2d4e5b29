package store

import (
	"fmt"
	"time"
)

// Dataset names a series of versions.
type Dataset struct {
	Name      string    `json:"name"`
	Latest    int       `json:"latest"` // number of the newest version, from 1
	CreatedAt time.Time `json:"created_at"`
}

var datasets = kind[Dataset]{
	noun:  "dataset",
	at:    datasetSpace,
	parts: func(d *Dataset) []string { return []string{d.Name} },
}

func (d *Dataset) refs(l *links) { l.version(d.Name, d.Latest) }

// Dataset returns the dataset with a name.
func (s *Store) Dataset(name string) (Dataset, error) {
	return viewing(s, func(x tx) (Dataset, error) { return datasets.get(x, name) })
}

// Datasets returns all datasets by name.
func (s *Store) Datasets() ([]Dataset, error) {
	return datasets.listAll(s, span{prefix: datasetSpace.under()})
}

// DeleteDataset deletes a dataset with all versions and examples. Uploaded
// originals stay. The error wraps ErrReferenced while a job or an evaluation
// names it.
func (s *Store) DeleteDataset(name string) error {
	s.versionsMu.Lock()
	defer s.versionsMu.Unlock()
	var sets []string
	err := s.updateAlone(func(x tx) error {
		if err := unusedDataset(x, name); err != nil {
			return err
		}
		list, _, err := collect(versions.all(x, span{prefix: versionSpace.under(name)}), 0, nil)
		if err != nil {
			return err
		}
		sets = nil
		for _, v := range list {
			sets = append(sets, v.Set)
			if err := x.set(stageSpace.key(v.Set), []byte("deleted")); err != nil {
				return err
			}
			if err := versions.remove(x, name, number(uint64(v.Number))); err != nil {
				return err
			}
		}
		return datasets.remove(x, name)
	})
	if err != nil {
		return err
	}
	for _, set := range sets {
		if err := s.sweepSet(set); err != nil {
			return fmt.Errorf("dataset %q is deleted; its examples will be at the next start: %w", name, err)
		}
	}
	return nil
}

func unusedDataset(x tx, name string) error {
	err := unneeded("dataset", name, jobs.all(x, span{prefix: jobSpace.under()}),
		func(j *Job) bool { return j.Dataset == name },
		func(j *Job) string { return "job " + j.ID })
	if err != nil {
		return err
	}
	return unneeded("dataset", name, evaluations.all(x, span{prefix: evaluationSpace.under()}),
		func(e *Evaluation) bool { return e.Dataset == name },
		func(e *Evaluation) string { return "evaluation " + e.ID })
}
