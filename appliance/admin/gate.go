package admin

import "cloister/lora/eval"

// Gate holds the bounds that a release must keep: GET /admin/gate.
type Gate = eval.GateConfig

// ChangeGate changes bounds for later deployments: POST /admin/gate, which
// answers with all of them. What is left out stays as it is.
type ChangeGate struct {
	Reset        bool     `json:"reset,omitempty"` // begin with eval.DefaultGate
	MinLossGain  *float64 `json:"min_loss_gain,omitempty"`
	MaxScoreDrop *float64 `json:"max_score_drop,omitempty"`
	MaxGap       *float64 `json:"max_gap,omitempty"`
	MinExamples  *int     `json:"min_examples,omitempty"`
	MaxLeaks     *int     `json:"max_leaks,omitempty"`
}

// Of returns the bounds g with the changes made.
func (c ChangeGate) Of(g Gate) Gate {
	if c.Reset {
		g = eval.DefaultGate()
	}
	for _, f := range []struct{ to, from *float64 }{{&g.MinLossGain, c.MinLossGain}, {&g.MaxScoreDrop, c.MaxScoreDrop}, {&g.MaxGap, c.MaxGap}} {
		if f.from != nil {
			*f.to = *f.from
		}
	}
	for _, f := range []struct{ to, from *int }{{&g.MinExamples, c.MinExamples}, {&g.MaxLeaks, c.MaxLeaks}} {
		if f.from != nil {
			*f.to = *f.from
		}
	}
	return g
}
