package store

import (
	"errors"
	"fmt"
)

// links follows the references of one record and collects those that lead nowhere.
type links struct {
	x      tx
	strict bool   // tombstones do not count
	from   string // the record, for errors
	errs   []error
}

func (l *links) err() error { return errors.Join(l.errs...) }

func (l *links) fail(err error) { l.errs = append(l.errs, fmt.Errorf("%s: %w", l.from, err)) }

// to follows a reference that may outlive the record it leads to, the one with
// the key's parts. An empty name refers to nothing.
func to[T any](l *links, k kind[T], parts ...string) { follow(l, l.strict, k, parts...) }

// needs follows a reference to a record that must live as long as this one.
func needs[T any](l *links, k kind[T], parts ...string) { follow(l, true, k, parts...) }

func follow[T any](l *links, strict bool, k kind[T], parts ...string) {
	if parts[0] == "" {
		return
	}
	there, err := k.known(l.x, strict, parts)
	if err == nil && !there {
		err = notFound(k.noun, readable(parts))
	}
	if err != nil {
		l.fail(err)
	}
}

// known reports whether a record exists or, unless strict, has left a tombstone.
func (k kind[T]) known(x tx, strict bool, parts []string) (bool, error) {
	there, err := x.has(k.at.key(parts...))
	if err != nil || there || strict || !k.gone {
		return there, err
	}
	return x.has(k.tombstone(parts))
}

// model follows a reference to an adapter or a base model.
func (l *links) model(strict bool, name string) {
	if name == "" {
		return
	}
	adapter, err1 := adapters.known(l.x, strict, []string{name})
	base, err2 := baseModels.known(l.x, strict, []string{name})
	if err := errors.Join(err1, err2); err != nil {
		l.fail(err)
	} else if !adapter && !base {
		l.fail(notFound("model", name))
	}
}

// version follows a reference to a dataset version; 0 refers to the dataset as a whole.
func (l *links) version(dataset string, n int) {
	if n == 0 {
		to(l, datasets, dataset)
		return
	}
	to(l, versions, dataset, number(uint64(n)))
}

// unneeded refuses a deletion while records refer to the one to be deleted.
func unneeded[T any](noun, name string, seq func(yield func(T, error) bool), uses func(*T) bool, by func(*T) string) error {
	for v, err := range seq {
		if err != nil {
			return err
		}
		if uses(&v) {
			return fmt.Errorf("%s %q: %w: %s", noun, name, ErrReferenced, by(&v))
		}
	}
	return nil
}
