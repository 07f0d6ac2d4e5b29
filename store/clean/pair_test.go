package clean_test

import (
	"testing"

	"cloister/store/clean"
	"cloister/store/ingest"
)

// Both answers of a pair are cleaned; a pair that prefers nothing is dropped;
// another rejected answer or another judgement makes another row.
func TestJudgements(t *testing.T) {
	yes, no := true, false
	got, rep := clean.Clean([]ingest.Record{
		{Row: 1, Question: "Where is the key?", Answer: "In the drawer.", Rejected: "<p>I do  not know.</p>"},
		{Row: 2, Question: "Where is the key?", Answer: "In the drawer.", Rejected: "Ask somebody else."},
		{Row: 3, Question: "Where is the key?", Answer: "In the drawer.", Rejected: "I do not know."},
		{Row: 4, Question: "Where is the lamp?", Answer: "On the table.", Rejected: "<b>On the table.</b>"},
		{Row: 5, Question: "Where is the lamp?", Answer: "On the table.", Rejected: "<script>x</script>"},
		{Row: 6, Question: "Where is the hall?", Answer: "Upstairs.", Desirable: &yes},
		{Row: 7, Question: "Where is the hall?", Answer: "Upstairs.", Desirable: &no},
		{Row: 8, Question: "Where is the hall?", Answer: "Upstairs.", Desirable: &yes},
	}, clean.Options{})
	var rows []int
	for _, r := range got {
		rows = append(rows, r.Row)
	}
	if len(rows) != 4 || rows[0] != 1 || rows[1] != 2 || rows[2] != 6 || rows[3] != 7 {
		t.Errorf("rows %v stay, want 1 2 6 7", rows)
	}
	if got[0].Rejected != "I do not know." {
		t.Error("the rejected answer is not cleaned")
	}
	for reason, n := range map[string]int{clean.EqualAnswers: 1, clean.EmptyAnswer: 1, clean.Duplicate: 2} {
		if rep.Drops[reason] != n {
			t.Errorf("%d rows dropped as %s, want %d", rep.Drops[reason], reason, n)
		}
	}
}
