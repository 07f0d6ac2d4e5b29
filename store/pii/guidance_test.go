package pii_test

import (
	"slices"
	"strings"
	"testing"

	"cloister/store/pii"
)

// proposed are values as a model proposes them.
func proposed(entity string, values ...string) (out []pii.Suggestion) {
	for _, v := range values {
		out = append(out, pii.Suggestion{Value: pii.Value{Entity: entity, Value: v}, Recogniser: pii.SecondPass, Evidence: "proposed by a model"})
	}
	return out
}

func guided(t *testing.T, m *pii.Masker, g pii.Guidance, texts ...string) string {
	t.Helper()
	masked, _, err := m.MaskGuided(texts, g)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, s := range masked {
		out = append(out, s.String())
	}
	return strings.Join(out, "|")
}

// What a model proposes is masked where it stands literally as words of its
// own; whatever else it says changes nothing.
func TestSuggestions(t *testing.T) {
	for _, c := range []struct {
		name string
		more []pii.Suggestion
		text string
		want string
	}{
		{"name with particle", proposed(pii.Person, "나비솔"), "어제 나비솔은 늦게 왔고 나비솔한테 말했다.", "어제 <PERSON_1>은 늦게 왔고 <PERSON_1>한테 말했다."},
		{"part of a word", proposed(pii.Person, "나비솔"), "나비솔섬과 큰나비솔", "나비솔섬과 큰나비솔"},
		{"latin", proposed(pii.Person, "Quill"), "Quill's file, Quillon, quill, aQuill and Quill은", "<PERSON_1>'s file, Quillon, quill, aQuill and <PERSON_1>은"},
		{"small letters", proposed(pii.Person, "tamsin quill", "sarah", "quill"), "ask sarah or tamsin quill, the quill", "ask <PERSON_1> or <PERSON_2>, the quill"},
		{"form of characters", proposed(pii.Person, "Ｑuill"), "Quill came.", "<PERSON_1> came."},
		{"not there", proposed(pii.Person, "Wembley Quill"), "Quill came.", "Quill came."},
		{"address", proposed(pii.Address, "the blue house, Nether 7"), "I live in the blue house, Nether 7, with them.", "I live in <ADDRESS_1>, with them."},
		{"number cut short", proposed(pii.Address, "the blue house, Nether 7"), "In the blue house, Nether 77.", "In the blue house, Nether 77."},
		{"a rule was first", proposed(pii.Person, "육갑수(010", "010-1234-5678", "환자 육갑수"), "환자 육갑수(010-1234-5678)", "환자 <PERSON_1>(<PHONE_1>)"},
		{"a token", proposed(pii.Person, "<PERSON_1>", "PERSON", "\x00"), "환자 육갑수 <PERSON_9>", "환자 <PERSON_1> <PERSON_9>"},
		{"usual words", proposed(pii.Person, "환자", "the", "김치", "2", "A", "yesterday and today", strings.Repeat("long ", 30)), "환자 the 김치 2 A yesterday and today", "환자 the 김치 2 A yesterday and today"},
		{"no address", proposed(pii.Address, "here", "at home with them", "a 1"), "here at home with them a 1", "here at home with them a 1"},
		{"another kind", proposed(pii.Phone, "Quill"), "Quill came.", "Quill came."},
		{"too weak", []pii.Suggestion{{Value: pii.Value{Entity: pii.Person, Value: "Quill"}, Score: 0.4}}, "Quill came.", "Quill came."},
		{"none", nil, "Quill came.", "Quill came."},
	} {
		m := newMasker(t, pii.Options{})
		got := guided(t, m, pii.Guidance{More: c.more}, c.text)
		if got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
		if again := mask(t, m, got); again != got {
			t.Errorf("%s: masked again: %q", c.name, again)
		}
	}
}

// Whatever a model proposes, what rules find stays found: same places, entities
// and scores.
func TestSuggestionsOnlyAdd(t *testing.T) {
	m := newMasker(t, pii.Options{})
	for _, row := range readJSONL[labelled](t, "synth_dev.jsonl") {
		var more []pii.Suggestion
		for word := range strings.FieldsSeq(row.Text) {
			more = append(more, proposed(pii.Person, word)...)
			more = append(more, proposed(pii.Address, word)...)
		}
		more = append(more, proposed(pii.Address, row.Text)...)
		_, all, err := m.MaskGuided([]string{row.Text}, pii.Guidance{More: more})
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range m.Find(row.Text) {
			i := slices.IndexFunc(all[0], func(g pii.Finding) bool { return g.Start == f.Start })
			if i < 0 || all[0][i].End != f.End || all[0][i].Entity != f.Entity || all[0][i].Recogniser != f.Recogniser {
				t.Fatalf("%s: a finding of %s is lost", row.ID, f.Recogniser)
			}
		}
	}
}

// What is allowed stays, and marks say who proposed the rest.
func TestSuggestionsAllowedAndMarked(t *testing.T) {
	m := newMasker(t, pii.Options{Allow: []string{"Dr. Quill"}})
	_, all, err := m.MaskGuided([]string{"Quill and Wembley", "Wembley"}, pii.Guidance{More: proposed(pii.Person, "Quill", "Wembley")})
	if err != nil || len(all[0]) != 1 || len(all[1]) != 1 || all[0][0].Token != all[1][0].Token {
		t.Fatalf("%+v, %v", all, err)
	}
	if f := all[0][0]; f.Recogniser != pii.SecondPass || f.Evidence != "proposed by a model" || f.Score != 0.5 {
		t.Errorf("%+v", f)
	}
	m = newMasker(t, pii.Options{Entities: []string{pii.Phone}})
	if got := guided(t, m, pii.Guidance{More: proposed(pii.Person, "Quill")}, "Quill"); got != "Quill" {
		t.Errorf("an entity that is not wanted: %q", got)
	}
}

// What a person keeps in a record stays in it, in each of its texts.
func TestKeep(t *testing.T) {
	m := newMasker(t, pii.Options{})
	g := pii.Guidance{Keep: []pii.Value{{Entity: pii.Person, Value: "육갑수"}, {Entity: pii.Phone, Value: "010 1234 5678"}}}
	if got := guided(t, m, g, "환자 육갑수(010-1234-5678)", "육갑수는 010-8765-4321"); got != "환자 육갑수(010-1234-5678)|육갑수는 <PHONE_1>" {
		t.Errorf("%q", got)
	}
	if got := guided(t, m, pii.Guidance{Keep: []pii.Value{{Entity: pii.Email, Value: "육갑수"}}}, "환자 육갑수"); got != "환자 <PERSON_1>" {
		t.Errorf("another kind: %q", got)
	}
	if got := mask(t, m, "환자 육갑수"); got != "환자 <PERSON_1>" {
		t.Errorf("another record: %q", got)
	}
}

// Findings that are barely masked, and what barely is not, are uncertain; what
// a person has decided on no longer is.
func TestUncertain(t *testing.T) {
	m := newMasker(t, pii.Options{Entities: pii.DatasetEntities()})
	const text = "환자 육갑수, 서울 강남구에서 만나 문의 1588-3366."
	doubts := func(g pii.Guidance, from, to float64) string {
		var out []string
		for _, d := range m.Uncertain([]string{text}, g, from, to)[0] {
			out = append(out, text[d.Start:d.End]+map[bool]string{true: "+", false: "-"}[d.Masked])
		}
		return strings.Join(out, " ")
	}
	if got := doubts(pii.Guidance{}, 0.3, 0.7); got != "서울 강남구- 1588-3366+" {
		t.Errorf("%q", got)
	}
	if got := doubts(pii.Guidance{}, 0.5, 0.7); got != "1588-3366+" {
		t.Errorf("only what is masked: %q", got)
	}
	if got := doubts(pii.Guidance{}, 0.7, 1.01); got != "육갑수+" {
		t.Errorf("what is certain: %q", got)
	}
	decided := pii.Guidance{Keep: []pii.Value{{Entity: pii.Phone, Value: "1588-3366"}},
		More: []pii.Suggestion{{Value: pii.Value{Entity: pii.Address, Value: "서울 강남구"}, Recogniser: pii.Review, Score: 1}}}
	if got := doubts(decided, 0.3, 0.7); got != "" {
		t.Errorf("after decisions: %q", got)
	}
	if got := guided(t, m, decided, text); got != "환자 <PERSON_1>, <ADDRESS_1>에서 만나 문의 1588-3366." {
		t.Errorf("masked by decisions: %q", got)
	}
}
