package jobs_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"cloister/appliance/appliancetest"
	"cloister/appliance/engine"
	"cloister/appliance/evaluate"
	"cloister/appliance/jobs"
	"cloister/appliance/models"
	"cloister/appliance/release"
	"cloister/lora/eval"
	"cloister/lora/train"
	"cloister/store"
	"cloister/store/vault"
)

// The whole circle with the real trainer and the real engine, in this process
// and on a tiny model: train, answer live, evaluate, deploy.
func TestRealTrainerAndEngine(t *testing.T) {
	k := openKit(t, t.TempDir(), vault.NewMasterKey(), &appliancetest.Trainer{}, jobs.Config{})
	man := jobs.New(k.st, engine.LocalTrainer{}, k.reg, k.sets, jobs.Config{Home: k.home, Threads: 1})
	if err := k.man.Close(); err != nil {
		t.Fatal(err)
	}
	k.man = man
	if err := man.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = man.Close() })
	job, events := k.follow(t, k.create(t, jobs.CreateRequest{
		Model: "tiny", Dataset: k.dataset(t, 40), Hyper: train.Hyperparameters{Epochs: 2, BatchSize: 8, LearningRate: 0.01, Rank: 4},
	}).ID)
	log := strings.Join(messages(events), "\n")
	if job.Status != store.JobSucceeded {
		t.Fatalf("%+v\n%s", job.Error, log)
	}
	for _, want := range []string{"alpha = 8", "Step 1/", "full validation loss=", "Checkpoint created at step", "adapter of epoch"} {
		if !strings.Contains(log, want) {
			t.Errorf("%q is missing in\n%s", want, log)
		}
	}
	made, err := k.st.JobAdapters(job.ID)
	if err != nil || len(made) < 2 {
		t.Errorf("%d adapters, %v", len(made), err)
	}

	reg := models.New(k.st, func(_ context.Context, base store.BaseModel) (engine.Engine, error) {
		return engine.OpenLocal(base.Path, engine.Options{Threads: 1})
	}, models.Config{Home: k.home})
	t.Cleanup(func() { _ = reg.Close() })
	for _, a := range made { // checkpoints answer as well
		m, err := reg.Resolve(a.Name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := reg.Engine(t.Context(), m); err != nil {
			t.Errorf("%s: %v", a.Name, err)
		}
	}
	e, err := evaluate.New(k.st, reg, appliancetest.Masking(t, k.st)).Run(t.Context(), evaluate.Request{Model: job.Adapter, Dataset: "clinic", MaxTokens: 16}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	var rep eval.Report
	if err := json.Unmarshal(e.Report, &rep); err != nil {
		t.Fatal(err)
	}
	if rep.Tuned.Loss == nil || rep.Base.Loss == nil || *rep.Tuned.Loss >= *rep.Base.Loss || rep.TrainLoss == nil {
		t.Errorf("the tuned model is not better than random weights:\n%s", rep)
	}
	rel, err := release.New(k.st, reg).Deploy(t.Context(), job.Adapter, "desk", true, "test")
	if err != nil || rel.EvaluationID != e.ID {
		t.Errorf("%+v, %v", rel, err)
	}
	if m, err := reg.Resolve("desk"); err != nil || m.Name() != job.Adapter {
		t.Errorf("%+v, %v", m, err)
	}
}
