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
	order := d.order[:0] // the candidates are large to move about
	for i := range kept {
		order = append(order, int32(i))
	}
	d.order = order
	slices.SortFunc(order, func(i, j int32) int {
		a, b := &kept[i], &kept[j]
		if c := cmp.Compare(b.score, a.score); c != 0 {
			return c
		}
		return cmp.Or((b.end-b.start)-(a.end-a.start), a.rank-b.rank, a.start-b.start, int(i-j))
	})
	if m.allow != nil {
		m.allow.mark(d)
	}
	won := order[:0] // overwrites what was gone over
	d.taken = resize(d.taken, len(d.r))
	for _, i := range order {
		c := kept[i]
		if slices.Contains(d.taken[c.start:c.end], true) {
			continue
		}
		for i := c.start; i < c.end; i++ {
			d.taken[i] = true
		}
		d.steps += c.end - c.start
		if m.wanted[c.entity] && (m.allow == nil || !m.allow.permits(d, c)) && !d.keeps(c) {
			won = append(won, i)
		}
	}
	slices.SortFunc(won, func(i, j int32) int { return kept[i].start - kept[j].start })
	chosen := make([]cand, len(won))
	for n, i := range won {
		chosen[n] = kept[i]
	}
	return chosen
}
