package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"cloister/store/vault"
)

// migrations lead from one version of the key space to the next: the first from
// 1 to 2, and so on. Each runs once, at Open, and may be cut off at any point
// and run again. TestShape says when one is needed.
var migrations = []func(*Store) error{
	// Fields and key spaces came since the first programs, which would drop them
	// from records that they write. Nothing has to be changed for them.
	func(*Store) error { return nil },
}

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
		return newer(at)
	case at == 0 && err == nil:
		return fmt.Errorf("the database is empty, and was not: %w", ErrCorrupt)
	case at == 0:
		at = schema()
		if err := s.setSchema(at); err != nil {
			return err
		}
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
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
	return writeMarker(marker)
}

// markerText is the content of a marker, up to the number of the schema.
const markerText = "A data directory of Cloister. Everything in it is encrypted with the master key.\nSchema "

// refuseNewer looks at the marker, so that a store of a newer program is
// refused before anything in it is opened for writing. The first programs
// wrote no number.
func refuseNewer(marker string) error {
	b, err := os.ReadFile(marker)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var at int
	if _, err := fmt.Sscanf(strings.TrimPrefix(string(b), markerText), "%d\n", &at); err == nil && at > schema() {
		return newer(at)
	}
	return nil
}

func newer(at int) error {
	return fmt.Errorf("%w: its schema is %d and this program knows %d; nothing was changed. Use the newer program, or a copy of the directory from before the upgrade", ErrNewer, at, schema())
}

// writeMarker writes the marker, if it does not say what it must already.
func writeMarker(path string) error {
	text := markerText + strconv.Itoa(schema()) + "\n"
	if b, err := os.ReadFile(path); err == nil && string(b) == text {
		return nil
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".FORMAT-*") // 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.WriteString(text)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
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
