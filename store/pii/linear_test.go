package pii_test

import (
	"fmt"
	"strings"
	"testing"

	"cloister/store/pii"
)

// TestLinear counts the steps of the loops over the text: eight times the text
// may not take more than some eight times the steps, whatever the text is made
// to provoke.
func TestLinear(t *testing.T) {
	const short, factor = 1000, 8
	for _, unit := range []string{
		"가", "김", "김민", "강남구", "서울", "환자", "이름", "성명김민준", "대로", "로", "1", "12", "1-", "1.", "010", "01012345678",
		"010-", "a", "A", "Aa ", "Dr ", "Dr. Kim ", "A. ", "a@", "@", "a@b.", "http://", "www.", ":", "a:", "1:", "::1", "sk-", "sk--",
		"password:", "token=", "-----BEGIN ", "-----END ", "(", "(홍", "<", "<A_1", "[", "\u200b", "1\u200b", "\u0301", "ᄒ", "，", "\n", "a,", "이름,\n",
		"전화|", "2024.", "2024-01-", "12가", "2023가합", "12 Main ", "1 A ", "1, ", "1-ro ", "계좌 1-", "O1", "DE11 ", "김 ", "홍길동 ", "씨 ", "원    ",
		"공일", "공일공 ", "010_", "0~", "연락처 0\n1", "주민번호 7 6", "주민번호 760821\n", "(at)", "a (at) ", "a [dot] ", "a@b [dot] ", "a @ ", "주소: 서울\n", "주소: 서울 강남구\n대로",
	} {
		t.Run(fmt.Sprintf("%q", unit), func(t *testing.T) {
			small := steps(t, strings.Repeat(unit, short))
			large := steps(t, strings.Repeat(unit, short*factor))
			if large > small*factor*5/4+2000 {
				t.Errorf("%d repeats take %d steps, %d take %d", short, small, short*factor, large)
			}
		})
	}
}

func steps(t *testing.T, text string) int64 {
	m := newMasker(t, pii.Options{})
	m.Find(text)
	return m.Steps()
}

// TestManySyllables masks what made other recognisers stall.
func TestManySyllables(t *testing.T) {
	text := strings.Repeat("가나다라마바사아자차카타파하", 8000/14) + " 010-1234-5678"
	m := newMasker(t, pii.Options{})
	masked, findings, err := m.Mask(text)
	if err != nil || len(findings) != 1 || !strings.HasSuffix(masked.String(), " <PHONE_1>") {
		t.Errorf("found %v (%v)", findings, err)
	}
}
