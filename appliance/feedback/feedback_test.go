package feedback_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"cloister/appliance/appliancetest"
	"cloister/appliance/fault"
	"cloister/appliance/feedback"
	"cloister/llama/chat"
	"cloister/store"
	"cloister/store/pii/policy"
)

type kit struct {
	st *store.Store
	fb *feedback.Service
}

func newKit(t *testing.T) kit {
	st, _ := appliancetest.Store(t)
	if err := st.PutBaseModel(store.BaseModel{Name: "tiny", Path: "x"}); err != nil {
		t.Fatal(err)
	}
	return kit{st, feedback.New(st, appliancetest.Masking(t, st))}
}

// serve keeps an answer and returns its id.
func (k kit) serve(t *testing.T, question, answer string) string {
	t.Helper()
	id := store.NewID("chatcmpl-")
	err := k.fb.Keep(t.Context(), feedback.Served{ID: id, Model: "tiny", Messages: []chat.Message{{Role: "system", Content: "Be kind."}, {Role: "user", Content: question}}, Answer: answer})
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func (k kit) rate(t *testing.T, id string, rating int, correction string) store.Feedback {
	t.Helper()
	f, err := k.fb.Record(t.Context(), feedback.Request{AnswerID: id, Rating: rating, Correction: correction, By: "key-1"})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// An invented number.
const number = "010-9876-5432"

func TestRecord(t *testing.T) {
	k := newKit(t)
	id := k.serve(t, "My number is "+number+". When do you call?", "We call "+number+" today.")
	f, err := k.fb.Record(t.Context(), feedback.Request{AnswerID: id, Rating: 2, Correction: " We call " + number + " tomorrow. ", Comment: "Ask " + number, By: "key-1"})
	if err != nil {
		t.Fatal(err)
	}
	if f.Correction != "We call <PHONE_1> tomorrow." || f.Comment != "Ask <PHONE_1>" || f.Rating != 2 || f.By != "key-1" {
		t.Errorf("%+v", f)
	}
	a, err := k.st.Answer(id)
	if err != nil || strings.Contains(a.Answer+a.Messages[1].Content, number) || a.Model != "tiny" {
		t.Errorf("%+v, %v", a, err)
	}
}

// Answers and judgements are kept by the policy of the project: one that is made
// later holds for the service that runs.
func TestRecordPolicy(t *testing.T) {
	k := newKit(t)
	mask := appliancetest.Masking(t, k.st)
	k.fb = feedback.New(k.st, mask)
	p, err := policy.Parse("policy.yaml", []byte("version: 1\nentities: {PHONE: label}\nrules: [{name: staff, entity: STAFF, words: [육갑수], mode: delete}]"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := mask.SetPolicy(p); err != nil {
		t.Fatal(err)
	}
	id := k.serve(t, "My number is "+number+".", "Ask 육갑수 tomorrow.")
	f := k.rate(t, id, 2, "Call "+number)
	a, err := k.st.Answer(id)
	if err != nil || f.Correction != "Call [PHONE]" || a.Answer != "Ask  tomorrow." || a.Messages[1].Content != "My number is [PHONE]." {
		t.Errorf("%+v, %+v, %v", f, a, err)
	}
}

func TestRecordRefuses(t *testing.T) {
	k := newKit(t)
	id := k.serve(t, "q", "a")
	for want, req := range map[string]feedback.Request{
		"names no answer": {Rating: 3},
		"must be 1":       {AnswerID: id, Rating: 6},
		"is empty":        {AnswerID: id, Correction: "  "},
		"at most":         {AnswerID: id, Correction: strings.Repeat("x", 1<<17)},
		"no answer":       {AnswerID: "chatcmpl-none", Rating: 3},
	} {
		_, err := k.fb.Record(t.Context(), req)
		if _, ok := errors.AsType[*fault.Error](err); !ok || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	if items, err := k.fb.List(time.Time{}); err != nil || len(items) != 0 {
		t.Errorf("%v, %v", items, err)
	}
}

func TestWorst(t *testing.T) {
	k := newKit(t)
	var start time.Time
	for i, rating := range []int{1, 4, 2, 5, 2, 0} {
		correction := ""
		if rating == 0 {
			correction = "better"
		}
		id := k.serve(t, "question "+string(rune('a'+i)), "answer")
		if i == 1 {
			start = time.Now()
		}
		k.rate(t, id, rating, correction)
	}
	items, err := k.fb.Worst(start, 3)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, i := range items {
		got = append(got, i.Answer.Messages[1].Content)
	}
	// The rating of 1 is older than the start; among equals the newest is first.
	if !slices.Equal(got, []string{"question e", "question c", "question b"}) {
		t.Errorf("%q", got)
	}
	rep, err := k.fb.Report(time.Time{}, 1)
	if err != nil || rep.Mean != 2.8 || rep.Ratings[2] != 2 || rep.Corrections != 1 || rep.Pending != 1 || len(rep.Worst) != 1 || rep.Worst[0].Rating != 1 {
		t.Errorf("%+v, %v", rep, err)
	}
	if n, err := k.st.PurgeAnswers(time.Now().Add(time.Hour)); err != nil || n != 6 {
		t.Errorf("%d, %v", n, err)
	}
	if items, err := k.fb.Worst(time.Time{}, 9); err != nil || len(items) != 5 || items[0].Answer != nil {
		t.Errorf("after the answers were purged: %+v, %v", items, err)
	}
}

func TestImportByID(t *testing.T) {
	k := newKit(t)
	a, b := k.serve(t, "one", "x"), k.serve(t, "two", "y")
	file := "\ufeffanswer_id;rating;correction\r\n" + a + ";4;\r\n" + b + ";1.0;\"Call " + number + "\"\r\nchatcmpl-none;3;\r\n;;\r\n"
	result, err := k.fb.Import(t.Context(), "ratings.csv", strings.NewReader(file), "local")
	if err != nil || result.Imported != 2 || !slices.Equal(result.Unmatched, []int{4}) {
		t.Fatalf("%+v, %v", result, err)
	}
	grown := file + b + ";2;\r\n"
	again, err := k.fb.Import(t.Context(), "ratings.csv", strings.NewReader(grown), "local")
	if err != nil || again.Imported != 1 || again.Repeated != 2 {
		t.Fatalf("the file, grown by a row: %+v, %v", again, err)
	}
	items, err := k.fb.List(time.Time{})
	if err != nil || len(items) != 3 || items[0].Rating != 2 {
		t.Errorf("%+v, %v", items, err)
	}
	items = items[1:]
	if items[0].AnswerID != b || items[0].Correction != "Call <PHONE_1>" || items[0].Rating != 1 || items[0].By != "local" {
		t.Errorf("%+v, %v", items, err)
	}
}

func TestImportByQuestion(t *testing.T) {
	k := newKit(t)
	k.serve(t, "When do you open?", "old")
	newest := k.serve(t, "When do you open?", "new")
	private := k.serve(t, "Do you have "+number+" on file?", "yes")
	file := "question,rating,comment\nWHEN do you open please,2,late\nDo you have " + number + " on file?,5,\nnobody asked this,1,\n"
	result, err := k.fb.Import(t.Context(), "ratings.csv", strings.NewReader(file), "local")
	if err != nil || result.Imported != 2 || !slices.Equal(result.Unmatched, []int{4}) {
		t.Fatalf("%+v, %v", result, err)
	}
	items, err := k.fb.List(time.Time{})
	if err != nil || len(items) != 2 || items[0].AnswerID != private || items[1].AnswerID != newest || items[1].Comment != "late" {
		t.Errorf("%+v, %v", items, err)
	}
}

func TestImportRefuses(t *testing.T) {
	k := newKit(t)
	id := k.serve(t, "q", "a")
	for name, c := range map[string]struct{ file, want string }{
		"columns": {"x,y\n1,2\n", "needs the column rating and either answer_id or question"},
		"rating":  {"answer_id,rating\n" + id + ",4\n" + id + ",great\n", "row 3, column rating"},
		"range":   {"answer_id,rating\n" + id + ",4\n" + id + ",9\n", "row 3, column rating"},
		"nothing": {"answer_id,rating\n" + id + ",\n", "row 2: The judgement is empty"},
	} {
		_, err := k.fb.Import(t.Context(), "r.csv", strings.NewReader(c.file), "local")
		if f, ok := errors.AsType[*fault.Error](err); !ok || f.Kind != fault.Invalid || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	// Wrong files store nothing, not even their good rows.
	if items, err := k.fb.List(time.Time{}); err != nil || len(items) != 0 {
		t.Errorf("%+v, %v", items, err)
	}
}
