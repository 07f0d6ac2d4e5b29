package store

import "os"

// What tests reach behind the public face for: to break things.

// RawSet writes any value at any key.
func (s *Store) RawSet(key string, value []byte) error {
	return s.update(func(x tx) error { return x.set([]byte(key), value) })
}

// RawDelete deletes any key.
func (s *Store) RawDelete(key string) error {
	return s.update(func(x tx) error { return x.del([]byte(key)) })
}

// RawKeys returns all keys with a prefix and their values.
func (s *Store) RawKeys(prefix string) (map[string][]byte, error) {
	out := map[string][]byte{}
	err := s.view(func(x tx) error {
		for e, err := range x.scan(span{prefix: []byte(prefix)}) {
			if err != nil {
				return err
			}
			out[string(e.key)] = e.value
		}
		return nil
	})
	return out, err
}

// SetFree sets how much space the disk has.
func (s *Store) SetFree(bytes uint64) {
	s.free = func() (uint64, error) { return bytes, nil }
}

// SetMaxFile sets the limit of PutFile.
func (s *Store) SetMaxFile(n int64) { s.sealed.max = n }

// FailStaging lets staged files fail: Write after n bytes, or, when they are
// not reached, Sync (at "sync") or Close (at "close").
func (s *Store) FailStaging(n int, at string, err error) {
	s.sealed.create = func(dir, pattern string) (stagedFile, error) {
		if at == "create" {
			return nil, err
		}
		f, err2 := os.CreateTemp(dir, pattern)
		if err2 != nil {
			return nil, err2
		}
		return &failingFile{stagedFile: f, left: n, at: at, err: err}, nil
	}
}

type failingFile struct {
	stagedFile
	left int
	at   string
	err  error
}

func (f *failingFile) Write(p []byte) (int, error) {
	if f.at == "write" && len(p) > f.left {
		n, _ := f.stagedFile.Write(p[:f.left])
		f.left = 0
		return n, f.err
	}
	f.left -= len(p)
	return f.stagedFile.Write(p)
}

func (f *failingFile) Sync() error {
	if f.at == "sync" {
		return f.err
	}
	return f.stagedFile.Sync()
}

func (f *failingFile) Close() error {
	err := f.stagedFile.Close()
	if f.at == "close" {
		return f.err
	}
	return err
}

// SetMigrations replaces the table of migrations until the returned function runs.
func SetMigrations(m ...func(*Store) error) (restore func()) {
	old := migrations
	migrations = m
	return func() { migrations = old }
}
