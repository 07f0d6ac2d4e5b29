package appliance

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
)

// ControlSocket is the path of the control socket of a data directory. Its
// folder is its owner's alone, so whoever can connect may do everything.
func ControlSocket(home string) string { return filepath.Join(home, "run", "control.sock") }

// maxSocketPath is the longest path of a Unix socket (sun_path of unix(7),
// without its final zero byte).
const maxSocketPath = 107

// listenControl binds the control socket. The store's lock is held, so a
// socket that is there was left by a process that died.
func listenControl(home string) (net.Listener, error) {
	path := ControlSocket(home)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if len(path) > maxSocketPath {
		return nil, fmt.Errorf("the data directory's path is too long for a socket (%d bytes, at most %d): use a shorter --home, or a symbolic link to it", len(home), maxSocketPath-len(path)+len(home))
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("cannot bind the control socket: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}
