package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"cloister/lora/train"
	"cloister/store"
)

// follow shows a job's progress until it ends, and prints how it ended.
//
// When the context ends (Ctrl-C), a job of this command's own appliance stops
// at a checkpoint with it; one that runs elsewhere goes on.
func follow(c *cli.Context, s *session, j store.Job) error {
	f := &follower{c: c, p: newProgress(c.App.ErrWriter)}
	if !j.Status.Terminal() {
		f.p.print("Training %s on %s.", j.Base, trainedOn(j))
		f.ahead(s, j.ID)
	}
	end, err := s.FollowJob(c.Context, j.ID, 0, f.event)
	f.p.clear()
	switch {
	case err == nil:
		return ended(c, s, end)
	case c.Context.Err() != nil:
		return interrupted(c, s, j.ID)
	case s.own != nil:
		return err
	default: // the connection broke, the job did not
		return withHint(err, "%s", s.cloister("job resume %s", j.ID))
	}
}

// interrupted says what becomes of a job that is no longer followed.
func interrupted(c *cli.Context, s *session, id string) error {
	if s.own == nil {
		fmt.Fprintf(c.App.ErrWriter, "The job goes on in the appliance.\n  follow it: %s\n  stop it:   %s\n",
			s.cloister("job resume %s", id), s.cloister("job cancel %s", id))
		return errSaid
	}
	fmt.Fprintln(c.App.ErrWriter, "Stopping after this step, with a checkpoint …")
	if err := s.end(); err != nil {
		return err
	}
	fmt.Fprintf(c.App.ErrWriter, "Stopped; nothing is lost.\n  go on:      %s\n  or give up: %s\n",
		s.cloister("job resume %s", id), s.cloister("job cancel %s", id))
	return errSaid
}

// follower turns a job's events into a bar and lines.
type follower struct {
	c *cli.Context
	p *progress
}

// eventData is what the data of an event can hold: a choice, or the figures of
// a step. An epoch's end has EpochLoss, with ValidLoss if there is a validation
// set; an evaluation within an epoch has ValidLoss alone.
type eventData struct {
	train.Choice

	Step            int      `json:"step"`
	TotalSteps      int      `json:"total_steps"`
	Epoch           int      `json:"epoch"`
	Epochs          int      `json:"epochs"`
	Loss            *float64 `json:"train_loss"`
	EpochLoss       *float64 `json:"epoch_train_loss"`
	Accuracy        *float64 `json:"train_mean_token_accuracy"`
	ValidLoss       *float64 `json:"valid_loss"`
	ValidAccuracy   *float64 `json:"valid_mean_token_accuracy"`
	KL              *float64 `json:"kl"`
	ValidKL         *float64 `json:"valid_kl"`
	Margin          *float64 `json:"rewards/margins"`
	Judged          *float64 `json:"rewards/accuracies"`
	ValidMargin     *float64 `json:"valid_rewards/margins"`
	ValidJudged     *float64 `json:"valid_rewards/accuracies"`
	TokensPerSecond float64  `json:"tokens_per_second"`
	SecondsLeft     float64  `json:"seconds_left"`
}

// ahead names the jobs that go first: those that had not ended when the command
// began, such as one that Ctrl-C stopped.
func (f *follower) ahead(s *session, id string) {
	for _, other := range s.status.Running {
		if other == id {
			return
		}
		f.p.print("Job %s has not ended and goes first. To give it up: %s", other, s.cloister("job cancel %s", other))
	}
}

func (f *follower) event(e store.Event) error {
	var d eventData
	if len(e.Data) > 0 {
		if err := json.Unmarshal(e.Data, &d); err != nil {
			return fmt.Errorf("event %s: %w", e.ID, err)
		}
	}
	switch {
	case d.Reason != "":
		f.p.print("%s", f.p.wrap(fmt.Sprintf("  %-17s %-9s ", d.Name, d.Value), d.Reason, 30))
	case e.Level == "warn":
		f.p.print("warning: %s", e.Message)
	case e.Level == "error": // it is said once, at the end
	case e.Type == "metrics" && d.EpochLoss != nil:
		f.p.print("%s", epochLine(d))
	case e.Type == "metrics" && d.ValidLoss != nil:
		f.p.print("step %d/%d  %s", d.Step, d.TotalSteps, strings.Join(validation(d), "  "))
	case e.Type == "metrics" && d.TotalSteps > 0:
		f.p.show(float64(d.Step)/float64(d.TotalSteps), stepText(d))
	case d.Step > 0: // a checkpoint: there are many
	default:
		f.p.print("%s", e.Message)
	}
	return nil
}

func stepText(d eventData) string {
	parts := []string{fmt.Sprintf("epoch %d/%d", d.Epoch, d.Epochs), fmt.Sprintf("step %d/%d", d.Step, d.TotalSteps)}
	if d.Loss != nil {
		parts = append(parts, fmt.Sprintf("loss %.3f", *d.Loss))
	}
	if d.Accuracy != nil {
		parts = append(parts, fmt.Sprintf("accuracy %.0f %%", 100**d.Accuracy))
	}
	if d.KL != nil {
		parts = append(parts, fmt.Sprintf("KL %.3f", *d.KL))
	}
	parts = append(parts, rewards("", d.Margin, d.Judged)...)
	if d.TokensPerSecond > 0 {
		parts = append(parts, fmt.Sprintf("%.0f tokens/s", d.TokensPerSecond))
	}
	if d.SecondsLeft > 0 {
		parts = append(parts, span(d.SecondsLeft)+" left")
	}
	return strings.Join(parts, "  ")
}

func epochLine(d eventData) string {
	parts := []string{fmt.Sprintf("epoch %d/%d", d.Epoch, d.Epochs), fmt.Sprintf("loss %.3f", *d.EpochLoss)}
	return strings.Join(append(parts, validation(d)...), "  ")
}

// validation says what an evaluation has found.
func validation(d eventData) (parts []string) {
	if d.ValidLoss != nil {
		parts = append(parts, fmt.Sprintf("validation loss %.3f", *d.ValidLoss))
	}
	if d.ValidAccuracy != nil {
		parts = append(parts, fmt.Sprintf("validation accuracy %.0f %%", 100**d.ValidAccuracy))
	}
	if d.ValidKL != nil {
		parts = append(parts, fmt.Sprintf("validation KL %.3f", *d.ValidKL))
	}
	return append(parts, rewards("validation ", d.ValidMargin, d.ValidJudged)...)
}

// rewards says how well preferences are told apart.
func rewards(of string, margin, accuracy *float64) (parts []string) {
	if margin != nil && accuracy != nil {
		parts = append(parts, fmt.Sprintf("%sreward margin %.3f", of, *margin), fmt.Sprintf("%spreferences right %.0f %%", of, 100**accuracy))
	}
	return parts
}

// ended prints how a job ended.
func ended(c *cli.Context, s *session, j store.Job) error {
	if c.Bool("json") {
		if err := printJSON(c, j); err != nil {
			return err
		}
		if j.Status != store.JobSucceeded {
			return errSaid
		}
		return nil
	}
	switch {
	case j.Status == store.JobCancelled:
		return fmt.Errorf("job %s was cancelled", j.ID)
	case j.Error != nil:
		return errors.New("job " + j.ID + " failed: " + j.Error.Message)
	case j.Status != store.JobSucceeded:
		return fmt.Errorf("job %s ended as %s", j.ID, j.Status)
	}
	var r train.Result
	if len(j.Result) > 0 {
		if err := json.Unmarshal(j.Result, &r); err != nil {
			return fmt.Errorf("the result of job %s: %w", j.ID, err)
		}
	}
	fmt.Fprintf(c.App.Writer, "Model %s is ready: %d tokens in %s, epoch %d kept.\n", j.Adapter, j.TrainedTokens, span(r.Seconds), r.BestEpoch)
	data := "DATASET"
	if j.Dataset != "" {
		data = trainedOn(j)
	}
	return next(c, s.cloister("eval --model %s --data %s", quote(j.Adapter), quote(data)))
}
