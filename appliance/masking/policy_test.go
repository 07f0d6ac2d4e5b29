package masking_test

import (
	"encoding/json"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"cloister/appliance/appliancetest"
	"cloister/appliance/masking"
	"cloister/store"
	"cloister/store/pii"
	"cloister/store/pii/policy"
	"cloister/store/vault"
)

const clinicPolicy = `version: 1
entities:
  PERSON: surrogate
  PHONE: surrogate
  EMAIL: label
rules:
  - {name: chart, entity: CHART, pattern: 'HX-\d{4}'}
  - {name: staff, entity: STAFF, words: [육갑수, Alice Monroe]}
allow:
  values: [02-555-0100]
`

func parsed(t *testing.T, src string) *policy.Policy {
	t.Helper()
	p, err := policy.Parse("policy.yaml", []byte(src), nil)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// The policy is the project's: it outlasts a start, and what is masked under it
// is the same before and after, and comes back byte for byte.
func TestPolicy(t *testing.T) {
	home, key := t.TempDir(), vault.NewMasterKey()
	texts := []string{
		"환자 독고영재는 육갑수 원장에게 HX-1234와 010-1234-5678로, a@clinic.example 또는 02-555-0100",
		"환자 <CHART_9>, 홍길동이 010-1234-5678, 010-0000-0001",
	}
	var first []string
	for range 3 {
		st := appliancetest.OpenStore(t, home, key)
		m := appliancetest.Masking(t, st)
		if first == nil {
			if err := m.Allow([]string{"02-555-0199"}); err != nil {
				t.Fatal(err)
			}
			if err := m.SetPolicy(parsed(t, clinicPolicy)); err != nil {
				t.Fatal(err)
			}
		}
		masked, findings, err := m.MaskLines(texts)
		if err != nil || len(findings[0]) < 4 {
			t.Fatalf("%q, %v, %v", masked, findings, err)
		}
		if first == nil {
			first = masked
		}
		if !slices.Equal(masked, first) || !strings.Contains(masked[0], "<STAFF_1> 원장에게 <CHART_1>와 010-0") ||
			!strings.Contains(masked[0], "[EMAIL] 또는 02-555-0100") || strings.Contains(masked[0], "독고영재") || strings.Contains(masked[1], "홍길동") {
			t.Errorf("%q, at first %q", masked, first)
		}
		again, _, err := m.MaskLines(masked)
		if err != nil || !slices.Equal(again, masked) {
			t.Errorf("again %q, %v", again, err)
		}
		back, restored, err := m.Unmask(masked)
		want := []string{strings.Replace(texts[0], "a@clinic.example", "[EMAIL]", 1), texts[1]}
		if err != nil || !slices.Equal(back, want) || restored < 7 {
			t.Errorf("%d restored: %q, %v", restored, back, err)
		}
		if err := st.Close(); err != nil {
			t.Fatal(err)
		}
	}
	// Nothing of the policy's words can be read in the data directory.
	if found := appliancetest.Grep(t, filepath.Join(home, "store"), "육갑수", "Alice Monroe", "02-555-0199", "독고영재"); len(found) > 0 {
		t.Errorf("readable: %v", found)
	}
}

func TestRecord(t *testing.T) {
	st, _ := appliancetest.Store(t)
	m := appliancetest.Masking(t, st)
	without, err := m.Record()
	if err != nil || without.Policy != "" || without.Allowed != 0 {
		t.Fatalf("%+v, %v", without, err)
	}
	pinned := m.Pinned()
	if err := m.SetPolicy(parsed(t, clinicPolicy)); err != nil {
		t.Fatal(err)
	}
	if err := m.Allow([]string{"02-555-0199"}); err != nil {
		t.Fatal(err)
	}
	with, err := m.Record()
	if err != nil || with.Policy != parsed(t, clinicPolicy).Hash() || with.Rules != 2 || with.Words != 2 || with.Allowed != 2 || with.Modes[pii.Person] != pii.ModeSurrogate {
		t.Errorf("%+v, %v", with, err)
	}
	if raw, _ := json.Marshal(with); strings.Contains(string(raw), "육갑수") || strings.Contains(string(raw), "555") {
		t.Errorf("the summary holds values: %s", raw)
	}
	// What is pinned stays as it was.
	if got, err := pinned.Record(); err != nil || got.Hash != without.Hash {
		t.Errorf("%+v, %v", got, err)
	}
	if got, _, err := pinned.Mask("육갑수 HX-1234"); err != nil || !strings.Contains(got.String(), "HX-1234") {
		t.Errorf("%q, %v", got, err)
	}
	// The content stands behind the hash, also after the policy has changed.
	if err := m.SetPolicy(parsed(t, "version: 1\n")); err != nil {
		t.Fatal(err)
	}
	used, err := appliancetest.Masking(t, st).Used(with.Hash)
	if err != nil || !strings.Contains(string(used.Policy), "육갑수") || !slices.Equal(used.Allow, []string{"02-555-0199"}) {
		t.Errorf("%s, %v, %v", used.Policy, used.Allow, err)
	}
	if _, err := m.Used("00"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("an unknown hash: %v", err)
	}
}

// A stored policy that does not read stops the start with a sentence.
func TestStoredPolicyBroken(t *testing.T) {
	st, _ := appliancetest.Store(t)
	if err := st.PutSetting("masking/policy", json.RawMessage(`{"version": 7}`)); err != nil {
		t.Fatal(err)
	}
	if _, err := masking.New(st); err == nil || !strings.Contains(err.Error(), "a newer Cloister may have written it") {
		t.Errorf("%v", err)
	}
}
