package api_test

import (
	"fmt"
	"strings"
	"testing"

	"cloister/appliance/admin"
	"cloister/appliance/masking"
)

// A review shows the original to the admin only, and is audited without a value.
func TestAdminReview(t *testing.T) {
	f := newFixture(t)
	ctx := t.Context()
	const file = "question,answer\nWho is it?,1588-3366\nAnd there?,1588-3366 as well\nOr?,Nobody\n"
	if _, err := f.control.ImportDataset(ctx, admin.ImportDataset{Name: "desk", FileName: "desk.csv"}, strings.NewReader(file), nil); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/admin/datasets/desk/versions/0/review", "/admin/datasets/desk/versions/0/decisions"} {
		method := map[bool]string{true: "GET", false: "POST"}[strings.HasSuffix(path, "review")]
		if a := f.do(method, path, map[string]any{"apply": true}); a.status != 403 || strings.Contains(string(a.body), "1588") {
			t.Errorf("%s without an admin key: %d %s", path, a.status, a.body)
		}
	}
	r, err := f.control.Review(ctx, "desk", 0, 0.3, 0.7, 1)
	if err != nil || r.Total != 2 || len(r.Items) != 1 || r.Items[0].Value != "1588-3366" {
		t.Fatalf("%+v, %v", r, err)
	}
	done, err := f.control.Decide(ctx, "desk", 0, admin.Decide{Decisions: map[string]masking.Verdict{r.Items[0].ID: masking.Always}, Apply: true})
	if err != nil || done.Version == nil || done.Version.Number != 2 {
		t.Fatalf("%+v, %v", done, err)
	}
	if _, err := f.control.Decide(ctx, "desk", 0, admin.Decide{}); err == nil {
		t.Error("nothing was decided")
	}
	if _, err := f.control.Review(ctx, "desk", 0, 0.9, 0.1, 0); err == nil {
		t.Error("bounds the wrong way round")
	}
	if a := f.do("GET", "/admin/datasets/desk/versions/0/review?from=x", nil); a.status/100 != 4 {
		t.Errorf("%d", a.status)
	}
	entries, err := f.control.Audit(ctx, 0)
	if err != nil {
		t.Fatal(err)
	}
	all := fmt.Sprint(entries)
	for _, want := range []string{"local dataset.review desk@1 1 of 2 items", "local dataset.decide desk@1 yes 0, no 0, always 1, never 0, applied in desk@2"} {
		if !strings.Contains(all, want) {
			t.Errorf("no entry %q in %s", want, all)
		}
	}
	if strings.Contains(all, "1588") {
		t.Error("the audit log holds a value")
	}
}
