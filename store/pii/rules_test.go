package pii_test

import (
	"fmt"
	"strings"
	"testing"

	"cloister/store/pii"
)

// All persons and numbers here are invented.
var testRules = []pii.Rule{
	{Name: "chart", Entity: pii.MedicalRecord, Pattern: `HX-\d{6}`},
	{Name: "ward", Entity: "WARD", Pattern: `(?i:ward|병동)\s*(\d[A-C])`},
	{Name: "locker", Entity: "LOCKER_NO", Pattern: `\d{4}`, Score: 0.3, Context: []string{"사물함"}, Labels: []string{"보관함", "locker"}},
	{Name: "staff", Entity: "STAFF", Words: []string{"육갑수", "Alice Q. Monroe", "갑수", "독고영재", "M-77"}},
}

func TestRules(t *testing.T) {
	m := newMasker(t, pii.Options{Rules: testRules})
	for _, c := range []struct{ text, want string }{
		// Patterns see the text normalised, and match whole numbers only.
		{"차트 HX-123456를 보라", "차트 <MEDICAL_RECORD_NO_1>를 보라"},
		{"ＨＸ－１２３４５６", "<MEDICAL_RECORD_NO_2>"},
		{"AHX-123456, HX-1234567", "AHX-123456, HX-1234567"},
		// The first group is what is masked.
		{"Ward 3B와 병동 4C", "Ward <WARD_1>와 병동 <WARD_2>"},
		// Labels and context lift a score over the bound.
		{"2345번", "2345번"},
		{"보관함: 2345", "보관함: <LOCKER_NO_1>"},
		{"Locker is 2345", "Locker is <LOCKER_NO_1>"},
		{"사물함은 복도 끝 2345번", "사물함은 복도 끝 <LOCKER_NO_1>번"},
		{"lockers 2345", "lockers 2345"},
		// Words: particles and titles outside, no parts of other words.
		{"육갑수는 담당육갑수교수님께", "<STAFF_1>는 담당<STAFF_1>교수님께"},
		{"담당: 육갑수교수님께, 환자육갑수", "담당: <STAFF_1>교수님께, 환자<STAFF_1>"},
		{"ALICE Q. MONROE wrote; alice q. monroes did not", "<STAFF_2> wrote; alice q. monroes did not"},
		{"독고영재와 육\u200b갑수", "<STAFF_3>와 <STAFF_4>"},
		{"박육갑수네 갑수를", "박육갑수네 <STAFF_5>를"},
		{"M-77은 M-770이 아니다", "<STAFF_6>은 M-770이 아니다"},
		// Mask tokens and labels stay what they are.
		{"<STAFF_1>은 [STAFF]과 HX-123456", "<STAFF_1>은 [STAFF]과 <MEDICAL_RECORD_NO_1>"},
	} {
		got := mask(t, m, c.text)
		if got != c.want || mask(t, m, got) != got {
			t.Errorf("Mask(%q) is %q, and again %q, want %q", c.text, got, mask(t, m, got), c.want)
		}
		if back, err := m.Unmask(got); err != nil || back != c.text && !strings.Contains(c.text, "<") {
			t.Errorf("unmasking %q gives %q (%v)", got, back, err)
		}
	}
}

// User rules take part in the one rule for overlaps, and say why.
func TestRulesExplain(t *testing.T) {
	m := newMasker(t, pii.Options{Rules: []pii.Rule{
		{Name: "ours", Entity: "CASE_FILE", Pattern: `010-1234-\d+`, Score: 1},
		{Name: "weak", Entity: "OTHER", Pattern: `a@example\.org`, Score: 0.6},
		{Name: "door", Entity: "DOOR", Pattern: `\d{3}호`, Score: 0.2, Labels: []string{"사물함"}},
	}})
	found := m.Find("010-1234-5678, a@example.org, 사물함: 123호")
	var got []string
	for _, f := range found {
		got = append(got, fmt.Sprintf("%s %s %.2f %s", f.Entity, f.Recogniser, f.Score, f.Evidence))
	}
	want := "CASE_FILE rule:ours 1.00 pattern; EMAIL email 0.95 shape of an e-mail address; DOOR rule:door 1.00 pattern, label"
	if s := strings.Join(got, "; "); s != want {
		t.Errorf("found %s, want %s", s, want)
	}
}

func TestRuleEntities(t *testing.T) {
	m := newMasker(t, pii.Options{Rules: testRules, Entities: []string{"WARD", pii.Phone}})
	if got := mask(t, m, "ward 3A, 육갑수 씨 010-1234-5678"); got != "ward <WARD_1>, 육갑수 씨 <PHONE_1>" {
		t.Error(got)
	}
	m, err := pii.New(nil, pii.Options{Rules: testRules, Mode: pii.ModeLabel})
	if err != nil {
		t.Fatal(err)
	}
	got := mask(t, m, "육갑수 in ward 3A")
	if got != "[STAFF] in ward [WARD]" || mask(t, m, got) != got {
		t.Errorf("%q, and again %q", got, mask(t, m, got))
	}
}

func TestAllowPatterns(t *testing.T) {
	m := newMasker(t, pii.Options{AllowPatterns: []string{`02-555-\d{4}`, `(?i)[a-z]+@clinic\.example`}})
	const text = "02-555-0100, 02-556-0100, Info@Clinic.example, info@other.example"
	if got := mask(t, m, text); got != "02-555-0100, <PHONE_1>, Info@Clinic.example, <EMAIL_1>" {
		t.Error(got)
	}
	if _, err := pii.New(pii.MemoryVault(), pii.Options{AllowPatterns: []string{`a`, `\d*`}}); err == nil || !strings.Contains(err.Error(), "pattern 2") {
		t.Errorf("a pattern that matches everything: %v", err)
	}
}

func TestRulesRefused(t *testing.T) {
	for name, c := range map[string]struct {
		rule pii.Rule
		says string
	}{
		"no name":          {pii.Rule{Entity: "X_Y", Pattern: "a"}, "no name"},
		"bad entity":       {pii.Rule{Name: "r", Entity: "Staff", Pattern: "a"}, `"Staff"`},
		"entity of digits": {pii.Rule{Name: "r", Entity: "STAFF_1", Pattern: "a"}, "capital letters"},
		"score":            {pii.Rule{Name: "r", Entity: "STAFF", Pattern: "a", Score: 2}, "score is 2"},
		"both":             {pii.Rule{Name: "r", Entity: "STAFF", Pattern: "a", Words: []string{"bc"}}, "either"},
		"neither":          {pii.Rule{Name: "r", Entity: "STAFF"}, "either"},
		"syntax":           {pii.Rule{Name: "r", Entity: "STAFF", Pattern: "(a"}, "missing closing )"},
		"look-behind":      {pii.Rule{Name: "r", Entity: "STAFF", Pattern: "(?<=a)b"}, "no look-around"},
		"short word":       {pii.Rule{Name: "r", Entity: "STAFF", Words: []string{"홍길동", " 김 "}}, "word 2"},
		"rare character":   {pii.Rule{Name: "r", Entity: "STAFF", Words: []string{"𠮷田"}}, "U+FFFF"},
		"short context":    {pii.Rule{Name: "r", Entity: "STAFF", Pattern: "a", Context: []string{"b"}}, "two characters"},
	} {
		_, err := pii.New(pii.MemoryVault(), pii.Options{Rules: []pii.Rule{c.rule}})
		if err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "홍길동") {
			t.Errorf("%s: error %v, want one that says %s", name, err, c.says)
		}
	}
	for _, p := range []string{`x*`, `^`, `\b`, `(?m)$`, `a|`, `(a?)b`, `(?:a*|b)+`, `x{0,3}`, `()`, `\B`} {
		_, err := pii.New(pii.MemoryVault(), pii.Options{Rules: []pii.Rule{{Name: "r", Entity: "STAFF", Pattern: p}}})
		if err == nil || !strings.Contains(err.Error(), "empty text") {
			t.Errorf("pattern %s: error %v, want a refusal as it matches an empty text", p, err)
		}
	}
	for _, p := range []string{`x+`, `\bx`, `(?:a?b)+`, `(a)b*`, `[^a]`, `.`} {
		if _, err := pii.New(pii.MemoryVault(), pii.Options{Rules: []pii.Rule{{Name: "r", Entity: "STAFF", Pattern: p}}}); err != nil {
			t.Errorf("pattern %s: %v", p, err)
		}
	}
}

// TestRulesProperties runs the properties of all texts with rules that hit much.
func TestRulesProperties(t *testing.T) {
	m := newMasker(t, pii.Options{Rules: append([]pii.Rule{
		{Name: "digits", Entity: "DIGITS", Pattern: `\d+`, Score: 0.7},
		{Name: "particles", Entity: "CLAUSE", Pattern: `[가-힣]+은 \S+`, Score: 0.8},
		{Name: "line", Entity: "LINE", Pattern: `(?m)^.{30,}$`, Score: 0.55},
	}, testRules...)})
	for _, text := range corpus(t) {
		checkWith(t, m, text)
	}
}

// wordList returns n invented names.
func wordList(n int) []string {
	var words []string
	for i := range n {
		words = append(words, string([]rune{
			rune(0xAC00 + (i*7919+13)%11172), rune(0xAC00 + (i*104729+5)%11172), rune(0xAC00 + (i*1299709+3)%11172),
		}))
	}
	return words
}

// BenchmarkRules compares masking with lists of words to masking without.
func BenchmarkRules(b *testing.B) {
	text := strings.Join(corpus(b), "\n")
	for _, n := range []int{0, 100, 10_000, 50_000} {
		b.Run(fmt.Sprint("words=", n), func(b *testing.B) {
			o := pii.Options{}
			if n > 0 {
				o.Rules = []pii.Rule{{Name: "clients", Entity: "CLIENT", Words: wordList(n), Context: []string{"의뢰인"}}}
			}
			m := newMasker(b, o)
			b.SetBytes(int64(len(text)))
			start := cpuSeconds()
			for b.Loop() {
				m.Find(text)
			}
			b.ReportMetric(float64(len(text))*float64(b.N)/1e6/(cpuSeconds()-start), "MB/cpu-s")
		})
	}
}
