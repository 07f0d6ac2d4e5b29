package train

import (
	"context"
	"fmt"
)

// evaluation is the loss over all validation examples after a step. The values
// are nil without validation examples, or when they are not finite.
type evaluation struct {
	Step     int      `json:"step"`
	Loss     *float64 `json:"loss,omitempty"`
	Accuracy *float64 `json:"accuracy,omitempty"`
	Rewards  *Rewards `json:"rewards,omitempty"`
	KL       *float64 `json:"kl,omitempty"`
}

// due says whether an evaluation is due between two steps.
func (j *job) due() bool {
	s := &j.state
	return len(j.p.valid) > 0 && j.h.EvalSteps > 0 && s.Step%j.h.EvalSteps == 0 && s.Eval.Step != s.Step
}

// evaluate measures the validation loss, keeps the adapter if it is the best,
// and decides whether to stop. When it is interrupted the state stays as it was.
func (j *job) evaluate(ctx context.Context) error {
	s := &j.state
	valid, err := j.validate(ctx)
	if err != nil {
		return err
	}
	s.Eval = evaluation{Step: s.Step}
	better := valid == nil
	if valid != nil {
		loss, accuracy := valid.mean(), valid.accuracy()
		if finite(loss) {
			s.Eval.Loss, s.Eval.Accuracy, s.Eval.Rewards, s.Eval.KL = &loss, &accuracy, valid.rewards, valid.kl
			better = s.Best == nil || s.Best.ValidLoss == nil || loss < *s.Best.ValidLoss
		} else {
			j.emit(Event{Kind: "warning", Message: fmt.Sprintf("Step %d: the validation loss is not a finite number", s.Step)})
		}
	}
	s.Since++
	if better {
		if err := j.keepBest(); err != nil {
			return err
		}
	}
	s.Stopped = valid != nil && j.h.Patience > 0 && s.Since >= j.h.Patience && s.Step < j.total
	return nil
}

// stat is the point of the curve at the last evaluation.
func (s *state) stat() EpochStat {
	return EpochStat{Epoch: s.Epoch + 1, Step: s.Step, TrainLoss: s.LossSum / float64(max(1, s.Targets)), ValidLoss: s.Eval.Loss}
}

// evaluated is the event about the last evaluation.
func (j *job) evaluated(kind, title string) Event {
	s := &j.state
	e := j.event(kind, s.stat().TrainLoss, float64(s.Correct)/float64(max(1, s.Targets)))
	e.ValidLoss, e.ValidAccuracy, e.ValidRewards, e.ValidKL = s.Eval.Loss, s.Eval.Accuracy, s.Eval.Rewards, s.Eval.KL
	e.Message = fmt.Sprintf("%s: loss %.4f", title, e.Loss)
	if e.ValidLoss != nil {
		e.Message += fmt.Sprintf(", validation loss %.4f", *e.ValidLoss)
	}
	if s.Stopped {
		e.SecondsLeft = 0
	}
	return e
}

// evaluateWithin evaluates between two steps of an epoch.
func (j *job) evaluateWithin(ctx context.Context) error {
	if err := j.evaluate(ctx); err != nil {
		return err
	}
	j.emit(j.evaluated("evaluation", fmt.Sprintf("Step %d/%d", j.state.Step, j.total)))
	return nil
}

// endEpoch evaluates, unless that was just done, and closes the epoch.
func (j *job) endEpoch(ctx context.Context) error {
	s := &j.state
	if s.Eval.Step != s.Step {
		if err := j.evaluate(ctx); err != nil {
			return err
		}
	}
	stat := s.stat()
	e := j.evaluated("epoch", fmt.Sprintf("Epoch %d/%d", stat.Epoch, j.h.Epochs))
	e.SecondsLeft -= j.clock.validate.Seconds() // this one is done
	e.SecondsLeft = max(0, e.SecondsLeft)
	s.Epoch = stat.Epoch
	s.Curve = append(s.Curve, stat)
	s.LossSum, s.Targets, s.Correct = 0, 0, 0
	j.emit(e)
	if s.Stopped {
		kept := "no adapter"
		if s.Best != nil {
			kept = fmt.Sprintf("the adapter of step %d (epoch %d)", s.Best.Step, s.Best.Epoch)
		}
		j.emit(Event{Kind: "info", Message: fmt.Sprintf("Stopping early: %d evaluations without a better validation loss; %s is kept", j.h.Patience, kept)})
	}
	return j.keepEpoch(stat)
}

// validate returns the loss over all validation examples; nil if there are none.
func (j *job) validate(ctx context.Context) (*outcome, error) {
	if len(j.p.valid) == 0 {
		return nil, nil
	}
	j.clock.restart()
	out, err := j.goal.measure(ctx)
	if err != nil {
		return nil, fmt.Errorf("validation: %w", err)
	}
	j.clock.validated()
	return &out, nil
}
