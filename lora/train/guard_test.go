package train_test

import (
	"errors"
	"math"
	"os"
	"strings"
	"testing"

	"cloister/llama/chat"
	"cloister/lora/model"
	"cloister/lora/train"
)

// multiply scales every gradient.
func multiply(params []*model.Param, by float32) {
	for _, p := range params {
		edit(p.Grad, func(values []float32) {
			for i := range values {
				values[i] *= by
			}
		})
	}
}

// One call of Backward is one step here: the rows of a step fit into one packed row.
func TestSpikeAndExplosion(t *testing.T) {
	base := writeTiny(t)
	clean := request(t, base)
	clean.Hyperparameters.Epochs = 5
	want, calm := mustRun(t, clean)
	if len(calm.kind("step")) != 20 || len(calm.kind("warning")) != 1 { // "only 10 examples"
		t.Fatalf("warnings of an ordinary run: %+v", calm.kind("warning"))
	}
	req := request(t, base)
	req.Hyperparameters.Epochs = 5
	res, events, err := runFaulty(t, req, faulty{backward: func(n int, l *model.Loss, params []*model.Param) error {
		switch n {
		case 3: // early, when nothing is known yet: clipping bounds it
			multiply(params, 50)
		case 13:
			l.Sum *= 5
		case 16:
			multiply(params, 1e4)
		}
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	if !events.hasWarning("Step 13", "spike", "skipped", "row ") || !events.hasWarning("Step 16", "explodes", "skipped", "row ") || len(events.kind("step")) != 18 {
		t.Errorf("%d steps, warnings %+v", len(events.kind("step")), events.kind("warning"))
	}
	if got, plain := *res.Best.ValidLoss, *want.Best.ValidLoss; got > 1.2*plain {
		t.Errorf("validation loss %g, without faults %g", got, plain)
	}
}

// A fault that stays ends the run, with advice, and what was best is kept.
func TestDivergedKeepsBest(t *testing.T) {
	base := writeTiny(t)
	for name, fault := range map[string]func(l *model.Loss, params []*model.Param){
		"NaN":       func(l *model.Loss, _ []*model.Param) { l.Sum = math.NaN() },
		"spike":     func(l *model.Loss, _ []*model.Param) { l.Sum *= 1000 },
		"explosion": func(_ *model.Loss, params []*model.Param) { multiply(params, 1e6) },
	} {
		req := request(t, base)
		req.Hyperparameters.Epochs, req.Hyperparameters.KeepCheckpoints = 6, 1
		losses := []float64{5, 2, 3, 3, 3, 3}
		var best []byte
		res, events, err := runFaulty(t, req, faulty{
			backward: func(n int, l *model.Loss, params []*model.Param) error {
				if n == 9 {
					best = readFile(t, req.WorkDir+"/adapter-step-8.gguf")
				}
				if n > 17 {
					fault(l, params)
				}
				return nil
			},
			loss: func(n int, l *model.Loss, _ []*model.Param) error {
				l.Sum = losses[n-1] * float64(l.Tokens)
				return nil
			},
		})
		if !errors.Is(err, train.ErrDiverged) || !strings.Contains(err.Error(), "at step 22") || !strings.Contains(err.Error(), "learning_rate of 0.003 in place of 0.01") || !strings.Contains(err.Error(), "epoch 2, step 8") {
			t.Errorf("%s: %v", name, err)
		}
		if !events.hasWarning("Step 18", "skipped") || len(events.kind("step")) != 17 {
			t.Errorf("%s: warnings %+v", name, events.kind("warning"))
		}
		if res.Best.Step != 8 || len(res.Checkpoints) != 2 || res.Checkpoints[1].Step != 8 {
			t.Fatalf("%s: result %+v", name, res)
		}
		if string(readFile(t, res.Checkpoints[1].Path)) != string(best) {
			t.Errorf("%s: what is kept is not the adapter of epoch 2", name)
		}
		if _, err := os.Stat(req.OutPath); err == nil {
			t.Errorf("%s: a run that diverged left an adapter at its place", name)
		}
	}
}

// Examples that differ much, learnt one by one until most are known by heart,
// give losses and norms that jump from step to step, and no warning.
func TestOrdinaryRunsAreLeftAlone(t *testing.T) {
	base := writeTiny(t)
	for seed := range int64(2) {
		req := request(t, base)
		req.Hyperparameters = train.Hyperparameters{Epochs: 25, BatchSize: 1, LearningRate: 0.02, Rank: 4, Seed: seed, Patience: -1}
		for i := range 8 { // easy ones, and two that look like nothing else
			req.Train[i].Messages = []chat.Message{{Role: "user", Content: "same"}, {Role: "assistant", Content: "aaaa"}}
		}
		_, events := mustRun(t, req)
		low, high, after := math.Inf(1), 0.0, events.kind("step")[20:]
		for _, e := range after {
			low, high = min(low, e.Loss), max(high, e.Loss)
		}
		t.Logf("seed %d: losses after 20 steps %.4f to %.3f", seed, low, high)
		if high < 10*low {
			t.Errorf("seed %d: losses of %g to %g try nothing", seed, low, high)
		}
		if events.hasWarning("skipped") || len(events.kind("step")) != 250 {
			t.Errorf("seed %d: warnings %+v", seed, events.kind("warning"))
		}
	}
}
