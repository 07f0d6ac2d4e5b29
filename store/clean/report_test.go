package clean_test

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"

	"cloister/store/clean"
	"cloister/store/ingest"
)

// desk is a set in which everything happens; "sesame" marks its texts.
func desk() []ingest.Record {
	var recs []ingest.Record
	add := func(q, a string) { recs = append(recs, ingest.Record{Row: len(recs) + 2, Question: q, Answer: a}) }
	for i := range 60 {
		add(fmt.Sprintf("Where is sesame room number %d, please?", 100+i), fmt.Sprintf("Sesame room %d is on floor %d, to the left.", 100+i, i/10))
	}
	for i := range 12 {
		add(fmt.Sprintf("What about sesame thing %d?", i), "Please ask at the sesame desk, we do not know.")
	}
	add("<b>Where</b> is sesame room number 100, please?", "Sesame room 100 is on  floor 0, to the left.") // 74
	add("where is sesame room number 101", "sesame room 101 is on floor 1, to the left")                   // 75: conflict, another floor
	add("where is sesame room number 102", "sesame room 102 is on floor 0, to the left")                   // 76
	add("", " ")                                                                                           // 77
	add("Sesame?", "<br>")                                                                                 // 78
	add("&nbsp;", "Sesame.")                                                                               // 79
	add("Is sesame good for you and me?", "Yes.")                                                          // 80
	add("Tell me all about sesame", strings.Repeat("Sesame is a plant. ", 150))                            // 81
	add("Sesame \uFFFD here?", "We do not know that at all.")                                              // 82
	add("Sesame, do you have it today?", "sesame - do you have it today")                                  // 83
	return recs
}

func TestReport(t *testing.T) {
	out, rep := clean.Clean(desk(), clean.Options{})
	wantDropped := []clean.Drop{
		{Row: 74, Reason: clean.Duplicate, DuplicateOf: 2}, {Row: 76, Reason: clean.NearDuplicate, DuplicateOf: 4},
		{Row: 77, Reason: clean.Empty}, {Row: 78, Reason: clean.EmptyAnswer}, {Row: 79, Reason: clean.EmptyQuestion},
	}
	if !reflect.DeepEqual(rep.Dropped, wantDropped) {
		t.Errorf("dropped %+v", rep.Dropped)
	}
	wantFlags := []clean.Flag{
		{Row: 62, Flag: clean.SameAnswer, Rows: 12}, {Row: 75, Flag: clean.Conflict, Other: 3}, {Row: 80, Flag: clean.AnswerShort},
		{Row: 81, Flag: clean.AnswerLong}, {Row: 82, Flag: clean.Broken}, {Row: 83, Flag: clean.Echo},
	}
	if !reflect.DeepEqual(rep.Flags, wantFlags) {
		t.Errorf("flags %+v", rep.Flags)
	}
	wantChanged := []clean.Change{
		{Row: 74, What: []string{clean.ChangedHTML, clean.ChangedSpace}}, {Row: 77, What: []string{clean.ChangedSpace}},
		{Row: 78, What: []string{clean.ChangedHTML}}, {Row: 79, What: []string{clean.ChangedHTML}}, {Row: 81, What: []string{clean.ChangedSpace}},
	}
	if !reflect.DeepEqual(rep.Changed, wantChanged) {
		t.Errorf("changed %+v", rep.Changed)
	}
	if rep.Rows != 82 || rep.Kept != 77 || len(out) != 77 || rep.DropRows != 5 || rep.EditRows != 5 {
		t.Errorf("%d rows, %d kept, %d dropped, %d changed", rep.Rows, rep.Kept, rep.DropRows, rep.EditRows)
	}
}

// TestNoTextInReport: a report may be shown and stored where data may not.
func TestNoTextInReport(t *testing.T) {
	_, rep := clean.Clean(desk(), clean.Options{})
	b, err := json.Marshal(rep)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{string(b), rep.String()} {
		if strings.Contains(strings.ToLower(text), "sesame") {
			t.Errorf("the report holds a text of the data:\n%s", text)
		}
	}
	var back clean.Report
	if err := json.Unmarshal(b, &back); err != nil || !reflect.DeepEqual(back, rep) {
		t.Errorf("the report does not survive JSON: %v", err)
	}
}

func TestReportForTerminals(t *testing.T) {
	_, rep := clean.Clean(desk(), clean.Options{})
	const want = `rows            82
changed          5   3 HTML, 3 white space
dropped          5   1 empty, 1 without a question, 1 without an answer, 1 exact duplicate, 1 near-duplicate
kept            77
flagged         17   1 conflicting answers, 1 answer short, 1 answer long, 12 same answer, 1 answer repeats the question, 1 broken characters

characters      p5    p50    p95    max  different  distinct-1  distinct-2
question        26     40     40     40         77        0.19        0.36
answer          42     43     46   2849         66        0.07        0.13
language   English 100.0 %

empty: rows 77
without a question: rows 79
without an answer: rows 78
exact duplicate: rows 74 (of 2)
near-duplicate: rows 76 (of 4)
HTML changed: rows 74, 78, 79
white space changed: rows 74, 77, 81
conflicting answers: rows 75 (and 3)
answer short: rows 80
answer long: rows 81
same answer: rows 62 (12 rows)
answer repeats the question: rows 83
broken characters: rows 82
warning: 1 row asks a question that another row answers differently; correct the wrong one, or the model learns both.
warning: 1 row holds characters that were lost in an earlier conversion; export the file anew as UTF-8.
`
	if got := rep.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	var many []ingest.Record
	for i := range 20 {
		many = append(many, ingest.Record{Row: i + 1})
	}
	_, rep = clean.Clean(many, clean.Options{})
	const few = `rows            20
changed          0
dropped         20   20 empty
kept             0

empty: rows 1, 2, 3, 4, 5 and 15 more
`
	if got := rep.String(); !strings.HasPrefix(got, few) || !strings.Contains(got, "warning: Only 0 examples are left") || !strings.Contains(got, "warning: 20 of 20 rows were dropped") {
		t.Errorf("got\n%s", got)
	}
}

func TestStatistics(t *testing.T) {
	in := []ingest.Record{
		{Row: 1, Question: "a b c", Answer: "one two one two"},
		{Row: 2, Question: "병원 시간은?", Answer: "아홉 시부터 한 시까지"},
		{Row: 3, Question: "병원의 Wi-Fi는?", Answer: "FernGuest입니다, 비밀번호는 없습니다"},
		{Row: 4, Question: "Что это?", Answer: "Это больница."},
	}
	_, rep := clean.Clean(in, clean.Options{})
	st := rep.Statistics
	if want := map[string]float64{"en": 0.25, "ko": 0.5, "other": 0.25}; !reflect.DeepEqual(st.Languages, want) {
		t.Errorf("languages %v", st.Languages)
	}
	if st.Groups != 4 || st.Questions.P5 != 5 || st.Questions.Max != 11 || st.Answers.Distinct != 4 {
		t.Errorf("%+v", st)
	}
	// Answers: 4+4+3+2 words, 2 of them again; 3+3+2+1 pairs, 1 of them again.
	if math.Abs(st.Answers.Distinct1-11.0/13) > 1e-9 || math.Abs(st.Answers.Distinct2-8.0/9) > 1e-9 {
		t.Errorf("distinct-1 %v, distinct-2 %v", st.Answers.Distinct1, st.Answers.Distinct2)
	}
	warnings := strings.Join(rep.Warnings, "\n")
	if !strings.Contains(warnings, "Only 4 examples") || !strings.Contains(warnings, "mixes languages") {
		t.Errorf("warnings %q", rep.Warnings)
	}
}

// TestLabelsAreNoFault: a set for classification has few short answers.
func TestLabelsAreNoFault(t *testing.T) {
	var in []ingest.Record
	for i := range 100 {
		in = append(in, ingest.Record{Row: i + 1, Question: fmt.Sprintf("Message number %d about something", i), Answer: []string{"ok", "no"}[i%2]})
	}
	_, rep := clean.Clean(in, clean.Options{})
	if len(rep.Flags) != 0 || rep.MinAnswer != 0 || rep.SameAnswer != 0 {
		t.Errorf("%+v, bounds %d and %d", rep.Flags, rep.MinAnswer, rep.SameAnswer)
	}
	_, rep = clean.Clean(in, clean.Options{MinAnswer: 3, SameAnswer: 50, MaxAnswer: 10})
	if rep.Flagged[clean.AnswerShort] != 100 || rep.Flagged[clean.SameAnswer] != 100 || len(rep.Flags) != 102 {
		t.Errorf("with bounds: %v, %d flags", rep.Flagged, len(rep.Flags))
	}
}

func TestNothing(t *testing.T) {
	out, rep := clean.Clean(nil, clean.Options{})
	if len(out) != 0 || rep.Rows != 0 || !strings.Contains(rep.String(), "rows             0") {
		t.Errorf("%v\n%s", out, rep)
	}
}

func TestInputIsNotChanged(t *testing.T) {
	in, same := desk(), desk()
	clean.Clean(in, clean.Options{})
	if !reflect.DeepEqual(in, same) {
		t.Error("Clean changed the records that it was given")
	}
}
