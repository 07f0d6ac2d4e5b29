package appliance_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cloister/appliance"
	"cloister/store/vault"
)

// A key of systemd's is the one that is used; one that is there and does not
// read is an error, and no reason to make another.
func TestCredential(t *testing.T) {
	credentials, home := t.TempDir(), filepath.Join(t.TempDir(), "h")
	t.Setenv("CREDENTIALS_DIRECTORY", credentials)
	if err := os.WriteFile(filepath.Join(credentials, "master.key"), []byte("garbage"), 0o600); err != nil {
		t.Fatal(err)
	}
	if a, err := appliance.New(appliance.Config{Home: home}); err == nil {
		t.Error("it starts with garbage", a.Close())
	}
	if err := os.Remove(filepath.Join(credentials, "master.key")); err != nil {
		t.Fatal(err)
	}
	if _, err := vault.KeyFile(filepath.Join(credentials, "master.key")); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		a, err := appliance.New(appliance.Config{Home: home})
		if err != nil {
			t.Fatal(err)
		}
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(filepath.Join(home, "master.key")); err == nil {
		t.Error("a key was made beside the data")
	}
}

// A data directory that was begun with a passphrase opens with that one and
// nothing else, and one that was begun with a key file takes no passphrase.
func TestPassphrase(t *testing.T) {
	home, asked := filepath.Join(t.TempDir(), "h"), 0
	begin := func(c appliance.Config, passphrase string) error {
		c.Passphrase = func(first bool) ([]byte, error) {
			asked++
			if first != (asked == 1) {
				t.Errorf("asked for the time %d, first is %v", asked, first)
			}
			return []byte(passphrase), nil
		}
		a, err := appliance.New(c)
		if err != nil {
			return err
		}
		return a.Close()
	}
	if err := begin(appliance.Config{Home: home, NewPassphrase: true}, "correct horse"); err != nil {
		t.Fatal(err)
	}
	for _, fresh := range []bool{false, true} { // a flag that is still there changes nothing
		if err := begin(appliance.Config{Home: home, NewPassphrase: fresh}, "correct horse"); err != nil {
			t.Error(err)
		}
		if err := begin(appliance.Config{Home: home, NewPassphrase: fresh}, "wrong horse"); !errors.Is(err, vault.ErrWrongPassphrase) {
			t.Errorf("a wrong passphrase: %v", err)
		}
	}
	if _, err := os.Stat(filepath.Join(home, "master.key")); err == nil {
		t.Error("a key file was made beside the data")
	}
	want := asked
	if err := begin(appliance.Config{Home: home, KeyFile: filepath.Join(t.TempDir(), "k")}, ""); err == nil || !strings.Contains(err.Error(), "leave the key file") {
		t.Errorf("with a key file: %v", err)
	}
	if a, err := appliance.New(appliance.Config{Home: home}); err == nil {
		t.Error("it opens by itself", a.Close())
	}
	if err := os.Rename(filepath.Join(home, vault.SaltFile), filepath.Join(t.TempDir(), "lost")); err != nil {
		t.Fatal(err)
	}
	if err := begin(appliance.Config{Home: home, NewPassphrase: true}, "correct horse"); err == nil || !strings.Contains(err.Error(), "bring back your copy") {
		t.Errorf("without its salt: %v", err)
	}
	filed := t.TempDir()
	if err := begin(appliance.Config{Home: filed}, ""); err != nil {
		t.Fatal(err)
	}
	if err := begin(appliance.Config{Home: filed, NewPassphrase: true}, "correct horse"); err == nil || !strings.Contains(err.Error(), "open with a key file") {
		t.Errorf("data under a key file: %v", err)
	}
	if asked != want {
		t.Error("somebody was asked where no passphrase has a meaning")
	}
}

func TestHomeOfAnother(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give a directory away")
	}
	home := t.TempDir()
	if err := os.Chown(home, 65534, 65534); err != nil {
		t.Fatal(err)
	}
	a, err := appliance.New(appliance.Config{Home: home})
	if err == nil {
		t.Fatal("root works on another's data", a.Close())
	}
	if !strings.Contains(err.Error(), "belongs to the user") || !strings.Contains(err.Error(), "sudo -u") {
		t.Error(err)
	}
	if list, _ := os.ReadDir(home); len(list) != 0 {
		t.Errorf("%d files were made", len(list))
	}
}
