package leak_test

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf16"

	"golang.org/x/text/unicode/norm"

	"cloister/store/leak"
	"cloister/store/pii"
)

// Invented persons and numbers.
var values = []struct{ entity, text string }{
	{pii.Person, "홍길동"}, {pii.Person, "이지나"}, {pii.Person, "Sarah Kimberton"}, {pii.Person, "박솔"}, {pii.Person, "Grace"},
	{pii.Phone, "010-9876-5432"}, {pii.Email, "gildong@example.org"}, {pii.ResidentNumber, "900101-1234567"},
	{pii.Address, "서울특별시 강남구 가온로 12길 34, 101동 1203호"}, {pii.Address, "서울 강남구"},
	{pii.MedicalRecord, "20240315"}, {pii.MedicalRecord, "123456"}, {pii.DateOfBirth, "1980-02-03"}, {pii.IPAddress, "10.0.0.1"},
	{pii.Secret, "correct horse battery staple"}, {pii.Phone, "02-555-0100"},
}

func matcher() *leak.Matcher {
	m := leak.New([]string{"대표전화 02-555-0100"})
	for i, v := range values {
		m.Add(fmt.Sprintf("<%s_%d>", v.entity, i+1), v.entity, v.text)
	}
	return m
}

// found returns where the matcher finds what, as "2 PERSON".
func found(m *leak.Matcher, text string) (list []string) {
	m.Text(text, func(h leak.Hit) { list = append(list, fmt.Sprintf("%d %s", h.Offset, h.Entity)) })
	return list
}

func TestText(t *testing.T) {
	m := matcher()
	if got, want := m.Counts(), (leak.Counts{Strict: 9, Weak: 6, Allowed: 1}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	for _, c := range []struct{ text, want string }{
		{"", ""},
		{"홍길동", "0 PERSON"},
		{"환자 홍길동은 내일 옵니다", "7 PERSON"},
		{"홍길동교수님께", "0 PERSON"},
		{"홍길동이", "0 PERSON"},
		{"이지나는", "0 PERSON"},
		{"이지남은", ""}, // another name
		{"홍길동물원", ""},
		{"안홍길동", ""},
		{"홍 길동", ""}, // written together in the vault
		{"hello sarah  KIMBERTON's", "6 PERSON"},
		{"sarah kimbertons", ""},
		{"박솔 님, Grace", ""}, // too short
		{"전화 01098765432.", "7 PHONE"},
		{"전화 010.9876.5432", "7 PHONE"},
		{"전화 ０１０－９８７６－５４３２", "7 PHONE"},
		{"010-9876-54321", ""},
		{"1010-9876-5432", ""},
		{"010 ----- 9876-5432", ""},
		{"mail GILDONG@example.org!", "5 EMAIL"},
		{"ygildong@example.org", ""},
		{"gildong@example.organic", ""},
		{"9001011234567", "0 KR_RRN"},
		{"서울특별시 강남구 가온로12길 34 101동1203호에", "0 ADDRESS"},
		{norm.NFD.String("서울특별시 강남구 가온로 12길 34, 101동 1203혹"), ""}, // another syllable
		{"서울 강남구", ""},
		{"no 20240315 here", "3 MEDICAL_RECORD_NO"},
		{"2024-03-15", ""}, // a date, by chance
		{"x20240315", ""},
		{"123456 1980-02-03 10.0.0.1", ""},
		{"correct horse\nbattery\tstaple", "0 SECRET"},
		{"02-555-0100", ""}, // allowed
		{"홍길동 010-9876-5432 홍길동", "0 PERSON 10 PHONE 24 PERSON"},
		{"홍\u200b길동", "0 PERSON"},
		{`{"a":"\uD64D\uae38\ub3d9"}`, "6 PERSON"},
		{`"name\n홍길동\t010"`, "7 PERSON"},
		{norm.NFD.String("환자 홍길동에게"), "16 PERSON"},
		{norm.NFD.String("이지남"), ""},
	} {
		if got := strings.Join(found(m, c.text), " "); got != c.want {
			t.Errorf("%q: %q, want %q", c.text, got, c.want)
		}
	}
}

func TestWeak(t *testing.T) {
	m := matcher()
	for text, want := range map[string]string{"박솔": "<PERSON_4>", "1980.02.03": "<DATE_OF_BIRTH_13>", "홍길동": "", "김철": "", "": "", " -": "", "02-555-0100": ""} {
		if got, _, _ := m.Weak(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func wide(s string, order binary.AppendByteOrder) (b []byte) {
	for _, u := range utf16.Encode([]rune(s)) {
		b = order.AppendUint16(b, u)
	}
	return b
}

// A value is found in every form in which programs write it, at every place of
// a file, across the borders of blocks too.
func TestReader(t *testing.T) {
	m := matcher()
	const name = "홍길동"
	escaped := strings.Trim(strconv.QuoteToASCII(name), `"`)
	forms := map[string][]byte{
		"UTF-8": []byte(name), "NFD": []byte(norm.NFD.String(name)), "JSON": []byte(escaped),
		"UTF-16LE": wide(name, binary.LittleEndian), "UTF-16BE": wide(name, binary.BigEndian),
	}
	noise := make([]byte, 1<<17+1000)
	rnd := rand.New(rand.NewPCG(1, 2))
	for i := range noise {
		noise[i] = byte(rnd.Uint32())
	}
	for form, b := range forms {
		for _, at := range []int{0, 1, 1000, 1<<16 - 20, 1<<16 - 7, 1<<16 - 3, 1<<16 - 2, 1<<16 - 1, 1 << 16, 1<<16 + 1, 1<<17 - 5, len(noise)} {
			data := slices.Concat(noise[:at], []byte{0xff, 0, 0, 0xff}, b, []byte{0, 0, 0xff})
			want := int64(at + 4)
			var hits []leak.Hit
			n, err := m.Reader(iotest.OneByteReader(bytes.NewReader(data)), func(h leak.Hit) { hits = append(hits, h) })
			if err != nil || n != int64(len(data)) {
				t.Fatalf("%d, %v", n, err)
			}
			if len(hits) != 1 || hits[0].Offset != want || hits[0].Token != "<PERSON_1>" || (hits[0].Encoding == "UTF-16") != strings.HasPrefix(form, "UTF-16") {
				t.Errorf("%s at %d: %+v", form, at, hits)
			}
		}
	}
	// The first byte of a file is no half of a letter before the second.
	hits := 0
	if _, err := m.Reader(bytes.NewReader(append([]byte{0xd6}, wide(name, binary.LittleEndian)...)), func(leak.Hit) { hits++ }); err != nil || hits != 1 {
		t.Errorf("%d hits behind one byte, %v", hits, err)
	}
	if _, err := m.Reader(iotest.TimeoutReader(bytes.NewReader(noise)), func(leak.Hit) {}); err != iotest.ErrTimeout {
		t.Errorf("%v", err)
	}
}

// A Matcher finds what JSON makes of a value, and shows no value when it is printed.
func TestSecret(t *testing.T) {
	m := leak.New(nil)
	m.Add("<ADDRESS_1>", pii.Address, "1 <Main> \"Street\" & Sons, Floor 3")
	b, err := json.Marshal(map[string]string{"a": "1 <Main> \"Street\" & Sons, Floor 3"})
	if err != nil {
		t.Fatal(err)
	}
	if got := found(m, string(b)); len(got) != 1 {
		t.Errorf("%s: %v", b, got)
	}
	for _, s := range []string{fmt.Sprintf("%+v", m), fmt.Sprintf("%#v", m)} {
		if strings.Contains(strings.ToLower(s), "main") || strings.Contains(s, base64.StdEncoding.EncodeToString([]byte("Main"))) {
			t.Error("a Matcher prints a value")
		}
	}
}

// Chance finds nothing: 10,000 values in random bytes, digits and syllables.
func TestChance(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	m := leak.New(nil)
	syllable := func() rune { return rune(0xAC00 + rnd.IntN(11172)) }
	for i := range 10_000 {
		m.Add(fmt.Sprintf("<PHONE_%d>", i+1), pii.Phone, fmt.Sprintf("010-%04d-%04d", rnd.IntN(10000), rnd.IntN(10000)))
		m.Add(fmt.Sprintf("<PERSON_%d>", i+1), pii.Person, string([]rune{'김', syllable(), syllable()}))
	}
	var b bytes.Buffer
	for range 1 << 16 {
		b.WriteByte(byte(rnd.Uint32()))
	}
	for range 1 << 16 {
		fmt.Fprintf(&b, "%d\n%c", rnd.IntN(1e9), syllable())
	}
	if _, err := m.Reader(&b, func(h leak.Hit) { t.Errorf("%+v", h) }); err != nil {
		t.Fatal(err)
	}
}

// The time does not depend on the text: as many bytes, as long, whether each
// place is the end of many values or of none.
func BenchmarkReader(b *testing.B) {
	m := leak.New(nil)
	for i := range 100_000 {
		m.Add(fmt.Sprintf("<EMAIL_%d>", i+1), pii.Email, fmt.Sprintf("person%0*d@example.org", 1+i%100, i))
	}
	noise := make([]byte, 8<<20)
	rnd := rand.New(rand.NewPCG(1, 2))
	for i := range noise {
		noise[i] = byte(rnd.Uint32())
	}
	for name, data := range map[string][]byte{
		"noise": noise, "korean": bytes.Repeat([]byte("진료 예약은 평일 오전 아홉 시부터 오후 여섯 시까지 받습니다. "), 8<<20/84),
		"ends": bytes.Repeat([]byte("person@example.org "), 8<<20/19),
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				_, _ = m.Reader(bytes.NewReader(data), func(leak.Hit) {})
			}
		})
	}
}
