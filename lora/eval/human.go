package eval

import (
	"cmp"
	"math"
	"slices"
)

// Human compares the scores that people gave with ours. Both are brought to 0
// to 1 first.
type Human struct {
	Examples  int     `json:"examples"`
	Scale     string  `json:"scale"`      // how human scores were read, such as "1 to 5"
	Metric    string  `json:"metric"`     // our score, such as "token F1"
	MeanHuman float64 `json:"mean_human"` // 0 to 1
	MeanOurs  float64 `json:"mean_ours"`  // 0 to 1
	// Agreement is the share of examples that both call good (0.5 or more) or
	// both call bad.
	Agreement float64 `json:"agreement"`
	// Pearson and Spearman are -1 to 1; nil when either side never varies or
	// there are fewer than 3 examples.
	Pearson  *float64 `json:"pearson,omitempty"`
	Spearman *float64 `json:"spearman,omitempty"`
}

// CompareHuman compares human scores with ours, position by position; metric
// names ours. The scale is taken from the human scores: at most 1 means 0 to
// 1; all in 1 to 5 means 1 to 5; at most 5, 10 or 100 means from 0 to that. It
// panics when the lengths differ and returns nil for no scores.
func CompareHuman(human, ours []float64, metric string) *Human {
	if len(human) != len(ours) {
		panic("eval: CompareHuman: human and ours differ in length")
	}
	if len(human) == 0 {
		return nil
	}
	low, high, name := scale(human)
	h := &Human{Examples: len(human), Scale: name, Metric: metric}
	scaled := make([]float64, len(human))
	agree := 0
	for i, v := range human {
		scaled[i] = (v - low) / (high - low)
		h.MeanHuman += scaled[i]
		h.MeanOurs += ours[i]
		if (scaled[i] >= 0.5) == (ours[i] >= 0.5) {
			agree++
		}
	}
	n := float64(len(human))
	h.MeanHuman /= n
	h.MeanOurs /= n
	h.Agreement = float64(agree) / n
	if r, ok := Pearson(scaled, ours); ok {
		h.Pearson = &r
	}
	if r, ok := Spearman(scaled, ours); ok {
		h.Spearman = &r
	}
	return h
}

func scale(scores []float64) (low, high float64, name string) {
	switch lowest, highest := slices.Min(scores), slices.Max(scores); {
	case highest <= 1:
		return 0, 1, "0 to 1"
	case lowest >= 1 && highest <= 5:
		return 1, 5, "1 to 5"
	case highest <= 5:
		return 0, 5, "0 to 5"
	case highest <= 10:
		return 0, 10, "0 to 10"
	case highest <= 100:
		return 0, 100, "0 to 100"
	default:
		return 0, highest, "0 to the highest score"
	}
}

// Pearson is the correlation coefficient of two series of equal length. ok is
// false for fewer than 3 points or when either series never varies.
func Pearson(x, y []float64) (r float64, ok bool) {
	if len(x) != len(y) || len(x) < 3 {
		return 0, false
	}
	n := float64(len(x))
	var mx, my float64
	for i := range x {
		mx += x[i] / n
		my += y[i] / n
	}
	var sxy, sxx, syy float64
	for i := range x {
		dx, dy := x[i]-mx, y[i]-my
		sxy += dx * dy
		sxx += dx * dx
		syy += dy * dy
	}
	const tiny = 1e-24 // rounding of equal values, not variation
	if sxx <= tiny || syy <= tiny {
		return 0, false
	}
	return max(-1, min(1, sxy/math.Sqrt(sxx*syy))), true
}

// Spearman is Pearson's coefficient of the ranks; equal values share the mean
// of their ranks. ok is as for Pearson.
func Spearman(x, y []float64) (r float64, ok bool) {
	return Pearson(ranks(x), ranks(y))
}

// ranks gives each value its rank from 1, ties their mean rank.
func ranks(values []float64) []float64 {
	order := make([]int, len(values))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(values[a], values[b]) })
	result := make([]float64, len(values))
	for i := 0; i < len(order); {
		j := i + 1
		for j < len(order) && values[order[j]] == values[order[i]] {
			j++
		}
		for k := i; k < j; k++ {
			result[order[k]] = float64(i+j+1) / 2
		}
		i = j
	}
	return result
}
