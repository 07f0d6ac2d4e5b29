package evaluate_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"cloister/appliance/appliancetest"
	"cloister/appliance/datasets"
	"cloister/appliance/engine"
	"cloister/appliance/evaluate"
	"cloister/appliance/fault"
	"cloister/appliance/masking"
	"cloister/appliance/models"
	"cloister/llama/chat"
	"cloister/lora/eval"
	"cloister/lora/train"
	"cloister/store"
)

// tuned is the model under test, trained on the dataset clinic.
const tuned = "ft:tiny:o::1"

type kit struct {
	st     *store.Store
	mask   *masking.Service
	reg    *models.Registry
	engine *appliancetest.Engine
	eval   *evaluate.Service
}

// newKit has the base "tiny", a dataset of 100 rooms, and an adapter that
// knows the floors of the rooms, which the base does not.
func newKit(t *testing.T) *kit {
	st, home := appliancetest.Store(t)
	k := &kit{st: st, mask: appliancetest.Masking(t, st), engine: &appliancetest.Engine{Slots: 3}}
	k.engine.Answer = func(adapter string, m []chat.Message) (string, error) {
		if adapter == "" {
			return "I do not know.", nil
		}
		return floor(m[len(m)-1].Content), nil
	}
	k.engine.Loss = func(adapter string, m []chat.Message) (engine.Score, error) {
		n := len(strings.Fields(m[len(m)-1].Content))
		if adapter == "" {
			return engine.Score{LossSum: 3 * float64(n), Tokens: n}, nil
		}
		return engine.Score{LossSum: 0.5 * float64(n), Tokens: n}, nil
	}
	k.reg = models.New(st, func(context.Context, store.BaseModel, bool) (engine.Engine, error) { return k.engine, nil }, models.Config{Home: home})
	t.Cleanup(func() { _ = k.reg.Close() })
	if _, err := k.reg.Import(t.Context(), appliancetest.GGUF(t), "tiny", true); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	b.WriteString("question,answer\n")
	for i := range 100 {
		q := fmt.Sprintf("Where is room %d?", i)
		fmt.Fprintf(&b, "%s,%q\n", q, floor(q))
	}
	sets := datasets.New(st, k.mask)
	if _, err := sets.Import(t.Context(), datasets.ImportRequest{Name: "clinic", FileName: "a.csv", System: "You are the front desk."}, strings.NewReader(b.String())); err != nil {
		t.Fatal(err)
	}
	k.trained(t, home)
	k.eval = evaluate.New(st, k.reg, k.mask, home)
	return k
}

// trained registers the adapter with a job that overfitted.
func (k *kit) trained(t *testing.T, home string) {
	t.Helper()
	valid := []float64{1, 2}
	result, err := json.Marshal(train.Result{BestEpoch: 1, Curve: []train.EpochStat{
		{Epoch: 1, TrainLoss: 1, ValidLoss: &valid[0]}, {Epoch: 2, TrainLoss: 0.1, ValidLoss: &valid[1]},
	}})
	if err != nil {
		t.Fatal(err)
	}
	job, err := k.st.CreateJob(store.Job{Model: "tiny", Base: "tiny", Dataset: "clinic", Version: 1})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(home, "adapter.gguf"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := k.st.PutAdapter(store.Adapter{Name: tuned, Base: "tiny", JobID: job.ID, Path: "adapter.gguf"}); err != nil {
		t.Fatal(err)
	}
	if _, err := k.st.UpdateJob(job.ID, func(j *store.Job) error {
		j.Status, j.Adapter, j.Result = store.JobSucceeded, tuned, result
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

// floor is the right answer.
func floor(question string) string {
	var room int
	_, _ = fmt.Sscanf(question[strings.Index(question, "room"):], "room %d", &room)
	return fmt.Sprintf("On floor %d, next to room %d.", room%7, room+1)
}

func (k *kit) run(t *testing.T, req evaluate.Request, file string) (store.Evaluation, eval.Report) {
	t.Helper()
	var r io.Reader
	if file != "" {
		r = strings.NewReader(file)
	}
	e, err := k.eval.Run(t.Context(), req, r, nil)
	if err != nil {
		t.Fatal(err)
	}
	var rep eval.Report
	if err := json.Unmarshal(e.Report, &rep); err != nil {
		t.Fatal(err)
	}
	return e, rep
}

func TestSplit(t *testing.T) {
	k := newKit(t)
	version, err := k.st.Version("clinic", 1)
	if err != nil {
		t.Fatal(err)
	}
	tests := version.Counts[store.Test]
	var last, total, calls int
	e, err := k.eval.Run(t.Context(), evaluate.Request{Model: tuned, Dataset: "clinic"}, nil, func(d, n int) {
		if calls++; d < last {
			t.Errorf("progress went from %d to %d", last, d)
		}
		last, total = d, n
	})
	if err != nil {
		t.Fatal(err)
	}
	if want := 4*tests + 64; last != want || total != want || calls != want+1 {
		t.Errorf("progress %d of %d in %d calls, want %d", last, total, calls, want)
	}
	if e.ID == "" || e.Model != tuned || e.Baseline != "tiny" || e.Dataset != "clinic" || e.Version != 1 || e.Split != store.Test || e.Examples != tests {
		t.Errorf("%+v", e)
	}
	stored, err := k.st.Evaluations(tuned)
	if err != nil || len(stored) != 1 || string(stored[0].Report) != string(e.Report) {
		t.Errorf("%d evaluations, %v", len(stored), err)
	}
	var rep eval.Report
	if err := json.Unmarshal(e.Report, &rep); err != nil {
		t.Fatal(err)
	}
	if rep.Source != "clinic@1 test" || rep.Tuned.ExactMatch != 1 || rep.Base.ExactMatch != 0 || math.Abs(*rep.Tuned.Loss-0.5) > 1e-9 || math.Abs(*rep.Base.Loss-3) > 1e-9 {
		t.Errorf("%+v", rep)
	}
	if rep.TrainLoss == nil || math.Abs(*rep.TrainLoss-0.5) > 1e-9 || rep.TrainExamples != 64 {
		t.Errorf("training loss %v of %d", rep.TrainLoss, rep.TrainExamples)
	}
	if rep.Overfitting == nil || rep.Overfitting.Kind != eval.Overfit {
		t.Errorf("verdict %+v", rep.Overfitting)
	}
	if d := eval.Gate(rep, eval.DefaultGate()); !d.OK {
		t.Errorf("the gate: %+v", d)
	}
}

// Requests run as many at a time as the engine has slots: the first ones wait
// here until that many have come.
func TestSlots(t *testing.T) {
	k := newKit(t)
	var come sync.WaitGroup
	come.Add(3)
	var n atomic.Int64
	answer := k.engine.Answer
	k.engine.Answer = func(adapter string, m []chat.Message) (string, error) {
		if n.Add(1) <= 3 {
			come.Done()
			come.Wait()
		}
		return answer(adapter, m)
	}
	k.run(t, evaluate.Request{Model: tuned, Dataset: "clinic", Limit: 8}, "")
	if most := k.engine.Most(); most != 3 {
		t.Errorf("%d requests at a time, the engine has 3 slots", most)
	}
}

// What is asked is what serving would be asked: the system prompt and the
// question, greedy, and nothing of the answer.
func TestPrompt(t *testing.T) {
	k := newKit(t)
	answer := k.engine.Answer
	k.engine.Answer = func(adapter string, m []chat.Message) (string, error) {
		if len(m) != 2 || m[0].Content != "You are the front desk." || m[1].Role != "user" {
			t.Errorf("prompt %+v", m)
		}
		return answer(adapter, m)
	}
	k.run(t, evaluate.Request{Model: tuned, Dataset: "clinic", Limit: 3}, "")
	// A file's questions get the prompt that the model was tuned with.
	k.run(t, evaluate.Request{Model: tuned, FileName: "t.csv"}, "question,expected\nWhere is room 7?,On floor 0.\n")
}

func TestFile(t *testing.T) {
	k := newKit(t)
	const file = "question,expected,key,human_score,answer\n" +
		"Where is room 1?,On floor 1.,floor 1|first floor,5,\n" +
		"Where is room 2?,On floor 2.,floor 3,1,\n" +
		"Where is room 3?,On floor 3.,floor 3,2,I do not know\n" +
		"Call 010-9876-5432 about room 4?,Call 010-9876-5432.,,3,\n"
	e, rep := k.run(t, evaluate.Request{Model: tuned, FileName: "dir/t.csv"}, file)
	if e.Dataset != "" || e.Version != 0 || e.Split != "" || e.Examples != 4 || rep.Source != "t.csv" {
		t.Errorf("%+v", e)
	}
	if k := rep.Tuned.KeyFacts; k == nil || k.Hits != 2 || k.Of != 3 || rep.Base.KeyFacts.Hits != 0 {
		t.Errorf("%+v, %+v", rep.Tuned.KeyFacts, rep.Base.KeyFacts)
	}
	if h := rep.Human; h == nil || h.Examples != 4 || h.Scale != "1 to 5" || h.Metric != "token F1" || h.Agreement < 0.5 {
		t.Errorf("%+v", rep.Human)
	}
	if strings.Contains(string(e.Report), "9876") || !strings.Contains(rep.Samples[3].Question, "<PHONE_1>") {
		t.Error("a number of the file is in the report")
	}
	if rep.Samples[0].Answer == "" || rep.Samples[0].BaseAnswer == "" || rep.Samples[0].Row != 2 {
		t.Errorf("%+v", rep.Samples[0])
	}
}

// A file may call its columns as it likes.
func TestColumns(t *testing.T) {
	k := newKit(t)
	const file = "질문;정답;key\nWhere is room 1?;On floor 1, next to room 2.;floor 1\n"
	_, rep := k.run(t, evaluate.Request{Model: tuned, FileName: "t.csv", QuestionColumn: "질문", AnswerColumn: "정답"}, file)
	if rep.Examples != 1 || rep.Tuned.ExactMatch != 1 || rep.Tuned.KeyFacts == nil || rep.Tuned.KeyFacts.Hits != 1 {
		t.Errorf("%+v", rep)
	}
}

// Keys for the questions of a split; questions of other splits are passed over.
func TestKeys(t *testing.T) {
	k := newKit(t)
	var b strings.Builder
	b.WriteString("question,key\n")
	for i := range 100 {
		fmt.Fprintf(&b, "WHERE is room %d,floor %d|nonsense\n", i, i%7)
	}
	e, rep := k.run(t, evaluate.Request{Model: tuned, Dataset: "clinic", FileName: "keys.csv"}, b.String())
	if e.Dataset != "clinic" || rep.Tuned.KeyFacts == nil || rep.Tuned.KeyFacts.Of != e.Examples || rep.Tuned.KeyFacts.Hits != e.Examples || rep.Base.KeyFacts.Hits != 0 {
		t.Errorf("%+v, %+v of %d", rep.Tuned.KeyFacts, rep.Base.KeyFacts, e.Examples)
	}
	one := strings.Join(strings.SplitN(b.String(), "\n", 52)[:51], "\n") // half of them
	_, rep = k.run(t, evaluate.Request{Model: tuned, Dataset: "clinic", FileName: "keys.csv"}, one)
	if n := rep.Tuned.KeyFacts.Of; n == 0 || n == e.Examples || !strings.Contains(strings.Join(rep.Warnings, " "), "have no key") {
		t.Errorf("%d keys, %q", n, rep.Warnings)
	}
	for text, want := range map[string]string{"question,key\nWho?,x\n": "a key for none", "a,b\n1,2\n": "columns question and key"} {
		if _, err := k.eval.Run(t.Context(), evaluate.Request{Model: tuned, Dataset: "clinic", FileName: "keys.csv"}, strings.NewReader(text), nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// What models say of their own accord is masked before it is kept.
func TestAnswersAreMasked(t *testing.T) {
	k := newKit(t)
	k.engine.Answer = func(string, []chat.Message) (string, error) { return "Call 010-9876-5432.", nil }
	e, _ := k.run(t, evaluate.Request{Model: tuned, Dataset: "clinic", Limit: 2}, "")
	if strings.Contains(string(e.Report), "9876") {
		t.Errorf("%s", e.Report)
	}
}

func TestBaselines(t *testing.T) {
	k := newKit(t)
	if e, rep := k.run(t, evaluate.Request{Model: "tiny", Dataset: "clinic", Limit: 2}, ""); e.Baseline != "" || rep.Base != nil || rep.TrainLoss != nil {
		t.Errorf("a base by itself: %+v", e)
	}
	if e, rep := k.run(t, evaluate.Request{Model: tuned, Baseline: "none", Dataset: "clinic", Limit: 2}, ""); e.Baseline != "" || rep.Base != nil || rep.TrainLoss == nil {
		t.Errorf("no baseline: %+v", e)
	}
	if e, _ := k.run(t, evaluate.Request{Model: "tiny", Baseline: tuned, Dataset: "clinic", Limit: 2}, ""); e.Baseline != tuned {
		t.Errorf("a tuned baseline: %+v", e)
	}
}

// A larger limit keeps the examples of a smaller one.
func TestLimit(t *testing.T) {
	k := newKit(t)
	_, small := k.run(t, evaluate.Request{Model: "tiny", Dataset: "clinic", Split: store.Train, Limit: 5}, "")
	_, large := k.run(t, evaluate.Request{Model: "tiny", Dataset: "clinic", Split: store.Train, Limit: 20}, "")
	if small.Examples != 5 || large.Examples != 20 {
		t.Errorf("%d and %d", small.Examples, large.Examples)
	}
	rows := map[int]bool{}
	for _, s := range large.Samples {
		rows[s.Row] = true
	}
	for _, s := range small.Samples {
		if !rows[s.Row] {
			t.Errorf("row %d is not in the larger choice", s.Row)
		}
	}
}

func TestRefuses(t *testing.T) {
	k := newKit(t)
	for name, c := range map[string]struct {
		req        evaluate.Request
		file, want string
	}{
		"model":     {evaluate.Request{Model: "nobody", Dataset: "clinic"}, "", "does not exist"},
		"baseline":  {evaluate.Request{Model: tuned, Baseline: "nobody", Dataset: "clinic"}, "", "does not exist"},
		"itself":    {evaluate.Request{Model: tuned, Baseline: tuned, Dataset: "clinic"}, "", "the model itself"},
		"dataset":   {evaluate.Request{Model: tuned, Dataset: "nothing"}, "", "no dataset"},
		"version":   {evaluate.Request{Model: tuned, Dataset: "clinic", Version: 9}, "", "no version 9"},
		"columns":   {evaluate.Request{Model: tuned, FileName: "t.csv"}, "a,b\n1,2\n", "columns question and expected"},
		"empty":     {evaluate.Request{Model: tuned, FileName: "t.csv"}, "question,expected\n", "no records"},
		"no number": {evaluate.Request{Model: tuned, FileName: "t.csv"}, "question,expected,human_score\nq,a,good\n", "row 2, column human_score"},
		"split":     {evaluate.Request{Model: tuned, Dataset: "clinic", Split: "all"}, "", "no examples"},
	} {
		var file io.Reader
		if c.file != "" {
			file = strings.NewReader(c.file)
		}
		_, err := k.eval.Run(t.Context(), c.req, file, nil)
		if _, ok := errors.AsType[*fault.Error](err); !ok || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	if _, err := k.eval.Run(t.Context(), evaluate.Request{Model: tuned}, nil, nil); err == nil {
		t.Error("no data at all")
	}
	if all, err := k.st.Evaluations(""); err != nil || len(all) != 0 {
		t.Errorf("%d evaluations, %v", len(all), err)
	}
}

func TestTrouble(t *testing.T) {
	k := newKit(t)
	answer := k.engine.Answer
	var deaths atomic.Int64
	k.engine.Answer = func(adapter string, m []chat.Message) (string, error) {
		if deaths.Add(1)%5 == 0 {
			return "", fmt.Errorf("chat: %w", engine.ErrWorkerDied)
		}
		if strings.Contains(m[1].Content, "room 9") {
			return "", &engine.ContextError{Limit: 256, Prompt: 300}
		}
		return answer(adapter, m)
	}
	_, rep := k.run(t, evaluate.Request{Model: tuned, Dataset: "clinic", Split: store.Train}, "")
	if rep.Tuned.ExactMatch == 1 || rep.Tuned.ExactMatch < 0.8 || !strings.Contains(strings.Join(rep.Warnings, " "), "did not fit into the context") {
		t.Errorf("%g %q", rep.Tuned.ExactMatch, rep.Warnings)
	}

	k.engine.Answer = func(string, []chat.Message) (string, error) { return "", engine.ErrWorkerDied }
	if _, err := k.eval.Run(t.Context(), evaluate.Request{Model: tuned, Dataset: "clinic"}, nil, nil); !errors.Is(err, engine.ErrWorkerDied) {
		t.Errorf("a worker that dies at every try: %v", err)
	}

	ctx, cancel := context.WithCancel(t.Context())
	k.engine.Answer = func(adapter string, m []chat.Message) (string, error) {
		cancel()
		return answer(adapter, m)
	}
	if _, err := k.eval.Run(ctx, evaluate.Request{Model: tuned, Dataset: "clinic"}, nil, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestTruncatedAnswers(t *testing.T) {
	k := newKit(t)
	_, rep := k.run(t, evaluate.Request{Model: tuned, Dataset: "clinic", MaxTokens: 5}, "")
	if rep.Tuned.Truncated != rep.Examples || rep.Base.Truncated != 0 {
		t.Errorf("%d and %d of %d", rep.Tuned.Truncated, rep.Base.Truncated, rep.Examples)
	}
}
