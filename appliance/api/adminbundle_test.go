package api_test

import (
	"bytes"
	"strings"
	"testing"

	"cloister/appliance/admin"
	"cloister/appliance/client"
)

// What is wrong with a bundle comes back as an error with a code, whatever the
// length of what was sent.
func TestAdminBundle(t *testing.T) {
	f := newFixture(t)
	ctx := t.Context()
	var out bytes.Buffer
	if err := f.control.ExportBundle(ctx, admin.ExportBundle{All: true}, &out); !client.CodeIs(err, "no_site_key") || out.Len() > 0 {
		t.Errorf("exported without a key: %v", err)
	}
	if _, err := f.control.MakeKey(ctx, admin.MakeKey{Name: "north"}); err != nil {
		t.Fatal(err)
	}
	if err := f.control.ExportBundle(ctx, admin.ExportBundle{Models: []string{base}}, &out); err == nil || !strings.Contains(err.Error(), "is a base model") || out.Len() > 0 {
		t.Errorf("exported a base model: %v", err)
	}
	long := strings.Repeat("no bundle ", 1<<20)
	if _, err := f.control.ImportBundle(ctx, admin.ImportBundle{}, strings.NewReader(long)); !client.CodeIs(err, "bundle_invalid") {
		t.Errorf("imported a text: %v", err)
	}
	if log, err := f.control.Audit(ctx, 1); err != nil || log[0].Action != "bundle.refused" || log[0].Detail != "bundle_invalid" {
		t.Errorf("%+v, %v", log, err)
	}
	if _, err := f.control.VerifyBundle(ctx, strings.NewReader(long)); !client.CodeIs(err, "bundle_invalid") {
		t.Errorf("verified a text: %v", err)
	}
	if _, err := f.control.ImportBundle(ctx, admin.ImportBundle{}, nil); err == nil || !strings.Contains(err.Error(), "'file'") {
		t.Errorf("imported nothing: %v", err)
	}
}
