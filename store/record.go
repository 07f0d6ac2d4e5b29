package store

import (
	"bytes"
	"encoding/json"
	"fmt"
	"iter"
	"strings"
	"time"
	"unicode/utf8"
)

// kind is all that is particular about the records of one kind: where they
// are, which indexes lead to them and what they refer to. One set of functions
// reads, writes, lists and checks the records of all kinds.
type kind[T any] struct {
	noun    string // for errors
	at      space
	parts   func(*T) []string // of the key
	indexes []index[T]
	// gone makes deleted records leave a tombstone, for references that outlive them.
	gone bool
}

// index is a second way to find or to order the records of a kind.
type index[T any] struct {
	at    space
	parts func(*T) []string // nil for a record that the index leaves out
}

// referrer is a record that refers to others: refs follows each reference.
type referrer interface{ refs(*links) }

// ruled is a record with rules of its own: valid says which one is broken.
type ruled interface{ valid() error }

// byTime is the index that orders records by the time of their making.
func byTime[T any](at space, created func(*T) time.Time, name func(*T) string) index[T] {
	return index[T]{at, func(v *T) []string { return []string{moment(created(v)), name(v)} }}
}

// get returns the record with the key's parts.
func (k kind[T]) get(x tx, parts ...string) (T, error) {
	v, err := k.read(x, k.at.key(parts...))
	if err == nil && v == nil {
		err = notFound(k.noun, readable(parts))
	}
	if err != nil {
		var zero T
		return zero, err
	}
	return *v, nil
}

// read returns the record at a key, or nil.
func (k kind[T]) read(x tx, key []byte) (*T, error) {
	b, err := x.get(key)
	if err != nil || b == nil {
		return nil, err
	}
	return k.decode(b)
}

func (k kind[T]) decode(b []byte) (*T, error) {
	v := new(T)
	if err := json.Unmarshal(b, v); err != nil {
		return nil, fmt.Errorf("a record of kind %q does not read: %w", k.noun, ErrCorrupt)
	}
	return v, nil
}

// create writes a new record. What it refers to must exist now.
func (k kind[T]) create(x tx, v *T) error {
	if err := k.free(x, k.parts(v)...); err != nil {
		return err
	}
	return k.write(x, v, true)
}

// free refuses a name that a record has.
func (k kind[T]) free(x tx, parts ...string) error {
	there, err := x.has(k.at.key(parts...))
	if err == nil && there {
		err = fmt.Errorf("%s %q: %w", k.noun, readable(parts), ErrExists)
	}
	return err
}

// put writes a record, new or old. What it refers to must exist, or have
// existed where a tombstone tells of it.
func (k kind[T]) put(x tx, v *T) error { return k.write(x, v, false) }

// write writes a record and its indexes.
func (k kind[T]) write(x tx, v *T, strict bool) error {
	if err := k.sound(x, v, strict); err != nil {
		return err
	}
	return k.save(x, v)
}

// save is put without a look at what the record says.
func (k kind[T]) save(x tx, v *T) error {
	parts := k.parts(v)
	key := k.at.key(parts...)
	old, err := k.read(x, key)
	if err != nil {
		return err
	}
	if old != nil {
		for _, e := range k.entries(old) {
			if err := x.del(e); err != nil {
				return err
			}
		}
	} else if k.gone {
		if err := x.del(k.tombstone(parts)); err != nil {
			return err
		}
	}
	for _, e := range k.entries(v) {
		if err := x.set(e, key); err != nil {
			return err
		}
	}
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("%s %q: %w", k.noun, readable(parts), err)
	}
	return x.set(key, b)
}

// validName says what is wrong with a part of a key.
func validName(noun, name string) error {
	if name == "" || len(name) > maxName || strings.ContainsRune(name, 0) || !utf8.ValidString(name) {
		return invalid(noun, "its name is empty, longer than %d bytes, not UTF-8 or holds a zero byte", maxName)
	}
	return nil
}

// sound reports what is wrong with a record: its names, its own rules, its references.
func (k kind[T]) sound(x tx, v *T, strict bool) error {
	parts := k.parts(v)
	for _, p := range parts {
		if err := validName(k.noun, p); err != nil {
			return err
		}
	}
	if r, ok := any(v).(ruled); ok {
		if err := r.valid(); err != nil {
			return err
		}
	}
	l := links{x: x, strict: strict, from: fmt.Sprintf("%s %q", k.noun, readable(parts))}
	if r, ok := any(v).(referrer); ok {
		r.refs(&l)
	}
	return l.err()
}

// remove deletes a record with its indexes.
func (k kind[T]) remove(x tx, parts ...string) error {
	v, err := k.get(x, parts...)
	if err != nil {
		return err
	}
	for _, e := range append(k.entries(&v), k.at.key(parts...)) {
		if err := x.del(e); err != nil {
			return err
		}
	}
	if !k.gone {
		return nil
	}
	now, _ := json.Marshal(time.Now().UTC())
	return x.set(k.tombstone(parts), now)
}

func (k kind[T]) tombstone(parts []string) []byte {
	return goneSpace.key(string(k.at.key(parts...)))
}

// entries returns the index keys that lead to a record.
func (k kind[T]) entries(v *T) [][]byte {
	var keys [][]byte
	for _, ix := range k.indexes {
		if parts := ix.parts(v); parts != nil {
			keys = append(keys, ix.at.key(parts...))
		}
	}
	return keys
}

// all visits the records of a span of the kind's own keys.
func (k kind[T]) all(x tx, sp span) iter.Seq2[T, error] {
	return records(x.scan(sp), func(e entry) (*T, error) { return k.decode(e.value) })
}

// along visits the records that a span of an index leads to.
func (k kind[T]) along(x tx, sp span) iter.Seq2[T, error] {
	return records(x.scan(sp), func(e entry) (*T, error) {
		v, err := k.read(x, e.value)
		if err == nil && v == nil {
			err = fmt.Errorf("an index leads to a %s that does not exist: %w", k.noun, ErrCorrupt)
		}
		return v, err
	})
}

// records turns entries into records and ends at the first error.
func records[T any](entries iter.Seq2[entry, error], record func(entry) (*T, error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var zero T
		for e, err := range entries {
			var v *T
			if err == nil {
				v, err = record(e)
			}
			if err != nil {
				yield(zero, err)
				return
			}
			if !yield(*v, nil) {
				return
			}
		}
	}
}

// collect returns at most limit (0: all) of the records that keep accepts (nil:
// all), and whether there are more.
func collect[T any](seq iter.Seq2[T, error], limit int, keep func(*T) bool) (list []T, more bool, err error) {
	for v, err := range seq {
		if err != nil {
			return nil, false, err
		}
		if keep != nil && !keep(&v) {
			continue
		}
		if limit > 0 && len(list) == limit {
			return list, true, nil
		}
		list = append(list, v)
	}
	return list, false, nil
}

// list returns all records that a span of an index leads to.
func (k kind[T]) list(s *Store, sp span) ([]T, error) {
	return viewing(s, func(x tx) ([]T, error) {
		list, _, err := collect(k.along(x, sp), 0, nil)
		return list, err
	})
}

// listAll returns all records of a span of the kind's own keys.
func (k kind[T]) listAll(s *Store, sp span) ([]T, error) {
	return viewing(s, func(x tx) ([]T, error) {
		list, _, err := collect(k.all(x, sp), 0, nil)
		return list, err
	})
}

// Page bounds a list, in the way of OpenAI's API.
type Page struct {
	After     string // id of the record that the page begins behind; empty: from the start
	Limit     int    // most records; 0: all
	Ascending bool   // oldest first; otherwise newest first
}

// page returns a page of the records that keep accepts, in the order of the
// kind's first index, which is that of time.
func (k kind[T]) page(s *Store, p Page, keep func(*T) bool) (list []T, more bool, err error) {
	ix := k.indexes[0]
	err = s.view(func(x tx) error {
		sp := span{prefix: ix.at.under(), reverse: !p.Ascending}
		if p.After != "" {
			v, err := k.get(x, p.After)
			if err != nil {
				return err
			}
			sp.after = ix.at.key(ix.parts(&v)...)
		}
		list, more, err = collect(k.along(x, sp), p.Limit, keep)
		return err
	})
	return list, more, err
}

// strict decodes a record as Check wants it: nothing unknown, nothing left over.
func (k kind[T]) strict(b []byte) (*T, error) {
	v := new(T)
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil || d.More() {
		return nil, fmt.Errorf("a record of kind %q has unknown fields or does not read: %w", k.noun, ErrCorrupt)
	}
	return v, nil
}

// stamp fills an empty time with the present one. Times are kept in UTC.
func stamp(t *time.Time) {
	if t.IsZero() {
		*t = time.Now()
	}
	*t = t.UTC().Round(0)
}
