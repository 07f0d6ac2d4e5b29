package train

import (
	"context"
	"errors"
	"fmt"
	"sort"

	"cloister/llama/gguf"
	"cloister/lora/model"
)

// Proposal is a change of settings with which a job would fit into memory.
// Those fields are set that change.
type Proposal struct {
	MaxLength int    `json:"max_length,omitempty"`
	Rank      int    `json:"rank,omitempty"`
	BatchSize int    `json:"batch_size,omitempty"`
	Type      string `json:"type,omitempty"` // of the matrices of a copy of the base model
	Weights   int64  `json:"weights"`        // bytes that the model, or the copy, then has
	Total     int64  `json:"total"`          // bytes that the job would take, of a card's memory if it trains there
	Text      string `json:"text"`
}

// Proposals start from these.
const (
	shortestRow = 64 // tokens that are still of use
	rowStep     = 16
)

// types of a copy, the largest first.
var types = []gguf.Type{gguf.Q8_0, gguf.Q6_K, gguf.Q5_K, gguf.Q4_K, gguf.Q3_K, gguf.Q2_K}

// propose looks for the smallest single changes that make the job fit, and
// where there is none for a change of several settings. Each is planned.
func (b *budget) propose(ctx context.Context) ([]Proposal, error) {
	var out []Proposal
	for _, find := range []func() (*Proposal, error){b.shorter, b.smallerRank, b.smallerBatch, b.otherType} {
		if ctx.Err() != nil {
			return nil, ErrStopped
		}
		p, err := find()
		if err != nil {
			return nil, err
		}
		if p != nil {
			out = append(out, *p)
		}
	}
	if len(out) > 0 {
		return out, nil
	}
	p, err := b.together()
	if err != nil || p == nil {
		return nil, err
	}
	return []Proposal{*p}, nil
}

// fits plans the job after a change, and returns its total if it fits.
func (b *budget) fits(change func(*budget)) (total, weights int64, ok bool, err error) {
	c := *b
	change(&c)
	p, _, err := c.plan()
	total, _ = b.scarce(&p)
	return total, p.Weights + p.Card.Weights, err == nil && b.within(&p), err
}

// shorten is the change to rows of at most n tokens.
func shorten(n int) func(*budget) { return func(b *budget) { b.rows = model.Full(n) } }

// shorter finds the longest rows that fit.
func (b *budget) shorter() (*Proposal, error) {
	n, err := b.longest()
	if n < shortestRow || err != nil {
		return nil, err
	}
	total, weights, _, err := b.fits(shorten(n))
	return &Proposal{MaxLength: n, Weights: weights, Total: total, Text: fmt.Sprintf("max_length %d (%s)", n, size(total))}, err
}

// longest is the largest max_length that fits, 0 if none does.
func (b *budget) longest() (int, error) {
	var failed error
	steps := sort.Search((b.rows.Tokens-1)/rowStep, func(i int) bool {
		_, _, ok, err := b.fits(shorten((i + 1) * rowStep))
		if err != nil && failed == nil {
			failed = err
		}
		return !ok
	})
	return steps * rowStep, failed
}

// smallerRank halves the rank until the job fits.
func (b *budget) smallerRank() (*Proposal, error) {
	for r := b.cfg.Rank / 2; r >= 1; r /= 2 {
		total, weights, ok, err := b.fits(func(c *budget) { c.cfg.Rank = r })
		if err != nil {
			return nil, err
		}
		if ok {
			return &Proposal{Rank: r, Weights: weights, Total: total, Text: fmt.Sprintf("rank %d (%s)", r, size(total))}, nil
		}
	}
	return nil, nil
}

// smallerBatch halves the batch: that helps only where its examples share one packed row.
func (b *budget) smallerBatch() (*Proposal, error) {
	if b.fewer == nil {
		return nil, nil
	}
	for n := b.batch / 2; n >= 1; n /= 2 {
		rows := b.fewer(n)
		if rows.Tokens >= b.rows.Tokens {
			continue
		}
		total, weights, ok, err := b.fits(func(c *budget) { c.rows = rows })
		if err != nil {
			return nil, err
		}
		if ok {
			return &Proposal{BatchSize: n, Weights: weights, Total: total, Text: fmt.Sprintf("batch_size %d, rows of %d tokens (%s)", n, rows.Tokens, size(total))}, nil
		}
	}
	return nil, nil
}

// otherType finds the largest type of a copy of the model that fits.
func (b *budget) otherType() (*Proposal, error) {
	for _, t := range types {
		p, err := b.copyIn(t, func(*budget) {})
		if p != nil || err != nil {
			return p, err
		}
	}
	return nil, nil
}

// copyIn is a copy of the model in the type t with another change; nil if that is too large.
func (b *budget) copyIn(t gguf.Type, change func(*budget)) (*Proposal, error) {
	pl, err := b.pl.As(t)
	if errors.Is(err, model.ErrLarger) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	total, weights, ok, err := b.fits(func(c *budget) { c.pl = pl; change(c) })
	if !ok || err != nil {
		return nil, err
	}
	return &Proposal{Type: t.String(), Weights: weights, Total: total,
		Text: fmt.Sprintf("a %s copy of the model, which has %s (%s)", t, size(weights), size(total))}, nil
}

// together tries shorter rows and a smaller rank, and then copies of the model with both.
func (b *budget) together() (*Proposal, error) {
	for _, n := range []int{512, 256, 128, shortestRow} {
		rank := max(1, min(b.cfg.Rank, n/32))
		change := func(c *budget) {
			c.rows, c.cfg.Rank = model.Full(min(n, b.rows.Tokens)), rank
		}
		total, weights, ok, err := b.fits(change)
		if err != nil {
			return nil, err
		}
		if ok {
			return &Proposal{MaxLength: n, Rank: rank, Weights: weights, Total: total, Text: fmt.Sprintf("max_length %d with rank %d (%s)", n, rank, size(total))}, nil
		}
		for _, t := range types {
			p, err := b.copyIn(t, change)
			if err != nil {
				return nil, err
			}
			if p != nil {
				p.MaxLength, p.Rank = n, rank
				p.Text = fmt.Sprintf("max_length %d with rank %d on a %s copy of the model, which has %s (%s)", n, rank, t, size(p.Weights), size(p.Total))
				return p, nil
			}
		}
	}
	return nil, nil
}
