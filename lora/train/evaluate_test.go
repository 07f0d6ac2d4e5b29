package train_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"cloister/lora/model"
	"cloister/lora/train"
)

// Evaluations within an epoch count for the best adapter and for patience.
func TestEvalSteps(t *testing.T) {
	for _, tt := range []struct {
		name             string
		losses           []float64 // of the evaluations: after steps 3, 4, 6, 8, 9 and 12
		patience         int
		bestStep, best   int
		steps, epochs    int
		stopped          bool
		evaluated, ended []int
	}{
		{"best within an epoch", []float64{5, 4, 1, 3, 3, 3}, -1, 6, 2, 12, 3, false, []int{3, 6, 9}, []int{4, 8, 12}},
		{"patience within an epoch", []float64{5, 4, 4.5, 4.6, 4.7}, 3, 4, 1, 9, 3, true, []int{3, 6, 9}, []int{4, 8, 9}},
		{"patience at an end", []float64{5, 4, 4.5, 4.6}, 2, 4, 1, 8, 2, true, []int{3, 6}, []int{4, 8}},
	} {
		req := request(t, writeTiny(t))
		req.Hyperparameters.EvalSteps, req.Hyperparameters.Patience = 3, tt.patience
		best := map[int][]float32{}
		f := faulty{}
		f.loss = func(n int, l *model.Loss, p []*model.Param) error {
			l.Sum = tt.losses[n-1] * float64(l.Tokens)
			best[n] = values(p[0].Data)
			return nil
		}
		res, events, err := runFaulty(t, req, f)
		if err != nil {
			t.Fatal(err)
		}
		if res.Best.Step != tt.bestStep || res.BestEpoch != tt.best || *res.Best.ValidLoss != slices.Min(tt.losses) || res.Steps != tt.steps || res.StoppedEarly != tt.stopped || len(res.Curve) != tt.epochs {
			t.Errorf("%s: result %+v", tt.name, res)
		}
		a, err := train.ReadAdapter(req.OutPath)
		if err != nil {
			t.Fatal(err)
		}
		if at := slices.Index(tt.losses, slices.Min(tt.losses)) + 1; !slices.Equal(a.Tensors[0].Data, best[at]) {
			t.Errorf("%s: the adapter is not that of evaluation %d", tt.name, at)
		}
		for kind, want := range map[string][]int{"evaluation": tt.evaluated, "epoch": tt.ended} {
			var got []int
			for _, e := range events.kind(kind) {
				got = append(got, e.Step)
				if e.ValidLoss == nil || e.ValidAccuracy == nil {
					t.Errorf("%s: %+v", tt.name, e)
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s: %s events after steps %v, want %v", tt.name, kind, got, want)
			}
		}
		// What has ended stays ended, with the same result.
		again, events, err := runFaulty(t, req, faulty{})
		if err != nil || len(events.kind("step")) > 0 || again.Best.Step != tt.bestStep || events.hasWarning("anew") {
			t.Errorf("%s, run again: %+v, %v", tt.name, again, err)
		}
	}
}

// A run that is interrupted in an evaluation evaluates when it goes on.
func TestResumeInEvaluation(t *testing.T) {
	base := writeTiny(t)
	whole := request(t, base)
	whole.Hyperparameters.EvalSteps = 2
	want, _ := mustRun(t, whole)
	for stop := 1; stop <= 6; stop++ {
		req := request(t, base)
		req.Hyperparameters.EvalSteps = 2
		ctx, cancel := context.WithCancel(context.Background())
		f := faulty{loss: func(n int, _ *model.Loss, _ []*model.Param) error {
			if n == stop {
				cancel()
				return ctx.Err()
			}
			return nil
		}}
		_, err := train.RunWith(ctx, req, nil, func(path string, c model.Config) (train.Trainable, error) {
			r, err := openRef(path, c)
			f.refModel = r
			return &f, err
		})
		if !errors.Is(err, train.ErrStopped) {
			t.Fatal(err)
		}
		got, events := mustRun(t, req)
		if n := len(events.kind("evaluation")) + len(events.kind("epoch")); n != 7-stop {
			t.Errorf("stopped in evaluation %d: %d more", stop, n)
		}
		sameFiles(t, "stopped in an evaluation", req.OutPath, whole.OutPath)
		if !sameCurve(got.Curve, want.Curve) || got.Best.Step != want.Best.Step {
			t.Errorf("stopped in evaluation %d: %+v, want %+v", stop, got, want)
		}
	}
}
