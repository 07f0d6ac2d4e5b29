package appliancetest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"

	"cloister/appliance/engine"
	"cloister/lora/train"
)

// Trainer is an engine.Trainer that learns nothing and keeps the contract of a
// real one: it writes a checkpoint into WorkDir at each step, resumes from the
// one that it finds there, stops at the next step when the context ends, and
// writes the adapter and one checkpoint for each epoch.
type Trainer struct {
	Epochs        int                                  // 0: 2
	StepsPerEpoch int                                  // 0: 2
	Card          string                               // a request for any device trains on this one; empty: on the CPU
	ValidLoss     func(epoch int) float64              // nil: falls
	Step          func(req train.Request, n int)       // is called before each step, and may block
	Fail          func(req train.Request, n int) error // an error ends the run at a step

	mu       sync.Mutex
	requests []train.Request
}

var _ engine.Trainer = (*Trainer)(nil)

// Requests returns the requests so far.
func (t *Trainer) Requests() []train.Request {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]train.Request(nil), t.requests...)
}

// Train implements engine.Trainer.
func (t *Trainer) Train(ctx context.Context, req train.Request, emit func(train.Event)) (train.Result, error) {
	t.mu.Lock()
	t.requests = append(t.requests, req)
	t.mu.Unlock()
	run := run{Trainer: t, req: req, emit: emit, epochs: max(t.Epochs, 1), per: max(t.StepsPerEpoch, 1)}
	if t.Epochs == 0 {
		run.epochs = 2
	}
	if t.StepsPerEpoch == 0 {
		run.per = 2
	}
	return run.train(ctx)
}

type run struct {
	*Trainer
	req         train.Request
	emit        func(train.Event)
	epochs, per int
}

func (r *run) train(ctx context.Context) (train.Result, error) {
	position := filepath.Join(r.req.WorkDir, "position")
	done := 0
	if raw, err := os.ReadFile(position); err == nil {
		done, _ = strconv.Atoi(string(raw))
		r.emit(train.Event{Kind: "info", Message: fmt.Sprintf("Resuming at step %d", done)})
	} else {
		r.emit(train.Event{Kind: "choice", Choice: &train.Choice{Name: "learning_rate", Value: "0.001", Reason: "the model is small"}})
	}
	device := train.CPUDevice
	if r.Card != "" && r.req.Device != train.CPUDevice {
		device = r.Card
	}
	r.emit(train.Event{Kind: "info", Message: "Training on " + device, Device: device})
	total := r.epochs * r.per
	for step := done + 1; step <= total; step++ {
		if r.Step != nil {
			r.Step(r.req, step)
		}
		if err := ctx.Err(); err != nil {
			return train.Result{}, err
		}
		if r.Fail != nil {
			if err := r.Fail(r.req, step); err != nil {
				result, _ := r.result(step - 1)
				return result, err
			}
		}
		if err := os.WriteFile(position, []byte(strconv.Itoa(step)), 0o600); err != nil {
			return train.Result{}, err
		}
		epoch := (step-1)/r.per + 1
		e := train.Event{
			Kind: "step", Step: step, TotalSteps: total, Epoch: epoch, Epochs: r.epochs,
			Loss: 3 / float64(step), Accuracy: 0.5, LearningRate: 1e-3, TokensPerSecond: 100,
		}
		if m := r.req.Hyperparameters.Method; m == "dpo" || m == "kto" {
			kl := 0.5
			e.Rewards = &train.Rewards{Chosen: 0.25, Rejected: -0.5, Margin: 0.75, Accuracy: 0.5, KL: &kl}
		}
		r.emit(e)
		if step%r.per == 0 {
			r.epoch(e, epoch)
		}
	}
	return r.finish(total)
}

// loss is the validation loss of an epoch.
func (r *run) loss(epoch int) float64 {
	if r.ValidLoss != nil {
		return r.ValidLoss(epoch)
	}
	return 2 / float64(epoch)
}

func (r *run) epoch(e train.Event, epoch int) {
	e.Kind = "epoch"
	if len(r.req.Valid) > 0 {
		loss, accuracy := r.loss(epoch), 0.4
		e.ValidLoss, e.ValidAccuracy, e.ValidRewards = &loss, &accuracy, e.Rewards
	}
	r.emit(e)
	r.emit(train.Event{Kind: "checkpoint", Step: e.Step, Path: filepath.Join(r.req.WorkDir, "checkpoint")})
}

func (r *run) finish(total int) (train.Result, error) {
	result, err := r.result(total)
	if err != nil {
		return train.Result{}, err
	}
	return result, os.WriteFile(r.req.OutPath, []byte("adapter"), 0o600)
}

// result is that of a run which has come so far; it writes the checkpoints.
func (r *run) result(steps int) (train.Result, error) {
	epochs := steps / r.per
	result := train.Result{
		OutPath: r.req.OutPath, Steps: steps, TrainedTokens: int64(10 * len(r.req.Train) * epochs),
		Resolved: r.req.Hyperparameters, Seconds: 1,
	}
	result.Resolved.Epochs = r.epochs
	for epoch := 1; epoch <= epochs; epoch++ {
		stat := train.EpochStat{Epoch: epoch, Step: epoch * r.per, TrainLoss: 3 / float64(epoch*r.per)}
		best := true
		if len(r.req.Valid) > 0 {
			loss := r.loss(epoch)
			stat.ValidLoss = &loss
			best = epoch == 1 || loss < *result.Best.ValidLoss
		}
		if best {
			result.Best, result.BestEpoch = stat, epoch
		}
		result.Curve = append(result.Curve, stat)
		path := filepath.Join(r.req.WorkDir, fmt.Sprintf("epoch-%d.gguf", epoch))
		if err := os.WriteFile(path, []byte("adapter of an epoch"), 0o600); err != nil {
			return train.Result{}, err
		}
		result.Checkpoints = append(result.Checkpoints, train.Checkpoint{
			Step: stat.Step, Epoch: epoch, Path: path, TrainLoss: stat.TrainLoss, ValidLoss: stat.ValidLoss,
		})
	}
	return result, nil
}
