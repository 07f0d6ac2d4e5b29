package ingest_test

import (
	"errors"
	"strings"
	"testing"

	"cloister/store/ingest"
)

func readAll(text string) ([]ingest.Record, error) {
	var out []ingest.Record
	err := ingest.Read(strings.NewReader(text), "prefs.jsonl", ingest.Options{}, func(r ingest.Record) error {
		out = append(out, r)
		return nil
	})
	return out, err
}

const aPair = `{"input":{"messages":[{"role":"user","content":"Q"}]},"preferred_output":[{"role":"assistant","content":"good"}],"non_preferred_output":[{"role":"assistant","content":"bad"}]}`

func TestPairs(t *testing.T) {
	long := `{"input":{"messages":[{"role":"system","content":"S"},{"role":"user","content":"Q1"},{"role":"assistant","content":"A1"},{"role":"user","content":"Q2"}],"tools":[]},` +
		`"preferred_output":[{"role":"assistant","content":"good"}],"non_preferred_output":[{"role":"assistant","content":[{"type":"text","text":"bad"}]}]}`
	got, err := readAll(aPair + "\n" + long + "\n")
	if err != nil || len(got) != 2 {
		t.Fatal(got, err)
	}
	if r := got[0]; r.Question != "Q" || r.Answer != "good" || r.Rejected != "bad" || r.Row != 1 || r.Line != 1 || r.Messages != nil {
		t.Errorf("%+v", r)
	}
	r := got[1]
	if len(r.Messages) != 5 || r.Rejected != "bad" || r.Messages[4].Content != "good" || r.Messages[4].Weight != nil {
		t.Fatalf("%+v", r)
	}
	if w := r.Messages[2].Weight; w == nil || *w != 0 {
		t.Error("an answer within the input is learnt")
	}
}

func TestLabels(t *testing.T) {
	got, err := readAll(`{"messages":[{"role":"user","content":"Q"},{"role":"assistant","content":"A"}],"label":false}
{"messages":[{"role":"user","content":"Q"},{"role":"assistant","content":"A"},{"role":"user","content":"R"},{"role":"assistant","content":"B"}],"label":true}
{"messages":[{"role":"user","content":"Q"},{"role":"assistant","content":"A"}],"label":"news"}
`)
	if err != nil || len(got) != 3 {
		t.Fatal(got, err)
	}
	if got[0].Desirable == nil || *got[0].Desirable || got[1].Desirable == nil || !*got[1].Desirable || got[2].Desirable != nil {
		t.Errorf("%+v", got)
	}
	if w := got[1].Messages[1].Weight; w == nil || *w != 0 {
		t.Error("only the last answer is judged")
	}
}

func TestPairsRefused(t *testing.T) {
	for name, c := range map[string]struct{ line, field, want string }{
		"no input":      {`{"preferred_output":[]}`, "input", "an object"},
		"input a list":  {strings.Replace(aPair, `{"messages":[{"role":"user","content":"Q"}]}`, `[]`, 1), "input", "an object"},
		"no messages":   {strings.Replace(aPair, `[{"role":"user","content":"Q"}]`, `[]`, 1), "input", "no messages"},
		"tools":         {strings.Replace(aPair, `"Q"}]`, `"Q"}],"tools":[{}]`, 1), "input", "tools"},
		"a bad message": {strings.Replace(aPair, `"role":"user"`, `"role":"boss"`, 1), "input", "message 1"},
		"last message":  {strings.Replace(aPair, `"role":"user"`, `"role":"assistant"`, 1), "input", "role user"},
		"no other":      {strings.Replace(aPair, "non_preferred_output", "other", 1), "non_preferred_output", "missing"},
		"two":           {strings.Replace(aPair, `"content":"good"}`, `"content":"good"},{"role":"assistant","content":"x"}`, 1), "preferred_output", "one message"},
		"of the user":   {strings.Replace(aPair, `{"role":"assistant","content":"bad"}`, `{"role":"user","content":"bad"}`, 1), "non_preferred_output", "assistant"},
		"empty":         {strings.Replace(aPair, `"bad"`, `""`, 1), "non_preferred_output", "empty"},
		"no text":       {strings.Replace(aPair, `"bad"`, `7`, 1), "non_preferred_output", "not a text"},
	} {
		_, err := readAll(aPair + "\n" + c.line + "\n")
		e, ok := errors.AsType[*ingest.Error](err)
		if !ok || e.Line != 2 || e.Column != c.field || !strings.Contains(e.Msg, c.want) {
			t.Errorf("%s: %v, want line 2, field %s: %q", name, err, c.field, c.want)
		}
	}
}
