package masking_test

import (
	"slices"
	"strings"
	"sync"
	"testing"

	"cloister/appliance/appliancetest"
	"cloister/appliance/masking"
	"cloister/store/pii"
)

// One value has one token everywhere, and the vault gives it back.
func TestMask(t *testing.T) {
	st, _ := appliancetest.Store(t)
	a, b := appliancetest.Masking(t, st), appliancetest.Masking(t, st)
	first, findings, err := a.Mask("Call 010-9876-5432.")
	if err != nil || len(findings) != 1 || strings.Contains(first.String(), "9876") {
		t.Fatalf("%q, %v", first, err)
	}
	second, _, err := b.MaskRecord([]string{"My number: 010-9876-5432", first.String()})
	if err != nil || !strings.HasSuffix(second[0].String(), findings[0].Token) || second[1] != first {
		t.Errorf("%q, %v", second, err)
	}
	if value, err := b.Reveal(findings[0].Token); err != nil || value != "010-9876-5432" {
		t.Errorf("%q, %v", value, err)
	}
	// Days are facts to learn, not personal data.
	if text, _, err := a.Mask("We are closed on 2026-05-05."); err != nil || !strings.Contains(text.String(), "2026-05-05") {
		t.Errorf("%q, %v", text, err)
	}
	if slices.Contains(pii.DatasetEntities(), pii.Date) {
		t.Error("dates are masked in datasets")
	}
}

func TestAllow(t *testing.T) {
	st, _ := appliancetest.Store(t)
	m := appliancetest.Masking(t, st)
	var wg sync.WaitGroup
	for _, value := range []string{"02-555-0100", "02-555-0199", " 02-555-0100 ", ""} {
		wg.Go(func() {
			if err := m.Allow([]string{value}); err != nil {
				t.Error(err)
			}
			if _, _, err := m.Mask("Call 02-555-0123."); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	want := []string{"02-555-0100", "02-555-0199"}
	if got := m.Allowed(); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	for _, m := range []interface {
		Mask(string) (pii.Masked, []pii.Finding, error)
	}{m, appliancetest.Masking(t, st)} { // now, and after a start
		text, _, err := m.Mask("Call 02-555-0100, not 02-555-0123.")
		if err != nil || !strings.Contains(text.String(), "02-555-0100") || strings.Contains(text.String(), "0123") {
			t.Errorf("%q, %v", text, err)
		}
	}
}

// Decisions of reviews are about one record or for good, and outlast a start;
// nothing of a value is kept but its token.
func TestDecide(t *testing.T) {
	st, _ := appliancetest.Store(t)
	m := appliancetest.Masking(t, st)
	texts := []string{"My doctor is Wembley.", "Wembley or 1588-3366, and 1588-3355."}
	record, err := m.Fingerprint(texts)
	if err != nil {
		t.Fatal(err)
	}
	person := func(v string) pii.Value { return pii.Value{Entity: pii.Person, Value: v} }
	phone := func(v string) pii.Value { return pii.Value{Entity: pii.Phone, Value: v} }
	err = m.Decide([]masking.Decision{
		{Record: record, Value: person("Wembley"), Verdict: masking.Yes},
		{Record: record, Value: phone("1588-3366"), Verdict: masking.No},
		{Value: person("Nether Quill"), Verdict: masking.Always},
		{Value: phone("1588-3377"), Verdict: masking.Never},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range []*masking.Service{m, appliancetest.Masking(t, st)} { // now, and after a start
		masked := func(texts ...string) string {
			g, err := m.Guidance(texts)
			if err != nil {
				t.Fatal(err)
			}
			out, _, err := m.MaskGuided(texts, g)
			if err != nil {
				t.Fatal(err)
			}
			var all []string
			for _, s := range out {
				all = append(all, s.String())
			}
			return strings.Join(all, "|")
		}
		got := masked(texts...)
		if got != "My doctor is <PERSON_1>.|<PERSON_1> or 1588-3366, and <PHONE_3>." && got != "My doctor is <PERSON_1>.|<PERSON_1> or 1588-3366, and <PHONE_2>." {
			t.Errorf("the record: %q", got)
		}
		if again := masked(strings.Split(got, "|")...); again != got {
			t.Errorf("the masked record: %q, want %q", again, got)
		}
		if got := masked("Wembley"); got != "Wembley" {
			t.Errorf("another record: %q", got)
		}
		if got := masked("nether quill or 1588-3377"); got != "<PERSON_2> or 1588-3377" && got != "<PERSON_3> or 1588-3377" {
			t.Errorf("always and never: %q", got)
		}
	}
	// What was kept or allowed stands in stored texts by a person's word.
	if texts, _ := m.Harmless(); !slices.Contains(texts, "1588-3366") || !slices.Contains(texts, "1588-3377") || slices.Contains(texts, "Wembley") {
		t.Errorf("harmless: %q", texts)
	}
	if err := m.Decide([]masking.Decision{{Value: person("Wembley"), Verdict: "perhaps"}}); err == nil || strings.Contains(err.Error(), "Wembley") {
		t.Errorf("%v", err)
	}
	if err := m.Decide([]masking.Decision{{Value: person("W"), Verdict: masking.Always}}); err == nil || strings.Contains(err.Error(), "W\"") {
		t.Errorf("%v", err)
	}
	if err := m.Decide([]masking.Decision{{Value: person("Nether Quill"), Verdict: masking.Never}}); err != nil {
		t.Fatal(err)
	}
	if got, _, err := m.Mask("Nether Quill"); err != nil || got.String() != "Nether Quill" {
		t.Errorf("never after always: %q, %v", got, err)
	}
}
