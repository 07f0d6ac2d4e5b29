package store

import (
	"errors"
	"fmt"
)

// Errors that callers tell apart. The errors of this package wrap them and add
// which record they are about.
var (
	ErrNotFound   = errors.New("the record does not exist")
	ErrExists     = errors.New("a record with this name exists already")
	ErrConflict   = errors.New("the record was changed by others at the same time, or its state does not allow the change")
	ErrReferenced = errors.New("other records still refer to this one")
	ErrInvalid    = errors.New("the record is not valid")
	ErrTooLarge   = errors.New("the record or file is larger than the store takes")
	ErrNoSpace    = errors.New("the disk of the data directory is nearly full: make room")
	ErrClosed     = errors.New("the store is closed")
	ErrInUse      = errors.New("another process has this data directory open")
	ErrWrongKey   = errors.New("the master key does not open this data directory")
	ErrNewer      = errors.New("the data directory was written by a newer version of Cloister")
	ErrCorrupt    = errors.New("the data directory holds something that Cloister did not write so")
)

// notFound names the record that is not there.
func notFound(noun, name string) error { return fmt.Errorf("%s %q: %w", noun, name, ErrNotFound) }

// invalid says what is wrong with a record.
func invalid(noun, format string, args ...any) error {
	return fmt.Errorf("%s: %w: %s", noun, ErrInvalid, fmt.Sprintf(format, args...))
}
