package store

import (
	"fmt"
	"time"
)

// Release puts a model behind an alias.
type Release struct {
	ID           string    `json:"id"` // "rel-…"
	Alias        string    `json:"alias"`
	Number       int       `json:"number"` // from 1 within the alias
	Model        string    `json:"model"`
	EvaluationID string    `json:"evaluation_id,omitempty"`
	Forced       bool      `json:"forced,omitempty"` // deployed against the gate
	Reason       string    `json:"reason,omitempty"` // what the gate said
	By           string    `json:"by"`
	CreatedAt    time.Time `json:"created_at"`
}

// Alias points to the release that serves under its name.
type Alias struct {
	Name    string `json:"name"`
	Current int    `json:"current"` // Release.Number
	Latest  int    `json:"latest"`  // highest number given out
}

var releases = kind[Release]{
	noun:  "release",
	at:    releaseSpace,
	parts: func(r *Release) []string { return []string{r.Alias, number(uint64(r.Number))} },
}

var aliases = kind[Alias]{
	noun:  "alias",
	at:    aliasSpace,
	parts: func(a *Alias) []string { return []string{a.Name} },
}

func (r *Release) refs(l *links) {
	to(l, aliases, r.Alias)
	l.model(l.strict, r.Model)
	to(l, evaluations, r.EvaluationID)
}

func (r *Release) valid() error {
	if r.Model == "" {
		return invalid("release", "it names no model")
	}
	return nil
}

func (a *Alias) refs(l *links) {
	to(l, releases, a.Name, number(uint64(a.Latest)))
	r, err := releases.get(l.x, a.Name, number(uint64(a.Current)))
	if err != nil {
		l.fail(err)
		return
	}
	l.model(true, r.Model) // what serves lives
}

// Deploy adds a release to an alias, which it makes when it is new, and lets it
// serve. The release gets an id, the next number and a time.
func (s *Store) Deploy(alias string, r Release) (Release, error) {
	identify(&r.ID, "rel-")
	stamp(&r.CreatedAt)
	r.Alias = alias
	return updating(s, func(x tx) (Release, error) {
		a, err := aliases.read(x, aliasSpace.key(alias))
		if err != nil {
			return Release{}, err
		}
		if a == nil {
			a = &Alias{Name: alias}
		}
		r.Number = a.Latest + 1
		a.Latest, a.Current = r.Number, r.Number
		// Each refers to the other: the alias goes first, unchecked.
		if err := aliases.save(x, a); err != nil {
			return Release{}, err
		}
		if err := releases.create(x, &r); err != nil {
			return Release{}, err
		}
		return r, aliases.put(x, a)
	})
}

// SetCurrent lets an earlier or later release of an alias serve. The error
// wraps ErrNotFound when the release, or its model, does not exist any more.
func (s *Store) SetCurrent(alias string, n int) (Alias, error) {
	return updating(s, func(x tx) (Alias, error) {
		a, err := aliases.get(x, alias)
		if err != nil {
			return Alias{}, err
		}
		a.Current = n
		return a, aliases.put(x, &a)
	})
}

// Alias returns the alias with a name.
func (s *Store) Alias(name string) (Alias, error) {
	return viewing(s, func(x tx) (Alias, error) { return aliases.get(x, name) })
}

// Aliases returns all aliases by name.
func (s *Store) Aliases() ([]Alias, error) {
	return aliases.listAll(s, span{prefix: aliasSpace.under()})
}

// Release returns a release of an alias; 0 is the current one.
func (s *Store) Release(alias string, n int) (Release, error) {
	return viewing(s, func(x tx) (Release, error) {
		if n == 0 {
			a, err := aliases.get(x, alias)
			if err != nil {
				return Release{}, err
			}
			n = a.Current
		}
		return releases.get(x, alias, number(uint64(n)))
	})
}

// Releases returns the releases of an alias, newest first.
func (s *Store) Releases(alias string) ([]Release, error) {
	return releases.listAll(s, span{prefix: releaseSpace.under(alias), reverse: true})
}

// notServed refuses when a model is the current release of an alias.
func notServed(x tx, model string) error {
	list, _, err := collect(aliases.all(x, span{prefix: aliasSpace.under()}), 0, nil)
	if err != nil {
		return err
	}
	for _, a := range list {
		r, err := releases.get(x, a.Name, number(uint64(a.Current)))
		if err != nil {
			return err
		}
		if r.Model == model {
			return fmt.Errorf("model %q: %w: it serves as %q", model, ErrReferenced, a.Name)
		}
	}
	return nil
}
