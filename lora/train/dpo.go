package train

import (
	"context"

	"cloister/lora/data"
	"cloister/lora/model"
	"cloister/lora/preference"
)

// pairs learns by DPO: the preferred answer of a pair shall gain on the other,
// measured by the reference. Both answers of a pair are in one packed row,
// where the tokens of their prompt are computed once.
type pairs struct {
	scorer *scorer
	loss   preference.DPO
	train  []data.Row
	valid  []data.Row
}

func newPairs(p *prepared, m trainable) *pairs {
	return &pairs{newScorer(p, m), preference.DPO{Beta: p.h.Beta, Smoothing: p.h.LabelSmoothing}, p.train, p.valid}
}

// packPair puts both answers into one row: segment 0 is the preferred one.
func packPair(r *data.Row) *data.Packed {
	b := data.Join(r, r.Rejected)
	return &b
}

func (o *pairs) begin(context.Context, func(Event)) error { return nil }

func (o *pairs) learn(ctx context.Context, numbers []int) (outcome, error) {
	var m preference.Metrics
	for _, n := range numbers {
		if ctx.Err() != nil {
			return outcome{}, ctx.Err()
		}
		row := &o.train[n]
		b := packPair(row)
		ref, err := o.scorer.remembered(row, b)
		if err != nil {
			return outcome{}, err
		}
		_, err = o.scorer.m.BackwardWeighted((*model.Batch)(b), func(logp []float64) []float32 {
			slope := o.judge(&m, bySegment(b, logp), ref) / float64(len(numbers))
			return spread(b, []float64{-slope, slope}) // of -ln p
		})
		if err != nil {
			return outcome{}, err
		}
	}
	return judgedOutcome(&m), nil
}

// judge notes a pair and returns the slope of its loss by ln π of the preferred answer.
func (o *pairs) judge(m *preference.Metrics, policy, ref []float64) float64 {
	chosen, rejected := policy[0]-ref[0], policy[1]-ref[1]
	loss, slope := o.loss.Loss(chosen, rejected)
	m.Pair(o.loss.Beta, loss, chosen, rejected)
	return slope
}

func (o *pairs) measure(ctx context.Context) (outcome, error) {
	var m preference.Metrics
	for i := range o.valid {
		if ctx.Err() != nil {
			return outcome{}, ctx.Err()
		}
		row := &o.valid[i]
		b := packPair(row)
		ref, err := o.scorer.remembered(row, b)
		if err != nil {
			return outcome{}, err
		}
		policy, err := o.scorer.policy(b)
		if err != nil {
			return outcome{}, err
		}
		o.judge(&m, policy, ref)
	}
	return judgedOutcome(&m), nil
}
