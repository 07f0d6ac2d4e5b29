package masking_test

import (
	"encoding/json"
	"strings"
	"testing"

	"cloister/appliance/appliancetest"
	"cloister/appliance/masking"
)

// stream feeds an answer in pieces of so many bytes.
func stream(t *testing.T, m *masking.Service, question, text string, size int) string {
	t.Helper()
	a := m.Answer(question)
	var out strings.Builder
	for i := 0; i < len(text); i += size {
		piece, err := a.Add(text[i:min(len(text), i+size)])
		if err != nil {
			t.Fatal(err)
		}
		out.WriteString(piece)
	}
	rest, err := a.End()
	if err != nil {
		t.Fatal(err)
	}
	return out.String() + rest
}

func TestAnswer(t *testing.T) {
	st, _ := appliancetest.Store(t)
	m := appliancetest.Masking(t, st)
	if err := m.Allow([]string{"02-555-0100"}); err != nil {
		t.Fatal(err)
	}
	filler := strings.Repeat("We are open from nine to six on every day of the week. ", 4)
	long := strings.Repeat("가나다라마바사", 500)
	for _, c := range []struct{ question, text, want string }{
		{"", "", ""},
		{"", "Call 010-9876-5432 or 02-555-0100.", "Call [PHONE] or 02-555-0100."},
		{"", "환자 홍길동 님은 <PERSON_3> 님과 왔습니다.", "환자 [PERSON] 님은 [PERSON] 님과 왔습니다."},
		{"환자 홍길동 님은 언제 오나요?", "홍길동은 내일 옵니다.", "[PERSON]은 내일 옵니다."},
		{"", filler + "Call 010-9876-\n5432. " + filler + "Or gildong@example.org. " + filler, filler + "Call [PHONE]. " + filler + "Or [EMAIL]. " + filler},
		{"", filler + "주소는 서울특별시 강남구 가온로 12길 34, 101동 1203호입니다.\n" + filler, filler + "주소는 [ADDRESS]입니다.\n" + filler},
		{"", long + "010-9876-5432" + long, long + "[PHONE]" + long},
		{"", `{"name": "환자 홍길동", "phone": "010-9876-5432", "note": "a \"b\" 010-5555-1234"}`, `{"name": "환자 [PERSON]", "phone": "[PHONE]", "note": "a \"b\" [PHONE]"}`},
		{"", "[{\"n\": 1, \"rrn\": 900101-1234567}]", "[{\"n\": 1, \"rrn\": \"[KR_RRN]\"}]"},
		{"", "[see] 010-9876-5432", "[see] [PHONE]"},
	} {
		whole, err := m.Whole(c.question, c.text)
		if err != nil || whole != c.want {
			t.Errorf("%.60q: %q, %v; want %q", c.text, whole, err, c.want)
		}
		for _, size := range []int{1, 3, 7, 64, 1000} {
			if got := stream(t, m, c.question, c.text, size); got != c.want {
				t.Errorf("%.60q in pieces of %d: %q, want %q", c.text, size, got, c.want)
			}
		}
		if strings.HasPrefix(c.text, "{") && !json.Valid([]byte(whole)) {
			t.Errorf("%s is not JSON any more", whole)
		}
	}
	// Nothing of an answer comes into the vault.
	if err := m.Values(func(token, _, _ string) error { t.Errorf("the vault has %s", token); return nil }); err != nil {
		t.Fatal(err)
	}
}

// An answer comes sentence by sentence, not at its end.
func TestAnswerFlows(t *testing.T) {
	st, _ := appliancetest.Store(t)
	a := appliancetest.Masking(t, st).Answer("")
	sent, behind := 0, 0
	text := strings.Repeat("Wir haben von neun bis sechs offen. ", 100)
	for i := range len(text) {
		piece, err := a.Add(text[i : i+1])
		if err != nil {
			t.Fatal(err)
		}
		sent += len(piece)
		behind = max(behind, i+1-sent)
	}
	if behind > 140 {
		t.Errorf("%d bytes are held back", behind)
	}
}

// What a rule allows from now on is said from now on.
func TestAnswerAllow(t *testing.T) {
	st, _ := appliancetest.Store(t)
	m := appliancetest.Masking(t, st)
	for _, want := range []string{"Call [PHONE].", "Call 02-555-0123."} {
		if got, err := m.Whole("", "Call 02-555-0123."); err != nil || got != want {
			t.Errorf("%q, %v; want %q", got, err, want)
		}
		if err := m.Allow([]string{"02-555-0123"}); err != nil {
			t.Fatal(err)
		}
	}
}

func BenchmarkAnswer(b *testing.B) {
	st, _ := appliancetest.Store(b)
	m := appliancetest.Masking(b, st)
	text := strings.Repeat("진료 예약은 평일 오전 아홉 시부터 받습니다. 전화는 010-9876-5432번입니다. ", 40)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		a := m.Answer("언제 여나요?")
		for i := 0; i < len(text); i += 6 {
			if _, err := a.Add(text[i:min(len(text), i+6)]); err != nil {
				b.Fatal(err)
			}
		}
	}
}
