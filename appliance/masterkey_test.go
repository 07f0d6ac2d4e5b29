package appliance_test

import (
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
