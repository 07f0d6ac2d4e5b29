package masking_test

import (
	"slices"
	"strings"
	"sync"
	"testing"

	"cloister/appliance/appliancetest"
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
