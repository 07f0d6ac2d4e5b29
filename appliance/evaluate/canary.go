package evaluate

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"

	"cloister/appliance/engine"
	"cloister/appliance/jobs"
	"cloister/appliance/models"
	"cloister/lora/eval"
)

// Bounds of the number of random sequences that a canary is ranked among.
const (
	defaultCanarySample = 255
	maxCanarySample     = 1 << 16
)

// canaryRequests is the number of losses that are measured: of each canary and
// its sample, under the model and its base.
func (t *leakTest) canaryRequests() int {
	if !t.req.Leak || t.job == nil {
		return 0
	}
	return 2 * len(t.job.Canaries) * (1 + t.canarySample)
}

// canaries measures how well the model remembers each canary of its training.
func (t *leakTest) canaries(ctx context.Context) error {
	if t.canaryRequests() == 0 {
		return nil
	}
	tuned, err := t.canaryLosses(ctx, t.model)
	if err != nil {
		return err
	}
	base, err := t.canaryLosses(ctx, models.Resolved{Base: t.model.Base})
	if err != nil {
		return err
	}
	for i, c := range t.job.Canaries {
		x := eval.Exposure{
			Row: i + 1, Inserted: c.Times, Sample: t.canarySample,
			Bound: math.Log2(float64(t.canarySample + 1)), Space: eval.CanarySpace,
		}
		x.Rank, x.Bits, x.Estimate = eval.Expose(tuned[i][0], tuned[i][1:], x.Space)
		_, x.BaseBits, x.BaseEstimate = eval.Expose(base[i][0], base[i][1:], x.Space)
		t.report.Canaries = append(t.report.Canaries, x)
	}
	return nil
}

// canaryLosses are, for each canary, its loss and then those of its sample, the
// same sequences for every model.
func (t *leakTest) canaryLosses(ctx context.Context, m models.Resolved) ([][]float64, error) {
	e, slots, err := t.engine(ctx, m)
	if err != nil {
		return nil, err
	}
	losses := make([][]float64, len(t.job.Canaries))
	answers := make([][]string, len(losses))
	for i, c := range t.job.Canaries {
		losses[i] = make([]float64, 1+t.canarySample)
		answers[i] = []string{c.Answer}
		r := rand.New(rand.NewPCG(uint64(i), 0x5a))
		for range t.canarySample {
			answers[i] = append(answers[i], eval.CanaryAnswer(r))
		}
	}
	err = engine.Each(ctx, slots, len(losses)*(1+t.canarySample), func(ctx context.Context, n int) error {
		defer t.tick(1)
		i, k := n/(1+t.canarySample), n%(1+t.canarySample)
		turns := jobs.CanaryTurns(t.job.Canaries[i].Question, answers[i][k])
		s, err := engine.Retry(ctx, func() (engine.Score, error) { return e.Score(ctx, m.AdapterName(), turns) })
		if err == nil && s.Tokens == 0 {
			err = fmt.Errorf("the loss of canary %d has no tokens", i+1)
		}
		losses[i][k] = s.LossSum
		return err
	})
	return losses, err
}
