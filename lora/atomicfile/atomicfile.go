// Package atomicfile writes files that are there whole or not at all.
package atomicfile

import (
	"bufio"
	"io"
	"os"
	"path/filepath"
)

// Write writes a file under a temporary name in the same folder, flushes it to
// the disk and renames it, so that after a crash at any point the path holds
// the old file or the new one, whole. beforeRename, if it is not nil, is called
// when the file is complete under its temporary name: tests kill the process there.
func Write(path string, write func(io.Writer) error, beforeRename func(path string)) (err error) {
	temporary := path + ".partial"
	f, err := os.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(temporary)
		}
	}()
	w := bufio.NewWriterSize(f, 1<<20)
	err = write(w)
	if err == nil {
		err = w.Flush()
	}
	if err == nil {
		err = f.Sync()
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return err
	}
	if beforeRename != nil {
		beforeRename(path)
	}
	if err = os.Rename(temporary, path); err != nil {
		return err
	}
	return SyncFolder(filepath.Dir(path))
}

// SyncFolder makes a rename in the folder durable.
func SyncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
