package jobs

import (
	"context"
	"fmt"
	"math"
	"strings"

	"cloister/lora/train"
	"cloister/store"
)

// metrics is the data of a metrics event: OpenAI's fields, then ours. Fields
// that were not measured are left out; none is ever NaN or null.
type metrics struct {
	Step              int      `json:"step"`
	TotalSteps        int      `json:"total_steps"`
	TrainLoss         *float64 `json:"train_loss,omitempty"`
	TrainAccuracy     *float64 `json:"train_mean_token_accuracy,omitempty"`
	ValidLoss         *float64 `json:"valid_loss,omitempty"`
	ValidAccuracy     *float64 `json:"valid_mean_token_accuracy,omitempty"`
	FullValidLoss     *float64 `json:"full_valid_loss,omitempty"`
	FullValidAccuracy *float64 `json:"full_valid_mean_token_accuracy,omitempty"`

	Epoch           int      `json:"epoch,omitempty"`
	Epochs          int      `json:"epochs,omitempty"`
	EpochTrainLoss  *float64 `json:"epoch_train_loss,omitempty"` // mean over the epoch
	LearningRate    *float64 `json:"learning_rate,omitempty"`
	GradNorm        *float64 `json:"grad_norm,omitempty"`
	TokensPerSecond *float64 `json:"tokens_per_second,omitempty"`

	// Of preference learning, by TRL's names; valid ones are over the whole set.
	Chosen        *float64 `json:"rewards/chosen,omitempty"`
	Rejected      *float64 `json:"rewards/rejected,omitempty"`
	Margin        *float64 `json:"rewards/margins,omitempty"`
	Judged        *float64 `json:"rewards/accuracies,omitempty"`
	KL            *float64 `json:"kl,omitempty"` // also from a teacher
	ValidKL       *float64 `json:"valid_kl,omitempty"`
	ValidChosen   *float64 `json:"valid_rewards/chosen,omitempty"`
	ValidRejected *float64 `json:"valid_rewards/rejected,omitempty"`
	ValidMargin   *float64 `json:"valid_rewards/margins,omitempty"`
	ValidJudged   *float64 `json:"valid_rewards/accuracies,omitempty"`
	SecondsLeft   *float64 `json:"seconds_left,omitempty"`
}

// finite returns nil for what JSON cannot hold.
func finite(v float64) *float64 {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return nil
	}
	return &v
}

func finitePtr(v *float64) *float64 {
	if v == nil {
		return nil
	}
	return finite(*v)
}

// recorder turns the trainer's events into those of the job's log. It is
// called from one goroutine at a time.
type recorder struct {
	m    *Manager
	ctx  context.Context // nothing is recorded after it ends
	job  string
	step int         // the last one seen
	card bool        // the job trains on one
	last train.Event // the step event of that step
}

func (r *recorder) record(e train.Event) {
	if r.ctx.Err() != nil {
		return
	}
	if e.Device != "" {
		r.card = e.Device != train.CPUDevice
	}
	switch e.Kind {
	case "choice":
		if c := e.Choice; c != nil {
			r.m.event(r.job, info, fmt.Sprintf("%s = %s: %s", c.Name, c.Value, c.Reason), c)
		}
	case "step":
		r.step, r.last = e.Step, e
		r.metrics(stepMetrics(e))
	case "evaluation":
		d := r.validated(e)
		d.EpochTrainLoss = nil
		r.metrics(d)
	case "epoch":
		r.step = e.Step
		r.epoch(e)
	case "checkpoint":
		r.m.event(r.job, info, fmt.Sprintf("Checkpoint created at step %d", e.Step), map[string]int{"step": e.Step})
	case "warning":
		r.m.event(r.job, warn, e.Message, nil)
	default:
		if e.Message != "" {
			r.m.event(r.job, info, e.Message, nil)
		}
	}
}

func stepMetrics(e train.Event) metrics {
	return metrics{
		Step: e.Step, TotalSteps: e.TotalSteps, Epoch: e.Epoch, Epochs: e.Epochs,
		TrainLoss: finite(e.Loss), TrainAccuracy: finite(e.Accuracy),
		LearningRate: finite(e.LearningRate), GradNorm: finite(e.GradNorm),
		TokensPerSecond: finite(e.TokensPerSecond), SecondsLeft: finite(e.SecondsLeft),
	}.judged(e)
}

// judged adds what preference learning says; its accuracy is not one of tokens.
func (d metrics) judged(e train.Event) metrics {
	d.KL, d.ValidKL = finitePtr(e.KL), finitePtr(e.ValidKL)
	if r := e.Rewards; r != nil {
		d.TrainAccuracy, d.KL = nil, finitePtr(r.KL)
		d.Chosen, d.Rejected, d.Margin, d.Judged = finite(r.Chosen), finite(r.Rejected), finite(r.Margin), finite(r.Accuracy)
	}
	if r := e.ValidRewards; r != nil {
		d.ValidAccuracy, d.FullValidAccuracy = nil, nil
		d.ValidChosen, d.ValidRejected, d.ValidMargin, d.ValidJudged = finite(r.Chosen), finite(r.Rejected), finite(r.Margin), finite(r.Accuracy)
	}
	return d
}

// epoch records the end of an epoch: a metrics event of its last step when
// there was a validation, otherwise a message.
func (r *recorder) epoch(e train.Event) {
	if e.ValidLoss == nil {
		r.m.event(r.job, info, fmt.Sprintf("Epoch %d/%d: mean training loss=%.4g", e.Epoch, e.Epochs, e.Loss), nil)
		return
	}
	r.metrics(r.validated(e))
}

// validated are the metrics of an evaluation, with those of its step.
func (r *recorder) validated(e train.Event) metrics {
	d := stepMetrics(e)
	d.EpochTrainLoss, d.TrainLoss, d.TrainAccuracy = d.TrainLoss, nil, nil
	d.LearningRate, d.GradNorm = nil, nil // the step's event has them
	if r.last.Step == e.Step {
		last := stepMetrics(r.last)
		d.TrainLoss, d.TrainAccuracy, d.KL = last.TrainLoss, last.TrainAccuracy, last.KL
		d.Chosen, d.Rejected, d.Margin, d.Judged = last.Chosen, last.Rejected, last.Margin, last.Judged
	}
	// The validation is always over the whole set.
	d.ValidLoss, d.FullValidLoss = finitePtr(e.ValidLoss), finitePtr(e.ValidLoss)
	d.ValidAccuracy, d.FullValidAccuracy = finitePtr(e.ValidAccuracy), finitePtr(e.ValidAccuracy)
	e.Rewards, e.KL = nil, d.KL
	return d.judged(e)
}

// metrics appends a metrics event with OpenAI's wording.
func (r *recorder) metrics(d metrics) {
	var parts []string
	for _, p := range []struct {
		name string
		v    *float64
	}{{"training loss", d.TrainLoss}, {"validation loss", d.ValidLoss}, {"full validation loss", d.FullValidLoss}} {
		if p.v != nil {
			parts = append(parts, fmt.Sprintf("%s=%.4g", p.name, *p.v))
		}
	}
	message := fmt.Sprintf("Step %d/%d: %s", d.Step, d.TotalSteps, strings.Join(parts, ", "))
	r.m.append(store.Event{JobID: r.job, Level: info, Type: "metrics", Message: message}, d)
}
