package api_test

import (
	"net/http"
	"strings"
	"testing"

	"cloister/appliance/admin"
	"cloister/appliance/client"
)

// Unmasking is for administrators, and every use is in the audit log with who
// and how many, never with values.
func TestUnmask(t *testing.T) {
	f := newFixture(t)
	user, trainer, adminKey := keys(t, f)
	const text = "Call Dr. Alice Monroe at 010-4321-8765."
	masked, err := f.control.Mask(t.Context(), []string{text, "nothing"})
	if err != nil || strings.Contains(masked.Texts[0], "4321") || masked.Texts[1] != "nothing" || len(masked.Findings[0]) != 2 || len(masked.Findings[1]) != 0 {
		t.Fatalf("%+v, %v", masked, err)
	}
	entries := func(action, object string) int {
		log, err := f.control.Audit(t.Context(), 100)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, e := range log {
			if e.Action == action && e.Object == object {
				n++
			}
		}
		return n
	}
	for name, key := range map[string]string{"user": user.Secret, "trainer": trainer.Secret, "none": "", "wrong": "sk-x"} {
		want := http.StatusForbidden
		if key == "" || key == "sk-x" {
			want = http.StatusUnauthorized
		}
		for _, path := range []string{"/admin/unmask", "/admin/mask", "/admin/datasets/x/versions/1/policy"} {
			method := "POST"
			if strings.HasPrefix(path, "/admin/datasets") {
				method = "GET"
			}
			a := f.do(method, path, admin.Texts{Texts: masked.Texts}, "Authorization", "Bearer "+key)
			if a.status != want || strings.Contains(string(a.body), "4321") {
				t.Errorf("%s %s: status %d, want %d: %s", name, path, a.status, want, a.body)
			}
		}
	}
	if n := entries("unmask", "vault"); n != 0 {
		t.Errorf("%d uses in the audit log before there was one", n)
	}
	if n := entries("refused", "POST /admin/unmask"); n != 2 { // of the user and the trainer; nobody else is known
		t.Errorf("%d refused attempts in the audit log, want 2", n)
	}
	for _, c := range []struct {
		*client.Client
		actor string
	}{{f.control, "local"}, {client.HTTP(f.url, adminKey.Secret), adminKey.ID}} {
		out, err := c.Unmask(t.Context(), append(masked.Texts, "<PERSON_99>"))
		if err != nil || out.Texts[0] != text || out.Texts[1] != "nothing" || out.Texts[2] != "<PERSON_99>" || out.Restored != 2 {
			t.Fatalf("%+v, %v", out, err)
		}
		log, err := f.control.Audit(t.Context(), 1)
		if err != nil || log[0].Actor != c.actor || log[0].Action != "unmask" || log[0].Detail != "2 values in 3 texts" {
			t.Errorf("%+v, %v", log, err)
		}
	}
	if strings.Contains(f.log.String(), "4321") || strings.Contains(f.log.String(), "Monroe") {
		t.Error("the log holds a value")
	}
}
