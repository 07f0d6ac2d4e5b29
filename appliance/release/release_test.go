package release_test

import (
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"

	"cloister/appliance/appliancetest"
	"cloister/appliance/fault"
	"cloister/appliance/models"
	"cloister/appliance/release"
	"cloister/lora/eval"
	"cloister/store"
)

type kit struct {
	st  *store.Store
	reg *models.Registry
	rel *release.Service
}

// newKit has a base model and the adapters ft:tiny:o::1 to 4.
func newKit(t *testing.T) kit {
	st, home := appliancetest.Store(t)
	reg := models.New(st, nil, models.Config{Home: home})
	if _, err := reg.Import(t.Context(), appliancetest.GGUF(t), "tiny", true); err != nil {
		t.Fatal(err)
	}
	for _, name := range adapters {
		if err := st.PutAdapter(store.Adapter{Name: name, Base: "tiny", Path: "x"}); err != nil {
			t.Fatal(err)
		}
	}
	return kit{st, reg, release.New(st, reg)}
}

var adapters = []string{"ft:tiny:o::1", "ft:tiny:o::2", "ft:tiny:o::3", "ft:tiny:o::4"}

// evaluate stores an evaluation with these losses of model and base.
func (k kit) evaluate(t *testing.T, model string, tuned, base float64) store.Evaluation {
	t.Helper()
	train := tuned - 0.1
	raw, err := json.Marshal(eval.Report{
		Model: model, Baseline: "tiny", Examples: 60, TrainLoss: &train,
		Tuned: eval.Scores{Loss: &tuned, TokenF1: 0.8}, Base: &eval.Scores{Loss: &base, TokenF1: 0.1},
	})
	if err != nil {
		t.Fatal(err)
	}
	e, err := k.st.PutEvaluation(store.Evaluation{Model: model, Baseline: "tiny", Examples: 60, Report: raw})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func (k kit) serves(t *testing.T, alias, want string) {
	t.Helper()
	if m, err := k.reg.Resolve(alias); err != nil || m.Name() != want || m.Alias != alias {
		t.Errorf("%s leads to %q (%v), want %q", alias, m.Name(), err, want)
	}
}

func TestDeploy(t *testing.T) {
	k := newKit(t)
	e := k.evaluate(t, adapters[0], 0.3, 3.2)
	rel, err := k.rel.Deploy(t.Context(), adapters[0], "support", false, "key-1")
	if err != nil {
		t.Fatal(err)
	}
	if rel.Number != 1 || rel.Model != adapters[0] || rel.EvaluationID != e.ID || rel.Forced || rel.By != "key-1" || !strings.Contains(rel.Reason, "0.300, below the base's 3.200") {
		t.Errorf("%+v", rel)
	}
	k.serves(t, "support", adapters[0])
	status, err := k.rel.Status()
	if err != nil || len(status) != 1 || status[0].Current.ID != rel.ID || len(status[0].History) != 1 {
		t.Errorf("%+v, %v", status, err)
	}
}

func TestGateRefuses(t *testing.T) {
	k := newKit(t)
	if _, err := k.rel.Deploy(t.Context(), adapters[0], "support", false, "local"); !refused(err, "has not been evaluated", "cloister eval --model ft:tiny:o::1") {
		t.Errorf("without an evaluation: %v", err)
	}
	k.evaluate(t, adapters[0], 0.3, 3.2)
	bad := k.evaluate(t, adapters[0], 3.5, 3.2) // the newest one counts
	if _, err := k.rel.Deploy(t.Context(), adapters[0], "support", false, "local"); !refused(err, "3.500, not below the base's 3.200", "--force") {
		t.Errorf("a worse model: %v", err)
	}
	if status, err := k.rel.Status(); err != nil || len(status) != 0 {
		t.Errorf("a refused model was deployed: %+v, %v", status, err)
	}
	rel, err := k.rel.Deploy(t.Context(), adapters[0], "support", true, "local")
	if err != nil || !rel.Forced || rel.EvaluationID != bad.ID || !strings.Contains(rel.Reason, "not below the base's") {
		t.Errorf("forced: %+v, %v", rel, err)
	}
	k.serves(t, "support", adapters[0])
	if rel, err := k.rel.Deploy(t.Context(), adapters[1], "support", true, "local"); err != nil || !rel.Forced || rel.EvaluationID != "" {
		t.Errorf("forced without an evaluation: %+v, %v", rel, err)
	}
	// Force does not mark what would have passed.
	k.evaluate(t, adapters[2], 0.3, 3.2)
	if rel, err := k.rel.Deploy(t.Context(), adapters[2], "support", true, "local"); err != nil || rel.Forced {
		t.Errorf("force that was not needed: %+v, %v", rel, err)
	}
}

// What training saw says nothing: such an evaluation neither passes nor hides
// the newest one on held-out examples. What the gate warns of is recorded.
func TestGateWantsHeldOutExamples(t *testing.T) {
	k := newKit(t)
	good := eval.Report{Model: adapters[0], Baseline: "tiny", Examples: 3, Tuned: eval.Scores{Loss: new(float64)}, Base: &eval.Scores{Loss: new(float64)}}
	*good.Base.Loss = 3
	raw, err := json.Marshal(good)
	if err != nil {
		t.Fatal(err)
	}
	for _, split := range []store.Split{store.Train, store.Valid} {
		if _, err := k.st.PutEvaluation(store.Evaluation{Model: adapters[0], Baseline: "tiny", Split: split, Report: raw}); err != nil {
			t.Fatal(err)
		}
		if _, err := k.rel.Deploy(t.Context(), adapters[0], "support", false, "local"); !refused(err, "only on examples that its training saw", "cloister eval") {
			t.Errorf("evaluated on %s: %v", split, err)
		}
	}
	held, err := k.st.PutEvaluation(store.Evaluation{Model: adapters[0], Baseline: "tiny", Split: store.Test, Report: raw})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.st.PutEvaluation(store.Evaluation{Model: adapters[0], Baseline: "tiny", Split: store.Train, Report: raw}); err != nil {
		t.Fatal(err)
	}
	rel, err := k.rel.Deploy(t.Context(), adapters[0], "support", false, "local")
	if err != nil || rel.EvaluationID != held.ID || !strings.Contains(rel.Reason, "only 3 test examples") {
		t.Errorf("%+v, %v", rel, err)
	}
}

// A thorough leak test counts until there is one as thorough: a model does not
// change, and a short test later asks it less.
func TestGateKeepsThoroughLeakTest(t *testing.T) {
	k := newKit(t)
	evaluated := func(thorough bool, leaks int) {
		t.Helper()
		three, one := 3.0, 1.0
		raw, err := json.Marshal(eval.Report{Examples: 60, Tuned: eval.Scores{Loss: &one}, Base: &eval.Scores{Loss: &three},
			Leak: &eval.Leak{Thorough: thorough, Answers: &eval.LeakAnswers{Tuned: eval.LeakCount{Leaks: leaks}}}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := k.st.PutEvaluation(store.Evaluation{Model: adapters[0], Baseline: "tiny", Split: store.Test, Report: raw}); err != nil {
			t.Fatal(err)
		}
	}
	deploy := func() error {
		_, err := k.rel.Deploy(t.Context(), adapters[0], "support", false, "local")
		return err
	}
	for _, c := range []struct {
		thorough bool
		leaks    int
		refused  bool
	}{{false, 0, false}, {false, 1, true}, {false, 0, false}, {true, 2, true}, {false, 0, true}, {true, 0, false}, {false, 0, false}} {
		evaluated(c.thorough, c.leaks)
		if err := deploy(); c.refused != refused(err, "values of the vault (answers ") || !c.refused && err != nil {
			t.Errorf("thorough %v, %d leaks: %v", c.thorough, c.leaks, err)
		}
	}
}

func refused(err error, words ...string) bool {
	f, ok := errors.AsType[*fault.Error](err)
	if !ok || f.Kind != fault.Forbidden || f.Code != "gate_refused" {
		return false
	}
	for _, w := range words {
		if !strings.Contains(f.Error(), w) {
			return false
		}
	}
	return true
}

func TestSetGate(t *testing.T) {
	k := newKit(t)
	k.evaluate(t, adapters[0], 0.3, 3.2)
	c, err := k.rel.Gate()
	if err != nil || c != eval.DefaultGate() {
		t.Errorf("%+v, %v", c, err)
	}
	c.MinLossGain = 5
	if err := k.rel.SetGate(c); err != nil {
		t.Fatal(err)
	}
	if d, id, err := k.rel.Decide(adapters[0]); err != nil || d.OK || id == "" || !strings.Contains(d.Reasons[0], "at least 5.000") {
		t.Errorf("%+v, %v", d, err)
	}
	c.MaxGap = -1
	if err := k.rel.SetGate(c); err == nil || !strings.Contains(err.Error(), "max_gap") {
		t.Errorf("%v", err)
	}
	if c, err := k.rel.Gate(); err != nil || c.MinLossGain != 5 || c.MaxGap != 1 {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestDeployBase(t *testing.T) {
	k := newKit(t)
	rel, err := k.rel.Deploy(t.Context(), "gpt-4o", "support", false, "local") // the only base
	if err != nil || rel.Model != "tiny" || rel.Forced {
		t.Errorf("%+v, %v", rel, err)
	}
	for alias, want := range map[string]string{"tiny": "name of a base model", "ft:x": "good alias", "": "good alias", "a b": "good alias"} {
		if _, err := k.rel.Deploy(t.Context(), "tiny", alias, true, "local"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("alias %q: %v", alias, err)
		}
	}
	if _, err := k.rel.Deploy(t.Context(), "nobody", "support", true, "local"); !errors.Is(err, models.ErrUnknownModel) {
		t.Errorf("an unknown model: %v", err)
	}
}

func TestRollback(t *testing.T) {
	k := newKit(t)
	if _, err := k.rel.Rollback(t.Context(), "support", "local"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("no alias: %v", err)
	}
	deploy := func(model string) {
		t.Helper()
		if _, err := k.rel.Deploy(t.Context(), model, "support", true, "local"); err != nil {
			t.Fatal(err)
		}
		k.serves(t, "support", model)
	}
	rollback := func(want string) {
		t.Helper()
		rel, err := k.rel.Rollback(t.Context(), "support", "local")
		if err != nil || rel.Model != want {
			t.Fatalf("back to %q (%v), want %q", rel.Model, err, want)
		}
		k.serves(t, "support", want)
	}
	deploy(adapters[0])
	if _, err := k.rel.Rollback(t.Context(), "support", "local"); err == nil || !strings.Contains(err.Error(), "no earlier release") {
		t.Errorf("one release: %v", err)
	}
	deploy(adapters[1])
	deploy(adapters[2])
	rollback(adapters[1])
	deploy(adapters[3])
	rollback(adapters[1]) // not to the third, which was rolled back from
	rollback(adapters[0])
	if status, err := k.rel.Alias("support"); err != nil || status.Current.Number != 1 || len(status.History) != 4 || status.History[0].Number != 4 {
		t.Errorf("%+v, %v", status, err)
	}
}

// While releases are switched, every request finds a model.
func TestSwitchIsAtomic(t *testing.T) {
	k := newKit(t)
	if _, err := k.rel.Deploy(t.Context(), adapters[0], "support", true, "local"); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if m, err := k.reg.Resolve("support"); err != nil || m.Adapter == nil {
					t.Errorf("%+v, %v", m, err)
					return
				}
			}
		})
	}
	for i := range 20 {
		if _, err := k.rel.Deploy(t.Context(), adapters[i%4], "support", true, "local"); err != nil {
			t.Error(err)
		}
		if _, err := k.rel.Rollback(t.Context(), "support", "local"); err != nil {
			t.Error(err)
		}
	}
	close(done)
	wg.Wait()
}
