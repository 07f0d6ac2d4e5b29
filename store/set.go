package store

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/dgraph-io/badger/v4"
)

// A set is the examples of one version, and the splits of all groups that its
// dataset has had so far. It may be larger than a transaction: a marker comes
// first, the version takes the marker away, and what still has one at Open is
// swept.

// stageSet writes the examples and groups of a version where nobody looks yet,
// and counts them.
func (s *Store) stageSet(ctx context.Context, v *storedVersion, list []NewExample) error {
	if err := s.begin(); err != nil {
		return err
	}
	defer s.end()
	// The marker comes first: what follows it is swept unless it is published.
	if err := s.update(func(x tx) error { return x.set(stageSpace.key(v.Set), []byte("staged")) }); err != nil {
		return err
	}
	groups, err := s.groups(v.Dataset)
	if err != nil {
		return err
	}
	wb := s.db.NewWriteBatch()
	defer wb.Cancel()
	for i, n := range inRowOrder(list) {
		if i%256 == 0 {
			if err := errors.Join(ctx.Err(), s.room()); err != nil {
				return err
			}
		}
		e := arrange(n, groups)
		v.Explicit = v.Explicit || n.Split != ""
		v.Counts[e.Split]++
		b, err := json.Marshal(e)
		if err != nil {
			return err
		}
		if len(b) > maxValue {
			return fmt.Errorf("example of row %d: %w", e.Row, ErrTooLarge)
		}
		if err := wb.Set(exampleSpace.key(v.Set, number(uint64(i))), b); err != nil {
			return err
		}
	}
	if err := writeGroups(wb, v.Set, groups); err != nil {
		return err
	}
	return wb.Flush()
}

// inRowOrder sorts by row, and leaves examples without one at the end, in their order.
func inRowOrder(list []NewExample) []NewExample {
	row := func(e *NewExample) int {
		if e.Row == 0 {
			return math.MaxInt
		}
		return e.Row
	}
	sorted := slices.Clone(list)
	slices.SortStableFunc(sorted, func(a, b NewExample) int { return cmp.Compare(row(&a), row(&b)) })
	return sorted
}

// arrange turns a new example into a stored one, with its split, and adds its
// group to groups.
func arrange(n NewExample, groups map[string]Split) Example {
	e := Example{Row: n.Row, Split: n.Split, Messages: plain(n.Messages), Judgement: n.judgement()}
	e.ID = exampleID(e.Messages, e.Judgement)
	e.Group = groupID(cmp.Or(n.Group, e.ID))
	known, ok := groups[e.Group]
	if e.Split == "" {
		e.Split = cmp.Or(known, splitOf(e.Group))
	}
	if !ok {
		groups[e.Group] = e.Split
	}
	return e
}

// groups returns the split of every group that the dataset has had so far.
func (s *Store) groups(dataset string) (map[string]Split, error) {
	return viewing(s, func(x tx) (map[string]Split, error) {
		v, err := version(x, dataset, 0)
		if errors.Is(err, ErrNotFound) { // the first version
			return map[string]Split{}, nil
		}
		if err != nil {
			return nil, err
		}
		return groupsOf(x, v.Set)
	})
}

// groupsOf returns the groups of a set with their splits.
func groupsOf(x tx, set string) (map[string]Split, error) {
	groups := map[string]Split{}
	prefix := groupSpace.under(set)
	for e, err := range x.scan(span{prefix: prefix}) {
		if err != nil {
			return nil, err
		}
		groups[string(e.key[len(prefix):])] = Split(e.value)
	}
	return groups, nil
}

func writeGroups(wb *badger.WriteBatch, set string, groups map[string]Split) error {
	for g, split := range groups {
		if err := wb.Set(groupSpace.key(set, g), []byte(split)); err != nil {
			return err
		}
	}
	return nil
}

// sweepSet deletes a set that no version has, its marker last.
func (s *Store) sweepSet(set string) error {
	if err := s.begin(); err != nil {
		return err
	}
	defer s.end()
	marker := stageSpace.key(set)
	staged, err := viewing(s, func(x tx) (bool, error) { return x.has(marker) })
	if err != nil || !staged { // without the marker it is a version's
		return err
	}
	for _, prefix := range [][]byte{exampleSpace.under(set), groupSpace.under(set)} {
		if err := s.deleteUnder(prefix); err != nil {
			return err
		}
	}
	return s.updateAlone(func(x tx) error { return x.del(marker) })
}

// deleteUnder deletes all keys with a prefix, in as many transactions as it takes.
func (s *Store) deleteUnder(prefix []byte) error {
	wb := s.db.NewWriteBatch()
	defer wb.Cancel()
	err := s.view(func(x tx) error {
		for e, err := range x.scan(span{prefix: prefix, keysOnly: true}) {
			if err != nil {
				return err
			}
			if err := wb.Delete(e.key); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return wb.Flush()
}

// sweepStaged deletes all sets that a crash left.
func (s *Store) sweepStaged() error {
	sets, err := s.marked(stageSpace)
	for _, set := range sets {
		err = errors.Join(err, s.sweepSet(set))
	}
	return err
}
