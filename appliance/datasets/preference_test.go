package datasets_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"cloister/appliance/datasets"
	"cloister/appliance/fault"
	"cloister/store"
)

// pairFile are n preference pairs; a patient's number stands in the rejected answers.
func pairFile(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `{"input":{"messages":[{"role":"user","content":"Where is room %d?"}]},"preferred_output":[{"role":"assistant","content":"On floor %d."}],"non_preferred_output":[{"role":"assistant","content":"<b>Call</b> %s about %d."}]}`+"\n", i, i%7, patient, i)
	}
	return b.String()
}

// Nothing of a pair is stored unmasked, and appending carries it on.
func TestImportPairs(t *testing.T) {
	k := newKit(t)
	req := datasets.ImportRequest{Name: "prefs", FileName: "prefs.jsonl"}
	v := k.load(t, req, pairFile(20))
	if v.Kind != store.Pairs {
		t.Errorf("the version is of kind %q", v.Kind)
	}
	req.Append = true
	more := k.load(t, req, strings.ReplaceAll(pairFile(3), "room", "hall"))
	all := k.examples(t, more)
	if len(all) != 23 || more.Kind != store.Pairs {
		t.Fatalf("%d examples of kind %q", len(all), more.Kind)
	}
	for _, ex := range all {
		if ex.Rejected == "" || strings.Contains(ex.Rejected, patient) || strings.Contains(ex.Rejected, "<b>") || !strings.HasPrefix(ex.Rejected, "Call <PHONE") {
			t.Fatalf("row %d has a rejected answer that is not cleaned and masked", ex.Row)
		}
		if len(ex.Messages) != 2 || ex.Kind() != store.Pairs {
			t.Fatalf("row %d has %d messages", ex.Row, len(ex.Messages))
		}
	}
	rep, err := k.sets.Report("prefs", 1)
	if err != nil || rep.Mask.Rows != 20 {
		t.Errorf("%d rows with findings (%v)", rep.Mask.Rows, err)
	}
	if err := k.st.Check(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestImportMixed(t *testing.T) {
	k := newKit(t)
	_, err := k.sets.Import(t.Context(), datasets.ImportRequest{Name: "mixed", FileName: "mixed.jsonl"}, strings.NewReader(pairFile(2)+
		`{"messages":[{"role":"user","content":"Where?"},{"role":"assistant","content":"Here."}],"label":true}`+"\n"))
	if f, ok := errors.AsType[*fault.Error](err); !ok || f.Code != "mixed_examples" || !strings.Contains(f.Message, "Row 1 is a preference pair, and row 3 has a label") {
		t.Errorf("%v", err)
	}
}

func TestPairsFromFiles(t *testing.T) {
	k := newKit(t)
	v, err := k.sets.FromFiles(t.Context(), k.upload(t, pairFile(11)), "")
	if err != nil || v.Kind != store.Pairs {
		t.Fatal(v.Kind, err)
	}
	for _, ex := range k.examples(t, v) {
		if ex.Rejected == "" || strings.Contains(ex.Rejected, patient) {
			t.Fatalf("row %d has a rejected answer that is not masked", ex.Row)
		}
	}
	old := strings.NewReplacer("non_preferred_output", "non_preferred_completion", `"preferred_output"`, `"preferred_completion"`).Replace(pairFile(10))
	if v, err = k.sets.FromFiles(t.Context(), k.upload(t, old), ""); err != nil || v.Kind != store.Pairs {
		t.Errorf("the older names: %v", err)
	}
	judged := strings.ReplaceAll(chatFile(12), `]}`, `],"label":false}`)
	if v, err = k.sets.FromFiles(t.Context(), k.upload(t, judged), ""); err != nil || v.Kind != store.Judged {
		t.Errorf("labels: %v", err)
	}
}

func TestPairsFromFilesRefused(t *testing.T) {
	good := strings.TrimSpace(pairFile(1))
	for name, c := range map[string]struct{ line, want string }{
		"no input":   {`{"preferred_output":[{}],"non_preferred_output":[{}]}`, `"input" must be an object`},
		"a text":     {`{"input":"x","preferred_output":[{}],"non_preferred_output":[{}]}`, `expected "input"`},
		"tools":      {strings.Replace(good, `"}]},"pref`, `"}],"tools":[{}]},"pref`, 1), "tools"},
		"bad turn":   {strings.Replace(good, `"role":"user"`, `"role":"boss"`, 1), "input, message 1: the role"},
		"last turn":  {strings.Replace(good, `"role":"user"`, `"role":"assistant"`, 1), "from the user"},
		"no other":   {strings.Replace(good, "non_preferred_output", "x", 1), `"non_preferred_output" must be a list of one message`},
		"other role": {strings.Replace(good, `"role":"assistant"`, `"role":"user"`, 1), `"preferred_output" must be a list of one message`},
		"empty":      {strings.Replace(good, "On floor 0.", "", 1), `preferred_output, message 1: "content" is empty`},
		"the same":   {strings.Replace(good, "On floor 0.", "<b>Call</b> "+patient+" about 0.", 1), "neither is preferred"},
		"label":      {strings.Replace(strings.TrimSpace(chatFile(1)), `]}`, `],"label":"x"}`, 1), `"label" must be true or false`},
	} {
		k := newKit(t)
		_, err := k.sets.FromFiles(t.Context(), k.upload(t, pairFile(10)+c.line+"\n"), "")
		f, ok := errors.AsType[*fault.Error](err)
		if !ok || f.Code != "invalid_training_file" || !strings.Contains(f.Message, "Line 11") || !strings.Contains(f.Message, c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), patient) {
			t.Errorf("%s: the error holds a text of the file", name)
		}
	}
}
