package train

import (
	"context"

	"cloister/lora/data"
	"cloister/lora/model"
)

// objective is what a run learns from its examples: the loss, and all that
// depends on it. The loop around it (order, optimiser, checkpoints, guards) is
// the same for every one.
type objective interface {
	// begin finds out what must be known before the first step, also of a run
	// that goes on from a checkpoint.
	begin(ctx context.Context, emit func(Event)) error
	// learn adds the gradient of the mean loss over the training examples of
	// these numbers. When ctx ends it returns its error.
	learn(ctx context.Context, numbers []int) (outcome, error)
	// measure is the loss over all validation examples.
	measure(ctx context.Context) (outcome, error)
}

// outcome of a step or of an evaluation: the sum of a loss, what it is to be
// divided by (the number of targets, pairs or answers), and how many of these
// were right.
type outcome struct {
	model.Loss
	rewards *Rewards // of preference learning
	kl      *float64 // of learning from a teacher: mean divergence from it
}

func (o *outcome) add(l model.Loss) {
	o.Sum, o.Tokens, o.Correct = o.Sum+l.Sum, o.Tokens+l.Tokens, o.Correct+l.Correct
}

// mean is the mean loss.
func (o *outcome) mean() float64 { return o.Sum / float64(max(1, o.Tokens)) }

// accuracy is the share that was right.
func (o *outcome) accuracy() float64 { return float64(o.Correct) / float64(max(1, o.Tokens)) }

// newObjective is that of the job's method.
func newObjective(p *prepared, m trainable) objective {
	switch {
	case p.h.Method == dpo:
		return newPairs(p, m)
	case p.h.Method == kto:
		return newJudged(p, m)
	}
	if p.teacher != nil {
		return newTaught(p, m)
	}
	return &supervised{m: m, rows: p.train, rowLen: p.rowLen, valid: data.Pack(p.valid, p.rowLen)}
}

// pack puts the rows of a batch into the packed rows that the method computes.
func (p *prepared) pack(rows []data.Row) []data.Packed {
	if p.h.Method != dpo {
		return data.Pack(rows, p.rowLen)
	}
	out := make([]data.Packed, len(rows))
	for i := range rows {
		out[i] = *packPair(&rows[i])
	}
	return out
}

// passes is what an epoch takes: learning for one pass of Backward, a third of
// which is a forward pass, and validation for one of Loss. On top come the
// reference's forward pass, once in a run, and KTO's two for the estimate of KL.
func (p *prepared) passes() (learn, check float64) {
	const forward = 1.0 / 3
	once := 1 / float64(p.h.Epochs)
	switch p.h.Method {
	case dpo:
		return 1 + forward*once, 1 + once
	case kto:
		return 1 + forward*(2+once), 3 + once
	}
	return 1, 1
}

// supervised learning makes the targets likelier: the mean of -ln p over all of
// them, whatever example they belong to.
type supervised struct {
	m      trainable
	rows   []data.Row
	valid  []data.Packed
	rowLen int
}

// pick returns the rows of these numbers.
func pick(rows []data.Row, numbers []int) []data.Row {
	out := make([]data.Row, len(numbers))
	for i, n := range numbers {
		out[i] = rows[n]
	}
	return out
}

func (s *supervised) begin(context.Context, func(Event)) error { return nil }

func (s *supervised) learn(ctx context.Context, numbers []int) (outcome, error) {
	packed := data.Pack(pick(s.rows, numbers), s.rowLen)
	targets := 0
	for i := range packed {
		targets += packed[i].TargetCount()
	}
	return s.each(ctx, packed, func(b *model.Batch) (model.Loss, error) {
		return s.m.Backward(b, 1/float64(max(1, targets)))
	})
}

func (s *supervised) measure(ctx context.Context) (outcome, error) {
	return s.each(ctx, s.valid, s.m.Loss)
}

// each adds up what f says about packed rows.
func (s *supervised) each(ctx context.Context, packed []data.Packed, f func(*model.Batch) (model.Loss, error)) (outcome, error) {
	var out outcome
	for i := range packed {
		if ctx.Err() != nil {
			return out, ctx.Err()
		}
		l, err := f((*model.Batch)(&packed[i]))
		if err != nil {
			return out, err
		}
		out.add(l)
	}
	return out, nil
}
