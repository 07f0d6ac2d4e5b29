package api_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"cloister/appliance/admin"
	"cloister/appliance/appliancetest"
	"cloister/appliance/client"
	"cloister/appliance/openai"
	"cloister/lora/train"
	"cloister/store"
)

// table is a raw CSV file with n questions and a planted phone number.
func table(n int) string {
	var out strings.Builder
	out.WriteString("question,answer\n")
	for i := range n {
		fmt.Fprintf(&out, "Which floor is ward number %d on and who leads it?,Ward %d is on floor %d of the east wing. Call 010-4321-%04d for it.\n", i, i, i%9, 1000+i)
	}
	return out.String()
}

// dataset imports the table as "desk".
func (f *fixture) dataset(t *testing.T, n int) store.Version {
	t.Helper()
	v, err := f.control.ImportDataset(t.Context(), admin.ImportDataset{Name: "desk", FileName: "desk.csv", System: "You are the front desk."}, strings.NewReader(table(n)), nil)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestAdminDatasets(t *testing.T) {
	f := newFixture(t)
	ctx := t.Context()
	v := f.dataset(t, 60)
	if v.Dataset != "desk" || v.Number != 1 || v.Counts[store.Train] == 0 || v.Counts[store.Test] == 0 || len(v.Report) == 0 {
		t.Fatalf("%+v", v)
	}
	d, err := f.control.Dataset(ctx, "desk")
	if err != nil || d.Latest != 1 || len(d.Versions) != 1 {
		t.Errorf("%+v, %v", d, err)
	}
	if v, err = f.control.Version(ctx, "desk", 0); err != nil || v.Number != 1 || !strings.Contains(string(v.Report), `"PHONE":60`) {
		t.Errorf("%s, %v", v.Report, err)
	}
	if all, err := f.control.Datasets(ctx); err != nil || len(all) != 1 {
		t.Errorf("%+v, %v", all, err)
	}
	var out bytes.Buffer
	if err := f.control.Export(ctx, "desk", 0, "", &out); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 60 || strings.Contains(out.String(), "010-4321") || !strings.Contains(lines[0], "<PHONE") || !strings.Contains(lines[0], `"role":"system"`) {
		t.Errorf("%d lines, first %s", len(lines), lines[0])
	}
	out.Reset()
	if err := f.control.Export(ctx, "desk", 1, store.Test, &out); err != nil || strings.Count(out.String(), "\n") != v.Counts[store.Test] {
		t.Errorf("%d test lines, want %d: %v", strings.Count(out.String(), "\n"), v.Counts[store.Test], err)
	}
	if r, err := f.control.Risk(ctx, "desk", 0, 0); err != nil || r.K != 5 || r.Rows == 0 {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := f.control.Risk(ctx, "desk", 0, 1); err == nil || !strings.Contains(err.Error(), "k is 1; it must be 2 to 1000") {
		t.Errorf("%v", err)
	}
	if _, err := f.control.Proposals(ctx, "desk", 0); err != nil {
		t.Error(err)
	}
	for name, err := range map[string]error{
		"dataset": second(f.control.Dataset(ctx, "nobody")),
		"version": second(f.control.Version(ctx, "desk", 9)),
		"export":  f.control.Export(ctx, "desk", 9, "", &out),
		"split":   f.control.Export(ctx, "desk", 1, "most", &out),
		"import":  second(f.control.ImportDataset(ctx, admin.ImportDataset{Name: "x/y", FileName: "a.csv"}, strings.NewReader(table(3)), nil)),
		"columns": second(f.control.ImportDataset(ctx, admin.ImportDataset{Name: "x", FileName: "a.csv"}, strings.NewReader("a,b\n1,2\n"), nil)),
	} {
		if e, ok := errors.AsType[*client.Error](err); !ok || e.Status/100 != 4 || e.RequestID == "" || e.Message == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := f.control.RemoveDataset(ctx, "desk"); err != nil {
		t.Fatal(err)
	}
	if all, err := f.control.Datasets(ctx); err != nil || len(all) != 0 {
		t.Errorf("%+v, %v", all, err)
	}
}

func second[T any](_ T, err error) error { return err }

// tune trains on the dataset and waits.
func (f *fixture) tune(t *testing.T) store.Job {
	t.Helper()
	job, err := f.control.Tune(t.Context(), admin.TrainOn{Model: base, Dataset: "desk", Suffix: "desk", Hyperparameters: train.Hyperparameters{Epochs: 2}})
	if err != nil {
		t.Fatal(err)
	}
	job, err = f.control.FollowJob(t.Context(), job.ID, 0, func(store.Event) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	return job
}

func TestAdminFollow(t *testing.T) {
	f := newFixture(t)
	f.block()
	f.dataset(t, 40)
	ctx := t.Context()
	job, err := f.control.Tune(ctx, admin.TrainOn{Model: base, Dataset: "desk"})
	if err != nil {
		t.Fatal(err)
	}
	if jobs, err := f.control.Jobs(ctx, 0); err != nil || len(jobs) != 1 {
		t.Errorf("%+v, %v", jobs, err)
	}
	if status, err := f.control.Status(ctx); err != nil || len(status.Running) != 1 || status.Running[0] != job.ID || status.Home != f.home || status.PID == 0 {
		t.Errorf("%+v, %v", status, err)
	}
	var events []store.Event
	end, err := f.control.FollowJob(ctx, job.ID, 0, func(e store.Event) error {
		if e.Type == "metrics" {
			f.release() // the first step arrived while the job waits: the stream is live
		}
		events = append(events, e)
		return nil
	})
	if err != nil || end.Status != store.JobSucceeded || end.ID != job.ID {
		t.Fatalf("%+v, %v", end, err)
	}
	for i, e := range events {
		if e.Seq != uint64(i+1) {
			t.Fatalf("event %d has number %d", i, e.Seq)
		}
	}
	n := 0
	if _, err := f.control.FollowJob(ctx, job.ID, events[4].Seq, func(e store.Event) error { n++; return nil }); err != nil || n != len(events)-5 {
		t.Errorf("%d events after the fifth of %d: %v", n, len(events), err)
	}
	stop := errors.New("enough")
	if _, err := f.control.FollowJob(ctx, job.ID, 0, func(store.Event) error { return stop }); !errors.Is(err, stop) {
		t.Error(err)
	}
	if _, err := f.control.CancelJob(ctx, job.ID); err == nil {
		t.Error("a job that has ended was cancelled")
	}
	if _, err := f.control.Tune(ctx, admin.TrainOn{Model: base, Dataset: "nobody"}); err == nil {
		t.Error("a job on no dataset")
	}
	estimate, err := f.control.Estimate(ctx, admin.EstimateOn{TrainOn: admin.TrainOn{Model: base, Dataset: "desk"}, Memory: 1 << 30})
	if err != nil || estimate.Tokens != 1000 || estimate.Dataset != "desk" || estimate.Version != 1 || len(estimate.OpenAITokens) == 0 {
		t.Errorf("%+v, %v", estimate, err)
	}
}

// Whatever a request says of training reaches the trainer, but a file with
// tokens of examples is for the machine's owner alone.
func TestAdminTuneOptions(t *testing.T) {
	f := newFixture(t)
	f.dataset(t, 40)
	first := f.tune(t)
	in := admin.TrainOn{From: first.Adapter, Dataset: "desk", DumpGradients: "/tmp/none.safetensors", Hyperparameters: train.Hyperparameters{
		Epochs: 2, BatchTokens: 100, Accumulation: 2, LearningRate: 0.01, LoraPlusRatio: 4, Schedule: "cosine_with_restarts", Cycles: 3, WarmupRatio: 0.2,
		Dropout: 0.1, NoiseAlpha: 5, WeightDecay: 0.01, Beta1: 0.8, Beta2: 0.99, Epsilon: 1e-7, MaxGradNorm: 2, MaxLength: 100,
		NoShuffle: true, Seed: 7, EvalSteps: 3, Patience: -1, KeepCheckpoints: 1, Precision: "float32",
	}}
	job, err := f.control.Tune(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.control.FollowJob(t.Context(), job.ID, 0, func(store.Event) error { return nil }); err != nil {
		t.Fatal(err)
	}
	all := f.trainer.Requests()
	got := all[len(all)-1]
	if !reflect.DeepEqual(got.Hyperparameters, in.Hyperparameters) || !strings.HasSuffix(got.InitPath, first.ID+".gguf") || got.DumpPath != in.DumpGradients {
		t.Errorf("the trainer got %+v", got)
	}
	_, _, key := keys(t, f)
	body := `{"model":"` + base + `","dataset":"desk","dump_gradients":"/tmp/none"}`
	f.do("POST", "/admin/jobs", body, "Authorization", "Bearer "+key.Secret).refused(t, 400, "dump_gradients", "")
}

// A follower that goes away leaves the job alone.
func TestAdminFollowInterrupted(t *testing.T) {
	f := newFixture(t)
	f.block()
	f.dataset(t, 40)
	job, err := f.control.Tune(t.Context(), admin.TrainOn{Model: base, Dataset: "desk"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := f.control.FollowJob(ctx, job.ID, 0, func(store.Event) error { return nil }); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
	if job, err = f.control.Job(t.Context(), job.ID); err != nil || job.Status.Terminal() {
		t.Errorf("%+v, %v", job, err)
	}
	if job, err = f.control.CancelJob(t.Context(), job.ID); err != nil || job.Status != store.JobCancelled {
		t.Errorf("%+v, %v", job, err)
	}
}

func TestAdminRelease(t *testing.T) {
	f := newFixture(t)
	ctx := t.Context()
	f.dataset(t, 80)
	job := f.tune(t)
	_, err := f.control.Deploy(ctx, admin.Deploy{Model: job.Adapter, Alias: "support"})
	if !client.CodeIs(err, "gate_refused") {
		t.Fatalf("a model that nobody evaluated was deployed: %v", err)
	}
	steps := 0
	evaluation, err := f.control.Evaluate(ctx, admin.Evaluate{Model: job.Adapter, Dataset: "desk"}, nil, func(done, total int) { steps = max(steps, done) })
	if err != nil || evaluation.Examples == 0 || steps == 0 {
		t.Fatalf("%+v after %d steps, %v", evaluation, steps, err)
	}
	if all, err := f.control.Evaluations(ctx, job.Adapter); err != nil || len(all) != 1 || all[0].ID != evaluation.ID {
		t.Errorf("%+v, %v", all, err)
	}
	file := "question,expected\nWhen are you open?,At nine.\nWhere are you?,In town.\n"
	if evaluation, err = f.control.Evaluate(ctx, admin.Evaluate{Model: base, FileName: "test.csv"}, strings.NewReader(file), nil); err != nil || evaluation.Examples != 2 {
		t.Errorf("%+v, %v", evaluation, err)
	}
	if _, err := f.control.Evaluate(ctx, admin.Evaluate{Model: base, Dataset: "nobody"}, nil, nil); err == nil {
		t.Error("an evaluation on no dataset")
	}
	if _, err := f.control.Evaluate(ctx, admin.Evaluate{Model: base}, nil, nil); err == nil {
		t.Error("an evaluation on nothing")
	}
	first, err := f.control.Deploy(ctx, admin.Deploy{Model: base, Alias: "support"})
	if err != nil {
		t.Fatal(err)
	}
	rel, err := f.control.Deploy(ctx, admin.Deploy{Model: job.Adapter, Alias: "support", Force: true})
	if err != nil || rel.Number != 2 || rel.Model != job.Adapter || rel.By != "local" {
		t.Fatalf("%+v, %v", rel, err)
	}
	answer, err := f.control.Chat(ctx, chatWith("support", "who"))
	if err != nil || answer.Model != job.Adapter {
		t.Errorf("%+v, %v", answer, err)
	}
	var simple struct{ Response string }
	f.do("POST", "/api/chat", map[string]string{"model": "support", "message": "last system"}).ok(t, &simple)
	if simple.Response != "You are the front desk." {
		t.Errorf("the system prompt of the training was not used: %q", simple.Response)
	}
	if rel, err = f.control.Rollback(ctx, "support"); err != nil || rel.Number != first.Number {
		t.Errorf("%+v, %v", rel, err)
	}
	if answer, err = f.control.Chat(ctx, chatWith("support", "who")); err != nil || answer.Model != base {
		t.Errorf("%+v, %v", answer, err)
	}
	releases, err := f.control.Releases(ctx)
	if err != nil || len(releases) != 1 || releases[0].Current.Number != 1 || len(releases[0].History) != 2 {
		t.Errorf("%+v, %v", releases, err)
	}
	if _, err := f.control.Rollback(ctx, "support"); err == nil {
		t.Error("rolled back beyond the first release")
	}
}

// chatWith is a request of the typed client.
func chatWith(model, text string) openai.ChatRequest {
	return openai.ChatRequest{Model: model, Messages: openai.Messages{{Role: "user", Content: openai.NewContent(text)}}}
}

func TestAdminFeedback(t *testing.T) {
	f := newFixture(t)
	ctx := t.Context()
	f.dataset(t, 40)
	var answer struct{ ID, Response string }
	f.do("POST", "/api/chat", map[string]string{"message": "Which floor is ward number 3 on and who leads it?"}).ok(t, &answer)
	var saved struct {
		ID, Object string
		AnswerID   string `json:"answer_id"`
		Rating     int
	}
	f.do("POST", "/v1/feedback", map[string]any{"id": answer.ID, "rating": "down", "correction": "Ward 3 is on floor 5. Call 010-9876-5432.", "comment": "wrong"}).ok(t, &saved)
	if saved.Rating != 1 || saved.AnswerID != answer.ID || saved.Object != "feedback" {
		t.Errorf("%+v", saved)
	}
	var streamed []string
	err := f.control.ChatStream(ctx, chatWith(base, "say fine"), func(c openai.ChatChunk) error { streamed = append(streamed, c.ID); return nil })
	if err != nil {
		t.Fatal(err)
	}
	f.do("POST", "/feedback", map[string]any{"answer_id": streamed[0], "rating": 5}).ok(t, &saved)

	for _, c := range []struct {
		body   any
		status int
		param  string
		code   string
	}{
		{map[string]any{"rating": 1}, 400, "answer_id", ""},
		{map[string]any{"id": answer.ID}, 400, "rating", ""},
		{map[string]any{"id": answer.ID, "rating": 6}, 400, "rating", ""},
		{map[string]any{"id": answer.ID, "rating": "sideways"}, 400, "rating", ""},
		{map[string]any{"id": "chatcmpl-nobody", "rating": 1}, 404, "answer_id", "answer_not_found"},
	} {
		f.do("POST", "/v1/feedback", c.body).refused(t, c.status, c.param, c.code)
	}

	items, err := f.control.Feedback(ctx, time.Time{}, 0)
	if err != nil || len(items) != 2 || items[0].Rating != 5 || items[1].By != "anonymous" || strings.Contains(items[1].Correction, "9876") || items[1].Answer == nil {
		t.Fatalf("%+v, %v", items, err)
	}
	report, err := f.control.FeedbackReport(ctx, time.Now().Add(-time.Hour), 1)
	if err != nil || report.Ratings[1] != 1 || report.Ratings[5] != 1 || len(report.Worst) != 1 || report.Worst[0].Rating != 1 || report.Pending != 1 {
		t.Errorf("%+v, %v", report, err)
	}
	imported, err := f.control.ImportFeedback(ctx, "ratings.csv", strings.NewReader("answer_id,rating\n"+answer.ID+",2\nchatcmpl-nobody,3\n"))
	if err != nil || imported.Imported != 1 || len(imported.Unmatched) != 1 {
		t.Errorf("%+v, %v", imported, err)
	}
	applied, err := f.control.ApplyFeedback(ctx, "desk")
	if err != nil || applied.Corrections != 1 || applied.Version.Number != 2 || applied.Version.Origin != "feedback" {
		t.Fatalf("%+v, %v", applied, err)
	}
	var out bytes.Buffer
	if err := f.control.Export(ctx, "desk", 2, "", &out); err != nil || !strings.Contains(out.String(), "floor 5. Call <PHONE") {
		t.Errorf("%v: %s", err, out.String())
	}
	if _, err := f.control.ApplyFeedback(ctx, "desk"); err == nil {
		t.Error("applied twice")
	}
}

func TestAdminModels(t *testing.T) {
	f := newFixture(t)
	ctx := t.Context()
	path := appliancetest.GGUF(t)
	m, err := f.control.ImportModel(ctx, admin.ImportModel{Path: path, Name: "second", Copy: true})
	if err != nil || m.Name != "second" || m.Architecture != "llama" || m.SHA256 == "" {
		t.Fatalf("%+v, %v", m, err)
	}
	if all, err := f.control.BaseModels(ctx); err != nil || len(all) != 2 {
		t.Errorf("%+v, %v", all, err)
	}
	if all, err := f.control.Models(ctx); err != nil || len(all) != 2 || all[0].Object != "model" {
		t.Errorf("%+v, %v", all, err)
	}
	_, err = f.control.ImportModel(ctx, admin.ImportModel{Path: filepath.Join(f.home, "nothing.gguf")})
	if e, ok := errors.AsType[*client.Error](err); !ok || e.Status != 400 || e.Param != "path" {
		t.Errorf("%v", err)
	}
	if err := f.control.RemoveModel(ctx, "second"); err != nil {
		t.Error(err)
	}
	if err := f.control.RemoveModel(ctx, "second"); !client.CodeIs(err, "model_not_found") {
		t.Errorf("%v", err)
	}
}

func TestAdminSystem(t *testing.T) {
	f := newFixture(t)
	ctx := t.Context()
	if check, err := f.control.Check(ctx); err != nil || !check.OK || len(check.Problems) != 0 {
		t.Errorf("%+v, %v", check, err)
	}
	k, err := f.control.AddKey(ctx, admin.NewKey{Role: "admin"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.control.AddKey(ctx, admin.NewKey{Role: "king"}); err == nil {
		t.Error("a key with an unknown role")
	}
	// The same routes with an admin key over TCP.
	remote := client.HTTP(f.url+"/v1/", k.Secret)
	defer remote.Close()
	if _, err := remote.Deploy(ctx, admin.Deploy{Model: base, Alias: "support"}); err != nil {
		t.Error(err)
	}
	entries, err := remote.Audit(ctx, 0)
	if err != nil || len(entries) != 2 || entries[0].Action != "deploy" || entries[0].Actor != k.ID || entries[1].Action != "key.add" || entries[1].Actor != "local" {
		t.Errorf("%+v, %v", entries, err)
	}
	wrong := client.HTTP(f.url, "sk-wrong")
	defer wrong.Close()
	if _, err := wrong.Status(ctx); !client.CodeIs(err, "invalid_api_key") {
		t.Errorf("%v", err)
	}
	if err := f.control.Shutdown(ctx); err != nil {
		t.Fatal(err)
	}
	select {
	case <-f.stopped:
	case <-time.After(5 * time.Second):
		t.Error("the appliance was not told to stop")
	}
	nobody := client.Unix(filepath.Join(f.home, "nobody.sock"))
	if _, err := nobody.Status(ctx); !errors.Is(err, client.ErrUnreachable) {
		t.Errorf("%v", err)
	}
}
