package train

import "math"

// Names of learning-rate schedules.
const (
	cosine   = "cosine"
	restarts = "cosine_with_restarts"
	linear   = "linear"
	constant = "constant"
)

// learningRate is the rate of a step, counted from 0, out of total. Over the
// warm-up it rises in equal parts to the peak, which the last warm-up step has;
// no step has rate 0. Then it stays (constant), falls along a line or along
// half a cosine (Loshchilov and Hutter, arXiv:1608.03983), and would be 0 in
// the step after the last. With restarts there are so many equal half cosines.
func learningRate(schedule string, peak float64, step, warmup, total, cycles int) float64 {
	if step < warmup {
		return peak * float64(step+1) / float64(warmup)
	}
	done := float64(step-warmup) / float64(max(1, total-warmup))
	switch schedule {
	case constant:
		return peak
	case linear:
		return peak * (1 - done)
	case restarts:
		_, done = math.Modf(done * float64(max(1, cycles)))
		fallthrough
	default:
		return peak * (1 + math.Cos(math.Pi*done)) / 2
	}
}
