package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Version is a frozen state of a dataset.
type Version struct {
	Dataset string        `json:"dataset"`
	Number  int           `json:"number"` // from 1
	Parent  int           `json:"parent,omitempty"`
	Origin  string        `json:"origin"`            // "import", "feedback", "openai-file"
	FileID  string        `json:"file_id,omitempty"` // the sealed original
	System  string        `json:"system,omitempty"`  // the system prompt that was added
	Kind    Kind          `json:"kind,omitempty"`
	Counts  map[Split]int `json:"counts"`
	// Report is the cleaning and masking report, JSON, without texts of personal data.
	Report    json.RawMessage `json:"report,omitempty"`
	CreatedAt time.Time       `json:"created_at"`
}

// NewVersion is a version to be made.
type NewVersion struct {
	Dataset  string // a new name makes a new dataset
	Parent   int    // number of the version that this one goes on from; 0: none
	Origin   string
	FileID   string
	System   string
	Report   json.RawMessage
	Examples []NewExample
	// Applied are ids of judgements whose corrections this version takes up:
	// they are marked in the transaction that publishes it.
	Applied []string
}

// storedVersion is a Version with what only the store needs to know.
type storedVersion struct {
	Version
	Set string `json:"set"` // examples are at example/<set>, groups at group/<set>
	// Explicit is true when a split was given and not derived: then one group
	// may be in several splits.
	Explicit bool `json:"explicit,omitempty"`
}

var versions = kind[storedVersion]{
	noun:  "version",
	at:    versionSpace,
	parts: func(v *storedVersion) []string { return []string{v.Dataset, number(uint64(v.Number))} },
}

func (v *storedVersion) refs(l *links) {
	to(l, datasets, v.Dataset)
	to(l, files, v.FileID)
	if v.Parent != 0 {
		l.version(v.Dataset, v.Parent)
	}
}

// version returns a version of a dataset; 0 is the newest.
func version(x tx, dataset string, n int) (storedVersion, error) {
	if n == 0 {
		d, err := datasets.get(x, dataset)
		if err != nil {
			return storedVersion{}, err
		}
		n = d.Latest
	}
	return versions.get(x, dataset, number(uint64(n)))
}

// Version returns a version of a dataset; 0 is the newest.
func (s *Store) Version(dataset string, n int) (Version, error) {
	return viewing(s, func(x tx) (Version, error) {
		v, err := version(x, dataset, n)
		return v.Version, err
	})
}

// Versions returns the versions of a dataset, oldest first.
func (s *Store) Versions(dataset string) ([]Version, error) {
	return viewing(s, func(x tx) ([]Version, error) {
		if _, err := datasets.get(x, dataset); err != nil {
			return nil, err
		}
		var list []Version
		for v, err := range versions.all(x, span{prefix: versionSpace.under(dataset)}) {
			if err != nil {
				return nil, err
			}
			list = append(list, v.Version)
		}
		return list, nil
	})
}

// CreateVersion makes the next version of a dataset: all of it, or nothing when
// there is an error, ctx ends or the machine stops. One version is made at a time.
func (s *Store) CreateVersion(ctx context.Context, n NewVersion) (Version, error) {
	if err := validVersion(&n); err != nil {
		return Version{}, err
	}
	s.versionsMu.Lock()
	defer s.versionsMu.Unlock()
	v := storedVersion{Version: Version{
		Dataset: n.Dataset, Parent: n.Parent, Origin: n.Origin, FileID: n.FileID, System: n.System,
		Report: n.Report, Kind: n.Examples[0].judgement().Kind(), Counts: map[Split]int{Train: 0, Valid: 0, Test: 0},
	}, Set: NewID("set-")}
	stamp(&v.CreatedAt)
	err := s.stageSet(ctx, &v, n.Examples)
	if err == nil {
		err = s.update(func(x tx) error { return publish(x, &v, n.Applied) })
	}
	if err != nil {
		if sweep := s.sweepSet(v.Set); sweep != nil && !errors.Is(sweep, ErrClosed) {
			err = errors.Join(err, sweep) // the next Open tries again
		}
		return Version{}, fmt.Errorf("a version of dataset %q: %w", n.Dataset, err)
	}
	return v.Version, nil
}

func validVersion(n *NewVersion) error {
	if err := validName("dataset", n.Dataset); err != nil {
		return err
	}
	if len(n.Examples) == 0 {
		return invalid("version", "it has no examples")
	}
	if len(n.Report) > 0 && !json.Valid(n.Report) {
		return invalid("version", "its report is not JSON")
	}
	for i := range n.Examples {
		e := &n.Examples[i]
		if err := e.Split.valid(); err != nil {
			return fmt.Errorf("example %d: %w", i, err)
		}
		if len(e.Messages) == 0 {
			return invalid("version", "example %d has no messages", i)
		}
		if e.judgement().Kind() != n.Examples[0].judgement().Kind() {
			return invalid("version", "example %d is not of the kind of the first: all are pairs, all are judged, or none is", i)
		}
	}
	return nil
}

// publish makes a staged set the next version of its dataset.
func publish(x tx, v *storedVersion, applied []string) error {
	d, err := datasets.read(x, datasetSpace.key(v.Dataset))
	if err != nil {
		return err
	}
	if d == nil {
		d = &Dataset{Name: v.Dataset, CreatedAt: v.CreatedAt}
	}
	d.Latest++
	v.Number = d.Latest
	// Each refers to the other: the dataset goes first, unchecked.
	if err := datasets.save(x, d); err != nil {
		return err
	}
	if err := versions.create(x, v); err != nil {
		return err
	}
	for _, id := range applied {
		if err := markApplied(x, id, fmt.Sprintf("%s@%d", v.Dataset, v.Number)); err != nil {
			return err
		}
	}
	return x.del(stageSpace.key(v.Set))
}
