package site_test

import (
	"errors"
	"strings"
	"testing"

	"cloister/appliance/appliancetest"
	"cloister/appliance/fault"
	"cloister/appliance/site"
	"cloister/store"
	"cloister/store/signing"
)

func TestKey(t *testing.T) {
	st, home := appliancetest.Store(t)
	s := site.New(st)
	_, err := s.Identity()
	var f *fault.Error
	if !errors.As(err, &f) || f.Code != "no_site_key" || !strings.Contains(f.Hint, "bundle key") {
		t.Fatalf("without a key: %v", err)
	}
	if _, _, err := s.Sign("test", nil); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("signed without a key: %v", err)
	}
	for _, bad := range []string{"", " x", "x ", "a\nb", "a\x1b[31m", strings.Repeat("x", 64), "a/b"} {
		if _, err := s.Make(bad, false); !errors.As(err, &f) || f.Param != "name" {
			t.Errorf("name %q: %v", bad, err)
		}
	}
	id, err := s.Make("서울 clinic", false)
	if err != nil || id.Name != "서울 clinic" || id.Fingerprint != id.Key.Fingerprint() || id.CreatedAt.IsZero() {
		t.Fatalf("%+v, %v", id, err)
	}
	renamed, err := s.Make("north", false)
	if err != nil || renamed.Key != id.Key || renamed.Name != "north" || renamed.CreatedAt != id.CreatedAt {
		t.Errorf("another name made another key: %v", err)
	}
	signature, by, err := s.Sign("test", []byte("m"))
	if err != nil || by != renamed || id.Key.Verify("test", []byte("m"), signature) != nil {
		t.Errorf("the signature does not verify: %v", err)
	}
	renewed, err := s.Make("north", true)
	if err != nil || renewed.Key == id.Key {
		t.Errorf("the key was not renewed: %v", err)
	}
	if name, ok, err := s.Signer(id.Key); ok || name != "" || err != nil {
		t.Errorf("the old key is believed as %q: %v", name, err)
	}
	if name, ok, err := s.Signer(renewed.Key); !ok || name != "north" || err != nil {
		t.Errorf("the site does not believe itself: %q, %v", name, err)
	}
	if found := appliancetest.Grep(t, home, renewed.Key.String()); len(found) > 0 {
		t.Errorf("readable in %v", found)
	}
}

func TestTrust(t *testing.T) {
	st, _ := appliancetest.Store(t)
	s := site.New(st)
	a, b := signing.New().Public(), signing.New().Public()
	if _, ok, err := s.Signer(a); ok || err != nil {
		t.Fatalf("anybody is believed: %v", err)
	}
	for name, key := range map[string]signing.PublicKey{"south": a, "north": b} {
		if _, err := s.Trust(name, key); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Trust("south", a); err != nil {
		t.Errorf("the same again: %v", err)
	}
	var f *fault.Error
	if _, err := s.Trust("east", a); !errors.As(err, &f) || f.Kind != fault.Conflict || !strings.Contains(f.Message, `"south"`) {
		t.Errorf("one key under two names: %v", err)
	}
	if _, err := s.Trust("south", signing.New().Public()); !errors.As(err, &f) || f.Kind != fault.Conflict {
		t.Errorf("two keys under one name: %v", err)
	}
	all, err := s.Trusted()
	if err != nil || len(all) != 2 || all[0].Name != "north" || all[1].Key != a || all[1].Fingerprint != a.Fingerprint() {
		t.Fatalf("%+v, %v", all, err)
	}
	if name, ok, err := s.Signer(a); !ok || name != "south" || err != nil {
		t.Errorf("%q, %v, %v", name, ok, err)
	}
	if _, err := s.Distrust("south"); err != nil {
		t.Fatal(err)
	}
	if _, ok, err := s.Signer(a); ok || err != nil {
		t.Errorf("a site that is not trusted any more is believed: %v", err)
	}
	if _, err := s.Distrust("south"); !errors.As(err, &f) || f.Kind != fault.NotFound {
		t.Errorf("removed twice: %v", err)
	}
}
