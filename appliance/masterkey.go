package appliance

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

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
		if _, err := os.Stat(filepath.Join(dir, credential)); err == nil {
			return vault.ReadKeyFile(filepath.Join(dir, credential))
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
