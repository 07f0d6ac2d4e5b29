package datasets_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"cloister/appliance/fault"
	"cloister/store"
)

// chatFile is OpenAI's chat JSONL with n examples.
func chatFile(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `{"messages":[{"role":"system","content":"Be kind."},{"role":"user","content":"Question %d from %s?"},{"role":"assistant","content":"Answer %d."}]}`+"\n", i, patient, i)
	}
	return b.String()
}

func (k kit) upload(t *testing.T, text string) string {
	t.Helper()
	f, err := k.st.PutFile(t.Context(), store.File{Name: "file", Purpose: "fine-tune"}, strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return f.ID
}

func TestFromFiles(t *testing.T) {
	k := newKit(t)
	training := k.upload(t, "\ufeff"+strings.ReplaceAll(chatFile(12), "\n", "\r\n")+"\n\n"+chatFile(1)) // a duplicate stays: the files are not cleaned
	validation := k.upload(t, chatFile(2))
	v, err := k.sets.FromFiles(t.Context(), training, validation)
	if err != nil {
		t.Fatal(err)
	}
	if v.Counts[store.Train] != 13 || v.Counts[store.Valid] != 2 || v.Counts[store.Test] != 0 || v.Origin != "openai-file" || v.Dataset != training {
		t.Errorf("%+v", v)
	}
	for _, ex := range k.examples(t, v) {
		if said := text(ex); strings.Contains(said, patient) || !strings.Contains(said, "<PHONE_1>") {
			t.Errorf("line %d: %q", ex.Row, said)
		}
	}
	again, err := k.sets.FromFiles(t.Context(), training, validation)
	if err != nil || again.Number != v.Number {
		t.Errorf("the same files: version %d, %v", again.Number, err)
	}
	alone, err := k.sets.FromFiles(t.Context(), training, "")
	if err != nil || alone.Number == v.Number || alone.Counts[store.Valid] != 0 {
		t.Errorf("without validation: %+v, %v", alone, err)
	}
}

func TestFromFilesTurns(t *testing.T) {
	k := newKit(t)
	text := chatFile(10) +
		`{"messages":[{"role":"developer","content":"Be kind."},{"role":"user","content":[{"type":"text","text":"One "},{"type":"text","text":"two?"}]},{"role":"assistant","content":"Three.","weight":0,"name":"x"},{"role":"user","content":"Four?"},{"role":"assistant","content":"Five.","weight":1,"refusal":null}],"tools":[],"unknown":1}` + "\n"
	v, err := k.sets.FromFiles(t.Context(), k.upload(t, text), "")
	if err != nil {
		t.Fatal(err)
	}
	all := k.examples(t, v)
	m := all[len(all)-1].Messages
	if m[0].Role != "system" || m[1].Content != "One two?" || *m[2].Weight != 0 || *m[4].Weight != 1 {
		t.Errorf("%+v", m)
	}
}

func TestFromFilesRefuses(t *testing.T) {
	good := strings.TrimSpace(chatFile(1))
	for name, c := range map[string]struct{ line, code, want string }{
		"few":             {good, "invalid_n_examples", ""},
		"not JSON":        {"{", "invalid_training_file", "Line 10 is not valid JSON."},
		"a list":          {"[1]", "invalid_training_file", "Line 10: expected an object"},
		"messages a text": {`{"messages":"x"}`, "invalid_training_file", "Line 10: expected an object with a list"},
		"no messages":     {`{"messages":[]}`, "invalid_training_file", "missing or empty"},
		"prompt":          {`{"prompt":"x","completion":"y"}`, "invalid_training_file", "base models"},
		"DPO":             {`{"input":{},"preferred_output":[1],"non_preferred_output":[1]}`, "invalid_training_file", `"input" must be an object`},
		"tools":           {strings.Replace(good, `]}`, `],"tools":[{"type":"function"}]}`, 1), "invalid_training_file", "tools"},
		"a message":       {`{"messages":["x"]}`, "invalid_training_file", "Line 10, message 1: expected an object"},
		"no role":         {`{"messages":[{"content":"x"}]}`, "invalid_training_file", `message 1: "role" is missing`},
		"role":            {strings.Replace(good, `"role":"user"`, `"role":"boss"`, 1), "invalid_training_file", "message 2: the role must be"},
		"tool role":       {strings.Replace(good, `"role":"user"`, `"role":"tool"`, 1), "invalid_training_file", "tools"},
		"tool calls":      {strings.Replace(good, `"role":"assistant",`, `"role":"assistant","tool_calls":[{}],`, 1), "invalid_training_file", "tools"},
		"content":         {strings.Replace(good, `"content":"Answer 0."`, `"content":7`, 1), "invalid_training_file", `message 3: "content" must be a text`},
		"null content":    {strings.Replace(good, `"content":"Answer 0."`, `"content":null`, 1), "invalid_training_file", `"content" must be a text`},
		"image":           {strings.Replace(good, `"content":"Answer 0."`, `"content":[{"type":"image_url"}]`, 1), "invalid_training_file", `"content" must be a text`},
		"empty":           {strings.Replace(good, `"content":"Answer 0."`, `"content":""`, 1), "invalid_training_file", `"content" is empty`},
		"weight":          {strings.Replace(good, `"role":"assistant",`, `"role":"assistant","weight":0.5,`, 1), "invalid_training_file", "weight"},
		"user weight":     {strings.Replace(good, `"role":"user",`, `"role":"user","weight":1,`, 1), "invalid_training_file", "weight"},
		"nothing learnt":  {strings.Replace(good, `"role":"assistant",`, `"role":"assistant","weight":0,`, 1), "invalid_training_file", "nothing to learn"},
		"last":            {`{"messages":[{"role":"assistant","content":"x"},{"role":"user","content":"y"}]}`, "invalid_training_file", "last message"},
	} {
		k := newKit(t)
		before := 9
		if name == "few" {
			before, c.want = 6, "Training file has 7 example(s), but must have at least 10 examples"
		}
		_, err := k.sets.FromFiles(t.Context(), k.upload(t, chatFile(before)+c.line+"\n"), "")
		f, ok := errors.AsType[*fault.Error](err)
		if !ok || f.Code != c.code || f.Param != "training_file" || !strings.Contains(f.Message, c.want) {
			t.Errorf("%s: %v, want %s: %q", name, err, c.code, c.want)
		}
		if err != nil && strings.Contains(err.Error(), patient) {
			t.Errorf("%s: the error holds a text of the file", name)
		}
	}
}

func TestFromFilesNamesTenLines(t *testing.T) {
	k := newKit(t)
	_, err := k.sets.FromFiles(t.Context(), k.upload(t, strings.Repeat("{\n", 30)), "")
	if err == nil || !strings.Contains(err.Error(), "30 invalid line(s) of 30") || strings.Count(err.Error(), "Line ") != 10 {
		t.Errorf("%v", err)
	}
	training := k.upload(t, chatFile(10))
	_, err = k.sets.FromFiles(t.Context(), training, k.upload(t, "{\n"))
	if f, ok := errors.AsType[*fault.Error](err); !ok || f.Param != "validation_file" || f.Code != "invalid_validation_file" {
		t.Errorf("a wrong validation file: %v", err)
	}
	_, err = k.sets.FromFiles(t.Context(), "file-none", "")
	if f, ok := errors.AsType[*fault.Error](err); !ok || f.Message != "File 'file-none' does not exist." {
		t.Errorf("no file: %v", err)
	}
	if sets, err := k.st.Datasets(); err != nil || len(sets) != 0 {
		t.Errorf("left behind: %v, %v", sets, err)
	}
}
