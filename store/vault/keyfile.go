package vault

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// keyPrefix begins a key file: "cloister-key-1:" + 32 bytes in base64 + "\n".
const keyPrefix = "cloister-key-1:"

// KeyFile returns the key in the file at path, and makes the file, with a new
// random key, when there is none. Whoever has the file can read the data, and
// without it nobody can: keep a copy in another place.
func KeyFile(path string) (MasterKey, error) {
	k, err := ReadKeyFile(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return k, err
	}
	k = NewMasterKey()
	text := keyPrefix + base64.StdEncoding.EncodeToString(k.b[:]) + "\n"
	if err := createSecret(path, []byte(text)); err != nil && !errors.Is(err, fs.ErrExist) {
		return MasterKey{}, fmt.Errorf("cannot make the key file %s: %w", path, err)
	}
	return ReadKeyFile(path) // another process may have been first
}

// ReadKeyFile returns the key in the file at path. The error wraps
// fs.ErrNotExist when there is none and ErrBadKeyFile when it is no key file or
// others than its owner and group may read it.
func ReadKeyFile(path string) (MasterKey, error) {
	text, err := readSecret(path)
	if err != nil {
		return MasterKey{}, err
	}
	rest, ok := bytes.CutPrefix(bytes.TrimSpace(text), []byte(keyPrefix))
	raw, err := base64.StdEncoding.DecodeString(string(rest))
	if !ok || err != nil || len(raw) != keySize {
		return MasterKey{}, fmt.Errorf("%w: %s does not hold a key of Cloister", ErrBadKeyFile, path)
	}
	k := MasterKey{[keySize]byte(raw)}
	if k.IsZero() {
		return MasterKey{}, fmt.Errorf("%w: the key in %s is all zeros", ErrBadKeyFile, path)
	}
	return k, nil
}

// readSecret reads a small file that only its owner and group may read. (Group:
// systemd shows the access list of a credential as group bits.)
func readSecret(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if mode := info.Mode(); !mode.IsRegular() || mode.Perm()&0o027 != 0 {
		return nil, fmt.Errorf("%w: %s has mode %v; type: chmod 600 %s", ErrBadKeyFile, path, mode, path)
	}
	return io.ReadAll(io.LimitReader(f, 4096))
}

// createSecret makes a file with mode 0600 and its whole content at once, or
// not at all. The error wraps fs.ErrExist when the file is there.
func createSecret(path string, content []byte) error {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, ".new-*") // 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	if _, err := f.Write(content); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Link(f.Name(), path); err != nil {
		return err
	}
	return SyncDir(dir)
}

// SyncDir makes the names in a folder durable.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
