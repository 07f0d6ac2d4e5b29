package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/dgraph-io/badger/v4"

	"cloister/store/vault"
)

// Check reads everything in the store and returns what is wrong, joined:
// blocks that fail their checksum, records that do not read, references and
// indexes that lead nowhere, examples that do not fit their version, sealed
// files and vault values that do not open. It looks at one state of the store,
// and other calls go on beside it.
func (s *Store) Check(ctx context.Context) error {
	if err := s.begin(); err != nil {
		return err
	}
	defer s.end()
	c := &check{ctx: ctx, s: s}
	c.blocks()
	// A file gets its name and its record under this lock, so that the list of
	// names and the state of the records belong together.
	s.filesMu.Lock()
	ids, _, err := s.sealed.names()
	t := s.db.NewTransaction(false)
	s.filesMu.Unlock()
	defer t.Discard()
	if err != nil {
		return err
	}
	c.x = tx{t}
	for _, step := range []func() error{c.keys, c.records, c.sets, func() error { return c.files(ids) }, c.counters, c.vaults} {
		if err := errors.Join(ctx.Err(), step()); err != nil {
			c.problem(err)
			break
		}
	}
	return c.err()
}

// check is one run of Check.
type check struct {
	ctx      context.Context
	s        *Store
	x        tx
	problems []error
	more     int // problems beyond maxProblems
}

// maxProblems is how many problems Check names; it counts the others.
const maxProblems = 100

func (c *check) problem(err error) {
	if len(c.problems) == maxProblems {
		c.more++
		return
	}
	c.problems = append(c.problems, err)
}

func (c *check) err() error {
	if c.more > 0 {
		return errors.Join(append(c.problems, fmt.Errorf("and %d problems more", c.more))...)
	}
	return errors.Join(c.problems...)
}

// blocks reads every block of the database. Badger's own way meets some kinds of
// damage with a panic.
func (c *check) blocks() {
	defer func() {
		if r := recover(); r != nil {
			c.problem(fmt.Errorf("a block of the database: %w: %v", ErrCorrupt, r))
		}
	}()
	if err := c.s.db.VerifyChecksum(); err != nil {
		c.problem(fmt.Errorf("a block of the database: %w: %w", ErrCorrupt, err))
	}
}

// each calls fn for the entries of a span and ends at the first that it returns an error for.
func (c *check) each(sp span, fn func(entry) error) error {
	for e, err := range c.x.scan(sp) {
		if err := errors.Join(err, c.ctx.Err()); err != nil {
			return err
		}
		if err := fn(e); err != nil {
			return err
		}
	}
	return nil
}

// checked is a kind without its type.
type checked interface {
	spaces() []space
	check(c *check) error
}

// allKinds are the records that Check reads one by one. Examples are read with their version.
var allKinds = []checked{
	baseModels, datasets, versions, files, jobs, events, adapters, evaluations,
	releases, aliases, answers, feedbacks, keys, audits, origins,
}

// keys finds keys that are in no space.
func (c *check) keys() error {
	known := map[space]bool{
		metaSpace: true, exampleSpace: true, groupSpace: true, stageSpace: true, eventLastSpace: true,
		auditLastSpace: true, fileStageSpace: true, settingSpace: true, goneSpace: true, vaultSpace: true,
	}
	for _, k := range allKinds {
		for _, sp := range k.spaces() {
			known[sp] = true
		}
	}
	return c.each(span{keysOnly: true}, func(e entry) error {
		if !known[spaceOf(e.key)] {
			c.problem(fmt.Errorf("a key begins with %q, which nothing uses: %w", clip(string(spaceOf(e.key))), ErrCorrupt))
		}
		return nil
	})
}

func clip(s string) string { return s[:min(len(s), 32)] }

func (c *check) records() error {
	for _, k := range allKinds {
		if err := k.check(c); err != nil {
			return err
		}
	}
	return errors.Join(c.loose(), c.secrets())
}

func (k kind[T]) spaces() []space {
	all := []space{k.at}
	for _, ix := range k.indexes {
		all = append(all, ix.at)
	}
	return all
}

// check reads the records of a kind and the indexes that lead to them.
func (k kind[T]) check(c *check) error {
	err := c.each(span{prefix: k.at.under()}, func(e entry) error {
		v, err := k.strict(e.value)
		if err != nil {
			c.problem(fmt.Errorf("%s: %w", readable(strings.Split(string(e.key), "\x00")), err))
			return nil
		}
		return k.checkRecord(c, e.key, v)
	})
	if err != nil {
		return err
	}
	for _, ix := range k.indexes {
		if err := c.each(span{prefix: ix.at.under()}, func(e entry) error { return k.checkEntry(c, e) }); err != nil {
			return err
		}
	}
	return nil
}

// checkEntry sees whether an index entry leads to a record that it belongs to.
func (k kind[T]) checkEntry(c *check, e entry) error {
	v, err := k.read(c.x, e.value)
	if errors.Is(err, ErrCorrupt) {
		return nil // reported with the record
	}
	if err != nil {
		return err
	}
	if v == nil || !slices.ContainsFunc(k.entries(v), func(own []byte) bool { return string(own) == string(e.key) }) {
		c.problem(fmt.Errorf("an index of kind %q leads to a record that does not belong there: %w", k.noun, ErrCorrupt))
	}
	return nil
}

// checkRecord sees whether a record stands at its key, is sound, and is found by its indexes.
func (k kind[T]) checkRecord(c *check, key []byte, v *T) error {
	name := readable(k.parts(v))
	if string(k.at.key(k.parts(v)...)) != string(key) {
		c.problem(fmt.Errorf("%s %q stands at the key of another: %w", k.noun, name, ErrCorrupt))
	}
	if err := k.sound(c.x, v, false); err != nil {
		c.problem(err)
	}
	for _, e := range k.entries(v) {
		at, err := c.x.get(e)
		if err != nil {
			return err
		}
		if string(at) != string(key) {
			c.problem(fmt.Errorf("%s %q is missing from an index: %w", k.noun, name, ErrCorrupt))
		}
	}
	return nil
}

// loose reads what is no record of a kind: settings and tombstones.
func (c *check) loose() error {
	err := c.each(span{prefix: settingSpace.under()}, func(e entry) error {
		if !json.Valid(e.value) {
			c.problem(fmt.Errorf("a setting does not read: %w", ErrCorrupt))
		}
		return nil
	})
	if err != nil {
		return err
	}
	return c.each(span{prefix: goneSpace.under()}, func(e entry) error {
		var at time.Time
		there, err := c.x.has(e.key[len(goneSpace):])
		if json.Unmarshal(e.value, &at) != nil || there {
			c.problem(fmt.Errorf("a tombstone does not read, or its record lives: %w", ErrCorrupt))
		}
		return err
	})
}

// sets reads the examples and groups of every version, and finds those that belong to none.
func (c *check) sets() error {
	owned := map[string]bool{}
	var before *storedVersion
	for v, err := range versions.all(c.x, span{prefix: versionSpace.under()}) {
		if err != nil {
			return nil // reported with the records
		}
		owned[v.Set] = true
		if before != nil && before.Dataset != v.Dataset {
			before = nil
		}
		if err := c.version(&v, before); err != nil {
			return err
		}
		before = &v
	}
	if err := c.each(span{prefix: stageSpace.under(), keysOnly: true}, func(e entry) error {
		owned[string(e.key[len(stageSpace):])] = true // being written, or about to be swept
		return nil
	}); err != nil {
		return err
	}
	for _, sp := range []space{exampleSpace, groupSpace} {
		err := c.each(span{prefix: sp.under(), keysOnly: true}, func(e entry) error {
			set, _, _ := strings.Cut(string(e.key[len(sp):]), "\x00")
			if !owned[set] {
				c.problem(fmt.Errorf("an entry of %s belongs to no version: %w", sp, ErrCorrupt))
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// version reads the examples of one version, and sees that groups of the version
// before it kept their splits.
func (c *check) version(v, before *storedVersion) error {
	name := fmt.Sprintf("version %s@%d", v.Dataset, v.Number)
	groups, err := groupsOf(c.x, v.Set)
	if err != nil {
		return err
	}
	if before != nil {
		old, err := groupsOf(c.x, before.Set)
		if err != nil {
			return err
		}
		for g, split := range old {
			if groups[g] != split {
				c.problem(fmt.Errorf("%s: group %s has left its split: %w", name, g, ErrCorrupt))
			}
		}
	}
	counts, n := map[Split]int{}, 0
	err = c.each(span{prefix: exampleSpace.under(v.Set)}, func(e entry) error {
		if string(e.key) != string(exampleSpace.key(v.Set, number(uint64(n)))) {
			c.problem(fmt.Errorf("%s: example %d is missing: %w", name, n, ErrCorrupt))
		}
		n++
		x, err := examples.strict(e.value)
		if err != nil {
			c.problem(fmt.Errorf("%s: %w", name, err))
			return nil
		}
		counts[x.Split]++
		split, known := groups[x.Group]
		if x.ID != exampleID(x.Messages, x.Judgement) || x.Kind() != v.Kind || !known || split != x.Split && !v.Explicit {
			c.problem(fmt.Errorf("%s: example %s does not fit its id, its group or its version: %w", name, x.ID, ErrCorrupt))
		}
		return nil
	})
	for _, split := range []Split{Train, Valid, Test} {
		if counts[split] != v.Counts[split] {
			c.problem(fmt.Errorf("%s has %d examples in %s, and its record says %d: %w", name, counts[split], split, v.Counts[split], ErrCorrupt))
		}
	}
	return err
}

// files reads the content of every file, and finds content without a record.
func (c *check) files(ids []string) error {
	orphans := map[string]bool{}
	for _, id := range ids {
		orphans[id] = true
	}
	for f, err := range files.all(c.x, span{prefix: fileSpace.under()}) {
		if err := errors.Join(err, c.ctx.Err()); err != nil {
			return err
		}
		delete(orphans, f.ID)
		if err := c.s.sealed.verify(&f); err != nil && !c.deletedMeanwhile(f.ID, err) {
			c.problem(err)
		}
	}
	for id := range orphans {
		dead, err := deadContent(c.x, id)
		if err != nil {
			return err
		}
		if dead { // the next Open sweeps it
			continue
		}
		c.problem(fmt.Errorf("content of a file %s that has no record: %w", clip(id), ErrCorrupt))
	}
	return nil
}

// deletedMeanwhile tells a file that is missing from one that was deleted while Check ran.
func (c *check) deletedMeanwhile(id string, err error) bool {
	if !errors.Is(err, os.ErrNotExist) {
		return false
	}
	there := true
	_ = c.s.db.View(func(t *badger.Txn) (err error) {
		there, err = tx{t}.has(fileSpace.key(id))
		return err
	})
	return !there
}

// counters sees that no number was given out beyond its counter.
func (c *check) counters() error {
	highest := func(prefix, counter []byte, what string) error {
		last, err := c.x.last(counter)
		if err != nil {
			return err
		}
		for e, err := range c.x.scan(span{prefix: prefix, reverse: true, keysOnly: true}) {
			if err != nil {
				return err
			}
			n, err := parseNumber(string(e.key[len(prefix):]))
			if err != nil || n > last {
				c.problem(fmt.Errorf("the numbers of %s go beyond their counter: %w", what, ErrCorrupt))
			}
			break
		}
		return nil
	}
	if err := highest(auditSpace.under(), auditLastSpace.key(), "the audit log"); err != nil {
		return err
	}
	for j, err := range jobs.all(c.x, span{prefix: jobSpace.under()}) {
		if err != nil {
			return nil // reported with the records
		}
		if err := highest(eventSpace.under(j.ID), eventLastSpace.key(j.ID), "job "+j.ID); err != nil {
			return err
		}
	}
	return nil
}

// vaults checks the token vault of every project.
func (c *check) vaults() error {
	at := vaultSpace.under()
	for {
		project, ok, err := c.projectAfter(at)
		if err != nil || !ok {
			return err
		}
		prefix := vaultSpace.under(project)
		tokens := vault.NewTokens(snapshotKV{vaultTxn{c.x, prefix}}, c.s.projectKey(project))
		if err := tokens.Check(func(err error) { c.problem(fmt.Errorf("vault %q: %w", project, err)) }); err != nil {
			return err
		}
		at = append(prefix[:len(prefix)-1], 1) // behind the zero byte, so behind the project
	}
}

// projectAfter returns the project of the first vault key from at on.
func (c *check) projectAfter(at []byte) (string, bool, error) {
	for e, err := range c.x.scan(span{prefix: vaultSpace.under(), after: at, keysOnly: true}) {
		if err != nil {
			return "", false, err
		}
		project, _, _ := strings.Cut(string(e.key[len(vaultSpace):]), "\x00")
		return project, true, nil
	}
	return "", false, nil
}

// snapshotKV reads a vault in the state that Check looks at.
type snapshotKV struct{ t vaultTxn }

func (kv snapshotKV) View(fn func(vault.Txn) error) error { return fn(kv.t) }

func (kv snapshotKV) Update(func(vault.Txn) error) error { return badger.ErrReadOnlyTxn }
