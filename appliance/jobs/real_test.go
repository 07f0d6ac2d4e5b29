package jobs_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"cloister/appliance/appliancetest"
	"cloister/appliance/datasets"
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

	reg := models.New(k.st, func(_ context.Context, base store.BaseModel, _ bool) (engine.Engine, error) {
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
	e, err := evaluate.New(k.st, reg, appliancetest.Masking(t, k.st), k.home).Run(t.Context(), evaluate.Request{Model: job.Adapter, Dataset: "clinic", MaxTokens: 16}, nil, nil)
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

// 20 epochs on 50 examples learn them by heart: the verdict says so, and the
// adapter that is kept is that of the epoch with the lowest validation loss,
// with and without an early stop.
func TestOverfittingOnFewExamples(t *testing.T) {
	k := openKit(t, t.TempDir(), vault.NewMasterKey(), &appliancetest.Trainer{}, jobs.Config{})
	if err := k.man.Close(); err != nil {
		t.Fatal(err)
	}
	man := jobs.New(k.st, engine.LocalTrainer{}, k.reg, k.sets, jobs.Config{Home: k.home, Threads: 1})
	k.man = man
	if err := man.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = man.Close() })
	// Nothing in a question leads to its answer, so what is learnt of one is
	// wrong for the next.
	var b strings.Builder
	b.WriteString("question,answer\n")
	r := rand.New(rand.NewPCG(1, 2))
	for i := range 50 {
		fmt.Fprintf(&b, "Which code has locker %d?,%06d\n", 100+i, r.IntN(1e6))
	}
	if _, err := k.sets.Import(t.Context(), datasets.ImportRequest{Name: "lockers", FileName: "a.csv"}, strings.NewReader(b.String())); err != nil {
		t.Fatal(err)
	}
	for _, patience := range []int{-1, 6} { // to the end, and stopped early, late enough for the rise to show on every CPU
		name := fmt.Sprintf("patience %d", patience)
		seed := int64(1)
		job, events := k.follow(t, k.create(t, jobs.CreateRequest{
			Model: "tiny", Dataset: "lockers", Seed: &seed, Hyper: train.Hyperparameters{Epochs: 20, LearningRate: 0.008, Patience: patience},
		}).ID)
		if job.Status != store.JobSucceeded {
			t.Fatalf("%s: %+v", name, job.Error)
		}
		var result train.Result
		if err := json.Unmarshal(job.Result, &result); err != nil {
			t.Fatal(err)
		}
		best := result.Curve[0]
		for _, p := range result.Curve {
			if *p.ValidLoss < *best.ValidLoss {
				best = p
			}
		}
		if v := jobs.Verdict(result); v.Kind != eval.Overfit || v.BestEpoch != best.Epoch {
			t.Errorf("%s: %+v", name, v)
		}
		if said := events[len(events)-3]; said.Level != "warn" || !strings.HasPrefix(said.Message, "Overfitting: ") {
			t.Errorf("%s: the job's log says %q", name, said.Message)
		}
		if early := len(result.Curve) < 20; result.BestEpoch != best.Epoch || best.Epoch == 20 || early != (patience > 0) || result.StoppedEarly != early {
			t.Errorf("%s: %d epochs, epoch %d was kept and %d is best", name, len(result.Curve), result.BestEpoch, best.Epoch)
		}
		if a, err := k.st.Adapter(job.Adapter); err != nil || a.Step != best.Step || a.Metrics["valid_loss"] != *best.ValidLoss {
			t.Errorf("%s: the adapter is that of step %d (%v), %v", name, a.Step, a.Metrics, err)
		}
	}
}
