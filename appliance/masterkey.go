package appliance

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"syscall"

	"cloister/appliance/fault"
	"cloister/store/vault"
)

// credential is the name under which systemd may hand the master key to the
// appliance: LoadCredential=master.key:PATH.
const credential = "master.key"

// masterKey reads the master key from Config.KeyFile, or else from systemd's
// credential, or else from the data directory. A key that is missing is made
// only where there is no data yet that another one must open.
func (c *Config) masterKey() (vault.MasterKey, error) {
	path := c.KeyFile
	if dir := os.Getenv("CREDENTIALS_DIRECTORY"); path == "" && dir != "" {
		key, err := vault.ReadKeyFile(filepath.Join(dir, credential))
		if !errors.Is(err, fs.ErrNotExist) { // there are other credentials than ours
			return key, err
		}
	}
	if path == "" {
		path = filepath.Join(c.Home, "master.key")
	}
	_, err := os.Stat(filepath.Join(c.Home, "store", "FORMAT"))
	if errors.Is(err, fs.ErrNotExist) {
		return vault.KeyFile(path)
	}
	key, err := vault.ReadKeyFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return key, fmt.Errorf("the master key of %s is not in %s, and without it nobody can read the data: bring back your copy of it, or name its file with --master-key: %w", c.Home, path, err)
	}
	return key, err
}

// ownHome refuses root in a data directory of another user: files that root
// adds, and a key that root makes, the other could not read.
func (c *Config) ownHome() error {
	info, err := os.Stat(c.Home)
	if err != nil {
		return err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || os.Geteuid() != 0 || stat.Uid == 0 {
		return nil
	}
	name := fmt.Sprint("#", stat.Uid)
	if u, err := user.LookupId(fmt.Sprint(stat.Uid)); err == nil {
		name = u.Username
	}
	return &fault.Error{Kind: fault.Forbidden, Message: fmt.Sprintf("%s belongs to the user %s, who could not read what root writes there", c.Home, name),
		Hint: fmt.Sprintf("sudo -u '%s' cloister …, or start the service first: commands then ask it", name)}
}
