package eval

import "fmt"

// Point is the state of training after one epoch. Losses are in nats per
// trained token.
type Point struct {
	Epoch     int
	TrainLoss float64
	ValidLoss *float64 // nil: there was no validation set
}

// Kinds of a Verdict.
const (
	Healthy   = "healthy"   // the validation loss fell to the end or levelled off
	Overfit   = "overfit"   // it rose or stood still while the training loss went on falling
	Unhealthy = "unhealthy" // it rose, and the training loss did not fall either
	Unknown   = "unknown"   // nothing to judge by
)

// Verdict says in words what the training curves show.
type Verdict struct {
	Kind      string  `json:"kind"`
	Text      string  `json:"text"`
	BestEpoch int     `json:"best_epoch,omitempty"` // the epoch with the lowest validation loss
	BestLoss  float64 `json:"best_loss,omitempty"`
	LastEpoch int     `json:"last_epoch,omitempty"`
	LastLoss  float64 `json:"last_loss,omitempty"`
}

// riseTolerance is the share by which the validation loss may stand above its
// lowest value and count as level. Losses of small validation sets move by one
// or two per cent without meaning.
const riseTolerance = 0.03

// Judge gives the verdict on the curves of a run. kept is the epoch whose
// adapter was kept, stoppedEarly whether the run ended before its planned
// epochs.
func Judge(curve []Point, kept int, stoppedEarly bool) Verdict {
	var points []Point
	for _, p := range curve {
		if p.ValidLoss != nil {
			points = append(points, p)
		}
	}
	if len(points) == 0 {
		return Verdict{Kind: Unknown, Text: "There was no validation set, so nothing shows whether the model learnt or only memorised."}
	}
	best, last := points[0], points[len(points)-1]
	for _, p := range points {
		if *p.ValidLoss < *best.ValidLoss {
			best = p
		}
	}
	v := Verdict{BestEpoch: best.Epoch, BestLoss: *best.ValidLoss, LastEpoch: last.Epoch, LastLoss: *last.ValidLoss}
	end := fmt.Sprintf("The adapter of epoch %d was kept.", kept)
	if stoppedEarly {
		end = fmt.Sprintf("Training was stopped early after epoch %d. %s", last.Epoch, end)
	}
	rise := *last.ValidLoss / *best.ValidLoss - 1
	// From the best epoch on the model can have learnt by heart without doing
	// worse on what it has not seen.
	memorised := last.Epoch >= best.Epoch+2 && last.TrainLoss < best.TrainLoss/2
	switch {
	case len(points) == 1:
		v.Kind = Unknown
		v.Text = fmt.Sprintf("One epoch gives no curve to judge (validation loss %.3f). %s", v.LastLoss, end)
	case rise > riseTolerance && last.TrainLoss < best.TrainLoss, memorised:
		v.Kind = Overfit
		moved := fmt.Sprintf("rose to %.3f by epoch %d", v.LastLoss, last.Epoch)
		if rise <= riseTolerance {
			moved = fmt.Sprintf("did not improve again until epoch %d (%.3f)", last.Epoch, v.LastLoss)
		}
		v.Text = fmt.Sprintf("Overfitting: the validation loss was lowest after epoch %d (%.3f) and %s, while the training loss fell from %.3f to %.3f: from then on the model memorised the examples. %s",
			best.Epoch, v.BestLoss, moved, best.TrainLoss, last.TrainLoss, end)
	case rise > riseTolerance:
		v.Kind = Unhealthy
		v.Text = fmt.Sprintf("Unstable: the validation loss was lowest after epoch %d (%.3f) and rose to %.3f by epoch %d, and the training loss did not fall either (%.3f to %.3f); a lower learning rate may help. %s",
			best.Epoch, v.BestLoss, v.LastLoss, last.Epoch, best.TrainLoss, last.TrainLoss, end)
	case best.Epoch == last.Epoch:
		v.Kind = Healthy
		v.Text = fmt.Sprintf("No overfitting: the validation loss fell to the last epoch, to %.3f; more epochs may improve it. %s", v.LastLoss, end)
	default:
		v.Kind = Healthy
		v.Text = fmt.Sprintf("No overfitting: the validation loss levelled off after epoch %d (%.3f; %.3f at the end). %s", best.Epoch, v.BestLoss, v.LastLoss, end)
	}
	return v
}
