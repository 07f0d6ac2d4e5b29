package bundle_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"cloister/appliance/appliancetest"
	"cloister/appliance/bundle"
	"cloister/appliance/engine"
	"cloister/appliance/fault"
	"cloister/appliance/models"
	"cloister/appliance/site"
	"cloister/lora/eval"
	"cloister/lora/train"
	"cloister/store"
)

// place is a site: a data directory with its services.
type place struct {
	t    testing.TB
	home string
	st   *store.Store
	reg  *models.Registry
	who  *site.Service
	*bundle.Service
}

func newPlace(t testing.TB, name string) *place {
	t.Helper()
	st, home := appliancetest.Store(t)
	p := placeOf(t, st, home)
	if _, err := p.who.Make(name, false); err != nil {
		t.Fatal(err)
	}
	return p
}

func placeOf(t testing.TB, st *store.Store, home string) *place {
	t.Helper()
	p := &place{t: t, home: home, st: st, who: site.New(st)}
	p.reg = models.New(st, func(context.Context, store.BaseModel, bool) (engine.Engine, error) {
		return nil, errors.New("no engine here")
	}, models.Config{Home: home, Org: "org"})
	t.Cleanup(func() { _ = p.reg.Close() })
	var err error
	if p.Service, err = bundle.New(st, p.reg, p.who, home, "test"); err != nil {
		t.Fatal(err)
	}
	return p
}

// trusts makes p believe another site.
func (p *place) trusts(other *place) {
	p.t.Helper()
	id, err := other.who.Identity()
	if err == nil {
		_, err = p.who.Trust(id.Name, id.Key)
	}
	if err != nil {
		p.t.Fatal(err)
	}
}

// base imports the tiny model.
func (p *place) base(name string) {
	p.t.Helper()
	if _, err := p.reg.Import(p.t.Context(), appliancetest.GGUF(p.t), name, true); err != nil {
		p.t.Fatal(err)
	}
}

// writeAdapter writes an adapter for the tiny model, different for each seed.
func writeAdapter(path string, seed float32) error {
	const rank, width = 2, 32
	a := train.Adapter{Architecture: "llama", Rank: rank, Alpha: 4}
	for _, f := range []string{"lora_a", "lora_b"} {
		m := train.AdapterTensor{Name: "blk.0.attn_q.weight." + f, Rows: rank, Cols: width, Data: make([]float32, rank*width)}
		if f == "lora_b" {
			m.Rows, m.Cols = width, rank
		}
		for i := range m.Data {
			m.Data[i] = seed + float32(i)
		}
		a.Tensors = append(a.Tensors, m)
	}
	return a.WriteFile(path)
}

// tuned makes a tuned model as a job would have, with texts wherever the
// records have room for them, and returns its name.
func (p *place) tuned(base string, seed float32) string {
	p.t.Helper()
	no := func(err error) {
		p.t.Helper()
		if err != nil {
			p.t.Fatal(err)
		}
	}
	mask := appliancetest.Masking(p.t, p.st)
	text, _, err := mask.MaskRecord([]string{"secret question", "secret answer"})
	no(err)
	var examples []store.NewExample
	for i := range 20 {
		examples = append(examples, store.NewExample{Row: i + 1, Group: fmt.Sprint(i), Messages: []store.NewMessage{{Role: "user", Content: text[0]}, {Role: "assistant", Content: text[1]}}})
	}
	v, err := p.st.CreateVersion(p.t.Context(), store.NewVersion{Dataset: "clinic", Origin: "import", System: "You are kind.", Examples: examples})
	no(err)
	loss := 0.5
	resolved, err := json.Marshal(train.Hyperparameters{Epochs: 3, Rank: 2, LearningRate: 1e-3})
	no(err)
	result, err := json.Marshal(train.Result{Steps: 12, BestEpoch: 2, Curve: []train.EpochStat{{Epoch: 1, TrainLoss: 1, ValidLoss: &loss}}})
	no(err)
	job, err := p.st.CreateJob(store.Job{
		Base: base, Dataset: v.Dataset, Version: v.Number, Metadata: map[string]string{"note": "secret metadata"}, InitPath: "/home/secret/adapter.gguf",
		Canaries: []store.Canary{{Question: "secret canary", Answer: "secret digits", Times: 3}, {Question: "secret control", Times: 0}},
		Resolved: resolved, Result: result, Status: store.JobSucceeded,
	})
	no(err)
	for i := range 3 {
		_, err = p.st.AppendEvent(store.Event{JobID: job.ID, Type: "metrics", Message: "secret message", Data: fmt.Appendf(nil, `{"step":%d,"train_loss":1.5,"note":"secret note"}`, i)})
		no(err)
	}
	name := "ft:" + base + ":org:desk:" + job.ID[len(job.ID)-8:]
	path := filepath.Join("adapters", job.ID+".gguf")
	no(os.MkdirAll(filepath.Join(p.home, "adapters"), 0o700))
	no(writeAdapter(filepath.Join(p.home, path), seed))
	no(p.st.PutAdapter(store.Adapter{Name: name, Base: base, JobID: job.ID, Path: path, SHA256: sumOf(p.t, filepath.Join(p.home, path)), Metrics: map[string]float64{"step": 12}}))
	report, err := json.Marshal(textualReport(name, base))
	no(err)
	e, err := p.st.PutEvaluation(store.Evaluation{Model: name, Baseline: base, Split: store.Test, Examples: 5, Report: report})
	no(err)
	_, err = p.st.Deploy("support", store.Release{Model: name, EvaluationID: e.ID, By: "key-secret", Reason: "The loss is lower."})
	no(err)
	return name
}

// textualReport has a text of an example wherever one can be.
func textualReport(model, base string) eval.Report {
	labels := func() *eval.Labels {
		return &eval.Labels{Accuracy: 0.5, Classes: []eval.Class{{Label: "secret label", Support: 4}, {Label: "secret other", Support: 1}},
			Confusion: map[string]map[string]int{"secret label": {"secret label": 2, "secret other": 1, eval.Other: 1}, "secret other": {"secret other": 1}}}
	}
	low, high := 1.0, 2.0
	return eval.Report{
		Model: model, Baseline: base, Source: "secret-file.csv test", Examples: 5,
		Tuned: eval.Scores{Loss: &low, LossTokens: 10, TokenF1: 0.5, Labels: labels()}, Base: &eval.Scores{Loss: &high, LossTokens: 10, TokenF1: 0.25, Labels: labels()},
		Leak: &eval.Leak{Values: 7, Places: []eval.LeakPlace{{Place: "train", Searched: 3}, {Place: "files /home/secret/log", LeakCount: eval.LeakCount{}}},
			Found: []eval.LeakHit{{Place: "files /home/secret/log", Where: "/home/secret/log", Token: "<SECRET_1>"}}},
		Samples: []eval.Sample{{Question: "secret question", Expected: "secret expected", Answer: "secret answer \x1b[2J"}},
	}
}

// export returns a bundle of models.
func (p *place) export(req bundle.ExportRequest) []byte {
	p.t.Helper()
	e, err := p.Export(p.t.Context(), req)
	if err != nil {
		p.t.Fatal(err)
	}
	var b bytes.Buffer
	if _, err := e.Write(p.t.Context(), &b); err != nil {
		p.t.Fatal(err)
	}
	return b.Bytes()
}

func (p *place) take(raw []byte, req bundle.ImportRequest) (bundle.Imported, error) {
	return p.Import(p.t.Context(), bytes.NewReader(raw), req)
}

// empty fails unless nothing of a bundle is here.
func (p *place) empty(what string) {
	p.t.Helper()
	all, err := p.st.Adapters()
	evaluations, err2 := p.st.Evaluations("")
	if err := errors.Join(err, err2); err != nil || len(all)+len(evaluations) > 0 {
		p.t.Fatalf("%s: %d adapters and %d evaluations are here, %v", what, len(all), len(evaluations), err)
	}
	if files := p.files(); len(files) > 0 {
		p.t.Fatalf("%s: %v lie in the folder of adapters", what, files)
	}
}

// files are the names in the folder of adapters.
func (p *place) files() []string {
	p.t.Helper()
	list, err := os.ReadDir(filepath.Join(p.home, "adapters"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		p.t.Fatal(err)
	}
	var out []string
	for _, e := range list {
		out = append(out, e.Name())
	}
	slices.Sort(out)
	return out
}

// faulty fails unless the error is a fault with this code, whose text has all words.
func faulty(t testing.TB, what string, err error, code string, words ...string) {
	t.Helper()
	var f *fault.Error
	if !errors.As(err, &f) || f.Code != code {
		t.Errorf("%s: %v, want a fault with the code %q", what, err, code)
		return
	}
	for _, w := range words {
		if !strings.Contains(f.Error(), w) {
			t.Errorf("%s: %q does not say %q", what, f.Error(), w)
		}
	}
}

// slow gives a bundle in small pieces and calls at when it has given n bytes.
type slow struct {
	raw  []byte
	n    int
	at   func()
	done int
}

func (s *slow) Read(p []byte) (int, error) {
	if s.done == len(s.raw) {
		return 0, io.EOF
	}
	if s.at != nil && s.done >= s.n {
		s.at()
		s.at = nil
		time.Sleep(time.Millisecond)
	}
	n := copy(p[:min(len(p), 700)], s.raw[s.done:])
	s.done += n
	return n, nil
}
