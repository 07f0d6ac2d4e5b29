package vault_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cloister/store/vault"
)

func TestKeysDoNotPrint(t *testing.T) {
	k := vault.NewMasterKey()
	d := k.Derive("x")
	raw := fmt.Sprintf("%x", d.Bytes())
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d", "%q"} {
		for _, v := range []any{k, d, &d, struct{ K vault.Key }{d}} {
			out := fmt.Sprintf(verb, v)
			if !strings.Contains(out, "hidden") || strings.Contains(out, raw[:16]) {
				t.Errorf("%s of %T prints %q", verb, v, out)
			}
		}
	}
	if b, err := json.Marshal([]any{d}); err != nil || string(b) != "[{}]" {
		t.Errorf("JSON of a key: %s, %v", b, err)
	}
}

func TestDerive(t *testing.T) {
	k := vault.NewMasterKey()
	if again := k.Derive("a"); again != k.Derive("a") {
		t.Error("a purpose does not always give the same key")
	}
	if k.Derive("a") == k.Derive("b") || k.Derive("a") == vault.NewMasterKey().Derive("a") {
		t.Error("different purposes or master keys give the same key")
	}
	if k.IsZero() || !(vault.MasterKey{}).IsZero() {
		t.Error("IsZero is wrong")
	}
}

func TestSealOpen(t *testing.T) {
	k := vault.NewMasterKey().Derive("test")
	sealed := k.Seal([]byte("a value"), "here")
	if bytes.Contains(sealed, []byte("value")) {
		t.Error("the sealed bytes hold the plain ones")
	}
	if bytes.Equal(sealed, k.Seal([]byte("a value"), "here")) {
		t.Error("the same value seals twice to the same bytes")
	}
	plain, err := k.Open(sealed, "here")
	if err != nil || string(plain) != "a value" {
		t.Errorf("Open: %q, %v", plain, err)
	}
	for i := range sealed {
		bad := bytes.Clone(sealed)
		bad[i] ^= 0x10
		if _, err := k.Open(bad, "here"); !errors.Is(err, vault.ErrDamaged) {
			t.Fatalf("byte %d changed: %v", i, err)
		}
		if _, err := k.Open(sealed[:i], "here"); !errors.Is(err, vault.ErrDamaged) {
			t.Fatalf("cut to %d bytes: %v", i, err)
		}
	}
	if _, err := k.Open(sealed, "there"); !errors.Is(err, vault.ErrDamaged) {
		t.Errorf("another context: %v", err)
	}
	if _, err := vault.NewMasterKey().Derive("test").Open(sealed, "here"); !errors.Is(err, vault.ErrDamaged) {
		t.Errorf("another key: %v", err)
	}
}

func TestMACTellsPartsApart(t *testing.T) {
	k := vault.NewMasterKey().Derive("test")
	if k.MAC("ab", "c") == k.MAC("a", "bc") || k.MAC("ab") == k.MAC("a", "b") || k.MAC("a", "") == k.MAC("a") {
		t.Error("different lists of parts have the same code")
	}
	if again := k.MAC("ab", "c"); again != k.MAC("ab", "c") {
		t.Error("the same parts have different codes")
	}
}

func TestKeyFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "master.key")
	if _, err := vault.ReadKeyFile(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("ReadKeyFile of nothing: %v", err)
	}
	k, err := vault.KeyFile(path)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v; want 0600", info.Mode(), err)
	}
	again, err := vault.KeyFile(path)
	if err != nil || again != k {
		t.Errorf("the second start has another key, %v", err)
	}
	if list, _ := os.ReadDir(filepath.Dir(path)); len(list) != 1 {
		t.Errorf("%d files beside the key file", len(list)-1)
	}
}

func TestKeyFileRace(t *testing.T) {
	path := filepath.Join(t.TempDir(), "master.key")
	got := make(chan vault.MasterKey)
	for range 8 {
		go func() {
			k, err := vault.KeyFile(path)
			if err != nil {
				t.Error(err)
			}
			got <- k
		}()
	}
	first := <-got
	for range 7 {
		if k := <-got; k != first {
			t.Error("two starts at the same time have different keys")
		}
	}
}

func TestBadKeyFiles(t *testing.T) {
	dir := t.TempDir()
	zero := "cloister-key-1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
	for name, text := range map[string]string{
		"empty": "", "words": "hello", "short": "cloister-key-1:AAAA", "no base64": "cloister-key-1:!!!", "zeros": zero,
	} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := vault.KeyFile(path); !errors.Is(err, vault.ErrBadKeyFile) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	path := filepath.Join(dir, "open")
	if _, err := vault.KeyFile(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := vault.KeyFile(path); !errors.Is(err, vault.ErrBadKeyFile) || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("a key file that all may read: %v", err)
	}
}

func TestPassphrase(t *testing.T) {
	path := filepath.Join(t.TempDir(), "salt.json")
	k, err := vault.Passphrase(path, []byte("correct horse"))
	if err != nil {
		t.Fatal(err)
	}
	if again, err := vault.Passphrase(path, []byte("correct horse")); err != nil || again != k {
		t.Errorf("the second start has another key, %v", err)
	}
	if _, err := vault.Passphrase(path, []byte("wrong horse")); !errors.Is(err, vault.ErrWrongPassphrase) {
		t.Errorf("a wrong passphrase: %v", err)
	}
	if _, err := vault.Passphrase(path, nil); err == nil {
		t.Error("an empty passphrase is taken")
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	costly := strings.Replace(string(text), `"n":65536`, `"n":1073741824`, 1)
	weak := strings.Replace(string(text), `"n":65536`, `"n":2`, 1)
	for _, bad := range []string{costly, weak, "{", "{}"} {
		if err := os.WriteFile(path, []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := vault.Passphrase(path, []byte("correct horse")); !errors.Is(err, vault.ErrBadKeyFile) {
			t.Errorf("salt file %.40q: %v", bad, err)
		}
	}
}
