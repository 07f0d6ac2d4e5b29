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

// masterKey returns the key that opens the data directory. Where the directory
// was begun with a passphrase, or is to be now, it is made of that one.
func (c *Config) masterKey() (vault.MasterKey, error) {
	_, err := os.Stat(filepath.Join(c.Home, "store", "FORMAT"))
	begun := !errors.Is(err, fs.ErrNotExist)
	salt := filepath.Join(c.Home, vault.SaltFile)
	_, err = os.Stat(salt)
	salted := !errors.Is(err, fs.ErrNotExist)
	switch {
	case !salted && !c.NewPassphrase:
		return c.fileKey(begun)
	case !salted && begun:
		return vault.MasterKey{}, fmt.Errorf("the data in %s open with a key file, and no passphrase can take its place; passphrases are for a new data directory (or, if %s was lost: bring back your copy of it)", c.Home, salt)
	case c.KeyFile != "":
		return vault.MasterKey{}, fmt.Errorf("the data in %s open with a passphrase; leave the key file %s out", c.Home, c.KeyFile)
	case c.Passphrase == nil:
		return vault.MasterKey{}, fmt.Errorf("the data in %s open with a passphrase, and there is nobody to ask for it", c.Home)
	}
	passphrase, err := c.Passphrase(!salted)
	if err != nil {
		return vault.MasterKey{}, err
	}
	return vault.Passphrase(salt, passphrase)
}

// fileKey reads the master key from Config.KeyFile, or else from systemd's
// credential, or else from the data directory. A key that is missing is made
// only where there is no data yet that another one must open.
func (c *Config) fileKey(begun bool) (vault.MasterKey, error) {
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
	if !begun {
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
