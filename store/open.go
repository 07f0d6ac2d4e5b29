package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"

	"cloister/store/vault"
)

// Store is an open data directory.
type Store struct {
	db        *badger.DB
	lock      *os.File
	sealed    sealedDir
	vaultKey  vault.Key
	secretKey vault.Key
	free      func() (uint64, error) // bytes left on the disk; tests put another one here
	// writers is held shared by every transaction that writes and alone by
	// those that delete.
	writers    sync.RWMutex
	versionsMu sync.Mutex // one version is made or deleted at a time
	filesMu    sync.Mutex // held while a file gets its name and its record, or loses them

	life    sync.Mutex // guards what follows
	idle    *sync.Cond
	running int // calls and iterators
	closed  bool
	vaults  map[string]*vault.Tokens
}

// Open opens the store in dir, and makes it when there is none. It takes back
// what a crash left unfinished. The error wraps ErrInUse when another process
// has it open, ErrWrongKey when it was made under another key, and ErrNewer
// when a newer version of Cloister wrote it.
func Open(dir string, key vault.MasterKey) (*Store, error) {
	if key.IsZero() {
		return nil, errors.New("the store needs a master key")
	}
	s := &Store{
		sealed:    newSealedDir(filepath.Join(dir, "files"), key.Derive("store/files")),
		vaultKey:  key.Derive("store/vault"),
		secretKey: key.Derive("store/secrets"),
		vaults:    map[string]*vault.Tokens{},
		free:      func() (uint64, error) { return freeSpace(dir) },
	}
	s.idle = sync.NewCond(&s.life)
	if err := s.open(dir, key); err != nil {
		return nil, errors.Join(fmt.Errorf("cannot open the store in %s: %w", dir, err), s.release())
	}
	return s, nil
}

func (s *Store) open(dir string, key vault.MasterKey) error {
	db := filepath.Join(dir, "db")
	for _, d := range []string{dir, db, s.sealed.path} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return err
		}
	}
	var err error
	if s.lock, err = lockDir(dir); err != nil {
		return err
	}
	marker := filepath.Join(dir, "FORMAT")
	if err := refuseNewer(marker); err != nil {
		return err
	}
	if err := removeUnborn(db); err != nil {
		return err
	}
	if s.db, err = openBadger(badgerOptions(db, key)); err != nil {
		return err
	}
	if err := s.migrate(marker); err != nil {
		return err
	}
	if err := s.sweepStaged(); err != nil {
		return err
	}
	return s.sweepFiles()
}

// lockDir takes the lock of the folder, which the kernel gives back when the
// process ends, in whatever way.
func lockDir(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "LOCK"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		if errors.Is(err, syscall.EWOULDBLOCK) {
			err = ErrInUse
		}
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// openBadger returns no database beside an error, as badger.Open may, and turns
// the panics by which it meets some kinds of damage into errors.
func openBadger(o badger.Options) (db *badger.DB, err error) {
	defer func() {
		if r := recover(); r != nil {
			db, err = nil, fmt.Errorf("%w: %v", ErrCorrupt, r)
		}
	}()
	db, err = badger.Open(o)
	switch {
	case errors.Is(err, badger.ErrEncryptionKeyMismatch):
		return nil, ErrWrongKey
	case err != nil:
		return nil, fmt.Errorf("the database does not open: %w", err)
	}
	return db, nil
}

// removeUnborn deletes log files of no length: Badger, killed between making
// such a file and giving it its size, would not open again, and nothing is in it.
func removeUnborn(db string) error {
	list, err := os.ReadDir(db)
	if err != nil {
		return err
	}
	for _, e := range list {
		if !strings.HasSuffix(e.Name(), ".mem") && !strings.HasSuffix(e.Name(), ".vlog") {
			continue
		}
		info, err := e.Info()
		if err == nil && info.Size() == 0 {
			err = os.Remove(filepath.Join(db, e.Name()))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// badgerOptions are for a machine that has other uses for its memory: models.
// Together the tables and caches stay below 100 MiB. Badger's defaults take
// some 700.
func badgerOptions(dir string, key vault.MasterKey) badger.Options {
	return badger.DefaultOptions(dir).
		WithLogger(nil). // its messages can hold keys and values
		WithMetricsEnabled(false).
		WithEncryptionKey(key.Derive("store/badger").Bytes()).
		WithSyncWrites(true).
		WithMemTableSize(16 << 20).
		WithNumMemtables(2).
		WithNumLevelZeroTables(2).
		WithNumLevelZeroTablesStall(6).
		WithNumCompactors(2).
		WithBlockCacheSize(16 << 20).
		WithIndexCacheSize(8 << 20).
		WithValueThreshold(64 << 10). // longer values go to the value log, so that a transaction always has room
		WithValueLogFileSize(2 * maxValue).
		WithVerifyValueChecksum(true).
		WithChecksumVerificationMode(options.OnBlockRead)
}

// Close waits for running calls and iterators and closes the store.
func (s *Store) Close() error {
	settled := s.eachVault((*vault.Tokens).Settle)
	s.life.Lock()
	if s.closed {
		s.life.Unlock()
		return ErrClosed
	}
	s.closed = true
	for s.running > 0 {
		s.idle.Wait()
	}
	s.life.Unlock()
	_ = s.db.RunValueLogGC(0.5) // takes space back where there is some; usually there is none
	return errors.Join(settled, s.release())
}

// release closes what is open.
func (s *Store) release() error {
	var errs []error
	if s.db != nil {
		errs = append(errs, s.db.Close())
	}
	if s.lock != nil {
		errs = append(errs, s.lock.Close())
	}
	return errors.Join(errs...)
}
