package pii_test

import (
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf8"

	"cloister/store/pii"
)

// corpus returns all texts of the test data.
func corpus(t testing.TB) []string {
	var texts []string
	for _, row := range readJSONL[labelled](t, "synth_dev.jsonl") {
		texts = append(texts, row.Text)
	}
	for _, name := range []string{"own_dev.txt", "own_test.txt"} {
		for _, row := range readMarked(t, name) {
			texts = append(texts, row.Text)
		}
	}
	return texts
}

// check verifies what must hold of any text: spans in order, inside of the
// text, on rune borders, without overlaps; Find and Mask agree; masking twice
// changes nothing; unmasking restores the text.
func check(t *testing.T, text string) {
	t.Helper()
	checkWith(t, newMasker(t, pii.Options{}), text)
}

func checkWith(t *testing.T, m *pii.Masker, text string) {
	t.Helper()
	found := m.Find(text)
	masked, findings, err := m.Mask(text)
	if err != nil {
		t.Fatalf("Mask: %v", err)
	}
	if len(found) != len(findings) {
		t.Fatalf("Find has %d findings, Mask %d, in %q", len(found), len(findings), text)
	}
	last := 0
	var want strings.Builder
	for i, f := range findings {
		switch {
		case f.Start < last || f.End <= f.Start || f.End > len(text):
			t.Fatalf("finding %d [%d:%d] is out of order or range in %q", i, f.Start, f.End, text)
		case !border(text, f.Start) || !border(text, f.End):
			t.Fatalf("finding %d [%d:%d] cuts a rune of %q", i, f.Start, f.End, text)
		case found[i].Start != f.Start || found[i].End != f.End || found[i].Entity != f.Entity:
			t.Fatalf("finding %d: Find has %v, Mask %v", i, found[i], f)
		case f.Score < pii.DefaultMinScore || f.Score > 1 || f.Recogniser == "" || f.Evidence == "":
			t.Fatalf("finding %d does not say why: %+v", i, f)
		}
		want.WriteString(text[last:f.Start] + f.Token)
		last = f.End
	}
	want.WriteString(text[last:])
	if masked.String() != want.String() {
		t.Fatalf("masked text %q is not the text with its tokens, %q", masked, want.String())
	}
	again, more, err := m.Mask(masked.String())
	if err != nil || again != masked {
		t.Fatalf("masking %q again gives %q (%v, %v)", masked, again, more, err)
	}
	if restored, err := m.Unmask(masked.String()); err != nil || !holdsToken(text) && restored != text {
		t.Fatalf("unmask gives %q (%v), want %q", restored, err, text)
	}
}

func border(s string, i int) bool {
	return i == 0 || i == len(s) || utf8.RuneStart(s[i]) || !utf8.ValidString(s)
}

// holdsToken says whether a text may hold mask tokens of its own; what they
// stand for depends on the vault then.
func holdsToken(s string) bool { return strings.Contains(s, "_") && strings.Contains(s, "<") }

func TestProperties(t *testing.T) {
	for _, text := range corpus(t) {
		check(t, text)
	}
}

// TestPropertiesLong holds for texts that are so long that they are looked at
// again only near what was masked.
func TestPropertiesLong(t *testing.T) {
	texts := corpus(t)
	var plain []string
	for _, row := range readMarked(t, "own_dev.txt") {
		if strings.Contains(row.ID, "neg") {
			plain = append(plain, row.Text)
		}
	}
	rng := rand.New(rand.NewPCG(3, 4))
	for range 40 {
		var b strings.Builder
		for range 12 {
			b.WriteString(texts[rng.IntN(len(texts))] + "\n")
			for range 4 + rng.IntN(20) {
				b.WriteString(plain[rng.IntN(len(plain))] + " ")
			}
		}
		check(t, b.String())
	}
	check(t, strings.Join(texts, "\n"))
}

// TestLongAsShort finds the same in a text whether or not so much other text
// follows that it is looked at again only near what was masked.
func TestLongAsShort(t *testing.T) {
	m := newMasker(t, pii.Options{})
	after := "\n\n" + strings.Repeat("진료 시간은 평일 오전 아홉 시부터 오후 여섯 시까지입니다. The office is open on weekdays.\n", 60)
	for _, text := range corpus(t) {
		text = strings.TrimRight(text, "\n ") + "\n\n"
		short, long := m.Find(text), m.Find(text+after)
		if len(short) != len(long) {
			t.Errorf("%d findings alone, %d with more text behind, in %q", len(short), len(long), text)
			continue
		}
		for i := range short {
			if short[i] != long[i] {
				t.Errorf("%+v alone, %+v with more text behind, in %q", short[i], long[i], text)
			}
		}
	}
}

// TestPropertiesMutated cuts, doubles, joins and disturbs the texts.
func TestPropertiesMutated(t *testing.T) {
	texts := corpus(t)
	rng := rand.New(rand.NewPCG(1, 2))
	noise := []string{"\u200b", " ", "\n", "-", "１", "ㅡ", "<", ">", "(", "님", "은", "@", ":", "0", "\xff", "é", "가", "의 ", ", ", "\u0301", "환자 ", "Dr. "}
	for range 1500 {
		a, b := texts[rng.IntN(len(texts))], texts[rng.IntN(len(texts))]
		r := []rune(a)
		s := string(r[rng.IntN(len(r)):]) + noise[rng.IntN(len(noise))] + b
		for range rng.IntN(4) {
			r := []rune(s)
			i := rng.IntN(len(r))
			s = string(r[:i]) + noise[rng.IntN(len(noise))] + string(r[i:])
		}
		check(t, s)
	}
}

func FuzzMask(f *testing.F) {
	for i, text := range corpus(f) {
		if i%7 == 0 {
			f.Add(text)
		}
	}
	f.Add("\xff\xfe환자 홍길동\x00")
	f.Add("<PERSON_1>은 [PERSON] <KR_RRN_12>")
	f.Add(strings.Repeat("김", 300))
	f.Fuzz(func(t *testing.T, text string) {
		check(t, text)
	})
}
