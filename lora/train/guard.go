package train

import (
	"fmt"
	"slices"
)

// When a step counts as a fault, and a run as diverged. An ordinary run has its
// highest losses at its start, and later ones vary below them: a batch of hard
// examples late in a run is far above its neighbours and must be learnt. So a
// step is measured by the worst that the run has had, not by its neighbours.
// Norms of gradients grow over the first steps, as B leaves zero, and vary more.
const (
	mostSkipped = 5  // steps in a row that cannot be used
	settled     = 10 // steps before anything is too high
	lossFactor  = 1.5
	lossMargin  = 1 // nats
	normFactor  = 10
)

// tooHigh is the loss from which on it cannot be chance.
func tooHigh(loss float64) float64 { return lossFactor*loss + lossMargin }

// wrong says why a step with this loss and norm of the gradient must not change
// the adapter; empty if it may.
func (s *state) wrong(loss, norm float64) string {
	switch {
	case !finite(loss):
		return "the loss is not a finite number"
	case !finite(norm):
		return "the gradient is not a finite number"
	case s.Updates < settled:
		return ""
	case loss > tooHigh(s.Highest):
		return fmt.Sprintf("the loss of %.3g is a spike; the highest before was %.3g", loss, s.Highest)
	case norm > normFactor*s.HighestNorm:
		return fmt.Sprintf("the gradient explodes: its norm is %.3g, the highest before was %.3g", norm, s.HighestNorm)
	}
	return ""
}

// skip tells of a step that cannot be used.
func (j *job) skip(what string, b *batch) error {
	s := &j.state
	s.SkippedInARow++
	j.clock.restart()
	var rows []int
	for i := range b.rows {
		rows = append(rows, b.rows[i].Row)
	}
	slices.Sort(rows)
	j.emit(Event{Kind: "warning", Step: s.Step, TotalSteps: j.total, Message: fmt.Sprintf("Step %d: %s; the step is skipped (%s)", s.Step, what, listRows(rows))})
	if s.SkippedInARow >= mostSkipped {
		return j.diverged(fmt.Sprintf("%d steps in a row could not be used, as %s", s.SkippedInARow, what))
	}
	return nil
}

// watch stops a run whose loss, smoothed, has grown far above that of its first
// steps, one small step at a time. A run that goes wrong within these is
// measured by its very first loss, from before any update, or by what knowing
// nothing costs, -ln 1/vocabulary, if that is more.
func (j *job) watch(loss float64, examples int) error {
	const leastSteps, leastExamples, weight = 3, 10, 0.1
	s := &j.state
	if len(s.Early) < leastSteps || s.EarlySeen < leastExamples {
		s.Early = append(s.Early, loss)
		s.EarlySeen += examples
		s.Smooth = loss
		return nil
	}
	s.Smooth += weight * (loss - s.Smooth)
	start := 0.0
	for _, l := range s.Early {
		start += l / float64(len(s.Early))
	}
	start = min(start, max(s.Early[0], j.p.guessing))
	if s.Smooth > tooHigh(start) {
		return j.diverged(fmt.Sprintf("the loss grew from %.2f to %.2f", start, s.Smooth))
	}
	return nil
}

// diverged ends the run with advice. The best adapter so far stays in the work
// folder, among the Result's checkpoints.
func (j *job) diverged(what string) error {
	s := &j.state
	kept := "; no epoch had ended, so nothing is kept"
	if s.Best != nil {
		kept = fmt.Sprintf("; the adapter of epoch %d, step %d, was the best until then and is kept", s.Best.Epoch, s.Best.Step)
		if err := j.writeBest(); err != nil {
			return err
		}
	}
	return fmt.Errorf("%w at step %d: %s; a learning_rate of %.1g in place of %.1g should help%s", ErrDiverged, s.Step, what, j.h.LearningRate/4, j.h.LearningRate, kept)
}
