package train

import (
	"context"
	"fmt"

	"cloister/lora/data"
	"cloister/lora/model"
)

// loop runs the epochs that are left.
func (j *job) loop(ctx context.Context) error {
	s := &j.state
	for s.Epoch < j.h.Epochs && !s.Stopped {
		first, end := j.plan.start(s.Epoch), j.plan.start(s.Epoch+1)
		steps := j.plan.steps(s.Epoch)
		for s.Step < end && !s.Stopped {
			if err := j.next(ctx, steps[s.Step-first], s.Step > first); err != nil {
				return j.interrupted(ctx, err)
			}
			if s.Step%j.req.CheckpointSteps == 0 && s.Step < end {
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

// next evaluates if that is due, within an epoch, and makes a step unless that
// ended the run. A run that stopped in between comes here again.
func (j *job) next(ctx context.Context, numbers []int, within bool) error {
	if within && j.due() {
		if err := j.evaluateWithin(ctx); err != nil || j.state.Stopped {
			return err
		}
	}
	return j.step(ctx, numbers)
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
	b := batch{rows: pick(j.p.train, numbers)}
	b.tokens = int(tokens(b.rows))
	err := j.m.ZeroGrad()
	if err != nil {
		return fmt.Errorf("step %d: %w", j.state.Step+1, err)
	}
	j.m.Draw(uint64(j.h.Seed)<<32 + uint64(j.state.Step))
	if b.outcome, err = j.goal.learn(ctx, numbers); err != nil {
		return fmt.Errorf("step %d: %w", j.state.Step+1, err) // if ctx ended, nothing has changed: the step is done again
	}
	if j.req.DumpPath != "" && j.state.Step == 0 {
		if err := j.dump(&b); err != nil {
			return err
		}
	}
	return j.update(&b)
}

// batch is what a step has learnt from.
type batch struct {
	rows   []data.Row
	tokens int
	outcome
}

// update applies the gradients of a step, tells of it and looks for divergence.
func (j *job) update(b *batch) error {
	s := &j.state
	loss := b.mean()
	norm, err := model.GradNorm(j.m.Params(), j.req.Threads)
	if err != nil {
		return err
	}
	rate := learningRate(j.h.Schedule, j.h.LearningRate, s.Step, max(0, j.h.WarmupSteps), j.total, j.h.Cycles)
	s.Step++
	s.Tokens += int64(b.tokens)
	if what := s.wrong(loss, norm); what != "" {
		return j.skip(what, b)
	}
	s.SkippedInARow = 0
	s.Highest, s.HighestNorm = max(s.Highest, loss), max(s.HighestNorm, norm)
	if err := j.opt.update(rate, clip(norm, j.h.MaxGradNorm)); err != nil {
		return err
	}
	s.Updates = j.opt.t
	s.LossSum, s.Targets, s.Correct = s.LossSum+b.Sum, s.Targets+b.Tokens, s.Correct+b.Correct
	j.clock.step(b.tokens)
	e := j.event("step", loss, b.accuracy())
	e.LearningRate, e.GradNorm, e.Rewards, e.KL = rate, norm, b.rewards, b.kl
	e.Message = fmt.Sprintf("Step %d/%d: loss %.4f", s.Step, j.total, loss)
	j.emit(e)
	return j.watch(loss, len(b.rows))
}

// event fills in what the events of steps, evaluations and epochs share.
func (j *job) event(kind string, loss, accuracy float64) Event {
	s := &j.state
	ahead := float64(j.total-s.Step) * float64(s.Tokens) / float64(max(1, s.Step))
	validations := 0
	if len(j.p.valid) > 0 {
		validations = j.h.Epochs - s.Epoch
		if n := j.h.EvalSteps; n > 0 {
			validations += (j.total - s.Step) / n
		}
	}
	return Event{
		Kind: kind, Step: s.Step, TotalSteps: j.total, Epoch: s.Epoch + 1, Epochs: j.h.Epochs, Loss: loss, Accuracy: accuracy,
		TokensPerSecond: j.clock.rate, TokensDone: s.Tokens, SecondsLeft: j.clock.left(ahead, validations),
	}
}
