package store

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"cloister/store/vault"
)

// sealedDir is the folder of sealed files. A file is written under a name that
// begins with stagePrefix, made durable, and then renamed to its id, so that a
// name without the prefix is always a whole file.
type sealedDir struct {
	path string
	key  vault.Key
	max  int64 // longest content in bytes
	// create makes the file that is staged; tests put one here that fails.
	create func(dir, pattern string) (stagedFile, error)
}

// stagedFile is what staging needs of an *os.File.
type stagedFile interface {
	io.WriteCloser
	Sync() error
	Name() string
}

const stagePrefix = "staged-"

func newSealedDir(path string, key vault.Key) sealedDir {
	return sealedDir{path, key, MaxFileBytes, func(dir, pattern string) (stagedFile, error) { return os.CreateTemp(dir, pattern) }}
}

// staged is a sealed file that nobody sees yet.
type staged struct {
	path   string
	bytes  int64 // of the content
	sha256 string
}

// stage seals what r gives into a new file; id is bound to the content. It asks
// goOn all along, and ends with its error.
func (d sealedDir) stage(goOn func() error, id string, r io.Reader) (staged, error) {
	f, err := d.create(d.path, stagePrefix+"*")
	if err != nil {
		return staged{}, fmt.Errorf("cannot stage file %s: %w", id, err)
	}
	st := staged{path: f.Name()}
	sum := sha256.New()
	st.bytes, err = d.seal(f, id, io.TeeReader(&limited{goOn: goOn, r: r, left: d.max}, sum))
	st.sha256 = hex.EncodeToString(sum.Sum(nil))
	if err := errors.Join(err, f.Close()); err != nil {
		d.drop(st)
		return staged{}, fmt.Errorf("cannot stage file %s: %w", id, err)
	}
	return st, nil
}

// seal writes the content of r, sealed, and makes it durable.
func (d sealedDir) seal(f stagedFile, id string, r io.Reader) (int64, error) {
	w, err := vault.NewWriter(f, d.key, id)
	if err != nil {
		return 0, err
	}
	n, err := io.Copy(w, r)
	if err != nil {
		return n, err
	}
	return n, errors.Join(w.Close(), f.Sync())
}

// limited reads at most left bytes, as long as goOn returns no error.
type limited struct {
	goOn func() error
	r    io.Reader
	left int64
}

func (l *limited) Read(p []byte) (int, error) {
	if err := l.goOn(); err != nil {
		return 0, err
	}
	n, err := l.r.Read(p)
	if l.left -= int64(n); l.left < 0 {
		return n, fmt.Errorf("%w: at most %d MiB", ErrTooLarge, MaxFileBytes>>20)
	}
	return n, err
}

// publish gives a staged file its name, durably.
func (d sealedDir) publish(st staged, id string) error {
	if err := os.Rename(st.path, d.file(id)); err != nil {
		return err
	}
	return vault.SyncDir(d.path)
}

// drop deletes a staged file. What it cannot delete, the next sweep does.
func (d sealedDir) drop(st staged) { _ = os.Remove(st.path) }

// remove deletes a file that no record has.
func (d sealedDir) remove(id string) { _ = os.Remove(d.file(id)) }

func (d sealedDir) file(id string) string { return filepath.Join(d.path, id) }

// sealedFile is an open file of the folder.
type sealedFile struct {
	*vault.Reader
	io.Closer
}

// open returns the content of a file.
func (d sealedDir) open(id string) (io.ReadCloser, error) {
	f, err := os.Open(d.file(id))
	if err != nil {
		return nil, fmt.Errorf("the content of file %s: %w", id, err)
	}
	r, err := vault.NewReader(f, d.key, id)
	if err != nil {
		return nil, fmt.Errorf("the content of file %s: %w", id, errors.Join(err, f.Close()))
	}
	return sealedFile{r, f}, nil
}

// verify reads a file from its first byte to its last.
func (d sealedDir) verify(f *File) error {
	r, err := d.open(f.ID)
	if err != nil {
		return err
	}
	defer r.Close()
	sum := sha256.New()
	n, err := io.Copy(sum, r)
	if err == nil && (n != f.Bytes || hex.EncodeToString(sum.Sum(nil)) != f.SHA256) {
		err = errors.New("it is not what its record says")
	}
	if err != nil {
		return fmt.Errorf("the content of file %s: %w", f.ID, err)
	}
	return nil
}

// names returns the ids of the files, and the names of staged ones apart.
func (d sealedDir) names() (ids, stagedNames []string, err error) {
	list, err := os.ReadDir(d.path)
	for _, e := range list {
		if strings.HasPrefix(e.Name(), stagePrefix) {
			stagedNames = append(stagedNames, e.Name())
		} else {
			ids = append(ids, e.Name())
		}
	}
	return ids, stagedNames, err
}

// sweep deletes staged files, and the files that dead names.
func (d sealedDir) sweep(dead func(id string) (bool, error)) error {
	ids, leftovers, err := d.names()
	if err != nil {
		return err
	}
	for _, id := range ids {
		gone, err := dead(id)
		if err != nil {
			return err
		}
		if gone {
			leftovers = append(leftovers, id)
		}
	}
	for _, name := range leftovers {
		if err := os.Remove(filepath.Join(d.path, name)); err != nil {
			return err
		}
	}
	return nil
}
