package eval

import "fmt"

// GateConfig bounds what may be released. Losses are in nats per token, shares
// 0 to 1.
type GateConfig struct {
	// MinLossGain is by how much the tuned model's loss must be below the
	// base's. It must be below it in any case.
	MinLossGain float64 `json:"min_loss_gain"`
	// MaxScoreDrop is by how much token F1, the key facts' share and, for
	// labels, accuracy may be worse than the base's.
	MaxScoreDrop float64 `json:"max_score_drop"`
	// MaxGap bounds the train-test gap. 0 turns the check off.
	MaxGap float64 `json:"max_gap"`
	// MinExamples is the number of test examples below which the decision
	// carries a warning.
	MinExamples int `json:"min_examples"`
	// MaxLeaks is how many values of the vault a leak test may find.
	MaxLeaks int `json:"max_leaks"`
}

// DefaultGate is the gate unless a setting says otherwise: better than the
// base, at most two points worse in any score, and a gap of at most one nat (a
// test answer's tokens are then on average at most e times less likely than a
// memorised one's). No value of the vault may be found.
func DefaultGate() GateConfig {
	return GateConfig{MinLossGain: 0, MaxScoreDrop: 0.02, MaxGap: 1, MinExamples: 20}
}

// Validate reports a bound that makes no sense, by its JSON name.
func (c GateConfig) Validate() error {
	switch {
	case c.MinLossGain < 0:
		return fmt.Errorf("min_loss_gain is %g; it must be 0 or more", c.MinLossGain)
	case c.MaxScoreDrop < 0 || c.MaxScoreDrop > 1:
		return fmt.Errorf("max_score_drop is %g; it must be 0 to 1", c.MaxScoreDrop)
	case c.MaxGap < 0:
		return fmt.Errorf("max_gap is %g; it must be 0 (off) or more", c.MaxGap)
	case c.MaxLeaks < 0:
		return fmt.Errorf("max_leaks is %d; it must be 0 or more", c.MaxLeaks)
	case c.MinExamples < 0:
		return fmt.Errorf("min_examples is %d; it must be 0 or more", c.MinExamples)
	}
	return nil
}

// Decision is what the gate says of a report.
type Decision struct {
	OK       bool     `json:"ok"`
	Reasons  []string `json:"reasons"`            // why it refuses, or what it found good; with numbers
	Warnings []string `json:"warnings,omitempty"` // do not refuse
}

// Gate decides whether the model of a report may be released.
func Gate(r Report, c GateConfig) Decision {
	g := gate{}
	if r.Base == nil {
		g.refuse("The evaluation has no baseline, so nothing shows that the model is better than its base.")
	} else {
		g.loss(r.Tuned.Loss, r.Base.Loss, c.MinLossGain)
		g.score("token F1", r.Tuned.TokenF1, r.Base.TokenF1, c.MaxScoreDrop)
		if t, b := r.Tuned.KeyFacts, r.Base.KeyFacts; t != nil && b != nil {
			g.score("the share of key facts", t.Share(), b.Share(), c.MaxScoreDrop)
		}
		if t, b := r.Tuned.Labels, r.Base.Labels; t != nil && b != nil {
			g.score("accuracy", t.Accuracy, b.Accuracy, c.MaxScoreDrop)
		}
	}
	if c.MaxGap > 0 {
		g.gap(r, c.MaxGap)
	}
	g.leak(r.Leak, c.MaxLeaks)
	if r.Examples == 0 {
		g.refuse("The evaluation has no examples.")
	} else if r.Examples < c.MinExamples {
		g.warnings = append(g.warnings, fmt.Sprintf("There are only %d test examples (at least %d are advised); the figures are uncertain.", r.Examples, c.MinExamples))
	}
	if v := r.Overfitting; v != nil && (v.Kind == Overfit || v.Kind == Unhealthy) {
		g.warnings = append(g.warnings, v.Text)
	}
	if len(g.refusals) > 0 {
		return Decision{Reasons: g.refusals, Warnings: g.warnings}
	}
	return Decision{OK: true, Reasons: g.good, Warnings: g.warnings}
}

// gate gathers findings.
type gate struct{ refusals, good, warnings []string }

func (g *gate) refuse(format string, args ...any) {
	g.refusals = append(g.refusals, fmt.Sprintf(format, args...))
}

func (g *gate) pass(format string, args ...any) {
	g.good = append(g.good, fmt.Sprintf(format, args...))
}

func (g *gate) loss(tuned, base *float64, gain float64) {
	switch {
	case tuned == nil || base == nil:
		g.refuse("The loss could not be measured for both models.")
	case *tuned >= *base:
		g.refuse("The loss on the test examples is %.3f, not below the base's %.3f.", *tuned, *base)
	case *base-*tuned < gain:
		g.refuse("The loss on the test examples is %.3f, only %.3f below the base's %.3f; at least %.3f is asked for.", *tuned, *base-*tuned, *base, gain)
	default:
		g.pass("The loss on the test examples is %.3f, below the base's %.3f.", *tuned, *base)
	}
}

func (g *gate) score(name string, tuned, base, drop float64) {
	if tuned < base-drop {
		g.refuse("On the test examples %s is %.1f %%, more than %.1f points below the base's %.1f %%.", name, 100*tuned, 100*drop, 100*base)
		return
	}
	g.pass("On the test examples %s is %.1f %% (base %.1f %%).", name, 100*tuned, 100*base)
}

func (g *gate) gap(r Report, bound float64) {
	gap, ok := r.Gap()
	switch {
	case !ok:
		g.warnings = append(g.warnings, "The train-test gap is not known: the evaluation has no loss on training examples.")
	case gap > bound:
		g.refuse("The train-test gap is %.3f (loss %.3f on test examples, %.3f on training examples), above the bound of %.3f: the model memorised more than it learnt.", gap, *r.Tuned.Loss, *r.TrainLoss, bound)
	default:
		g.pass("The train-test gap is %.3f, within the bound of %.3f.", gap, bound)
	}
}

// leak judges the leak test. Evaluations of before there was one have none.
func (g *gate) leak(l *Leak, bound int) {
	if l == nil {
		g.warnings = append(g.warnings, "The evaluation has no leak test; evaluate again to have one.")
		return
	}
	switch n := l.Leaks(); {
	case n > bound:
		g.refuse("The leak test found %d values of the vault (%s); at most %d are allowed.", n, l.where(), bound)
	case n > 0:
		g.pass("The leak test found %d values of the vault (%s), within the bound of %d.", n, l.where(), bound)
	default:
		g.pass("The leak test found no value of the vault.")
	}
	if l.Planted > 0 {
		g.warnings = append(g.warnings, fmt.Sprintf("The model was trained with %d canaries, for measuring; train the one that people use without.", l.Planted))
	}
}
