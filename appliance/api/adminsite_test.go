package api_test

import (
	"strings"
	"testing"

	"cloister/appliance/admin"
	"cloister/appliance/client"
)

// A site signs packed programs for its own command line, and nothing else for
// anybody.
func TestAdminSite(t *testing.T) {
	f := newFixture(t)
	ctx := t.Context()
	if _, err := f.control.Sign(ctx, "cloister pack 1", []byte("m")); !client.CodeIs(err, "no_site_key") {
		t.Errorf("signed without a key: %v", err)
	}
	id, err := f.control.MakeKey(ctx, admin.MakeKey{Name: "north"})
	if err != nil {
		t.Fatal(err)
	}
	signed, err := f.control.Sign(ctx, "cloister pack 1", []byte("m"))
	if err != nil || signed.Site != id || id.Key.Verify("cloister pack 1", []byte("m"), signed.Signature) != nil {
		t.Errorf("%+v, %v", signed, err)
	}
	for _, purpose := range []string{"", "cloister bundle 1", "cloister pack " + strings.Repeat("x", 256)} {
		if _, err := f.control.Sign(ctx, purpose, []byte("m")); err == nil || !strings.Contains(err.Error(), "must begin with") {
			t.Errorf("signed for %.30q: %v", purpose, err)
		}
	}
	if _, err := f.control.Trust(ctx, admin.Trust{Name: "south"}); err == nil {
		t.Error("no key was trusted")
	}
	log, err := f.control.Audit(ctx, 10)
	if err != nil || len(log) != 2 || log[0].Action != "site.sign" || log[1].Action != "site.key" || log[1].Detail != id.Fingerprint {
		t.Errorf("%+v, %v", log, err)
	}
	if trusted, err := f.control.TrustedSites(ctx); err != nil || trusted == nil || len(trusted) != 0 {
		t.Errorf("%+v, %v", trusted, err)
	}
	// Not over TCP, whoever asks.
	key, err := f.control.AddKey(ctx, admin.NewKey{Role: "admin"})
	if err != nil {
		t.Fatal(err)
	}
	remote := client.HTTP(f.url, key.Secret)
	defer remote.Close()
	if _, err := remote.Sign(ctx, "cloister pack 1", []byte("m")); err == nil || !strings.Contains(err.Error(), "Only the command line") {
		t.Errorf("signed over TCP: %v", err)
	}
}
