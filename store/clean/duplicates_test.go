package clean_test

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"cloister/store/clean"
	"cloister/store/ingest"
)

// rows makes records of "question | answer", with row numbers from 2.
func rows(pairs ...string) []ingest.Record {
	var recs []ingest.Record
	for i, p := range pairs {
		q, a, _ := strings.Cut(p, " | ")
		recs = append(recs, ingest.Record{Row: i + 2, Question: q, Answer: a})
	}
	return recs
}

func numbers(recs []ingest.Record) []int {
	var out []int
	for _, r := range recs {
		out = append(out, r.Row)
	}
	return out
}

func TestNearDuplicates(t *testing.T) {
	const first = "When does the front desk close for lunch? | The desk closes at 12:50."
	const ko = "토요일에 주차가 되나요? | 지하 4층에 주차하시면 됩니다."
	for _, tt := range []struct {
		name, a, b string
		want       string // reason of the drop of b, clean.Conflict, or ""
	}{
		{"exact", first, first, clean.Duplicate},
		{"exact after cleaning", first, "<p>When does the  front desk close for lunch?</p> | The&nbsp;desk closes at 12:50.", clean.Duplicate},
		{"case and punctuation", first, "WHEN DOES THE FRONT DESK CLOSE FOR LUNCH | the desk closes at 12:50", clean.NearDuplicate},
		{"greeting", first, "Hi, when does the front desk close for lunch please? Thanks! | The desk closes at 12:50.", clean.NearDuplicate},
		{"swapped letters", first, "When does the fornt desk close for lunch? | The desk closes at 12:50.", clean.NearDuplicate},
		{"letter too many in both", first, "When does the front desk close for luncch? | The desk closses at 12:50.", clean.NearDuplicate},
		{"full width", "What time is it? | 12:50 at the desk.", "Ｗｈａｔ　ｔｉｍｅ　ｉｓ　ｉｔ？ | 12:50 at the desk.", clean.NearDuplicate},

		{"paraphrase", first, "At what time is the front desk closed for lunch? | The desk closes at 12:50.", ""},
		{"one word more", first, "When does the front desk close for lunch today? | The desk closes at 12:50.", ""},
		{"another word", first, "When does the back desk close for lunch? | The desk closes at 12:50.", ""},
		{"another word of like length", "Where can I leave the parcels for you? | At the desk.", "Where can I leave the papers for you? | At the desk.", ""},
		{"figures joined", "Is room 12 3 open now? | Yes, it is that.", "Is room 123 open now? | Yes, it is that.", ""},
		{"another order", "Is the desk open? | Yes, until 12:50.", "The desk is open? | Yes, until 12:50.", ""},
		{"negation", "Can I come now with a dog? | Please call us.", "Can I come not with a dog? | Please call us.", ""},
		{"number in the question", "Where is Room 214 please? | On the second floor.", "Where is Room 215 please? | On the second floor.", ""},
		{"figures set apart", "Is it 12 3 now? | Yes, it is that.", "Is it 1 23 now? | Yes, it is that.", ""},
		{"name", "Is Dr. Hanson in today? | Yes, until noon.", "Is Dr. Hansen in today? | Yes, until noon.", ""},
		{"name with a letter more", "Is Dr. Clark in today? | Yes, until noon.", "Is Dr. Clarke in today? | Yes, until noon.", ""},

		{"another answer", first, "When does the front desk close for lunch? | The desk closes at 12:30.", clean.Conflict},
		{"another answer to a misspelt question", first, "When does the fornt desk close for lunch? | It never closes.", clean.Conflict},
		{"another answer to a paraphrase", first, "At what time is the front desk closed for lunch? | It never closes.", ""},

		{"name in small letters", "is dr clark in today? | Yes, until noon.", "is dr clarke in today? | Yes, until noon.", ""},

		{"Korean spacing", ko, "토요일에주차가 되나요? | 지하 4층에 주차하시면 됩니다.", clean.NearDuplicate},
		{"Korean particle left out", ko, "토요일 주차 되나요 | 지하 4층에 주차하시면 됩니다", clean.NearDuplicate},
		{"Korean ending", ko, "토요일에 주차가 됩니까? | 지하 4층에 주차하시면 됩니다.", clean.NearDuplicate},
		{"Korean greeting", ko, "안녕하세요, 혹시 토요일에 주차가 되나요? | 지하 4층에 주차하시면 됩니다.", clean.NearDuplicate},
		{"Korean another day", ko, "일요일에 주차가 되나요? | 지하 4층에 주차하시면 됩니다.", ""},
		{"Korean name", "김민수 변호사님 계신가요? | 네, 오후에 계십니다.", "김민서 변호사님 계신가요? | 네, 오후에 계십니다.", ""},
		{"Korean who did what to whom", "임차인이 집주인을 고소했는데요 어떻게 하죠? | 상담을 예약해 주세요.", "임차인을 집주인이 고소했는데요 어떻게 하죠? | 상담을 예약해 주세요.", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			out, rep := clean.Clean(rows(tt.a, tt.b), clean.Options{})
			got := ""
			switch {
			case len(rep.Dropped) == 1:
				got = rep.Dropped[0].Reason
				if want := (clean.Drop{Row: 3, Reason: got, DuplicateOf: 2}); rep.Dropped[0] != want {
					t.Errorf("dropped %+v", rep.Dropped[0])
				}
			case len(rep.Flags) == 1:
				got = rep.Flags[0].Flag
				if want := (clean.Flag{Row: 3, Flag: clean.Conflict, Other: 2}); rep.Flags[0] != want {
					t.Errorf("flagged %+v", rep.Flags[0])
				}
			}
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if dropped := tt.want == clean.Duplicate || tt.want == clean.NearDuplicate; dropped != (len(out) == 1) {
				t.Errorf("%d rows are left", len(out))
			}
		})
	}
}

func TestDuplicatesCanStay(t *testing.T) {
	in := rows("When do you open? | At seven.", "When do you open? | At seven.", "when do you open | at seven")
	for _, tt := range []struct {
		o    clean.Options
		want []int
	}{
		{clean.Options{}, []int{2}},
		{clean.Options{KeepNearDuplicates: true}, []int{2, 4}},
		{clean.Options{KeepDuplicates: true}, []int{2, 3}},
		{clean.Options{KeepDuplicates: true, KeepNearDuplicates: true}, []int{2, 3, 4}},
	} {
		out, _ := clean.Clean(in, tt.o)
		if !reflect.DeepEqual(numbers(out), tt.want) {
			t.Errorf("%+v: rows %v are left, want %v", tt.o, numbers(out), tt.want)
		}
		for _, r := range out {
			if r.Group != out[0].Group || r.Group == "" {
				t.Errorf("%+v: row %d has group %q", tt.o, r.Row, r.Group)
			}
		}
	}
}

func TestConversationsAreCompared(t *testing.T) {
	zero := 0
	conv := func(row int, weight *int, texts ...string) ingest.Record {
		r := ingest.Record{Row: row}
		for i, text := range texts {
			m := ingest.Message{Role: ingest.RoleUser, Content: text}
			if i%2 == 1 {
				m.Role, m.Weight = ingest.RoleAssistant, weight
			}
			r.Messages = append(r.Messages, m)
		}
		return r
	}
	in := []ingest.Record{
		conv(1, nil, "Hello?", "<b>Yes</b>?", "When do you open?", "At seven."),
		conv(2, nil, "Hello?", "Yes?", "When do you open?", "At seven."),
		conv(3, nil, "hello", "yes", "when do you open", "at seven"),
		conv(4, nil, "Hello?", "Yes?", "When do you open?", "At eight."),
		conv(5, nil, "When do you open?", "At seven."),
		conv(6, &zero, "Is it far?", "No, quite near.", "How far is it?", "Two streets."),
		conv(7, nil, "", "Anybody?"),
	}
	out, rep := clean.Clean(in, clean.Options{})
	if got := numbers(out); !reflect.DeepEqual(got, []int{1, 4, 5}) {
		t.Errorf("rows %v are left", got)
	}
	if out[0].Messages[1].Content != "Yes?" || in[0].Messages[1].Content != "<b>Yes</b>?" {
		t.Errorf("cleaned %q of %q", out[0].Messages[1].Content, in[0].Messages[1].Content)
	}
	want := []clean.Drop{
		{Row: 2, Reason: clean.Duplicate, DuplicateOf: 1}, {Row: 3, Reason: clean.NearDuplicate, DuplicateOf: 1},
		{Row: 6, Reason: clean.EmptyAnswer}, {Row: 7, Reason: clean.EmptyQuestion},
	}
	if !reflect.DeepEqual(rep.Dropped, want) {
		t.Errorf("dropped %+v", rep.Dropped)
	}
	if len(rep.Flags) == 0 || rep.Flags[0] != (clean.Flag{Row: 4, Flag: clean.Conflict, Other: 1}) {
		t.Errorf("flags %+v", rep.Flags)
	}
}

func TestGroup(t *testing.T) {
	same := [][]string{
		{"When do you open?", "when do you open", "WHEN DO YOU OPEN?!", " When  do you open ", "Hi, when do you open please?", "When do you open? Thanks"},
		{"What's the fee?", "Whats the fee", "What’s the fee?"},
		{"주차가 되나요?", "주차 되나요", "주차는 됩니까?", "주차가돼요?", "안녕하세요. 주차가 되나요?"},
		{"상담료가 얼마인가요?", "상담료는 얼마예요", "상담료 얼마입니까?"},
		{"Ｏｐｅｎ？", "open"},
		{"Hello?", "hello"},
	}
	seen := map[string]string{}
	for _, class := range same {
		g := clean.Group(class[0])
		if other, ok := seen[g]; ok {
			t.Errorf("%q and %q share a group", class[0], other)
		}
		seen[g] = class[0]
		for _, q := range class[1:] {
			if clean.Group(q) != g {
				t.Errorf("%q is not in the group of %q", q, class[0])
			}
		}
	}
	different := []string{
		"When do you open on Monday?", "When do you open on Sunday?", "Do you open when?", "Where is Room 214?", "Where is Room 215?",
		"At what time do you open?", "주차장은 어디예요?", "주차는 얼마예요?", "1 23", "12 3", "", "?",
	}
	for _, q := range different[:len(different)-1] { // "" and "?" say the same
		g := clean.Group(q)
		if other, ok := seen[g]; ok {
			t.Errorf("%q and %q share a group", q, other)
		}
		seen[g] = q
	}
	if strings.Contains(clean.Group("Ada Lovelace"), "ada") {
		t.Error("a group shows its question")
	}
}

// TestMisspeltQuestionsShareAGroup: what Group alone cannot see must not put
// one question into two splits.
func TestMisspeltQuestionsShareAGroup(t *testing.T) {
	out, _ := clean.Clean(rows(
		"When does the front desk close for lunch? | At 12:50.",
		"Where can I park? | Behind the house.",
		"When does the fornt desk close for lunch? | Just before one o'clock, at 12:50.",
	), clean.Options{})
	if len(out) != 3 || out[0].Group != out[2].Group || out[0].Group == out[1].Group {
		t.Errorf("groups %q, %q, %q", out[0].Group, out[1].Group, out[2].Group)
	}
	if out[0].Group != clean.Group(out[0].Question) {
		t.Error("the group of the first row is not Group of its question")
	}
}

// synthetic makes n different questions, and after every tenth of them a copy
// with two letters swapped.
func synthetic(n int) (recs []ingest.Record, copies int) {
	rnd := rand.New(rand.NewPCG(1, 2))
	syllables := strings.Fields("ba ce di fo gu ha je ki lo mu na pe qui ro su ta ve wi xo zu")
	wordOf := func() string {
		var b strings.Builder
		for range 3 + rnd.IntN(2) {
			b.WriteString(syllables[rnd.IntN(len(syllables))])
		}
		return b.String()
	}
	for i := range n {
		ws := []string{"where", "is", "the"}
		for range 5 {
			ws = append(ws, wordOf())
		}
		answer := "it is by the " + wordOf() + " " + wordOf()
		recs = append(recs, ingest.Record{Row: len(recs) + 1, Question: strings.Join(ws, " "), Answer: answer})
		if i%10 == 0 {
			w := []byte(ws[5])
			w[2], w[3] = w[3], w[2]
			if string(w) == ws[5] {
				continue
			}
			ws[5] = string(w)
			copies++
			recs = append(recs, ingest.Record{Row: len(recs) + 1, Question: strings.Join(ws, " "), Answer: answer})
		}
	}
	return recs, copies
}

func TestNearDuplicatesAreFoundAmongMany(t *testing.T) {
	recs, copies := synthetic(3000)
	out, rep := clean.Clean(recs, clean.Options{})
	if got := rep.Drops[clean.NearDuplicate]; got < copies*99/100 || got > copies {
		t.Errorf("%d of %d near-duplicates found", got, copies)
	}
	if len(out) != len(recs)-rep.Drops[clean.NearDuplicate] {
		t.Errorf("%d rows left of %d", len(out), len(recs))
	}
}

func BenchmarkClean(b *testing.B) {
	for _, n := range []int{1_000, 10_000, 100_000} {
		recs, _ := synthetic(n)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				clean.Clean(recs, clean.Options{})
			}
			b.ReportMetric(float64(len(recs))*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}
