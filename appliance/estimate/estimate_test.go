package estimate_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cloister/appliance/appliancetest"
	"cloister/appliance/datasets"
	"cloister/appliance/estimate"
	"cloister/appliance/fault"
	"cloister/appliance/jobs"
	"cloister/appliance/models"
	"cloister/llama/chat"
	"cloister/lora/train"
	"cloister/store"
)

type kit struct {
	st   *store.Store
	home string
	man  *jobs.Manager
}

func newKit(t *testing.T) kit {
	st, home := appliancetest.Store(t)
	reg := models.New(st, nil, models.Config{Home: home})
	if _, err := reg.Import(t.Context(), appliancetest.GGUF(t), "tiny", true); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	b.WriteString("question,answer\n")
	for i := range 40 {
		fmt.Fprintf(&b, "Where is room %d?,On floor %d.\n", i, i%7)
	}
	sets := datasets.New(st, appliancetest.Masking(t, st))
	if _, err := sets.Import(t.Context(), datasets.ImportRequest{Name: "clinic", FileName: "a.csv"}, strings.NewReader(b.String())); err != nil {
		t.Fatal(err)
	}
	return kit{st, home, jobs.New(st, nil, reg, sets, jobs.Config{Home: home, Threads: 1})}
}

// The trainer itself measures, on a tiny model.
func TestEstimate(t *testing.T) {
	k := newKit(t)
	s := estimate.New(k.man, train.Estimate, k.home)
	e, err := s.Estimate(t.Context(), estimate.Request{CreateRequest: jobs.CreateRequest{Model: "gpt-4o-mini", Dataset: "clinic", Hyper: train.Hyperparameters{Epochs: 4, BatchSize: 8}}})
	if err != nil {
		t.Fatal(err)
	}
	v, err := k.st.Version("clinic", 1)
	if err != nil {
		t.Fatal(err)
	}
	if e.Model != "tiny" || e.Version != 1 || e.Examples != v.Counts[store.Train] || e.ValidExamples != v.Counts[store.Valid] {
		t.Errorf("%+v", e)
	}
	if want := 4 * ((e.Examples + 7) / 8); e.Steps != want || e.Resolved.Epochs != 4 {
		t.Errorf("%d steps in %d epochs, want %d in 4", e.Steps, e.Resolved.Epochs, want)
	}
	if e.Tokens == 0 || e.LossTokens == 0 || e.LossTokens >= e.Tokens || e.Seconds <= 0 || e.TokensPerSecond <= 0 || e.MemoryBytes <= 0 || len(e.Choices) == 0 {
		t.Errorf("%+v", e.Estimation)
	}
	if m := e.Memory; m == nil || !m.Fits || m.Total != e.MemoryBytes || m.Weights == 0 || m.Activations == 0 || m.Examples == 0 {
		t.Errorf("memory %+v", m)
	}
	small, err := s.Estimate(t.Context(), estimate.Request{CreateRequest: jobs.CreateRequest{Model: "tiny", Dataset: "clinic"}, Memory: 1 << 20})
	if err != nil || small.Seconds != 0 || small.Memory.Fits || small.Memory.Free != 1<<20 || len(small.Warnings) == 0 {
		t.Errorf("with 1 MiB: %+v, %v", small, err)
	}
	if len(e.OpenAITokens) != 2 || len(e.Prices) != 1+len(estimate.DefaultPrices().Cloud) {
		t.Errorf("%v %v", e.OpenAITokens, e.Prices)
	}
	for _, p := range e.Prices[1:] {
		for _, c := range estimate.DefaultPrices().Cloud {
			if c.Name != p.Name {
				continue
			}
			tokens := 4 * e.OpenAITokens[c.Encoding]
			if p.Tokens != tokens || math.Abs(p.Cost-float64(tokens)/1e6*c.PerMillion) > 1e-12 || p.Currency != "USD" {
				t.Errorf("%+v", p)
			}
		}
	}
}

// What a job would read is read for its estimate: the adapter that training
// continues from and the teacher, with its adapter.
func TestEstimateReadsWhatTheJobWould(t *testing.T) {
	k := newKit(t)
	base, err := k.st.BaseModel("tiny")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(k.home, "a.gguf")
	examples, err := datasets.TrainingExamples(k.st, "clinic", 1, store.Train)
	if err != nil {
		t.Fatal(err)
	}
	req := train.Request{BasePath: filepath.Join(k.home, base.Path), WorkDir: t.TempDir(), OutPath: path, Train: examples, Hyperparameters: train.Hyperparameters{Epochs: 1, Rank: 3}}
	if _, err := train.Run(t.Context(), req, nil); err != nil {
		t.Fatal(err)
	}
	const tuned = "ft:tiny:clinic:a"
	if err := k.st.PutAdapter(store.Adapter{Name: tuned, Base: "tiny", Path: "a.gguf"}); err != nil {
		t.Fatal(err)
	}
	s := estimate.New(k.man, train.Estimate, k.home)
	plain, err := s.Estimate(t.Context(), estimate.Request{CreateRequest: jobs.CreateRequest{Model: "tiny", Dataset: "clinic"}})
	if err != nil || plain.TeacherSeconds != 0 || plain.Memory.Start != 0 {
		t.Fatalf("%+v %v", plain, err)
	}
	for name, tt := range map[string]struct {
		req     jobs.CreateRequest
		taught  bool
		started bool
	}{
		"from":           {jobs.CreateRequest{From: tuned}, false, true},
		"a tuned model":  {jobs.CreateRequest{Model: tuned}, false, true},
		"init":           {jobs.CreateRequest{Model: "tiny", InitPath: path}, false, true},
		"a teacher":      {jobs.CreateRequest{Model: "tiny", Teacher: "tiny"}, true, false},
		"a tuned one":    {jobs.CreateRequest{Model: "tiny", Teacher: tuned}, true, false},
		"a teacher file": {jobs.CreateRequest{Model: "tiny", TeacherPath: req.BasePath}, true, false},
	} {
		tt.req.Dataset = "clinic"
		e, err := s.Estimate(t.Context(), estimate.Request{CreateRequest: tt.req})
		if err != nil || (e.TeacherSeconds > 0) != tt.taught || (e.Memory.Start > 0) != tt.started || tt.started && e.Memory.Rank != 3 {
			t.Errorf("%s: %+v %v", name, e.Memory, err)
		}
		if tt.taught && (e.TeacherSeconds >= e.Seconds || e.Resolved.TopK == 0) {
			t.Errorf("%s: %g of %g s", name, e.TeacherSeconds, e.Seconds)
		}
	}
	for name, req := range map[string]jobs.CreateRequest{
		"teacher": {Model: "tiny", Teacher: "nobody"}, "from": {Model: "tiny", From: "tiny"}, "dataset": {Model: "tiny", Hyper: train.Hyperparameters{Method: "dpo"}},
	} {
		req.Dataset = "clinic"
		_, err := s.Estimate(t.Context(), estimate.Request{CreateRequest: req})
		if f, ok := errors.AsType[*fault.Error](err); !ok || f.Param != name {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRefuses(t *testing.T) {
	k := newKit(t)
	memory := fmt.Errorf("%w: 9 GiB are needed", train.ErrMemory)
	fail := memory
	s := estimate.New(k.man, func(context.Context, train.Request) (train.Estimation, error) {
		return train.Estimation{Resolved: train.Hyperparameters{Epochs: 2}}, fail
	}, k.home)
	e, err := s.Estimate(t.Context(), estimate.Request{CreateRequest: jobs.CreateRequest{Model: "tiny", Dataset: "clinic"}})
	if err != nil || len(e.Warnings) != 1 || !strings.Contains(e.Warnings[0], "9 GiB") || e.Prices[0].Name == "this machine" {
		t.Errorf("too little memory: %+v, %v", e, err)
	}
	fail = errors.New("broken")
	if _, err := s.Estimate(t.Context(), estimate.Request{CreateRequest: jobs.CreateRequest{Model: "tiny", Dataset: "clinic"}}); !errors.Is(err, fail) {
		t.Errorf("%v", err)
	}
	if _, err := s.Estimate(t.Context(), estimate.Request{CreateRequest: jobs.CreateRequest{Model: "nobody", Dataset: "clinic"}}); !errors.Is(err, models.ErrUnknownModel) {
		t.Errorf("%v", err)
	}
	if _, err := s.Estimate(t.Context(), estimate.Request{CreateRequest: jobs.CreateRequest{Model: "tiny", Dataset: "clinic", Version: 3}}); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("%v", err)
	}
}

// OpenAI's cookbook counts 3 tokens for an example and for each message.
// "hello world" is two tokens in both encodings, "user" and "assistant" one.
func TestCountOpenAI(t *testing.T) {
	examples := []train.Example{{Messages: []chat.Message{{Role: "user", Content: "hello world"}, {Role: "assistant", Content: "hello world<|endoftext|>"}}}}
	for _, encoding := range estimate.Encodings {
		plain, err := estimate.CountOpenAI(encoding, []train.Example{{Messages: examples[0].Messages[:1]}})
		if err != nil || plain != 3+3+1+2 {
			t.Errorf("%s: %d, %v", encoding, plain, err)
		}
		// A control token in a text is text.
		both, err := estimate.CountOpenAI(encoding, examples)
		if err != nil || both <= plain+3+1+2+1 {
			t.Errorf("%s: %d, %v", encoding, both, err)
		}
	}
	if _, err := estimate.CountOpenAI("nonsense", nil); err == nil {
		t.Error("an unknown encoding")
	}
}

func TestPrices(t *testing.T) {
	home := t.TempDir()
	p, err := estimate.LoadPrices(home)
	if err != nil || len(p.Cloud) == 0 || !strings.Contains(p.Comment, "edit this file") {
		t.Fatalf("%+v, %v", p, err)
	}
	path := filepath.Join(home, "prices.json")
	for text, want := range map[string]string{
		`{"currency":"KRW","cloud":[{"name":"x","encoding":"o200k_base","per_million":7}]}`: "",
		`{`: "does not read",
		`{"cloud":[{"name":"x","encoding":"ascii","per_million":7}]}`:       "ascii",
		`{"cloud":[{"name":"x","encoding":"o200k_base","per_million":-7}]}`: "0 or more",
		`{"here":{"watts":-1}}`: "watts",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		p, err := estimate.LoadPrices(home)
		_, isFault := errors.AsType[*fault.Error](err)
		if want == "" && (err != nil || p.Currency != "KRW") || want != "" && (!isFault || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %+v, %v", text, p, err)
		}
		if kept, err := os.ReadFile(path); err != nil || string(kept) != text {
			t.Errorf("the user's table was changed: %q, %v", kept, err)
		}
	}
}
