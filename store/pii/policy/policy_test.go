package policy_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cloister/store/pii"
	"cloister/store/pii/policy"
)

func parse(t *testing.T, src string) *policy.Policy {
	t.Helper()
	p, err := policy.Parse("policy.yaml", []byte(src), func(path string) ([]byte, error) {
		switch path {
		case "staff.txt":
			return []byte("\ufeff# ours\n육갑수\r\n\n독고영재\n"), nil
		case "bad.txt":
			return []byte("육갑수\n\n김\n"), nil
		case "cp949.txt":
			return []byte("\xc8\xab\xb1\xe6\xb5\xbf"), nil
		}
		return nil, errors.New("open " + path + ": no such file or directory")
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

const example = `version: 1
default: label
entities:
  PERSON: surrogate
  KR_RRN: {mode: partial, force: true}
  DATE: shift
  STAFF: hmac
rules:
  - name: chart
    entity: MEDICAL_RECORD_NO
    pattern: 'HX-(\d{6})'
    score: 0.4
    context: [차트]
    labels: ["차트 번호"]
    mode: token
  - name: staff
    entity: STAFF
    words: [Alice Monroe]
    words_file: staff.txt
allow:
  values: [02-555-0100]
  file: staff.txt
  patterns: ['02-556-\d{4}']
`

func TestParse(t *testing.T) {
	p := parse(t, example)
	entities := append(pii.DefaultEntities(), "STAFF")
	slices.Sort(entities)
	want := pii.Options{
		Mode: pii.ModeLabel, Entities: entities,
		Modes: map[string]pii.Mode{"PERSON": pii.ModeSurrogate, "KR_RRN": pii.ModePartial, "DATE": pii.ModeShift, "STAFF": pii.ModeHMAC},
		Rules: []pii.Rule{
			{Name: "chart", Entity: "MEDICAL_RECORD_NO", Pattern: `HX-(\d{6})`, Score: 0.4, Context: []string{"차트"}, Labels: []string{"차트 번호"}, Mode: pii.ModeToken},
			{Name: "staff", Entity: "STAFF", Words: []string{"Alice Monroe", "육갑수", "독고영재"}},
		},
		Allow: []string{"02-555-0100", "육갑수", "독고영재"}, AllowPatterns: []string{`02-556-\d{4}`},
	}
	if diff := cmp.Diff(want, p.Options()); diff != "" {
		t.Error(diff)
	}
	// The canonical form has all of it, names no file, and reads as the same.
	again, err := policy.Parse("sent", p.JSON(), nil)
	if err != nil || again.Hash() != p.Hash() || string(again.JSON()) != string(p.JSON()) || strings.Contains(string(p.JSON()), "staff.txt") {
		t.Errorf("%v\n%s\n%s", err, p.JSON(), again.JSON())
	}
	if p := parse(t, "{\n\t\"version\": 1,\n\t\"default\": \"label\"\n}\n"); p.Default != pii.ModeLabel {
		t.Errorf("JSON with tabs: %+v", p)
	}
	if other := parse(t, strings.Replace(example, "shift", "token", 1)); other.Hash() == p.Hash() || len(p.Hash()) != 64 {
		t.Error("two policies have one hash")
	}
}

// The file that is printed does what is done without one.
func TestDefault(t *testing.T) {
	p := parse(t, policy.Default)
	m, err := pii.New(pii.MemoryVault(), p.Options())
	if err != nil {
		t.Fatal(err)
	}
	without, err := pii.New(pii.MemoryVault(), pii.Options{Entities: pii.DatasetEntities()})
	if err != nil {
		t.Fatal(err)
	}
	const text = "환자 육갑수, 010-1234-5678, 45세, 2024-03-12, https://clinic.example/x"
	a, _, _ := m.Mask(text)
	b, _, _ := without.Mask(text)
	if a != b || !strings.Contains(a.String(), "<PERSON_1>, <PHONE_1>, 45세, 2024-03-12, https:") {
		t.Errorf("%q, without a policy %q", a, b)
	}
	// What stands there as a comment is right as well.
	lines := strings.Split(policy.Default, "\n")
	for i, l := range lines {
		if s := strings.TrimLeft(l, " "); strings.HasPrefix(l, "  # ") && (strings.Contains(s, ": ") || strings.HasPrefix(s, "#   ")) && !strings.Contains(s, "numbers nothing") && !strings.Contains(s, "Your own") && !strings.Contains(s, "say so") {
			lines[i] = strings.Replace(l, "# ", "", 1)
		}
	}
	full := strings.ReplaceAll(strings.Join(lines, "\n"), "ours.txt", "staff.txt")
	if p := parse(t, full); len(p.Rules) != 3 || len(p.Entities) != 7 || len(p.Allow.Values) != 4 {
		t.Errorf("%+v of\n%s", p, full)
	}
}

func TestParseRefuses(t *testing.T) {
	for src, want := range map[string]string{
		"":                                      "policy.yaml:1: the policy is empty; it begins with: version: 1",
		"[]":                                    "policy.yaml:1: expected fields: version, default",
		"default: token":                        "policy.yaml:1: the field version is missing; write: version: 1",
		"version: 2":                            "policy.yaml:1: version: must be 1",
		"version: 1\nmodes: x":                  `policy.yaml:2: unknown field "modes": the known ones are version, default, min_score, entities, rules, allow`,
		"version: 1\ndefault: x":                "policy.yaml:2: default: is no mode: use one of token, label, partial, surrogate, shift, generalise, hmac, delete, keep",
		"version: 1\nmin_score: 2":              "policy.yaml:2: min_score: must be a number above 0 and at most 1",
		"version: 1\nmin_score: nan":            "must be a number above 0",
		"version: 1\ndefault: shift":            "policy.yaml:2: default: is \"shift\", which not every entity knows; use token, label, hmac, delete or keep",
		"version: 1\ndefault: keep":             "which would keep KR_RRN",
		"version: 1\nentities:\n  NAME: token":  "policy.yaml:3: entities.NAME: unknown entity: the known ones are PERSON, PHONE",
		"version: 1\nentities:\n  PERSON: blur": "policy.yaml:3: entities.PERSON: is no mode: use one of",
		"version: 1\nentities:\n  PERSON: {force: true}":                                                     "policy.yaml:3: entities.PERSON: the field mode is missing",
		"version: 1\nentities:\n  PERSON:\n    mode: token\n    x: 1":                                        `policy.yaml:5: entities.PERSON: unknown field "x"`,
		"version: 1\nentities:\n  # group A\n  KR_RRN: partial":                                              "policy.yaml:4: entities.KR_RRN: is partial: the law allows no part",
		"version: 1\nentities:\n  US_SSN: keep":                                                              "use token, label, surrogate, hmac or delete, or add force: true",
		"version: 1\nentities:\n  PHONE: shift":                                                              "policy.yaml:3: entities.PHONE: mode shift is for DATE, DATE_OF_BIRTH, not for PHONE",
		"version: 1\nentities: [PERSON]":                                                                     "policy.yaml:2: entities: expected names with their values",
		"version: 1\nrules:\n- name: r\n  entity: STAFF\n":                                                   "policy.yaml:3: rules[1]: rule \"r\": it needs either a pattern or words",
		"version: 1\nrules:\n- name: r\n  entity: STAFF\n  pattern: 'x*'":                                    "the pattern can match an empty text",
		"version: 1\nrules:\n- name: r\n  entity: STAFF\n  words: [육갑수, 김]":                                  "policy.yaml:5: rules[1].words[2]: a word must have at least two characters",
		"version: 1\nrules:\n- name: r\n  entity: STAFF\n  words_file: bad.txt":                              "policy.yaml:5: rules[1].words_file: bad.txt:3: a word must have",
		"version: 1\nrules:\n- name: r\n  entity: STAFF\n  words_file: none.txt":                             "policy.yaml:5: rules[1].words_file: open none.txt: no such file",
		"version: 1\nrules:\n- name: r\n  entity: STAFF\n  words_file: cp949.txt":                            "cp949.txt: it is not UTF-8",
		"version: 1\nrules:\n- name: r\n  entity: STAFF\n  pattern: a\n  mode: keep":                         "what stays belongs under allow",
		"version: 1\nrules:\n- name: r\n  entity: KR_RRN\n  pattern: a\n  mode: partial":                     "rules[1]: mode is partial: the law",
		"version: 1\nrules:\n- {name: r, entity: STAFF, pattern: a}\n- {name: r, entity: STAFF, pattern: b}": `two rules of this name`,
		"version: 1\nrules: x":                   "policy.yaml:2: rules: expected a list",
		"version: 1\nallow:\n  patterns: ['.*']": "policy.yaml:3: allow.patterns[1]: the pattern can match an empty text",
		"version: 1\nallow:\n  values: [[a]]":    "policy.yaml:3: allow.values[1]: expected a text",
	} {
		_, err := policy.Parse("policy.yaml", []byte(src), func(path string) ([]byte, error) {
			return map[string][]byte{"bad.txt": []byte("육갑수\n\n김\n"), "cp949.txt": []byte("\xc8\xab\xb1")}[path], map[bool]error{true: fmt.Errorf("open %s: no such file", path)}[path == "none.txt"]
		})
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "육갑수") {
			t.Errorf("%q:\nerror %v,\nwant one that says %s", src, err, want)
		}
		if _, ok := errors.AsType[*policy.Error](err); err != nil && !ok {
			t.Errorf("%q: the error is no *Error", src)
		}
	}
	if _, err := policy.Parse("sent", []byte(`{"version": 1, "allow": {"file": "/etc/passwd"}}`), nil); err == nil || !strings.Contains(err.Error(), "cannot name files") {
		t.Errorf("a policy that is sent names a file: %v", err)
	}
}

// FuzzParse: whatever the file, an *Error or a policy whose canonical form reads
// as the same and that makes a Masker.
func FuzzParse(f *testing.F) {
	f.Add(example)
	f.Add(policy.Default)
	f.Add(`{"version": 1, "rules": [{"name": "r", "entity": "STAFF", "words": ["ab"], "mode": "hmac"}]}`)
	f.Fuzz(func(t *testing.T, src string) {
		p, err := policy.Parse("f", []byte(src), func(string) ([]byte, error) { return []byte("육갑수\n"), nil })
		if err != nil {
			if _, ok := errors.AsType[*policy.Error](err); !ok {
				t.Fatalf("no *Error: %v", err)
			}
			return
		}
		again, err := policy.Parse("f", p.JSON(), nil)
		if err != nil || string(again.JSON()) != string(p.JSON()) {
			t.Fatalf("%v\n%s", err, p.JSON())
		}
		if _, err := pii.New(pii.MemoryVault(), p.Options()); err != nil {
			t.Fatal(err)
		}
	})
}

// What is YAML and no policy, and what is no YAML, is refused with its line and
// without any of its text.
func TestParseRefusesYAML(t *testing.T) {
	for src, want := range map[string]string{
		"version: &x 1":                                   "f:1: anchors",
		"version: *육갑수":                                   "f:1: the file is no YAML",
		"a: &x 육갑수\nc: *x":                                "f:1: anchors",
		"version: !!str 육갑수":                              "f:1: anchors",
		"version: 1\n---\n육갑수: d":                         "f:2: the file holds several documents",
		"version: 1\n육갑수: 1\n육갑수: 2":                      "f:3: the name stands in line 2 already",
		"version: 1\n? [육갑수]\n: b":                        "f:2: expected a name",
		"version: 1\nallow:\n\t- 육갑수":                     "f:3: the file is no YAML",
		"version: '육갑수":                                   "the file is no YAML",
		"version: \xff":                                   "the file is no YAML",
		"version: 1\n\x00":                                "the file is no YAML",
		strings.Repeat("[", 40) + strings.Repeat("]", 40): "levels deep",
		strings.Repeat("[", 20000):                        "the file is no YAML",
	} {
		_, err := policy.Parse("f", []byte(src), nil)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "육갑수") {
			t.Errorf("%.40q: error %v, want one that says %s", src, err, want)
		}
	}
	p := parse(t, "version: 1\nallow:\n  values:\n  - |-\n    육갑수\n  - \"\\uC721갑수\"\n  - 독고\n    영재\n")
	if !slices.Equal(p.Allow.Values, []string{"육갑수", "육갑수", "독고 영재"}) {
		t.Errorf("%q", p.Allow.Values)
	}
}
