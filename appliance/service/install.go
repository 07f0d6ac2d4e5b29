package service

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"

	"cloister/store/vault"
)

// sysusers is the line of sysusers.d(5) that makes the user.
func (o Options) sysusers() string {
	return fmt.Sprintf("u %s - \"Cloister\" %s /usr/sbin/nologin\n", o.User, o.Home)
}

// Print is what Install would write, for eyes.
func (o Options) Print() (string, error) {
	text, err := o.Unit()
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("# %s: this program\n# %s: the master key, made if it is not there\n\n# %s\n%s\n# %s\n%s",
		o.Root+o.Binary, o.Root+o.Key, o.Root+userPath, o.sysusers(), o.Root+unitPath, text), nil
}

// installer says what it does.
type installer struct {
	Options
	say func(format string, args ...any)
}

// Install puts the program, the key, the user and the unit in their places, each
// in one step, and leaves what is right already. program is the file to install.
// It starts nothing. It calls say with a line for each thing that it did.
func Install(o Options, program string, say func(format string, args ...any)) error {
	if _, err := o.Unit(); err != nil {
		return err
	}
	if o.Root == "" && os.Geteuid() != 0 {
		return ErrNeedsRoot
	}
	salt := o.Root + filepath.Join(o.Home, vault.SaltFile)
	if _, err := os.Stat(salt); err == nil {
		return fmt.Errorf("the data in %s open with a passphrase (%s), which nobody types for a service; name another data directory with --home", o.Root+o.Home, salt)
	}
	in := installer{o, say}
	for _, step := range []func() error{func() error { return in.program(program) }, in.key, in.user, in.home, in.unit} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// program copies a file to its place; the running one keeps its own until it is
// restarted.
func (in *installer) program(from string) error {
	f, err := os.Open(from)
	if err != nil {
		return err
	}
	defer f.Close()
	there, err := os.Open(in.Root + in.Binary)
	if err == nil {
		defer there.Close()
		same, err := equal(f, there)
		if err != nil {
			return err
		}
		if same {
			in.say("%s is this version already", in.Root+in.Binary)
			return nil
		}
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return err
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return in.write(in.Binary, 0o755, f)
}

func equal(a, b *os.File) (bool, error) {
	x, err := a.Stat()
	if err != nil {
		return false, err
	}
	y, err := b.Stat()
	if err != nil || x.Size() != y.Size() {
		return false, err
	}
	p, q := make([]byte, 1<<20), make([]byte, 1<<20)
	for {
		n, err := io.ReadFull(a, p)
		m, err2 := io.ReadFull(b, q)
		if n != m || !bytes.Equal(p[:n], q[:m]) {
			return false, nil
		}
		if err != nil || err2 != nil { // the end of both, or a file that does not read
			for _, e := range []error{err, err2} {
				if e != io.EOF && e != io.ErrUnexpectedEOF {
					return false, e
				}
			}
			return true, nil
		}
	}
}

// write writes a file below the root in one step.
func (in *installer) write(path string, mode fs.FileMode, content io.Reader) error {
	path = in.Root + path
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".cloister-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = io.Copy(f, content)
	if err := errors.Join(err, f.Chmod(mode), f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	in.say("wrote %s", path)
	return vault.SyncDir(filepath.Dir(path))
}

// text writes a file, if it does not say the same already.
func (in *installer) text(path, content string) error {
	if b, err := os.ReadFile(in.Root + path); err == nil && string(b) == content {
		in.say("%s is as it must be", in.Root+path)
		return nil
	}
	return in.write(path, 0o644, strings.NewReader(content))
}

// key makes the master key. Data that are there already have theirs beside
// them, and keep it.
func (in *installer) key() error {
	if beside := filepath.Join(in.Home, "master.key"); beside != in.Key {
		_, err := os.Stat(in.Root + in.Key)
		if _, err2 := os.Stat(in.Root + beside); errors.Is(err, fs.ErrNotExist) && err2 == nil {
			in.say("the data in %s keep their key, %s", in.Root+in.Home, in.Root+beside)
			in.Key = beside
			return nil
		}
	}
	path := in.Root + in.Key
	if _, err := vault.ReadKeyFile(path); err == nil {
		in.say("%s is there", path)
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	if _, err := vault.KeyFile(path); err != nil {
		return err
	}
	in.say("made the master key %s: keep a copy in another place, without it nobody can read the data", path)
	return nil
}

func (in *installer) user() error {
	if err := in.text(userPath, in.sysusers()); err != nil || in.Root != "" {
		return err // an image makes its users when it starts
	}
	if _, err := user.Lookup(in.User); err == nil {
		in.say("the user %s is there", in.User)
		return nil
	}
	err := run("systemd-sysusers", userPath)
	if errors.Is(err, exec.ErrNotFound) {
		err = run("useradd", "--system", "--home-dir", in.Home, "--shell", "/usr/sbin/nologin", in.User)
	}
	if err != nil {
		return fmt.Errorf("cannot make the user %s: %w", in.User, err)
	}
	in.say("made the user %s", in.User)
	return nil
}

// home makes a data directory that systemd does not make by itself.
func (in *installer) home() error {
	if in.Root != "" || strings.HasPrefix(in.Home, "/var/lib/") {
		return nil
	}
	if err := os.MkdirAll(in.Home, 0o700); err != nil {
		return err
	}
	u, err := user.Lookup(in.User)
	if err != nil {
		return err
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		return err
	}
	gid, err := strconv.Atoi(u.Gid)
	if err != nil {
		return err
	}
	return os.Chown(in.Home, uid, gid)
}

func (in *installer) unit() error {
	text, err := in.Unit()
	if err != nil {
		return err
	}
	if err := in.text(unitPath, text); err != nil || in.Root != "" {
		return err
	}
	if !systemdRuns() {
		in.say("systemd does not run here, so it was not told")
		return nil
	}
	if err := run("systemctl", "daemon-reload"); err != nil {
		return err
	}
	return run("systemctl", "enable", "cloister")
}

// Uninstall stops the service and removes program, unit and the file that makes
// the user. Data, master key and user stay.
func Uninstall(o Options, say func(format string, args ...any)) error {
	if err := o.validate(); err != nil {
		return err
	}
	if o.Root == "" && os.Geteuid() != 0 {
		return ErrNeedsRoot
	}
	live := o.Root == "" && systemdRuns()
	if _, err := os.Stat(o.Root + unitPath); live && err == nil {
		if err := run("systemctl", "disable", "--now", "cloister"); err != nil {
			return err
		}
	}
	for _, path := range []string{unitPath, userPath, o.Binary} {
		err := os.Remove(o.Root + path)
		switch {
		case err == nil:
			say("removed %s", o.Root+path)
		case !errors.Is(err, fs.ErrNotExist):
			return err
		}
	}
	if live {
		return run("systemctl", "daemon-reload")
	}
	return nil
}

// systemdRuns is sd_booted(3).
func systemdRuns() bool {
	_, err := os.Stat("/run/systemd/system")
	return err == nil
}

// run runs a command of the system; its words are part of the error.
func run(name string, args ...string) error {
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w %s", name, strings.Join(args, " "), err, bytes.TrimSpace(out))
	}
	return nil
}
