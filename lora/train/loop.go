package train

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"cloister/lora/data"
	"cloister/lora/model"
)

// loop runs the epochs that are left.
func (j *job) loop(ctx context.Context) error {
	for j.state.Epoch < j.h.Epochs && !j.state.Stopped {
		order := data.Order(len(j.p.train), j.h.Seed, j.state.Epoch+1)
		for j.state.Step < (j.state.Epoch+1)*j.perEpoch {
			at := j.state.Step - j.state.Epoch*j.perEpoch
			batch := order[at*j.h.BatchSize : min((at+1)*j.h.BatchSize, len(order))]
			if err := j.step(ctx, batch); err != nil {
				return j.interrupted(ctx, err)
			}
			if j.state.Step%j.req.CheckpointSteps == 0 && at+1 < j.perEpoch {
				if err := j.save(); err != nil {
					return err
				}
			}
		}
		if err := j.endEpoch(ctx); err != nil {
			return j.interrupted(ctx, err)
		}
	}
	return nil
}

// interrupted saves a checkpoint when the error is that of a cancelled context.
func (j *job) interrupted(ctx context.Context, err error) error {
	if ctx.Err() == nil {
		return err
	}
	if err := j.save(); err != nil {
		return err
	}
	return ErrStopped
}

// step learns from the examples of that numbers: one update of the adapter.
func (j *job) step(ctx context.Context, numbers []int) error {
	rows := make([]data.Row, len(numbers))
	tokens := 0
	for i, n := range numbers {
		rows[i] = j.p.train[n]
		tokens += len(rows[i].Tokens)
	}
	packed := data.Pack(rows, j.p.rowLen)
	targets := 0
	for i := range packed {
		targets += packed[i].TargetCount()
	}
	j.m.ZeroGrad()
	var sum model.Loss
	for i := range packed {
		if ctx.Err() != nil {
			return ctx.Err() // nothing has changed; the step is done again
		}
		l, err := j.m.Backward((*model.Batch)(&packed[i]), 1/float64(max(1, targets)))
		if err != nil {
			return fmt.Errorf("step %d: %w", j.state.Step+1, err)
		}
		sum.Sum, sum.Tokens, sum.Correct = sum.Sum+l.Sum, sum.Tokens+l.Tokens, sum.Correct+l.Correct
	}
	return j.update(sum, tokens)
}

// update applies the gradients of a step, tells of it and looks for divergence.
func (j *job) update(sum model.Loss, tokens int) error {
	s := &j.state
	loss, norm := sum.Sum/float64(max(1, sum.Tokens)), norm(j.m.Params(), j.req.Threads)
	rate := learningRate(j.h.Schedule, j.h.LearningRate, s.Step, max(0, j.h.WarmupSteps), j.total)
	s.Step++
	s.Tokens += int64(tokens)
	if !finite(loss) || !finite(norm) {
		return j.skip()
	}
	s.SkippedInARow = 0
	if err := j.opt.update(rate, clip(norm, j.h.MaxGradNorm)); err != nil {
		return err
	}
	s.Updates = j.opt.t
	s.LossSum, s.Targets, s.Correct = s.LossSum+sum.Sum, s.Targets+sum.Tokens, s.Correct+sum.Correct
	j.clock.step(tokens)
	e := j.event("step", loss, float64(sum.Correct)/float64(max(1, sum.Tokens)))
	e.LearningRate, e.GradNorm = rate, norm
	e.Message = fmt.Sprintf("Step %d/%d: loss %.4f", s.Step, j.total, loss)
	j.emit(e)
	return j.watch(loss)
}

// skip tells of a step that cannot be used.
func (j *job) skip() error {
	s := &j.state
	s.SkippedInARow++
	j.clock.restart()
	j.emit(Event{Kind: "warning", Step: s.Step, TotalSteps: j.total, Message: fmt.Sprintf("Step %d: loss or gradient is not a finite number; the step is skipped", s.Step)})
	if s.SkippedInARow >= mostSkipped {
		return j.diverged(fmt.Sprintf("%d steps in a row gave no finite gradient", s.SkippedInARow))
	}
	return nil
}

// watch stops a run whose loss has grown far above that of its first steps.
func (j *job) watch(loss float64) error {
	const first, weight = 10, 0.1
	s := &j.state
	if len(s.Early) < first {
		s.Early = append(s.Early, loss)
		s.Smooth = loss
		return nil
	}
	s.Smooth += weight * (loss - s.Smooth)
	mean := 0.0
	for _, l := range s.Early {
		mean += l / first
	}
	if s.Smooth > 1.5*mean+1 {
		return j.diverged(fmt.Sprintf("the loss grew from %.2f to %.2f", mean, s.Smooth))
	}
	return nil
}

func (j *job) diverged(what string) error {
	kept := ""
	if b := j.state.Best; b > 0 {
		kept = fmt.Sprintf("; epoch %d was the best until then", b)
	}
	return fmt.Errorf("%w at step %d: %s; a learning_rate of %.1g in place of %.1g should help%s", ErrDiverged, j.state.Step, what, j.h.LearningRate/4, j.h.LearningRate, kept)
}

// event fills in what step and epoch events share.
func (j *job) event(kind string, loss, accuracy float64) Event {
	s := &j.state
	epoch := min(j.h.Epochs, (s.Step-1)/j.perEpoch+1)
	ahead := float64(j.total-s.Step) * float64(s.Tokens) / float64(max(1, s.Step))
	validations := 0
	if len(j.valid) > 0 {
		validations = j.h.Epochs - s.Epoch
	}
	return Event{
		Kind: kind, Step: s.Step, TotalSteps: j.total, Epoch: epoch, Epochs: j.h.Epochs, Loss: loss, Accuracy: accuracy,
		TokensPerSecond: j.clock.rate, TokensDone: s.Tokens, SecondsLeft: j.clock.left(ahead, validations),
	}
}

// endEpoch validates, keeps the adapter if it is the best, and decides whether
// to stop. A validation that is interrupted leaves the state as it was, so that
// a resumed run ends the epoch again.
func (j *job) endEpoch(ctx context.Context) error {
	valid, err := j.validate(ctx)
	if err != nil {
		return err
	}
	s := &j.state
	stat := EpochStat{Epoch: s.Epoch + 1, Step: s.Step, TrainLoss: s.LossSum / float64(max(1, s.Targets))}
	e := j.event("epoch", stat.TrainLoss, float64(s.Correct)/float64(max(1, s.Targets)))
	e.Message = fmt.Sprintf("Epoch %d/%d: loss %.4f", stat.Epoch, j.h.Epochs, stat.TrainLoss)
	better := len(j.valid) == 0
	if valid != nil {
		loss, accuracy := valid.Sum/float64(max(1, valid.Tokens)), float64(valid.Correct)/float64(max(1, valid.Tokens))
		if finite(loss) {
			stat.ValidLoss, e.ValidLoss, e.ValidAccuracy = &loss, &loss, &accuracy
			better = s.BestIs == nil || loss < *s.BestIs
			e.Message += fmt.Sprintf(", validation loss %.4f", loss)
		} else {
			j.emit(Event{Kind: "warning", Message: fmt.Sprintf("Epoch %d: the validation loss is not a finite number", stat.Epoch)})
		}
	}
	s.Epoch = stat.Epoch
	s.Curve = append(s.Curve, stat)
	s.LossSum, s.Targets, s.Correct = 0, 0, 0
	if better {
		j.keepBest(stat)
	}
	s.Stopped = len(j.valid) > 0 && j.h.Patience > 0 && s.Epoch-s.Best >= j.h.Patience && s.Epoch < j.h.Epochs
	if s.Stopped {
		e.SecondsLeft = 0
	}
	j.emit(e)
	if s.Stopped {
		j.emit(Event{Kind: "info", Message: fmt.Sprintf("Stopping early: %d epochs without a better validation loss; epoch %d is kept", j.h.Patience, s.Best)})
	}
	return j.keepEpoch(stat)
}

// validate returns the loss over all validation examples; nil if there are none.
func (j *job) validate(ctx context.Context) (*model.Loss, error) {
	if len(j.valid) == 0 {
		return nil, nil
	}
	j.clock.restart()
	sum := new(model.Loss)
	for i := range j.valid {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		l, err := j.m.Loss((*model.Batch)(&j.valid[i]))
		if err != nil {
			return nil, fmt.Errorf("validation: %w", err)
		}
		sum.Sum, sum.Tokens, sum.Correct = sum.Sum+l.Sum, sum.Tokens+l.Tokens, sum.Correct+l.Correct
	}
	j.clock.validated()
	return sum, nil
}

func (j *job) keepBest(stat EpochStat) {
	j.state.Best, j.state.BestIs = stat.Epoch, stat.ValidLoss
	if j.best == nil {
		j.best = like(j.m.Params())
	}
	for i, p := range j.m.Params() {
		copy(j.best[i], p.Data)
	}
}

// keepEpoch writes the epoch's adapter and a checkpoint, and removes adapters
// of older epochs.
func (j *job) keepEpoch(stat EpochStat) error {
	params := j.m.Params()
	current := make([][]float32, len(params))
	for i, p := range params {
		current[i] = p.Data
	}
	name := fmt.Sprintf("%s%d.gguf", adapterPrefix, stat.Step)
	a := newAdapter(j.p.architecture, j.h.Alpha, params, current)
	if err := a.WriteFile(filepath.Join(j.req.WorkDir, name)); err != nil {
		return fmt.Errorf("cannot write the adapter of epoch %d: %w", stat.Epoch, err)
	}
	kept := append(slices.Clone(j.state.Kept), Checkpoint{Step: stat.Step, Epoch: stat.Epoch, Path: name, TrainLoss: stat.TrainLoss, ValidLoss: stat.ValidLoss})
	j.state.Kept = kept[max(0, len(kept)-keptEpochs):]
	if err := j.save(); err != nil {
		return err
	}
	files, err := os.ReadDir(j.req.WorkDir)
	if err != nil {
		return err
	}
	for _, f := range files {
		old := strings.HasPrefix(f.Name(), adapterPrefix)
		if old && !slices.ContainsFunc(j.state.Kept, func(k Checkpoint) bool { return k.Path == f.Name() }) {
			_ = os.Remove(filepath.Join(j.req.WorkDir, f.Name()))
		}
	}
	j.clock.restart()
	return nil
}
