package train_test

import (
	"context"
	"errors"
	"math"
	"os"
	"strings"
	"testing"

	"cloister/llama/chat"
	"cloister/lora/model"
	"cloister/lora/train"
)

// faulty is the reference with faults: it changes the result of the n-th call.
type faulty struct {
	*refModel
	backward, loss func(n int, l *model.Loss, params []*model.Param) error
	calls, losses  int
}

func (f *faulty) Backward(b *model.Batch, scale float64) (model.Loss, error) {
	l, err := f.refModel.Backward(b, scale)
	f.calls++
	if err == nil && f.backward != nil {
		err = f.backward(f.calls, &l, f.params)
	}
	return l, err
}

func (f *faulty) Loss(b *model.Batch) (model.Loss, error) {
	l, err := f.refModel.Loss(b)
	f.losses++
	if err == nil && f.loss != nil {
		err = f.loss(f.losses, &l, f.params)
	}
	return l, err
}

// runFaulty runs a request on a model with faults.
func runFaulty(t *testing.T, req train.Request, f faulty) (train.Result, log, error) {
	t.Helper()
	var events log
	res, err := train.RunWith(context.Background(), req, events.emit, func(path string, c model.Config) (train.Trainable, error) {
		r, err := openRef(path, c)
		f.refModel = r
		return &f, err
	})
	return res, events, err
}

func TestNotANumber(t *testing.T) {
	req := request(t, writeTiny(t))
	res, events, err := runFaulty(t, req, faulty{backward: func(n int, l *model.Loss, params []*model.Param) error {
		switch n {
		case 2:
			l.Sum = math.NaN()
		case 5:
			edit(params[3].Grad, func(values []float32) { values[1] = float32(math.Inf(1)) })
		}
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	if !events.hasWarning("Step 2", "skipped") || !events.hasWarning("Step 5", "skipped") || len(events.kind("step")) != 10 || res.Steps != 12 {
		t.Errorf("%d steps, warnings %+v", len(events.kind("step")), events.kind("warning"))
	}
	a, err := train.ReadAdapter(req.OutPath)
	if err != nil {
		t.Fatal(err)
	}
	for _, tensor := range a.Tensors {
		for _, v := range tensor.Data {
			if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
				t.Fatalf("%s holds %v", tensor.Name, v)
			}
		}
	}
}

func TestDivergence(t *testing.T) {
	base := writeTiny(t)
	req := request(t, base)
	_, events, err := runFaulty(t, req, faulty{backward: func(n int, l *model.Loss, _ []*model.Param) error {
		if n > 5 {
			l.Sum = math.Inf(1)
		}
		return nil
	}})
	if !errors.Is(err, train.ErrDiverged) || !strings.Contains(err.Error(), "learning_rate of 0.003") || !strings.Contains(err.Error(), "epoch 2") {
		t.Errorf("infinite losses: %v", err)
	}
	if !events.hasWarning("Step 6") || !events.hasWarning("Step 10") || events.hasWarning("Step 11") {
		t.Errorf("warnings %+v", events.kind("warning"))
	}
	// The loss grows and grows, all of it finite.
	req = request(t, base)
	req.Hyperparameters.Epochs = 20
	_, events, err = runFaulty(t, req, faulty{backward: func(n int, l *model.Loss, _ []*model.Param) error {
		l.Sum = float64(l.Tokens) * max(2, float64(n)/4)
		return nil
	}})
	if n := len(events.kind("step")); !errors.Is(err, train.ErrDiverged) || n < 15 || n > 40 {
		t.Errorf("a growing loss: after %d steps %v", n, err)
	}
	if _, err := os.Stat(req.OutPath); err == nil {
		t.Error("a run that diverged left an adapter at its place")
	}
}

// The best epoch is kept and the run stops after so many worse ones.
func TestEarlyStop(t *testing.T) {
	losses := []float64{3, 2, 2.5, 2, 2.4, 1}
	script := func(n int, l *model.Loss, _ []*model.Param) error {
		l.Sum = losses[n-1] * float64(l.Tokens)
		return nil
	}
	for _, tt := range []struct {
		patience, epochs, best int
		stopped                bool
	}{{2, 4, 2, true}, {3, 5, 2, true}, {4, 6, 6, false}, {-1, 6, 6, false}} {
		req := request(t, writeTiny(t))
		req.Hyperparameters.Epochs, req.Hyperparameters.Patience = 6, tt.patience
		var second []byte
		res, _, err := runFaulty(t, req, faulty{loss: func(n int, l *model.Loss, p []*model.Param) error {
			if n == 3 {
				second = readFile(t, req.WorkDir+"/adapter-step-8.gguf")
			}
			return script(n, l, p)
		}})
		if err != nil {
			t.Fatal(err)
		}
		if len(res.Curve) != tt.epochs || res.BestEpoch != tt.best || res.StoppedEarly != tt.stopped {
			t.Errorf("patience %d: %d epochs, best %d, stopped %v", tt.patience, len(res.Curve), res.BestEpoch, res.StoppedEarly)
		}
		if kept := string(readFile(t, req.OutPath)) == string(second); kept != (tt.best == 2) {
			t.Errorf("patience %d: the adapter of epoch 2 was kept: %v", tt.patience, kept)
		}
		if len(res.Checkpoints) != 3 || res.Checkpoints[2].Epoch != tt.epochs {
			t.Errorf("patience %d: checkpoints %+v", tt.patience, res.Checkpoints)
		}
	}
}

func TestWithoutValidation(t *testing.T) {
	req := request(t, writeTiny(t))
	req.Valid, req.Hyperparameters.Patience = nil, 0
	res, events := mustRun(t, req)
	if res.BestEpoch != 3 || res.Curve[0].ValidLoss != nil || events.kind("epoch")[0].ValidLoss != nil {
		t.Errorf("result %+v", res)
	}
	sameFiles(t, "the last epoch", req.OutPath, res.Checkpoints[2].Path)
}

func TestModelErrors(t *testing.T) {
	base := writeTiny(t)
	broken := errors.New("broken")
	_, _, err := runFaulty(t, request(t, base), faulty{backward: func(int, *model.Loss, []*model.Param) error { return broken }})
	if !errors.Is(err, broken) || !strings.Contains(err.Error(), "step 1") {
		t.Errorf("backward: %v", err)
	}
	req := request(t, base)
	req.BasePath += ".none"
	if _, err := train.Run(context.Background(), req, nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no model: %v", err)
	}
	req = request(t, base)
	req.OutPath = req.WorkDir + "/no/folder.gguf"
	if _, err := train.RunWith(context.Background(), req, nil, withRef); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no folder for the adapter: %v", err)
	}
}

// Long examples are cut, useless ones left out, and the warnings name their rows.
func TestBadExamples(t *testing.T) {
	req := request(t, writeTiny(t))
	ask := func(q, a string) []chat.Message {
		return []chat.Message{{Role: "user", Content: q}, {Role: "assistant", Content: a}}
	}
	req.Train = append(req.Train,
		train.Example{Row: 71, Messages: ask("long answer", strings.Repeat("word ", 20))},
		train.Example{Row: 72, Messages: ask(strings.Repeat("long question ", 20), "no")},
		train.Example{Row: 73, Messages: ask("no answer", "")[:1]},
	)
	req.Hyperparameters.MaxLength = 60
	req.Hyperparameters.Epochs = 1
	_, events := mustRun(t, req)
	for _, words := range [][]string{{"longer than 60 tokens", "row 71, 72"}, {"after the cut", "row 72"}, {"no assistant message", "row 73"}, {"only 1"}} {
		if !events.hasWarning(words...) {
			t.Errorf("no warning with %q in %+v", words, events.kind("warning"))
		}
	}
	if n := len(events.kind("step")); n != 4 { // 11 examples, batches of 3
		t.Errorf("%d steps", n)
	}
	req = request(t, req.BasePath)
	req.Train = []train.Example{{Row: 5, Messages: ask("no answer", "")[:1]}}
	if _, err := train.RunWith(context.Background(), req, nil, withRef); !errors.Is(err, train.ErrNoExamples) {
		t.Errorf("nothing to learn: %v", err)
	}
}
