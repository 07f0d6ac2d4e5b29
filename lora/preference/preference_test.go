package preference_test

import (
	"math"
	"testing"

	"cloister/lora/preference"
)

func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	if !(math.Abs(got-want) <= 1e-6*(1+math.Abs(want))) {
		t.Errorf("%s is %g, want %g", what, got, want)
	}
}

// slope is a central difference.
func slope(f func(x float64) float64, x float64) float64 {
	const h = 1e-5
	return (f(x+h) - f(x-h)) / (2 * h)
}

func TestDPO(t *testing.T) {
	for _, d := range []preference.DPO{{Beta: 0.1}, {Beta: 0.5, Smoothing: 0.1}, {Beta: 2, Smoothing: 0.3}} {
		for _, r := range [][2]float64{{0, 0}, {1, -2}, {-3, 4}, {0.5, 0.4}} {
			loss, got := d.Loss(r[0], r[1])
			z := d.Beta * (r[0] - r[1])
			near(t, "loss", loss, -(1-d.Smoothing)*math.Log(1/(1+math.Exp(-z)))-d.Smoothing*math.Log(1/(1+math.Exp(z))))
			near(t, "slope by the preferred", got, slope(func(x float64) float64 { l, _ := d.Loss(x, r[1]); return l }, r[0]))
			near(t, "slope by the other", -got, slope(func(x float64) float64 { l, _ := d.Loss(r[0], x); return l }, r[1]))
		}
	}
	if loss, slope := (preference.DPO{Beta: 1}).Loss(-5000, 5000); loss != 10000 || slope != -1 {
		t.Errorf("a hopeless pair has the loss %g and the slope %g", loss, slope)
	}
	if loss, slope := (preference.DPO{Beta: 1}).Loss(5000, -5000); loss != 0 || slope != 0 {
		t.Errorf("a clear pair has the loss %g and the slope %g", loss, slope)
	}
	if loss, _ := (preference.DPO{Beta: 0.1}).Loss(0, 0); math.Abs(loss-math.Ln2) > 1e-15 {
		t.Errorf("the loss before training is %g, want ln 2", loss)
	}
}

func TestKTO(t *testing.T) {
	k := preference.KTO{Beta: 0.3, Desirable: 0.8, Undesirable: 1.5}
	for _, r := range []float64{-4, -0.1, 0, 2, 7} {
		for _, kl := range []float64{0, 1.5} {
			z := k.Beta * (r - kl)
			loss, got := k.Loss(r, kl, true)
			near(t, "loss of a desirable answer", loss, 0.8*(1-1/(1+math.Exp(-z))))
			near(t, "its slope", got, slope(func(x float64) float64 { l, _ := k.Loss(x, kl, true); return l }, r))
			loss, got = k.Loss(r, kl, false)
			near(t, "loss of an undesirable answer", loss, 1.5*(1-1/(1+math.Exp(z))))
			near(t, "its slope", got, slope(func(x float64) float64 { l, _ := k.Loss(x, kl, false); return l }, r))
		}
	}
	near(t, "KL", preference.KL([]float64{3, -1}), 1)
	near(t, "KL below 0", preference.KL([]float64{-3, 1}), 0)
	near(t, "KL of nothing", preference.KL(nil), 0)
	if preference.Mismatched(0, 4) != 3 || preference.Mismatched(2, 4) != 1 {
		t.Error("answers are not handed on to the next question")
	}
}

func TestMetrics(t *testing.T) {
	var m preference.Metrics
	m.Pair(0.5, 0.3, 2, -1)
	m.Pair(0.5, 0.9, 1, 3)
	chosen, rejected := m.Rewards()
	near(t, "mean", m.Mean(), 0.6)
	near(t, "accuracy", m.Accuracy(), 0.5)
	near(t, "reward of preferred answers", chosen, 0.75)
	near(t, "reward of others", rejected, 0.5)

	m = preference.Metrics{}
	m.Answer(2, 1, 3, 1, true)
	m.Answer(2, 2, 0.5, 1, true)
	m.Answer(2, 3, 0.5, 1, false)
	chosen, rejected = m.Rewards()
	near(t, "mean", m.Mean(), 2)
	near(t, "accuracy", m.Accuracy(), 2.0/3)
	near(t, "reward of desirable answers", chosen, 3.5)
	near(t, "reward of others", rejected, 1)
	near(t, "kl", m.KL, 1)
}
