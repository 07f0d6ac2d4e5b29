package pii_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"cloister/store/pii"
)

func mask(t *testing.T, m *pii.Masker, text string) string {
	t.Helper()
	masked, _, err := m.Mask(text)
	if err != nil {
		t.Fatal(err)
	}
	return masked.String()
}

func TestMaskTokens(t *testing.T) {
	m := newMasker(t, pii.Options{})
	for _, c := range []struct{ text, want string }{
		{"환자 육갑수(010-1234-5678)는 육갑수의 아들이다.", "환자 <PERSON_1>(<PHONE_1>)는 <PERSON_1>의 아들이다."},
		{"연락처 010-1234-5678, 010-8765-4321", "연락처 <PHONE_1>, <PHONE_2>"},
		{"이미 가린 <PERSON_1>은 <PHONE_77>, [KR_RRN]", "이미 가린 <PERSON_1>은 <PHONE_77>, [KR_RRN]"},
		{"", ""},
		{"아무것도 없다.", "아무것도 없다."},
	} {
		if got := mask(t, m, c.text); got != c.want {
			t.Errorf("Mask(%q) is %q, want %q", c.text, got, c.want)
		}
	}
}

func TestMaskLabels(t *testing.T) {
	m, err := pii.New(nil, pii.Options{Mode: pii.ModeLabel})
	if err != nil {
		t.Fatal(err)
	}
	const want = "성명: [PERSON], 전화 [PHONE]"
	got := mask(t, m, "성명: 육갑수, 전화 010-1234-5678")
	if got != want || mask(t, m, got) != want {
		t.Errorf("got %q, and again %q, want %q", got, mask(t, m, got), want)
	}
	if _, err := m.Unmask(got); err == nil {
		t.Error("a masker without a vault unmasks")
	}
}

func TestEntitySelection(t *testing.T) {
	const text = "육갑수 씨, 010-1234-5678, a@example.org, 2024-03-12"
	m := newMasker(t, pii.Options{Entities: []string{pii.Email}})
	if got := mask(t, m, text); got != strings.Replace(text, "a@example.org", "<EMAIL_1>", 1) {
		t.Errorf("only e-mail: %q", got)
	}
	m = newMasker(t, pii.Options{Entities: pii.DatasetEntities()})
	if got := mask(t, m, text); got != "<PERSON_1> 씨, <PHONE_1>, <EMAIL_1>, 2024-03-12" {
		t.Errorf("the entities of datasets: %q", got)
	}
}

func TestMinScore(t *testing.T) {
	const text = "대표번호 1588-3366" // a company's number: a low score
	if got := mask(t, newMasker(t, pii.Options{}), "문의 1588-3366"); got != "문의 <PHONE_1>" {
		t.Errorf("by default: %q", got)
	}
	if got := mask(t, newMasker(t, pii.Options{MinScore: 0.9}), "문의 1588-3366"); got != "문의 1588-3366" {
		t.Errorf("only what is certain: %q", got)
	}
	if got := mask(t, newMasker(t, pii.Options{MinScore: 0.9}), text); got != "대표번호 <PHONE_1>" {
		t.Errorf("certain by its label: %q", got)
	}
}

func TestAllow(t *testing.T) {
	m := newMasker(t, pii.Options{Allow: []string{
		"02-555-0100", "박지훤 원장", "Dr. Helen Brandt", "info@clinic.example", "서울 강남구 테헤란로 152", "", "  ",
	}})
	for _, c := range []struct{ text, want string }{
		{"대표전화 02-555-0100, 개인 010-1234-5678", "대표전화 02-555-0100, 개인 <PHONE_1>"},
		{"전화 ０２）５５５．０１００", "전화 ０２）５５５．０１００"},
		{"박지훤 원장님과 박지훤 선생님", "박지훤 원장님과 박지훤 선생님"},
		{"Dr. Helen Brandt sees Mr. Otto Brenner.", "Dr. Helen Brandt sees Mr. <PERSON_1>."},
		{"Call Helen Brandt at INFO@clinic.example", "Call Helen Brandt at INFO@clinic.example"},
		{"주소: 서울 강남구 테헤란로 152", "주소: 서울 강남구 테헤란로 152"},
		{"주소: 서울 강남구 테헤란로 154", "주소: <ADDRESS_1>"},
	} {
		if got := mask(t, m, c.text); got != c.want {
			t.Errorf("Mask(%q) is %q, want %q", c.text, got, c.want)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	v := pii.MemoryVault()
	for name, c := range map[string]struct {
		vault pii.Vault
		o     pii.Options
		says  string
	}{
		"no vault":       {nil, pii.Options{}, "vault"},
		"unknown mode":   {v, pii.Options{Mode: "blur"}, "mode"},
		"unknown entity": {v, pii.Options{Entities: []string{"NAME"}}, `"NAME"`},
		"score too high": {v, pii.Options{MinScore: 1.5}, "MinScore"},
		"score below":    {v, pii.Options{MinScore: -1}, "MinScore"},
	} {
		if _, err := pii.New(c.vault, c.o); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: error %v, want one that says %s", name, err, c.says)
		}
	}
}

// brokenVault fails, and its error must not carry the value.
type brokenVault struct{}

var errBroken = errors.New("the disk is full")

func (brokenVault) Token(string, string) (string, error) { return "", errBroken }
func (brokenVault) Reveal(string) (string, error)        { return "", errBroken }

func TestVaultErrors(t *testing.T) {
	m, err := pii.New(brokenVault{}, pii.Options{})
	if err != nil {
		t.Fatal(err)
	}
	masked, findings, err := m.Mask("전화 010-1234-5678")
	if !errors.Is(err, errBroken) || strings.Contains(err.Error(), "1234") {
		t.Errorf("error %v, want the vault's, without the value", err)
	}
	if masked.String() != "" || findings != nil {
		t.Errorf("with an error: %q, %v", masked, findings)
	}
	if _, err := m.Unmask("<PHONE_1>"); !errors.Is(err, errBroken) {
		t.Errorf("unmasking: error %v", err)
	}
}

func TestUnmask(t *testing.T) {
	v := pii.MemoryVault()
	token, err := v.Token(pii.Person, "육갑수")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ masked, want string }{
		{token + "은 <PERSON_99>의 " + token, "육갑수은 <PERSON_99>의 육갑수"},
		{"<" + token + ">", "<육갑수>"},
		{"<person_1> <PERSON_> <_1> <PERSON_1", "<person_1> <PERSON_> <_1> <PERSON_1"},
	} {
		if got, err := pii.Unmask(v, c.masked); got != c.want || err != nil {
			t.Errorf("Unmask(%q) is %q (%v), want %q", c.masked, got, err, c.want)
		}
	}
	if _, err := v.Reveal("<PERSON_99>"); !errors.Is(err, pii.ErrUnknownToken) {
		t.Errorf("an unknown token: %v", err)
	}
}

func TestMasked(t *testing.T) {
	m := newMasker(t, pii.Options{})
	masked, _, err := m.Mask("전화 010-1234-5678")
	if err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(struct{ Text pii.Masked }{masked})
	if err != nil || string(raw) != `{"Text":"전화 \u003cPHONE_1\u003e"}` {
		t.Errorf("as JSON: %s (%v)", raw, err)
	}
	if s := fmt.Sprint(masked); s != "전화 <PHONE_1>" {
		t.Errorf("printed: %q", s)
	}
	var back struct{ Text pii.Masked }
	if err := json.Unmarshal([]byte(`{"Text":"육갑수"}`), &back); err == nil && back.Text.String() != "" {
		t.Error("JSON makes a Masked out of raw text")
	}
}

func TestSummary(t *testing.T) {
	m := newMasker(t, pii.Options{})
	s := pii.Summarise(m.Find("환자 육갑수, 010-1234-5678"), m.Find("육갑수 씨"), nil)
	if s.Total() != 3 || s[pii.Person] != 2 || s.String() != "PERSON 2, PHONE 1" {
		t.Errorf("got %v, %d", s, s.Total())
	}
}

func TestRuneSpans(t *testing.T) {
	m := newMasker(t, pii.Options{})
	for _, row := range readJSONL[labelled](t, "synth_dev.jsonl")[:100] {
		found := m.Find(row.Text)
		runes := []rune(row.Text)
		for i, s := range pii.RuneSpans(row.Text, found) {
			if got, want := string(runes[s.Start:s.End]), row.Text[found[i].Start:found[i].End]; got != want || s.Type != found[i].Entity {
				t.Errorf("%s: span %v is %q, want %q", row.ID, s, got, want)
			}
		}
	}
	if s := pii.RuneSpans("", nil); s == nil || len(s) != 0 {
		t.Errorf("without findings: %v, want an empty list for JSON", s)
	}
}

// TestConcurrent is for the race detector, and checks that every goroutine gets
// the same tokens.
func TestConcurrent(t *testing.T) {
	m := newMasker(t, pii.Options{Allow: []string{"02-555-0100"}})
	want := mask(t, m, "환자 육갑수, 010-1234-5678, 02-555-0100")
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 20 {
				masked, _, err := m.Mask("환자 육갑수, 010-1234-5678, 02-555-0100")
				if err != nil || masked.String() != want {
					t.Errorf("got %q (%v), want %q", masked, err, want)
				}
			}
		})
	}
	wg.Wait()
}

func TestInvalidText(t *testing.T) {
	for _, text := range []string{"\xff\xfe전화 010-1234-5678\xff", "010-1234-5678\xf0\x9f", "\x00\x01\x02", "\xed\xa0\x80환자 육갑수"} {
		check(t, text)
	}
}
