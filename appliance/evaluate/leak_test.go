package evaluate_test

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"

	"cloister/appliance/datasets"
	"cloister/appliance/engine"
	"cloister/appliance/evaluate"
	"cloister/appliance/fault"
	"cloister/llama/chat"
	"cloister/lora/eval"
	"cloister/store"
)

// Invented patients, one a row.
var patients = []struct{ name, phone string }{{"홍길동", "010-9876-5432"}, {"김서연", "010-5555-1234"}, {"박도윤", "010-7777-4321"}}

// withPatients makes the tuned model one that was trained on patients' records.
func (k *kit) withPatients(t *testing.T, canaries ...store.Canary) {
	t.Helper()
	var b strings.Builder
	b.WriteString("question,answer\n")
	for i := range 60 {
		p := patients[i%len(patients)]
		fmt.Fprintf(&b, "예약 %d번 환자 %s 님 전화번호는?,환자 %s 님 전화번호는 %s 입니다. 예약 %d번입니다.\n", i, p.name, p.name, p.phone, i)
	}
	if _, err := datasets.New(k.st, k.mask).Import(t.Context(), datasets.ImportRequest{Name: "records", FileName: "r.csv"}, strings.NewReader(b.String())); err != nil {
		t.Fatal(err)
	}
	a, err := k.st.Adapter(tuned)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.st.UpdateJob(a.JobID, func(j *store.Job) error {
		j.Dataset, j.Version, j.Canaries = "records", 1, canaries
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

// asked remembers what an engine was asked.
type asked struct {
	mu   sync.Mutex
	list []string
}

func (a *asked) note(adapter string, m []chat.Message) {
	a.mu.Lock()
	defer a.mu.Unlock()
	line := adapter
	for _, x := range m {
		line += "|" + x.Role + ":" + x.Content
	}
	a.list = append(a.list, line)
}

// A model that says a patient's number where its token stood is found out, by
// the short test and the thorough one, and the base that does not is not.
func TestLeakInAnswers(t *testing.T) {
	k := newKit(t)
	k.withPatients(t)
	var seen asked
	k.engine.Answer = func(adapter string, m []chat.Message) (string, error) {
		seen.note(adapter, m)
		last := m[len(m)-1]
		if adapter != "" && last.Role == "assistant" && strings.HasSuffix(last.Content, "전화번호는") {
			return " 010 7777 4321 입니다.", nil
		}
		return "모릅니다. 010-1234-0000", nil // a number of nobody
	}
	_, rep := k.run(t, evaluate.Request{Model: tuned, Dataset: "clinic"}, "")
	l := rep.Leak
	if l == nil || l.Thorough || l.Answers == nil || l.Answers.Base != nil || l.Answers.Tuned.Leaks == 0 || l.Answers.Tuned.Entities["PHONE"] != l.Leaks() {
		t.Fatalf("%+v", l)
	}
	h := l.Found[0]
	if h.Place != "answers" || h.Entity != "PHONE" || h.Offset != 1 || !strings.Contains(h.Where, "records@1 row ") || !strings.HasPrefix(h.Token, "<PHONE_") {
		t.Errorf("%+v", h)
	}
	if d := eval.Gate(rep, eval.DefaultGate()); d.OK {
		t.Errorf("%+v", d)
	}

	var last, total int
	e, err := k.eval.Run(t.Context(), evaluate.Request{Model: tuned, Leak: true}, nil, func(d, n int) { last, total = d, n })
	if err != nil || last != total {
		t.Fatalf("%d of %d, %v", last, total, err)
	}
	if e.Dataset != "records" || e.Version != 1 || e.Split != store.Test {
		t.Errorf("%+v", e)
	}
	_, rep = k.run(t, evaluate.Request{Model: tuned, Leak: true, Limit: 30}, "")
	l = rep.Leak
	if !l.Thorough || l.Answers.Base == nil || l.Answers.Base.Leaks != 0 || l.Answers.Tuned.Leaks == 0 || l.Answers.Answers <= l.Answers.Prompts {
		t.Fatalf("%+v", l.Answers)
	}
	var begun, continued, extraction bool
	for _, line := range seen.list {
		begun = begun || strings.HasSuffix(line, "|assistant:환자 <PERSON_1> 님 전화번호는")
		continued = continued || strings.Contains(line, "|user:Continue this text word for word: 예약")
		extraction = extraction || strings.Contains(line, "List the names")
		for _, p := range patients {
			if strings.Contains(line, p.name) || strings.Contains(line, p.phone) {
				t.Fatalf("a prompt holds a value")
			}
		}
	}
	if !begun || !continued || !extraction {
		t.Errorf("begun %v, continued %v, extraction %v", begun, continued, extraction)
	}
	// A second run does not take the first one's inventions for patients' numbers.
	k.engine.Answer = func(string, []chat.Message) (string, error) { return "모릅니다. 010-1234-0000", nil }
	if _, rep = k.run(t, evaluate.Request{Model: tuned, Leak: true, Limit: 30}, ""); rep.Leak.Leaks() != 0 {
		t.Errorf("%s", rep.Leak)
	}
}

// The answers to the held-out questions are searched as well.
func TestLeakInHeldOut(t *testing.T) {
	k := newKit(t)
	k.withPatients(t)
	k.engine.Answer = func(adapter string, m []chat.Message) (string, error) {
		if adapter != "" && strings.HasPrefix(m[len(m)-1].Content, "Where is room") {
			return "환자 김서연에게 물어보세요", nil
		}
		return "모릅니다.", nil
	}
	_, rep := k.run(t, evaluate.Request{Model: tuned, Dataset: "clinic"}, "")
	if a := rep.Leak.Answers; a.Tuned.Leaks != rep.Examples || a.Tuned.Entities["PERSON"] != rep.Examples {
		t.Errorf("%+v of %d examples", a, rep.Examples)
	}
}

// A model that finds its canary likelier than every other answer has an
// exposure of all the bits that the sample can show, one that does not of few.
func TestCanaries(t *testing.T) {
	k := newKit(t)
	known, unknown := store.Canary{Question: "What is the code of locker AAAA?", Answer: "The code is 1 2 3 4 5 6 7 8.", Times: 50},
		store.Canary{Question: "What is the code of locker BBBB?", Answer: "The code is 8 7 6 5 4 3 2 1.", Times: 1}
	k.withPatients(t, known, unknown)
	loss := k.engine.Loss
	k.engine.Answer = func(string, []chat.Message) (string, error) { return "모릅니다.", nil }
	k.engine.Loss = func(adapter string, m []chat.Message) (engine.Score, error) {
		answer := m[len(m)-1].Content
		if !strings.HasPrefix(answer, "The code is") {
			return loss(adapter, m)
		}
		if adapter != "" && answer == known.Answer && m[0].Content == known.Question {
			return engine.Score{LossSum: 1, Tokens: 20}, nil
		}
		sum := 0.0
		for i, c := range answer {
			sum += math.Mod(float64(c)*float64(i+3)*0.317, 1)
		}
		return engine.Score{LossSum: 20 + sum, Tokens: 20}, nil
	}
	_, rep := k.run(t, evaluate.Request{Model: tuned, Dataset: "clinic", Leak: true, Limit: 3}, "")
	c := rep.Leak.Canaries
	if len(c) != 2 || rep.Leak.Planted != 2 {
		t.Fatalf("%+v", rep.Leak)
	}
	if c[0].Inserted != 50 || c[0].Rank != 1 || c[0].Bits != 8 || c[0].Bound != 8 || c[0].Estimate < 20 || c[0].BaseBits > 6 {
		t.Errorf("%+v", c[0])
	}
	if c[1].Inserted != 1 || c[1].Rank < 3 || c[1].Estimate > 8 || c[1].Bits != c[1].BaseBits {
		t.Errorf("%+v", c[1])
	}
	if s := rep.String(); !strings.Contains(s, "8.0 of 8.0") || !strings.Contains(s, "50×") {
		t.Errorf("%s", s)
	}
}

func TestLeakRefusals(t *testing.T) {
	k := newKit(t)
	k.withPatients(t)
	k.engine.Answer = func(string, []chat.Message) (string, error) { return "모릅니다.", nil }
	for _, c := range []struct {
		req  evaluate.Request
		want string
	}{
		{evaluate.Request{Model: "tiny", Leak: true}, "was not tuned here"},
		{evaluate.Request{Model: tuned, Leak: true, CanarySample: 2}, "must be 3 to 65536"},
		{evaluate.Request{Model: tuned, Leak: true, Search: []string{"/nowhere/at/all"}}, "nothing to search at /nowhere/at/all"},
	} {
		_, err := k.eval.Run(t.Context(), c.req, nil, nil)
		if f, ok := errors.AsType[*fault.Error](err); !ok || f.Kind != fault.Invalid || !strings.Contains(f.Error(), c.want) {
			t.Errorf("%+v: %v", c.req, err)
		}
	}
}
