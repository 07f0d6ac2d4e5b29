package jobs_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"cloister/appliance/appliancetest"
	"cloister/appliance/datasets"
	"cloister/appliance/engine"
	"cloister/appliance/fault"
	"cloister/appliance/jobs"
	"cloister/appliance/models"
	"cloister/lora/train"
	"cloister/store"
	"cloister/store/vault"
)

// kit is a data directory with the services around the jobs.
type kit struct {
	st      *store.Store
	home    string
	sets    *datasets.Service
	reg     *models.Registry
	trainer *appliancetest.Trainer
	man     *jobs.Manager
}

func newKit(t *testing.T) *kit {
	return openKit(t, t.TempDir(), vault.NewMasterKey(), &appliancetest.Trainer{}, jobs.Config{})
}

// openKit opens a data directory and starts a Manager on it.
func openKit(t *testing.T, home string, key vault.MasterKey, trainer *appliancetest.Trainer, c jobs.Config) *kit {
	k := &kit{home: home, trainer: trainer}
	k.st = appliancetest.OpenStore(t, home, key)
	k.sets = datasets.New(k.st, appliancetest.Masking(t, k.st))
	k.reg = models.New(k.st, nil, models.Config{Home: home, Org: "my clinic"})
	if _, err := k.st.BaseModel("tiny"); err != nil {
		if _, err := k.reg.Import(t.Context(), appliancetest.GGUF(t), "tiny", true); err != nil {
			t.Fatal(err)
		}
	}
	c.Home = home
	k.man = jobs.New(k.st, trainer, k.reg, k.sets, c)
	if err := k.man.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = k.man.Close() })
	return k
}

// close stops the process, as far as a test can.
func (k *kit) close(t *testing.T) {
	t.Helper()
	if err := errors.Join(k.man.Close(), k.st.Check(context.Background()), k.st.Close()); err != nil {
		t.Fatal(err)
	}
}

// dataset imports n examples and returns the dataset's name.
func (k *kit) dataset(t *testing.T, n int) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("question,answer\n")
	for i := range n {
		fmt.Fprintf(&b, "Where is room %d?,On floor %d.\n", i, i%7)
	}
	v, err := k.sets.Import(t.Context(), datasets.ImportRequest{Name: "clinic", FileName: "a.csv"}, strings.NewReader(b.String()))
	if err != nil {
		t.Fatal(err)
	}
	return v.Dataset
}

func (k *kit) create(t *testing.T, req jobs.CreateRequest) store.Job {
	t.Helper()
	job, err := k.man.Create(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	return job
}

// follow waits for the end of a job and returns it with its events.
func (k *kit) follow(t *testing.T, id string) (store.Job, []store.Event) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var events []store.Event
	err := k.man.Follow(ctx, id, 0, func(e store.Event) error {
		events = append(events, e)
		return nil
	})
	if err != nil {
		t.Fatalf("Follow: %v; so far %q", err, messages(events))
	}
	job, err := k.man.Job(id)
	if err != nil {
		t.Fatal(err)
	}
	return job, events
}

func messages(events []store.Event) []string {
	var out []string
	for _, e := range events {
		out = append(out, e.Level+": "+e.Message)
	}
	return out
}

func TestJobFromDataset(t *testing.T) {
	k := newKit(t)
	seed := int64(7)
	job := k.create(t, jobs.CreateRequest{
		Model: "tiny", Dataset: k.dataset(t, 60), Suffix: "front desk/1", Seed: &seed,
		Hyper: train.Hyperparameters{Epochs: 2}, Metadata: map[string]string{"by": "me"},
	})
	if job.Status != store.JobQueued || job.Base != "tiny" || job.Version != 1 || job.Seed != 7 {
		t.Errorf("%+v", job)
	}
	job, events := k.follow(t, job.ID)
	name := "ft:tiny:my-clinic:front-desk-1:" + job.ID[len(job.ID)-8:]
	if job.Status != store.JobSucceeded || job.Adapter != name || job.FinishedAt == nil || job.StartedAt == nil || job.TrainedTokens == 0 {
		t.Errorf("%+v", job)
	}
	want := []string{
		"info: Created fine-tuning job: " + job.ID,
		"info: Fine-tuning job started",
		"info: learning_rate = 0.001: the model is small",
		"info: Training on cpu",
		"info: Step 1/4: training loss=3",
		"info: Step 2/4: training loss=1.5",
		"info: Step 2/4: training loss=1.5, validation loss=2, full validation loss=2",
		"info: Checkpoint created at step 2",
		"info: Step 3/4: training loss=1",
		"info: Step 4/4: training loss=0.75",
		"info: Step 4/4: training loss=0.75, validation loss=1, full validation loss=1",
		"info: Checkpoint created at step 4",
		"info: No overfitting: the validation loss fell to the last epoch, to 1.000; more epochs may improve it. The adapter of epoch 2 was kept.",
		"info: New fine-tuned model created: " + name,
		"info: The job has successfully completed",
	}
	if got := messages(events); !slices.Equal(got, want) {
		t.Errorf("events\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	k.checkMetrics(t, events[6])
	k.checkResults(t, job)
	k.checkAdapters(t, job)
	req := k.trainer.Requests()[0]
	if len(req.Train) == 0 || len(req.Valid) == 0 || req.Hyperparameters.Epochs != 2 || req.Hyperparameters.Seed != 7 || !filepath.IsAbs(req.BasePath) {
		t.Errorf("request: %d train, %d valid, %+v, %s", len(req.Train), len(req.Valid), req.Hyperparameters, req.BasePath)
	}
	k.nothingLeft(t)
	if strings.Contains(string(job.Result), k.home) {
		t.Error("the result names a path of this machine")
	}
}

// nothingLeft stops the manager and looks for work folders.
func (k *kit) nothingLeft(t *testing.T) {
	t.Helper()
	if err := k.man.Close(); err != nil {
		t.Error(err)
	}
	if left, err := filepath.Glob(filepath.Join(k.home, "work", "*")); err != nil || len(left) != 0 {
		t.Errorf("left behind: %q, %v", left, err)
	}
}

func (k *kit) checkMetrics(t *testing.T, e store.Event) {
	t.Helper()
	var d map[string]float64
	if err := json.Unmarshal(e.Data, &d); err != nil || e.Type != "metrics" {
		t.Fatalf("%s %s: %v", e.Type, e.Data, err)
	}
	for field, want := range map[string]float64{
		"step": 2, "total_steps": 4, "train_loss": 1.5, "train_mean_token_accuracy": 0.5, "valid_loss": 2,
		"valid_mean_token_accuracy": 0.4, "full_valid_loss": 2, "full_valid_mean_token_accuracy": 0.4,
	} {
		if got, ok := d[field]; !ok || got != want {
			t.Errorf("%s = %v, want %v", field, got, want)
		}
	}
}

func (k *kit) checkResults(t *testing.T, job store.Job) {
	t.Helper()
	if len(job.ResultFiles) != 1 {
		t.Fatalf("result files %q", job.ResultFiles)
	}
	f, err := k.st.File(job.ResultFiles[0])
	if err != nil || f.Purpose != "fine-tune-results" {
		t.Errorf("%+v, %v", f, err)
	}
	r, err := k.st.OpenFile(f.ID)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	got, err := io.ReadAll(r)
	want := "step,train_loss,train_accuracy,valid_loss,valid_mean_token_accuracy\n" +
		"1,3.00000,0.50000,,\n2,1.50000,0.50000,2.00000,0.40000\n3,1.00000,0.50000,,\n4,0.75000,0.50000,1.00000,0.40000\n"
	if err != nil || string(got) != want {
		t.Errorf("results %q, %v; want %q", got, err, want)
	}
}

func (k *kit) checkAdapters(t *testing.T, job store.Job) {
	t.Helper()
	made, err := k.st.JobAdapters(job.ID)
	if err != nil || len(made) != 3 {
		t.Fatalf("%d adapters, %v", len(made), err)
	}
	for _, a := range made {
		raw, err := os.ReadFile(k.reg.Path(a.Path))
		if err != nil || len(raw) == 0 || len(a.SHA256) != 64 || filepath.IsAbs(a.Path) {
			t.Errorf("%+v: %v", a, err)
		}
		if a.Checkpoint != strings.Contains(a.Name, ":ckpt-step-") || a.Metrics["train_loss"] == 0 {
			t.Errorf("%+v", a)
		}
		if m, err := k.reg.Resolve(a.Name); err != nil || m.Base.Name != "tiny" {
			t.Errorf("%s can be asked: %v", a.Name, err)
		}
	}
}

const chatLine = `{"messages":[{"role":"user","content":"q"},{"role":"assistant","content":"a"}]}` + "\n"

func (k *kit) upload(t *testing.T, purpose, text string) string {
	t.Helper()
	f, err := k.st.PutFile(t.Context(), store.File{Name: "file", Purpose: purpose}, strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return f.ID
}

func TestJobFromFiles(t *testing.T) {
	k := newKit(t)
	file := k.upload(t, "fine-tune", strings.Repeat(chatLine, 12))
	validation := k.upload(t, "fine-tune", chatLine)
	job := k.create(t, jobs.CreateRequest{Model: "gpt-3.5-turbo", TrainingFile: file, ValidationFile: validation})
	if job.Status != store.JobValidating || job.Model != "gpt-3.5-turbo" || job.Base != "tiny" {
		t.Errorf("%+v", job)
	}
	job, events := k.follow(t, job.ID)
	if job.Status != store.JobSucceeded || !strings.HasPrefix(job.Adapter, "ft:tiny:my-clinic::") {
		t.Errorf("%+v", job)
	}
	got := messages(events)
	for i, want := range []string{
		"info: Created fine-tuning job: " + job.ID, "info: Validating training file: " + file,
		"info: Validating validation file: " + validation,
		"info: Files validated, moving job to queued state", "info: Fine-tuning job started",
	} {
		if got[i] != want {
			t.Errorf("event %d: %q, want %q", i, got[i], want)
		}
	}
	if req := k.trainer.Requests()[0]; len(req.Train) != 12 || len(req.Valid) != 1 {
		t.Errorf("%d and %d examples", len(req.Train), len(req.Valid))
	}
}

func TestJobWithWrongFile(t *testing.T) {
	k := newKit(t)
	job := k.create(t, jobs.CreateRequest{Model: "tiny", TrainingFile: k.upload(t, "fine-tune", strings.Repeat(chatLine, 7))})
	job, events := k.follow(t, job.ID)
	want := store.JobError{Code: "invalid_n_examples", Message: "Training file has 7 example(s), but must have at least 10 examples", Param: "training_file"}
	if job.Status != store.JobFailed || job.Error == nil || *job.Error != want || job.FinishedAt == nil {
		t.Errorf("%+v %+v", job, job.Error)
	}
	if last := events[len(events)-1]; last.Level != "error" || last.Message != want.Message {
		t.Errorf("last event %+v", last)
	}
	// A wrong file does not stop the next job.
	if next, _ := k.follow(t, k.create(t, jobs.CreateRequest{Model: "tiny", Dataset: k.dataset(t, 30)}).ID); next.Status != store.JobSucceeded {
		t.Errorf("%+v", next)
	}
}

// The tutorial's learning_rate_multiplier of 2e-5 is a learning rate.
func TestLearningRateAsMultiplier(t *testing.T) {
	k := newKit(t)
	data := k.dataset(t, 30)
	req := jobs.CreateRequest{Model: "tiny", Dataset: data, Hyper: train.Hyperparameters{LearningRateMultiplier: 2e-5}}
	job, events := k.follow(t, k.create(t, req).ID)
	if events[1].Level != "warn" || !strings.Contains(events[1].Message, "learning_rate_multiplier is 2e-05, which looks like a learning rate") {
		t.Errorf("%q", messages(events))
	}
	if h := k.trainer.Requests()[0].Hyperparameters; h.LearningRateMultiplier != 0 {
		t.Errorf("%+v", h)
	}
	req.Hyper.LearningRateMultiplier = 0.1
	job, events = k.follow(t, k.create(t, req).ID)
	if h := k.trainer.Requests()[1].Hyperparameters; h.LearningRateMultiplier != 0.1 || events[1].Level == "warn" {
		t.Errorf("%+v %q of %s", h, messages(events), job.ID)
	}
}

func TestLiteralMultiplier(t *testing.T) {
	k := openKit(t, t.TempDir(), vault.NewMasterKey(), &appliancetest.Trainer{}, jobs.Config{LiteralMultiplier: true})
	req := jobs.CreateRequest{Model: "tiny", Dataset: k.dataset(t, 30), Hyper: train.Hyperparameters{LearningRateMultiplier: 2e-5}}
	_, events := k.follow(t, k.create(t, req).ID)
	if h := k.trainer.Requests()[0].Hyperparameters; h.LearningRateMultiplier != 2e-5 || events[1].Level == "warn" {
		t.Errorf("%+v %q", h, messages(events))
	}
}

func TestOverfittingIsSaid(t *testing.T) {
	trainer := &appliancetest.Trainer{Epochs: 20, StepsPerEpoch: 1, ValidLoss: func(epoch int) float64 { return 1 + 0.05*float64((epoch-6)*(epoch-6)) }}
	k := openKit(t, t.TempDir(), vault.NewMasterKey(), trainer, jobs.Config{})
	job, events := k.follow(t, k.create(t, jobs.CreateRequest{Model: "tiny", Dataset: k.dataset(t, 60)}).ID)
	verdict := events[len(events)-3]
	if verdict.Level != "warn" || !strings.Contains(verdict.Message, "Overfitting: the validation loss was lowest after epoch 6") || !strings.Contains(verdict.Message, "The adapter of epoch 6 was kept.") {
		t.Errorf("%+v", verdict)
	}
	if a, err := k.st.Adapter(job.Adapter); err != nil || a.Step != 6 {
		t.Errorf("%+v, %v", a, err)
	}
}

func TestCreateRefuses(t *testing.T) {
	k := newKit(t)
	data := k.dataset(t, 30)
	file := k.upload(t, "assistants", "x")
	big, neg := int64(1)<<31, int64(-1)
	for param, req := range map[string]jobs.CreateRequest{
		"model":                      {Model: "nobody", Dataset: data},
		"dataset":                    {Model: "tiny", Dataset: "nothing"},
		"training_file":              {Model: "tiny"},
		"training_file ":             {Model: "tiny", Dataset: data, TrainingFile: file},
		"training_file  ":            {Model: "tiny", TrainingFile: "file-none"},
		"training_file   ":           {Model: "tiny", TrainingFile: file}, // wrong purpose
		"validation_file":            {Model: "tiny", Dataset: data, ValidationFile: file},
		"suffix":                     {Model: "tiny", Dataset: data, Suffix: strings.Repeat("x", 65)},
		"seed":                       {Model: "tiny", Dataset: data, Seed: &big},
		"seed ":                      {Model: "tiny", Dataset: data, Seed: &neg},
		"metadata":                   {Model: "tiny", Dataset: data, Metadata: map[string]string{strings.Repeat("k", 65): "v"}},
		"hyperparameters.n_epochs":   {Model: "tiny", Dataset: data, Hyper: train.Hyperparameters{Epochs: 51}},
		"hyperparameters.batch_size": {Model: "tiny", Dataset: data, Hyper: train.Hyperparameters{BatchSize: -1}},
		"hyperparameters.learning_rate_multiplier": {Model: "tiny", Dataset: data, Hyper: train.Hyperparameters{LearningRateMultiplier: -2}},
		"hyperparameters.lr_scheduler_type":        {Model: "tiny", Dataset: data, Hyper: train.Hyperparameters{Schedule: "square"}},
	} {
		_, err := k.man.Create(t.Context(), req)
		f, ok := errors.AsType[*fault.Error](err)
		if !ok || f.Param != strings.TrimSpace(param) || f.Message == "" {
			t.Errorf("%s: %v", param, err)
		}
	}
	if all, _, err := k.st.Jobs(nil, store.Page{}); err != nil || len(all) != 0 {
		t.Errorf("%d jobs, %v", len(all), err)
	}
}

func TestCancel(t *testing.T) {
	started, release := make(chan struct{}, 9), make(chan struct{})
	trainer := &appliancetest.Trainer{Step: func(_ train.Request, n int) {
		if n == 2 {
			started <- struct{}{}
			<-release
		}
	}}
	k := openKit(t, t.TempDir(), vault.NewMasterKey(), trainer, jobs.Config{})
	data := k.dataset(t, 60)
	running := k.create(t, jobs.CreateRequest{Model: "tiny", Dataset: data})
	waiting := k.create(t, jobs.CreateRequest{Model: "tiny", Dataset: data})
	<-started
	for _, id := range []string{waiting.ID, running.ID} {
		job, err := k.man.Cancel(t.Context(), id)
		if err != nil || job.Status != store.JobCancelled || job.FinishedAt == nil {
			t.Errorf("%+v, %v", job, err)
		}
	}
	close(release)
	for _, id := range []string{waiting.ID, running.ID} {
		job, events := k.follow(t, id)
		if job.Status != store.JobCancelled || events[len(events)-1].Message != "Fine-tuning job cancelled" {
			t.Errorf("%s: %q", job.Status, messages(events))
		}
		_, err := k.man.Cancel(t.Context(), id)
		if f, ok := errors.AsType[*fault.Error](err); !ok || f.Kind != fault.Conflict || !strings.Contains(f.Message, "cancelled") {
			t.Errorf("twice: %v", err)
		}
	}
	if _, err := k.man.Cancel(t.Context(), "ftjob-none"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("no job: %v", err)
	}
	// The next job runs, and nothing is left of the cancelled ones.
	k.follow(t, k.create(t, jobs.CreateRequest{Model: "tiny", Dataset: data}).ID)
	k.nothingLeft(t)
	if n := len(k.trainer.Requests()); n != 2 {
		t.Errorf("the trainer ran %d times, want 2: a job cancelled while it waits never starts", n)
	}
}

// What a process left that ended between a job's end and its tidying.
func TestSweep(t *testing.T) {
	home, key := t.TempDir(), vault.NewMasterKey()
	k := openKit(t, home, key, &appliancetest.Trainer{}, jobs.Config{})
	job, err := k.st.CreateJob(store.Job{Model: "tiny", Base: "tiny", Dataset: k.dataset(t, 30), Version: 1, Status: store.JobCancelled})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join("adapters", job.ID+".gguf")
	for _, p := range []string{filepath.Join(home, "work", job.ID, "x"), filepath.Join(home, "work", "ftjob-gone", "x"), filepath.Join(home, path)} {
		if err := errors.Join(os.MkdirAll(filepath.Dir(p), 0o700), os.WriteFile(p, nil, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	if err := k.st.PutAdapter(store.Adapter{Name: "ft:tiny:o::1", Base: "tiny", JobID: job.ID, Path: path}); err != nil {
		t.Fatal(err)
	}
	k.close(t)
	k = openKit(t, home, key, &appliancetest.Trainer{}, jobs.Config{})
	k.nothingLeft(t)
	if _, err := os.Stat(filepath.Join(home, path)); !os.IsNotExist(err) {
		t.Errorf("the adapter of a cancelled job: %v", err)
	}
	if _, err := k.st.Adapter("ft:tiny:o::1"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("its record: %v", err)
	}
}

// A job that was running when the process ended goes on from its checkpoint.
func TestResume(t *testing.T) {
	home, key := t.TempDir(), vault.NewMasterKey()
	started, release := make(chan struct{}), make(chan struct{})
	k := openKit(t, home, key, &appliancetest.Trainer{Step: func(_ train.Request, n int) {
		if n == 3 {
			close(started)
			<-release
		}
	}}, jobs.Config{})
	job := k.create(t, jobs.CreateRequest{Model: "tiny", Dataset: k.dataset(t, 60), Suffix: "x"})
	queued := k.create(t, jobs.CreateRequest{Model: "tiny", TrainingFile: k.upload(t, "fine-tune", strings.Repeat(chatLine, 12))})
	<-started
	followed := make(chan error, 1)
	go func() {
		followed <- k.man.Follow(context.Background(), job.ID, 0, func(store.Event) error { return nil })
	}()
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		k.close(t)
	}()
	if err := <-followed; !errors.Is(err, jobs.ErrClosed) {
		t.Errorf("who follows while it closes: %v", err)
	}
	close(release)
	<-closed

	k = openKit(t, home, key, &appliancetest.Trainer{}, jobs.Config{})
	job, events := k.follow(t, job.ID)
	got := strings.Join(messages(events), "\n")
	if job.Status != store.JobSucceeded {
		t.Fatalf("%+v\n%s", job, got)
	}
	for _, want := range []string{"Fine-tuning job resumed after a restart of the appliance", "Resuming at step 2", "Step 4/4"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing in\n%s", want, got)
		}
	}
	k.checkResults(t, job) // steps of both processes are in it
	if a, b := k.trainer.Requests()[0], job; a.JobID != b.ID {
		t.Errorf("the first to run is %s, not the interrupted one", a.JobID)
	}
	if job, _ := k.follow(t, queued.ID); job.Status != store.JobSucceeded {
		t.Errorf("the one behind it: %+v", job)
	}
}

// A job that was finished but for the last transaction is finished again.
func TestFinishAgain(t *testing.T) {
	home, key := t.TempDir(), vault.NewMasterKey()
	k := openKit(t, home, key, &appliancetest.Trainer{}, jobs.Config{})
	job, _ := k.follow(t, k.create(t, jobs.CreateRequest{Model: "tiny", Dataset: k.dataset(t, 60)}).ID)
	again, err := k.st.CreateJob(store.Job{Model: "tiny", Base: "tiny", Dataset: job.Dataset, Version: 1, Requested: job.Requested, Status: store.JobRunning})
	if err != nil {
		t.Fatal(err)
	}
	// Its adapter and its first checkpoint had been registered when it died.
	name := "ft:tiny:my-clinic::" + again.ID[len(again.ID)-8:]
	for _, n := range []string{name, name + ":ckpt-step-2"} {
		if err := k.st.PutAdapter(store.Adapter{Name: n, Base: "tiny", JobID: again.ID, Path: "adapters/x.gguf"}); err != nil {
			t.Fatal(err)
		}
	}
	k.close(t)
	k = openKit(t, home, key, &appliancetest.Trainer{}, jobs.Config{})
	done, _ := k.follow(t, again.ID)
	if done.Status != store.JobSucceeded || done.Adapter != name {
		t.Errorf("%+v", done)
	}
	k.checkAdapters(t, done)
}

func TestWorkerDies(t *testing.T) {
	var deaths atomic.Int64
	trainer := &appliancetest.Trainer{Epochs: 3, Fail: func(_ train.Request, n int) error {
		if (n == 2 || n == 4) && deaths.Add(1) <= 4 && deaths.Load() != 3 { // twice at 2, once at 4
			return fmt.Errorf("training: %w", engine.ErrWorkerDied)
		}
		return nil
	}}
	k := openKit(t, t.TempDir(), vault.NewMasterKey(), trainer, jobs.Config{})
	job, events := k.follow(t, k.create(t, jobs.CreateRequest{Model: "tiny", Dataset: k.dataset(t, 60)}).ID)
	if job.Status != store.JobSucceeded {
		t.Errorf("%+v\n%s", job.Error, strings.Join(messages(events), "\n"))
	}
	if n := strings.Count(strings.Join(messages(events), "\n"), "warn: The training worker died"); n != 3 {
		t.Errorf("told of %d deaths, want 3", n)
	}
}

// A card that fails is tried again; when it gets nowhere, the CPU goes on.
func TestCardFails(t *testing.T) {
	lost := func(at ...int) (*appliancetest.Trainer, func() []string) {
		n := 0
		tr := &appliancetest.Trainer{Card: "cuda:0", Epochs: 3}
		tr.Fail = func(req train.Request, step int) error {
			if req.Device != train.CPUDevice && n < len(at) && step == at[n] {
				n++
				return fmt.Errorf("step %d: %w", step, train.ErrDevice)
			}
			return nil
		}
		return tr, func() (on []string) {
			for _, r := range tr.Requests() {
				on = append(on, r.Device)
			}
			return on
		}
	}
	for _, c := range []struct {
		at   []int
		want string
	}{{[]int{2}, "auto auto"}, {[]int{2, 4, 5}, "auto auto auto auto"}, {[]int{2, 2, 2, 2}, "auto auto cpu"}} {
		trainer, devices := lost(c.at...)
		k := openKit(t, t.TempDir(), vault.NewMasterKey(), trainer, jobs.Config{Device: train.AnyDevice})
		job, events := k.follow(t, k.create(t, jobs.CreateRequest{Model: "tiny", Dataset: k.dataset(t, 60)}).ID)
		text := strings.Join(messages(events), "\n")
		if job.Status != store.JobSucceeded || strings.Join(devices(), " ") != c.want || strings.Count(text, "warn: The card failed") != len(devices())-1 {
			t.Errorf("lost at %v: %s on %q, %+v\n%s", c.at, job.Status, devices(), job.Error, text)
		}
		if strings.Contains(text, "on the CPU") != strings.HasSuffix(c.want, "cpu") {
			t.Errorf("lost at %v:\n%s", c.at, text)
		}
	}
}

func TestFailures(t *testing.T) {
	for code, err := range map[string]error{
		"worker_died":       fmt.Errorf("training: %w", engine.ErrWorkerDied), // at every try
		"training_diverged": fmt.Errorf("at step 2: %w", train.ErrDiverged),
		"training_failed":   errors.New("something else"),
		"out_of_memory":     fmt.Errorf("%w: 9 GiB", train.ErrMemory),
	} {
		trainer := &appliancetest.Trainer{Fail: func(_ train.Request, n int) error {
			if n == 2 {
				return err
			}
			return nil
		}}
		k := openKit(t, t.TempDir(), vault.NewMasterKey(), trainer, jobs.Config{})
		job, events := k.follow(t, k.create(t, jobs.CreateRequest{Model: "tiny", Dataset: k.dataset(t, 60)}).ID)
		if job.Status != store.JobFailed || job.Error == nil || job.Error.Code != code || job.Error.Message == "" {
			t.Errorf("%s: %+v", code, job.Error)
		}
		if last := events[len(events)-1]; last.Level != "error" || last.Message != job.Error.Message {
			t.Errorf("%s: last event %+v", code, last)
		}
		k.nothingLeft(t)
	}
}

// Followers get every event once and in order, however late they come.
func TestFollow(t *testing.T) {
	step := make(chan struct{})
	trainer := &appliancetest.Trainer{Step: func(train.Request, int) { <-step }}
	k := openKit(t, t.TempDir(), vault.NewMasterKey(), trainer, jobs.Config{})
	job := k.create(t, jobs.CreateRequest{Model: "tiny", Dataset: k.dataset(t, 60)})
	lists := make([][]uint64, 4)
	var following [4]chan error
	for i := range lists {
		following[i] = make(chan error, 1)
		step <- struct{}{}
		go func() {
			following[i] <- k.man.Follow(context.Background(), job.ID, uint64(i), func(e store.Event) error {
				lists[i] = append(lists[i], e.Seq)
				return nil
			})
		}()
	}
	_, all := k.follow(t, job.ID)
	for i := range lists {
		if err := <-following[i]; err != nil {
			t.Error(err)
		}
		var want []uint64
		for seq := uint64(i) + 1; seq <= uint64(len(all)); seq++ {
			want = append(want, seq)
		}
		if !slices.Equal(lists[i], want) {
			t.Errorf("follower %d got %v, want %v", i, lists[i], want)
		}
	}
	enough := errors.New("enough")
	if err := k.man.Follow(t.Context(), job.ID, 0, func(store.Event) error { return enough }); err != enough {
		t.Errorf("an error of each: %v", err)
	}
	if err := k.man.Follow(t.Context(), "ftjob-none", 0, nil); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("no job: %v", err)
	}
}

// Numbers that JSON cannot hold never reach an event or the result file.
func TestMetricsAreFinite(t *testing.T) {
	trainer := &appliancetest.Trainer{ValidLoss: func(int) float64 { return nan }}
	k := openKit(t, t.TempDir(), vault.NewMasterKey(), trainer, jobs.Config{})
	job, events := k.follow(t, k.create(t, jobs.CreateRequest{Model: "tiny", Dataset: k.dataset(t, 60)}).ID)
	for _, e := range events {
		if bytes.Contains(e.Data, []byte("valid_loss")) {
			t.Errorf("%s", e.Data)
		}
	}
	if job.Status != store.JobSucceeded {
		t.Errorf("%+v", job.Error)
	}
}

var nan = math.NaN()
