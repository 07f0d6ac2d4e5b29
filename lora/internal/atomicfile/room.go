package atomicfile

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// Room checks, before a large new file of this many bytes is written, that no
// file has the name yet and that its disk has so much room.
func Room(path string, bytes int64) error {
	if _, err := os.Lstat(path); err == nil {
		return fmt.Errorf("%s exists already; name another file", path)
	}
	var s syscall.Statfs_t
	if err := syscall.Statfs(filepath.Dir(path), &s); err != nil {
		return &os.PathError{Op: "open", Path: filepath.Dir(path), Err: err}
	}
	if free := int64(s.Bavail) * int64(s.Bsize); free < bytes {
		return fmt.Errorf("%s would have %d MB, and %d MB are free on its disk; make room or name a file elsewhere", path, bytes/1e6, free/1e6)
	}
	return nil
}
