package pii

import (
	"cmp"
	"slices"
)

// choose settles overlaps and returns what is masked, in order of the text.
//
// The rule: of candidates that overlap, the one with the highest score stays;
// of equal scores the longest; then the one whose recogniser stands first in
// the table; then the first in the text. Candidates below the least score take
// no part. A winner that the user allows or keeps in this record, or of an
// entity that is not wanted, is not masked, and neither is anything that
// overlaps it.
func (m *Masker) choose(d *doc, least float64) []cand {
	kept := d.cands[:0]
	for _, c := range d.cands {
		if c.score >= least {
			kept = append(kept, c)
		}
	}
	d.cands = kept
	if len(kept) == 0 {
		return nil
	}
	slices.SortStableFunc(kept, func(a, b cand) int {
		return cmp.Or(
			cmp.Compare(b.score, a.score),
			(b.end-b.start)-(a.end-a.start),
			a.rank-b.rank,
			a.start-b.start,
		)
	})
	if m.allow != nil {
		m.allow.mark(d)
	}
	var chosen []cand
	d.taken = resize(d.taken, len(d.r))
	for _, c := range kept {
		if slices.Contains(d.taken[c.start:c.end], true) {
			continue
		}
		for i := c.start; i < c.end; i++ {
			d.taken[i] = true
		}
		d.steps += c.end - c.start
		if m.wanted[c.entity] && (m.allow == nil || !m.allow.permits(d, c)) && !d.keeps(c) {
			chosen = append(chosen, c)
		}
	}
	slices.SortFunc(chosen, func(a, b cand) int { return a.start - b.start })
	return chosen
}
