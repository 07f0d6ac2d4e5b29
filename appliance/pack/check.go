package pack

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"syscall"
)

// stampFile is kept in the data directory: which file was verified last.
const stampFile = "pack.verified"

// stamp tells a file that was verified from one that has changed since.
type stamp struct {
	Manifest string `json:"manifest"`
	Path     string `json:"path"`
	Size     int64  `json:"size"`
	Device   uint64 `json:"device"`
	Inode    uint64 `json:"inode"`
	Modified int64  `json:"modified"` // nanoseconds since 1970
	Changed  int64  `json:"changed"`  // of the inode: no program sets this one
}

func (p *Pack) stamp() (stamp, error) {
	var s syscall.Stat_t
	if err := syscall.Stat(p.file, &s); err != nil {
		return stamp{}, &os.PathError{Op: "stat", Path: p.Path, Err: err}
	}
	return stamp{p.SHA256, p.Path, s.Size, uint64(s.Dev), s.Ino, s.Mtim.Nano(), s.Ctim.Nano()}, nil
}

// Check verifies the file in full if it is not the one that was verified last
// for this data directory, or in any case with always, and remembers that. The
// directory is made if need be.
func (p *Pack) Check(ctx context.Context, home string, always bool, progress func(done, total int64)) error {
	now, err := p.stamp()
	if err != nil {
		return err
	}
	path := filepath.Join(home, stampFile)
	var last stamp
	if raw, err := os.ReadFile(path); err == nil && json.Unmarshal(raw, &last) == nil && last == now && !always {
		return nil
	}
	if err := p.Verify(ctx, progress); err != nil {
		return err
	}
	after, err := p.stamp()
	if err != nil {
		return err
	}
	if after != now {
		return errors.New(p.Path + " changed while it was verified; try again")
	}
	raw, err := json.Marshal(now)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(home, 0o700); err != nil {
		return err
	}
	fresh := path + ".partial"
	if err := os.WriteFile(fresh, raw, 0o600); err != nil {
		return err
	}
	return os.Rename(fresh, path)
}
