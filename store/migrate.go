package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"cloister/store/vault"
)

// migrations lead from one version of the key space to the next: the first from
// 1 to 2, and so on. Each runs once, at Open, and may be cut off at any point
// and run again.
var migrations []func(*Store) error

// schema is the version of the key space that this code reads and writes.
func schema() int { return 1 + len(migrations) }

// migrate brings an older key space up to date and writes the version into a
// new one. The file at marker tells a new store from one whose database was lost.
func (s *Store) migrate(marker string) error {
	at, err := s.schemaOnDisk()
	if err != nil {
		return err
	}
	_, err = os.Stat(marker)
	switch {
	case at > schema():
		return fmt.Errorf("%w: its schema is %d and this program knows %d", ErrNewer, at, schema())
	case at == 0 && err == nil:
		return fmt.Errorf("the database is empty, and was not: %w", ErrCorrupt)
	case at == 0:
		at = schema()
		if err := s.setSchema(at); err != nil {
			return err
		}
	}
	if errors.Is(err, os.ErrNotExist) {
		err = createMarker(marker)
	}
	if err != nil {
		return err
	}
	for ; at < schema(); at++ {
		if err := migrations[at-1](s); err != nil {
			return fmt.Errorf("migration from schema %d: %w", at, err)
		}
		if err := s.setSchema(at + 1); err != nil {
			return err
		}
	}
	return nil
}

func createMarker(path string) error {
	if err := os.WriteFile(path, []byte("A data directory of Cloister. Everything in it is encrypted with the master key.\n"), 0o600); err != nil {
		return err
	}
	return vault.SyncDir(filepath.Dir(path))
}

// schemaOnDisk returns the version that is written in the store, or 0 for an empty one.
func (s *Store) schemaOnDisk() (int, error) {
	return viewing(s, func(x tx) (int, error) {
		b, err := x.get(metaSpace.key("schema"))
		if err != nil {
			return 0, err
		}
		if b != nil {
			n, err := strconv.Atoi(string(b))
			if err != nil || n < 1 {
				return 0, fmt.Errorf("its schema does not read: %w", ErrCorrupt)
			}
			return n, nil
		}
		for _, err := range x.scan(span{keysOnly: true}) {
			if err == nil {
				err = fmt.Errorf("it has records and no schema: %w", ErrCorrupt)
			}
			return 0, err
		}
		return 0, nil
	})
}

func (s *Store) setSchema(n int) error {
	return s.update(func(x tx) error { return x.set(metaSpace.key("schema"), []byte(strconv.Itoa(n))) })
}
