package train

import (
	"context"

	"cloister/lora/data"
	"cloister/lora/model"
	"cloister/lora/preference"
)

// judged learns by KTO from single answers that are desirable or not.
type judged struct {
	scorer    *scorer
	loss      preference.KTO
	train     []data.Row
	valid     []data.Row
	batch     int // validation examples that share an estimate of KL
	rowLen    int
	maxLength int
}

func newJudged(p *prepared, m trainable) *judged {
	return &judged{newScorer(p, m), preference.KTO{Beta: p.h.Beta, Desirable: p.h.DesirableWeight, Undesirable: p.h.UndesirableWeight},
		p.train, p.valid, max(2, p.h.BatchSize), p.rowLen, p.h.MaxLength}
}

func (o *judged) learn(ctx context.Context, numbers []int) (outcome, error) {
	rows := make([]*data.Row, len(numbers))
	for i, n := range numbers {
		rows[i] = &o.train[n]
	}
	var m preference.Metrics
	kl, err := o.divergence(ctx, rows)
	if err != nil {
		return outcome{}, err
	}
	err = o.each(ctx, rows, func(b *data.Packed, ref []float64) error {
		_, err := o.scorer.m.BackwardWeighted((*model.Batch)(b), func(logp []float64) []float32 {
			slopes := o.judge(&m, rows, b, bySegment(b, logp), ref, kl)
			for i := range slopes {
				slopes[i] /= -float64(len(rows)) // of -ln p
			}
			return spread(b, slopes)
		})
		return err
	})
	return o.outcome(&m), err
}

func (o *judged) measure(ctx context.Context) (outcome, error) {
	var m preference.Metrics
	for from := 0; from < len(o.valid); from += o.batch {
		var rows []*data.Row
		for i := from; i < min(from+o.batch, len(o.valid)); i++ {
			rows = append(rows, &o.valid[i])
		}
		kl, err := o.divergence(ctx, rows)
		if err != nil {
			return outcome{}, err
		}
		err = o.each(ctx, rows, func(b *data.Packed, ref []float64) error {
			policy, err := o.scorer.policy(b)
			if err == nil {
				o.judge(&m, rows, b, policy, ref, kl)
			}
			return err
		})
		if err != nil {
			return outcome{}, err
		}
	}
	return o.outcome(&m), nil
}

func (o *judged) outcome(m *preference.Metrics) outcome {
	out := judgedOutcome(m)
	out.rewards.KL = &m.KL
	return out
}

// each packs the rows and calls f with each packed row and the reference's sums
// of its segments; a segment's number is that of its row.
func (o *judged) each(ctx context.Context, rows []*data.Row, f func(b *data.Packed, ref []float64) error) error {
	ref := make([]float64, len(rows))
	for i, r := range rows {
		ref[i] = o.scorer.known[r][0]
	}
	for _, b := range data.Pack(values(rows), o.rowLen) {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err := f(&b, ref); err != nil {
			return err
		}
	}
	return nil
}

// begin asks the reference about all answers. They are packed in one order, so
// that a run which goes on after a kill gets the same roundings.
func (o *judged) begin(ctx context.Context, _ func(Event)) error {
	for _, rows := range [][]data.Row{o.train, o.valid} {
		for _, b := range data.Pack(rows, o.rowLen) {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			sums, err := o.scorer.reference(&b)
			if err != nil {
				return err
			}
			for _, n := range b.Segments() {
				o.scorer.known[&rows[n]] = []float64{sums[n]}
			}
		}
	}
	return nil
}

// judge notes the answers of a packed row and returns the slopes of their losses.
func (o *judged) judge(m *preference.Metrics, rows []*data.Row, b *data.Packed, policy, ref []float64, kl float64) []float64 {
	slopes := make([]float64, len(rows))
	for _, n := range b.Segments() {
		ratio := policy[n] - ref[n]
		var loss float64
		loss, slopes[n] = o.loss.Loss(ratio, kl, *rows[n].Desirable)
		m.Answer(o.loss.Beta, loss, ratio, kl, *rows[n].Desirable)
	}
	return slopes
}

// divergence estimates KL from the answers of the batch to each other's questions.
func (o *judged) divergence(ctx context.Context, rows []*data.Row) (float64, error) {
	var mixed []data.Row
	for i := range rows {
		r := mismatch(rows[i], rows[preference.Mismatched(i, len(rows))])
		if r.Truncate(o.maxLength); r.Targets() > 0 {
			mixed = append(mixed, r)
		}
	}
	var ratios []float64
	for _, b := range data.Pack(mixed, o.rowLen) {
		if ctx.Err() != nil {
			return 0, ctx.Err()
		}
		ref, err := o.scorer.reference(&b)
		if err != nil {
			return 0, err
		}
		policy, err := o.scorer.policy(&b)
		if err != nil {
			return 0, err
		}
		for _, n := range b.Segments() {
			ratios = append(ratios, policy[n]-ref[n])
		}
	}
	return preference.KL(ratios), nil
}

// mismatch is the question of one row with the answer of another.
func mismatch(question, answer *data.Row) data.Row {
	q, a := question.Prompt(), answer.Prompt()
	out := data.Row{Row: question.Row}
	out.Tokens = append(append(out.Tokens, question.Tokens[:q]...), answer.Tokens[a:]...)
	out.Mask = append(append(out.Mask, question.Mask[:q]...), answer.Mask[a:]...)
	return out
}

func values(rows []*data.Row) []data.Row {
	out := make([]data.Row, len(rows))
	for i, r := range rows {
		out[i] = *r
	}
	return out
}
