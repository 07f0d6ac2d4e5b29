package datasets_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"cloister/appliance/appliancetest"
	"cloister/appliance/datasets"
	"cloister/appliance/fault"
	"cloister/appliance/masking"
	"cloister/store"
	"cloister/store/pii"
)

type kit struct {
	st   *store.Store
	mask *masking.Service
	sets *datasets.Service
}

func newKit(t *testing.T) kit {
	st, _ := appliancetest.Store(t)
	mask := appliancetest.Masking(t, st)
	return kit{st, mask, datasets.New(st, mask)}
}

// Invented persons and numbers.
const (
	frontDesk = "02-555-0100"
	patient   = "010-9876-5432"
	patient2  = "010-1234-9876"
)

// clinic is a raw file of n questions with HTML, a duplicate, an empty row, a
// patient's number in one question, and the front desk's in every fifth answer.
func clinic(n int) string {
	var b strings.Builder
	b.WriteString("\ufeffquestion,answer\n")
	for i := range n {
		answer := fmt.Sprintf("<p>Room %d is on floor %d.</p>", 100+i, i%9)
		if i%5 == 0 {
			answer = fmt.Sprintf("Please call %s about room %d.", frontDesk, 100+i)
		}
		fmt.Fprintf(&b, "Where is room %d?,%s\n", 100+i, answer)
	}
	b.WriteString("Where is room 101?,<p>Room 101 is on floor 1.</p>\n")
	b.WriteString(",\n")
	fmt.Fprintf(&b, "My number is %s; when do you call back?,We call you back at %s before noon.\n", patient, patient)
	return b.String()
}

func (k kit) load(t *testing.T, req datasets.ImportRequest, text string) store.Version {
	t.Helper()
	v, err := k.sets.Import(t.Context(), req, strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func (k kit) examples(t *testing.T, v store.Version) []store.Example {
	t.Helper()
	var out []store.Example
	for ex, err := range k.st.Examples(v.Dataset, v.Number, "") {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, ex)
	}
	return out
}

// text is everything that an example says.
func text(ex store.Example) string {
	var parts []string
	for _, m := range ex.Messages {
		parts = append(parts, m.Role+": "+m.Content)
	}
	return strings.Join(parts, "\n")
}

func TestImport(t *testing.T) {
	k := newKit(t)
	v := k.load(t, datasets.ImportRequest{Name: "clinic", FileName: "raw.csv", System: "You are the front desk."}, clinic(60))
	if v.Number != 1 || v.Origin != "import" || v.System != "You are the front desk." {
		t.Errorf("%+v", v)
	}
	total := v.Counts[store.Train] + v.Counts[store.Valid] + v.Counts[store.Test]
	if total != 61 || v.Counts[store.Test] == 0 || v.Counts[store.Valid] == 0 {
		t.Errorf("splits %v", v.Counts)
	}
	all := k.examples(t, v)
	for _, ex := range all {
		said := text(ex)
		if !strings.HasPrefix(said, "system: You are the front desk.\nuser: ") || strings.Contains(said, "<p>") {
			t.Fatalf("row %d is not clean: %q", ex.Row, said)
		}
		for _, raw := range []string{frontDesk, patient} {
			if strings.Contains(said, raw) {
				t.Errorf("row %d holds a raw number", ex.Row)
			}
		}
	}
	if said := text(all[60]); strings.Count(said, "<PHONE_") != 2 {
		t.Errorf("the patient's number: %q", said)
	}
	rep, err := k.sets.Report("clinic", 0)
	if err != nil {
		t.Fatal(err)
	}
	if rep.Clean.Rows != 63 || rep.Clean.Kept != 61 || rep.Clean.Drops["duplicate"] != 1 {
		t.Errorf("cleaning: %+v", rep.Clean)
	}
	if rep.Mask.Rows != 13 || rep.Mask.Entities[pii.Phone] != 14 {
		t.Errorf("masking: %+v", rep.Mask)
	}
	original, err := k.st.OpenFile(v.FileID)
	if err != nil {
		t.Fatal(err)
	}
	defer original.Close()
	if raw, err := io.ReadAll(original); err != nil || string(raw) != clinic(60) {
		t.Errorf("the sealed original differs: %v", err)
	}
}

// The front desk's number stands in the answers to different questions and is
// proposed; the patient's is not. The report never shows a value; Reveal does.
func TestProposals(t *testing.T) {
	k := newKit(t)
	v := k.load(t, datasets.ImportRequest{Name: "clinic", FileName: "raw.csv"}, clinic(60))
	rep, err := k.sets.Report("clinic", v.Number)
	if err != nil {
		t.Fatal(err)
	}
	if len(rep.Mask.Proposals) != 1 || rep.Mask.Proposals[0].Rows != 12 || rep.Mask.Proposals[0].Entity != pii.Phone {
		t.Fatalf("proposals %+v", rep.Mask.Proposals)
	}
	if strings.Contains(string(v.Report), frontDesk) || strings.Contains(string(v.Report), patient) {
		t.Error("the report holds a raw number")
	}
	shown, err := k.sets.Reveal("clinic", 0)
	if err != nil || len(shown) != 1 || shown[0].Value != frontDesk {
		t.Fatalf("%+v, %v", shown, err)
	}
	again := k.load(t, datasets.ImportRequest{Name: "clinic", FileName: "raw.csv", Allow: []string{" " + shown[0].Value + " ", ""}}, clinic(60))
	said := ""
	for _, ex := range k.examples(t, again) {
		said += text(ex) + "\n"
	}
	if strings.Count(said, frontDesk) != 12 || strings.Contains(said, patient) {
		t.Errorf("allowed %d times; patient's number there: %v", strings.Count(said, frontDesk), strings.Contains(said, patient))
	}
	// The list is remembered: by the next import, and by the next start.
	third := k.load(t, datasets.ImportRequest{Name: "other", FileName: "raw.csv"}, clinic(20))
	if !strings.Contains(text(k.examples(t, third)[0]), frontDesk) {
		t.Error("the allow list was forgotten by the next import")
	}
	if got := appliancetest.Masking(t, k.st).Allowed(); !slices.Equal(got, []string{frontDesk}) {
		t.Errorf("the allow list after a start: %q", got)
	}
}

func TestImportKeepsTestQuestions(t *testing.T) {
	k := newKit(t)
	first := k.load(t, datasets.ImportRequest{Name: "clinic", FileName: "raw.csv"}, clinic(60))
	split := map[string]store.Split{}
	for _, ex := range k.examples(t, first) {
		split[ex.Group] = ex.Split
	}
	second := k.load(t, datasets.ImportRequest{Name: "clinic", FileName: "more.csv"}, clinic(120))
	if second.Number != 2 || second.Parent != 1 {
		t.Errorf("%+v", second)
	}
	moved := 0
	for _, ex := range k.examples(t, second) {
		if old, ok := split[ex.Group]; ok && old != ex.Split {
			moved++
		}
	}
	if moved > 0 {
		t.Errorf("%d examples changed their split", moved)
	}
}

func TestImportAppend(t *testing.T) {
	k := newKit(t)
	first := k.load(t, datasets.ImportRequest{Name: "clinic", FileName: "raw.csv"}, clinic(20))
	more := "question,answer\nWhere is room 105?,Room 105 is gone.\nDo you have parking?,\"Yes, behind the house.\"\nWhere is room 101?,Room 101 is on floor 1.\n"
	second := k.load(t, datasets.ImportRequest{Name: "clinic", FileName: "more.csv", Append: true}, more)
	all, old := k.examples(t, second), k.examples(t, first)
	// Room 101 is there word for word already.
	if len(all) != len(old)+2 {
		t.Fatalf("%d examples, want %d", len(all), len(old)+2)
	}
	for _, ex := range old {
		i := slices.IndexFunc(all, func(e store.Example) bool { return e.ID == ex.ID })
		if i < 0 || all[i].Split != ex.Split {
			t.Errorf("row %d of the old version: %d", ex.Row, i)
		}
	}
}

func TestImportRefuses(t *testing.T) {
	k := newKit(t)
	for name, c := range map[string]struct {
		req  datasets.ImportRequest
		text string
		want string
	}{
		"name":      {datasets.ImportRequest{Name: "../x", FileName: "a.csv"}, "question,answer\nq,a\n", "good name"},
		"no name":   {datasets.ImportRequest{FileName: "a.csv"}, "question,answer\nq,a\n", "good name"},
		"column":    {datasets.ImportRequest{Name: "x", FileName: "a.csv", QuestionColumn: "Frage"}, "question,answer\nq,a\n", "Frage"},
		"no rows":   {datasets.ImportRequest{Name: "x", FileName: "a.csv"}, "question,answer\n,\n,a\n", "empty_question 1"},
		"not a csv": {datasets.ImportRequest{Name: "x", FileName: "a.jsonl"}, "{", "a.jsonl"},
	} {
		_, err := k.sets.Import(t.Context(), c.req, strings.NewReader(c.text))
		f, ok := errors.AsType[*fault.Error](err)
		if !ok || f.Kind != fault.Invalid || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := k.sets.Import(ctx, datasets.ImportRequest{Name: "x", FileName: "a.csv"}, strings.NewReader(clinic(20))); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	// Nothing is left behind by any of them.
	files, _, err := k.st.Files("", store.Page{})
	sets, err2 := k.st.Datasets()
	if err != nil || err2 != nil || len(files) != 0 || len(sets) != 0 {
		t.Errorf("left behind: %v, %v; %v, %v", files, sets, err, err2)
	}
	if _, err := k.sets.Report("x", 0); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("the report of nothing: %v", err)
	}
}

func TestImportWarnsOfMaskedSystemPrompt(t *testing.T) {
	k := newKit(t)
	k.load(t, datasets.ImportRequest{Name: "clinic", FileName: "raw.csv", System: "Call " + frontDesk}, clinic(20))
	rep, err := k.sets.Report("clinic", 0)
	if err != nil || len(rep.Warnings) != 1 || !strings.Contains(rep.Warnings[0], "1 values in the system prompt") {
		t.Errorf("%q, %v", rep.Warnings, err)
	}
}

func TestCorrections(t *testing.T) {
	k := newKit(t)
	v := k.load(t, datasets.ImportRequest{Name: "clinic", FileName: "raw.csv"}, clinic(60))
	var learnt, tested store.Example
	for _, ex := range k.examples(t, v) {
		if ex.Row%5 == 2 || ex.Row > 61 {
			continue // one with the front desk's number, or the patient
		}
		switch ex.Split {
		case store.Train:
			learnt = ex
		case store.Test:
			tested = ex
		}
	}
	if _, _, err := k.sets.ApplyCorrections(t.Context(), "clinic"); err == nil {
		t.Error("applied nothing")
	}
	k.correct(t, "Hello! "+strings.ToUpper(learnt.Messages[0].Content), "An old correction.") // the same question but for form
	k.correct(t, learnt.Messages[0].Content, "It moved to floor 42.")
	k.correct(t, tested.Messages[0].Content, "It moved to floor 43.")
	k.correct(t, "Is there a pharmacy?", "Yes. Ring "+patient2+".")
	if _, _, err := k.sets.ApplyCorrections(t.Context(), "nothing"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("an unknown dataset: %v", err)
	}
	next, n, err := k.sets.ApplyCorrections(t.Context(), "clinic")
	if err != nil || n != 4 {
		t.Fatalf("%d, %v", n, err)
	}
	if next.Number != 2 || next.Parent != 1 || next.Origin != "feedback" || next.FileID != v.FileID {
		t.Errorf("%+v", next)
	}
	all := k.examples(t, next)
	if len(all) != 62 {
		t.Errorf("%d examples, want one more than 61", len(all))
	}
	find := func(answer string) store.Example {
		for _, ex := range all {
			if strings.Contains(ex.Messages[len(ex.Messages)-1].Content, answer) {
				return ex
			}
		}
		t.Errorf("no example has the answer %q", answer)
		return store.Example{Messages: []store.Message{{}}}
	}
	if ex := find("floor 42"); ex.Row != learnt.Row || ex.Split != store.Train {
		t.Errorf("the corrected one: %+v", ex)
	}
	if ex := find("floor 43"); ex.Split != store.Test {
		t.Errorf("a test question went to %s", ex.Split)
	}
	if ex := find("Ring <PHONE_"); ex.Split != store.Train || ex.Row != 0 {
		t.Errorf("the new one: %+v", ex)
	}
	rep, err := k.sets.Report("clinic", 2)
	if err != nil || rep.Feedback == nil || *rep.Feedback != (datasets.FeedbackReport{Replaced: 2, Added: 1, HeldOut: 1}) {
		raw, _ := json.Marshal(rep.Feedback)
		t.Errorf("report %s, %v", raw, err)
	}
	if _, _, err := k.sets.ApplyCorrections(t.Context(), "clinic"); err == nil {
		t.Error("corrections were applied twice")
	}
}

// correct records an answer and its correction, masked as the service does.
func (k kit) correct(t *testing.T, question, correction string) {
	t.Helper()
	masked, _, err := k.mask.MaskRecord([]string{question, "A wrong answer.", correction})
	if err != nil {
		t.Fatal(err)
	}
	if err := k.st.PutBaseModel(store.BaseModel{Name: "m", Path: "m.gguf"}); err != nil {
		t.Fatal(err)
	}
	a, err := k.st.PutAnswer(store.NewAnswer{Model: "m", Answer: masked[1], Messages: []store.NewMessage{{Role: "user", Content: masked[0]}}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.st.PutFeedback(store.NewFeedback{AnswerID: a.ID, Rating: 1, Correction: masked[2]}); err != nil {
		t.Fatal(err)
	}
}

// What is one person's by its nature is not proposed, however often it stands
// in answers; nor is what stands in questions only, or in the answers to one question.
func TestNotProposed(t *testing.T) {
	k := newKit(t)
	var b strings.Builder
	b.WriteString("question,answer\n")
	for i := range 8 {
		fmt.Fprintf(&b, "What is thing number %d?,It is filed under 주민등록번호 900101-1234567 for now (%d).\n", i, i)
		fmt.Fprintf(&b, "My number is %s: what is other thing %d?,We file it under %d.\n", patient, i, i)
		fmt.Fprintf(&b, "whose number is it%s,Answer %d: that of %s.\n", strings.Repeat("?", i+1), i, patient2)
	}
	k.load(t, datasets.ImportRequest{Name: "x", FileName: "raw.csv"}, b.String())
	rep, err := k.sets.Report("x", 0)
	if err != nil || len(rep.Mask.Proposals) != 0 {
		t.Errorf("%+v, %v", rep.Mask.Proposals, err)
	}
	if rep.Mask.Entities[pii.ResidentNumber] != 8 || rep.Mask.Entities[pii.Phone] != 16 {
		t.Errorf("masked: %v, so this test proves nothing", rep.Mask.Entities)
	}
}

// What would not fit into memory is refused before it is there, and nothing stays.
func TestTooManyExamples(t *testing.T) {
	datasets.SetMaxExamples(t, 30)
	k := newKit(t)
	refused := func(what string, err error) {
		t.Helper()
		f, ok := errors.AsType[*fault.Error](err)
		if !ok || f.Kind != fault.TooLarge || !strings.Contains(f.Message, "more than 30 examples") {
			t.Errorf("%s: %v", what, err)
		}
	}
	_, err := k.sets.Import(t.Context(), datasets.ImportRequest{Name: "x", FileName: "raw.csv"}, strings.NewReader(clinic(40)))
	refused("import", err)
	v := k.load(t, datasets.ImportRequest{Name: "clinic", FileName: "raw.csv"}, clinic(20))
	more := strings.ReplaceAll(clinic(20), "oom 1", "oom 9")
	_, err = k.sets.Import(t.Context(), datasets.ImportRequest{Name: "clinic", FileName: "more.csv", Append: true}, strings.NewReader(more))
	refused("append", err)
	_, err = k.sets.FromFiles(t.Context(), k.upload(t, chatFile(31)), "")
	refused("upload", err)
	if _, err = k.sets.FromFiles(t.Context(), k.upload(t, chatFile(30)), ""); err != nil {
		t.Error(err)
	}
	if got, err := k.st.Dataset("clinic"); err != nil || got.Latest != v.Number {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := k.st.Dataset("x"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("left behind: %v", err)
	}
}
