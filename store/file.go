package store

import (
	"context"
	"errors"
	"io"
	"strings"
	"time"
)

// File is an uploaded file; its content is sealed and kept beside it.
type File struct {
	ID        string     `json:"id"` // "file-…"
	Name      string     `json:"name"`
	Purpose   string     `json:"purpose"` // OpenAI's: "fine-tune", "fine-tune-results", …; ours: "import"
	Bytes     int64      `json:"bytes"`
	SHA256    string     `json:"sha256"`
	CreatedAt time.Time  `json:"created_at"`
	ExpiresAt *time.Time `json:"expires_at,omitempty"`
}

// MaxFileBytes is the longest file that the store takes: OpenAI's limit.
const MaxFileBytes = 512 << 20

var files = kind[File]{
	noun:  "file",
	at:    fileSpace,
	parts: func(f *File) []string { return []string{f.ID} },
	indexes: []index[File]{
		byTime(fileTimeSpace, func(f *File) time.Time { return f.CreatedAt }, func(f *File) string { return f.ID }),
	},
	gone: true,
}

func (f *File) valid() error {
	if !safeFileID(f.ID) {
		return invalid("file", "its id has characters other than letters, digits, - and _, or begins with %q", stagePrefix)
	}
	return nil
}

// safeFileID reports whether an id can be a file name: nothing that leads out of the folder.
func safeFileID(id string) bool {
	for _, r := range id {
		if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_' {
			return false
		}
	}
	return !strings.HasPrefix(id, stagePrefix)
}

// PutFile seals what it reads and writes the record; of f it takes name,
// purpose, expiry and, if they are set, id and time. Memory does not grow with
// the file, nothing is on disk in plain, and the file exists whole or not at
// all. The error wraps ErrTooLarge beyond MaxFileBytes and, where reading
// failed, the error of r.
func (s *Store) PutFile(ctx context.Context, f File, r io.Reader) (File, error) {
	identify(&f.ID, "file-")
	stamp(&f.CreatedAt)
	if err := s.begin(); err != nil {
		return File{}, err
	}
	defer s.end()
	if err := f.valid(); err != nil {
		return File{}, err
	}
	staged, err := s.sealed.stage(func() error { return errors.Join(ctx.Err(), s.room()) }, f.ID, r)
	if err != nil {
		return File{}, err
	}
	f.Bytes, f.SHA256 = staged.bytes, staged.sha256
	if err := s.publishFile(&f, staged); err != nil {
		return File{}, err
	}
	return f, nil
}

// publishFile gives a staged file its name and its record. A marker tells Open
// of a name without a record.
func (s *Store) publishFile(f *File, st staged) error {
	s.filesMu.Lock()
	defer s.filesMu.Unlock()
	defer s.sealed.drop(st) // it has no other name yet, or this does nothing
	marker := fileStageSpace.key(f.ID)
	err := s.update(func(x tx) error {
		if err := files.free(x, f.ID); err != nil {
			return err
		}
		return x.set(marker, []byte("staged"))
	})
	if err != nil {
		return err
	}
	err = s.sealed.publish(st, f.ID)
	if err == nil {
		err = s.update(func(x tx) error {
			if err := x.del(marker); err != nil {
				return err
			}
			return files.create(x, f)
		})
	}
	if err != nil {
		err = errors.Join(err, s.unpublishFile(f.ID))
	}
	return err
}

// unpublishFile takes back what publishFile did up to the record. If it fails,
// the marker stays, and the next Open does it.
func (s *Store) unpublishFile(id string) error {
	written, err := viewing(s, func(x tx) (bool, error) { return x.has(fileSpace.key(id)) })
	if err != nil || written {
		return err
	}
	s.sealed.remove(id)
	return s.updateAlone(func(x tx) error { return x.del(fileStageSpace.key(id)) })
}

// sweepFiles deletes what a crash left: staged files, content whose record was
// not written, and content whose record was deleted. Content that has neither
// record nor tombstone stays: it is the trace of damage, and Check reports it.
func (s *Store) sweepFiles() error {
	unborn, err := s.marked(fileStageSpace)
	if err != nil {
		return err
	}
	err = s.sealed.sweep(func(id string) (bool, error) {
		return viewing(s, func(x tx) (bool, error) { return deadContent(x, id) })
	})
	if err != nil || len(unborn) == 0 {
		return err
	}
	return s.updateAlone(func(x tx) error {
		for _, id := range unborn {
			if err := x.del(fileStageSpace.key(id)); err != nil {
				return err
			}
		}
		return nil
	})
}

// deadContent reports whether content without a record is to be swept: its
// record was never written, or was deleted.
func deadContent(x tx, id string) (bool, error) {
	alive, err1 := x.has(fileSpace.key(id))
	unborn, err2 := x.has(fileStageSpace.key(id))
	deleted, err3 := x.has(files.tombstone([]string{id}))
	return !alive && (unborn || deleted), errors.Join(err1, err2, err3)
}

// OpenFile returns the content of a file. Every byte was verified; the error
// wraps vault.ErrDamaged when the sealed file was changed or cut short.
func (s *Store) OpenFile(id string) (io.ReadCloser, error) {
	if _, err := s.File(id); err != nil {
		return nil, err
	}
	return s.sealed.open(id)
}

// File returns the record of a file.
func (s *Store) File(id string) (File, error) {
	return viewing(s, func(x tx) (File, error) { return files.get(x, id) })
}

// Files returns a page of the files with a purpose (empty: any), and whether
// there are more.
func (s *Store) Files(purpose string, p Page) ([]File, bool, error) {
	return files.page(s, p, func(f *File) bool { return purpose == "" || f.Purpose == purpose })
}

// DeleteFile deletes a file and its content. The error wraps ErrReferenced
// while a job that has not ended needs it.
func (s *Store) DeleteFile(id string) error {
	s.filesMu.Lock()
	defer s.filesMu.Unlock()
	err := s.updateAlone(func(x tx) error {
		err := unneeded("file", id, jobs.all(x, span{prefix: jobSpace.under()}),
			func(j *Job) bool { return !j.Status.Terminal() && (j.TrainingFile == id || j.ValidationFile == id) },
			func(j *Job) string { return "job " + j.ID })
		if err != nil {
			return err
		}
		return files.remove(x, id)
	})
	if err != nil {
		return err
	}
	s.sealed.remove(id) // if this fails, the next Open sweeps it
	return nil
}
