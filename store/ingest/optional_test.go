package ingest_test

import (
	"maps"
	"strings"
	"testing"

	"cloister/store/ingest"
)

// Optional columns are given where the file has them; Extra must be there.
func TestOptional(t *testing.T) {
	o := ingest.Options{AnswerColumn: "expected", Optional: []string{"key", "human_score"}}
	for name, file := range map[string]struct {
		text string
		want map[string]string
	}{
		"both.csv":   {"question,expected,human_score,key\nq,a,4,k\n", map[string]string{"key": "k", "human_score": "4"}},
		"one.csv":    {"question,expected,key\nq,a,k\n", map[string]string{"key": "k"}},
		"none.csv":   {"question,expected\nq,a\n", nil},
		"one.jsonl":  {`{"question":"q","expected":"a","human_score":4}`, map[string]string{"human_score": "4"}},
		"none.jsonl": {`{"question":"q","expected":"a"}`, nil},
	} {
		var got []ingest.Record
		err := ingest.Read(strings.NewReader(file.text), name, o, func(r ingest.Record) error {
			got = append(got, r)
			return nil
		})
		if err != nil || len(got) != 1 || !maps.Equal(got[0].Extra, file.want) {
			t.Errorf("%s: %v, %+v", name, err, got)
		}
	}
	messages := `{"messages":[{"role":"user","content":"q"},{"role":"assistant","content":"a"}],"key":"k"}`
	err := ingest.Read(strings.NewReader(messages), "m.jsonl", ingest.Options{Optional: []string{"key", "human_score"}}, func(r ingest.Record) error {
		if !maps.Equal(r.Extra, map[string]string{"key": "k"}) {
			t.Errorf("messages: %v", r.Extra)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	o.Extra = []string{"grade"}
	err = ingest.Read(strings.NewReader("question,expected\nq,a\n"), "x.csv", o, func(ingest.Record) error { return nil })
	if err == nil || !strings.Contains(err.Error(), "grade") {
		t.Errorf("a missing column of Extra: %v", err)
	}
}
