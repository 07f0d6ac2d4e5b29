package store

import (
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"syscall"
	"time"

	"github.com/dgraph-io/badger/v4"

	"cloister/store/vault"
)

// maxValue is the longest value in bytes. Badger would take more, and put the
// value into its error message when that is too long.
const maxValue = 32 << 20

// tx is one transaction. Keys and values that it returns are copies.
type tx struct{ t *badger.Txn }

// minFree is the space that a write leaves on the disk. Badger writes through
// memory maps of files with holes: when the disk is full, the kernel ends the
// process with SIGBUS instead of returning an error.
const minFree = 128 << 20

// room refuses writes while the disk is nearly full. Deletions go on.
func (s *Store) room() error {
	free, err := s.free()
	if err != nil {
		return err
	}
	if free < minFree {
		return fmt.Errorf("%w: %d MiB are free, and %d must stay", ErrNoSpace, free>>20, minFree>>20)
	}
	return nil
}

// freeSpace returns the bytes that are free for us where dir is.
func freeSpace(dir string) (uint64, error) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return 0, fmt.Errorf("cannot see how much space is left: %w", err)
	}
	return st.Bavail * uint64(st.Bsize), nil
}

// begin counts a running call; end must follow. It is not a RWMutex because a
// caller may use the store inside of an iterator.
func (s *Store) begin() error {
	s.life.Lock()
	defer s.life.Unlock()
	if s.closed {
		return ErrClosed
	}
	s.running++
	return nil
}

func (s *Store) end() {
	s.life.Lock()
	defer s.life.Unlock()
	s.running--
	s.idle.Broadcast()
}

// view runs fn on one state of the store.
func (s *Store) view(fn func(tx) error) error {
	if err := s.begin(); err != nil {
		return err
	}
	defer s.end()
	return s.db.View(func(t *badger.Txn) error { return fn(tx{t}) })
}

// update runs fn, again when another transaction got in between, and makes its
// changes durable, after the mask tokens that they may hold.
func (s *Store) update(fn func(tx) error) error {
	if err := s.eachVault((*vault.Tokens).Flush); err != nil {
		return err
	}
	return s.write(fn)
}

// write is update without a look at the vaults.
func (s *Store) write(fn func(tx) error) error {
	if err := s.room(); err != nil {
		return err
	}
	s.writers.RLock()
	defer s.writers.RUnlock()
	return s.commit(fn)
}

// updateAlone is for deletions: no other transaction writes beside it, so that
// it cannot miss a reference, and it needs no room on the disk.
func (s *Store) updateAlone(fn func(tx) error) error {
	s.writers.Lock()
	defer s.writers.Unlock()
	return s.commit(fn)
}

func (s *Store) commit(fn func(tx) error) error {
	if err := s.begin(); err != nil {
		return err
	}
	defer s.end()
	for try := range 200 {
		err := s.db.Update(func(t *badger.Txn) error { return fn(tx{t}) })
		switch {
		case errors.Is(err, badger.ErrTxnTooBig):
			return fmt.Errorf("%w (%w)", ErrTooLarge, err)
		case !errors.Is(err, badger.ErrConflict):
			return err
		}
		time.Sleep(rand.N(time.Duration(1+try) * 100 * time.Microsecond))
	}
	return ErrConflict
}

// viewing and updating return what fn returns.
func viewing[T any](s *Store, fn func(tx) (T, error)) (out T, err error) {
	err = s.view(func(x tx) (err error) { out, err = fn(x); return err })
	return out, err
}

func updating[T any](s *Store, fn func(tx) (T, error)) (out T, err error) {
	err = s.update(func(x tx) (err error) { out, err = fn(x); return err })
	if err != nil {
		var zero T
		return zero, err
	}
	return out, nil
}

// get returns nil for a key that is not there. The transaction conflicts with
// others that write the key.
func (x tx) get(key []byte) ([]byte, error) {
	item, err := x.t.Get(key)
	if errors.Is(err, badger.ErrKeyNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return value(item)
}

// value returns the value of an item. No value of ours is empty; Badger returns
// such a one, and no error, where it cannot read its value log.
func value(item *badger.Item) ([]byte, error) {
	b, err := item.ValueCopy(nil)
	if err == nil && len(b) == 0 {
		err = fmt.Errorf("a value does not read: %w", ErrCorrupt)
	}
	return b, err
}

func (x tx) has(key []byte) (bool, error) {
	b, err := x.get(key)
	return b != nil, err
}

func (x tx) set(key, value []byte) error {
	if len(value) > maxValue {
		return fmt.Errorf("%w: %d bytes, at most %d", ErrTooLarge, len(value), maxValue)
	}
	return x.t.Set(key, value)
}

func (x tx) del(key []byte) error { return x.t.Delete(key) }

// entry is a key with its value.
type entry struct{ key, value []byte }

// span says which keys a scan visits: those with the prefix, in order or, with
// reverse, from the last one down; when after is set, only those beyond it.
type span struct {
	prefix   []byte
	after    []byte
	reverse  bool
	keysOnly bool
}

// scan visits the keys of a span. An update transaction runs one scan at a time.
func (x tx) scan(sp span) iter.Seq2[entry, error] {
	return func(yield func(entry, error) bool) {
		o := badger.DefaultIteratorOptions
		o.Prefix, o.Reverse = sp.prefix, sp.reverse
		o.PrefetchValues = !sp.keysOnly
		it := x.t.NewIterator(o)
		defer it.Close()
		it.Seek(sp.start())
		if sp.after != nil && it.Valid() && string(it.Item().Key()) == string(sp.after) {
			it.Next()
		}
		for ; it.Valid(); it.Next() {
			e := entry{key: it.Item().KeyCopy(nil)}
			var err error
			if !sp.keysOnly {
				e.value, err = value(it.Item())
			}
			if !yield(e, err) || err != nil {
				return
			}
		}
	}
}

func (sp span) start() []byte {
	switch {
	case sp.after != nil:
		return sp.after
	case sp.reverse: // beyond all keys with the prefix: names are UTF-8, which has no 0xff
		return append(slices.Clone(sp.prefix), 0xff)
	}
	return sp.prefix
}

// next gives out the numbers of a series, from 1.
func (x tx) next(counter []byte) (uint64, error) {
	n, err := x.last(counter)
	if err != nil {
		return 0, err
	}
	return n + 1, x.set(counter, []byte(number(n+1)))
}

// last returns the highest number given out, or 0.
func (x tx) last(counter []byte) (uint64, error) {
	b, err := x.get(counter)
	if err != nil || b == nil {
		return 0, err
	}
	return parseNumber(string(b))
}

// marked returns the names that have a marker in a space.
func (s *Store) marked(sp space) ([]string, error) {
	return viewing(s, func(x tx) ([]string, error) {
		var names []string
		for e, err := range x.scan(span{prefix: sp.under(), keysOnly: true}) {
			if err != nil {
				return nil, err
			}
			names = append(names, string(e.key[len(sp):]))
		}
		return names, nil
	})
}
