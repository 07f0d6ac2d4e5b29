package store

import (
	"fmt"
	"strconv"
)

// migrations lead from one version of the key space to the next: the first from
// 1 to 2, and so on. Each runs once, at Open, and may be cut off at any point
// and run again.
var migrations []func(*Store) error

// schema is the version of the key space that this code reads and writes.
func schema() int { return 1 + len(migrations) }

// migrate brings an older key space up to date and writes the version into a new one.
func (s *Store) migrate() error {
	at, err := s.schemaOnDisk()
	if err != nil {
		return err
	}
	if at > schema() {
		return fmt.Errorf("%w: its schema is %d and this program knows %d", ErrNewer, at, schema())
	}
	if at == 0 {
		return s.setSchema(schema())
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
