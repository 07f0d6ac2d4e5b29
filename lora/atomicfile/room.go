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
	free, err := Free(filepath.Dir(path))
	if err != nil {
		return &os.PathError{Op: "open", Path: filepath.Dir(path), Err: err}
	}
	if free < uint64(bytes) {
		return fmt.Errorf("%s would have %d MB, and %d MB are free on its disk; make room or name a file elsewhere", path, bytes/1e6, free/1e6)
	}
	return nil
}

// Free is the number of bytes that are free for this user on the disk of a folder.
func Free(dir string) (uint64, error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return 0, err
	}
	return s.Bavail * uint64(s.Bsize), nil
}
