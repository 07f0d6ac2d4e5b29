package pii

import "slices"

// choose settles overlaps and returns what stays, in order of the text.
//
// The rule: candidates below the least score, of entities that are not wanted,
// or allowed by the user go first. Of those that overlap, the one with the
// highest score stays; of equal scores the longest; then the one whose
// recogniser stands first in the table; then the first in the text.
func (m *Masker) choose(d *doc) []cand {
	kept := d.cands[:0]
	for _, c := range d.cands {
		if c.score >= m.minScore && !m.allow.permits(d, c) {
			kept = append(kept, c)
		}
	}
	d.cands = kept
	slices.SortStableFunc(kept, func(a, b cand) int {
		switch {
		case a.score != b.score:
			if a.score > b.score {
				return -1
			}
			return 1
		case a.end-a.start != b.end-b.start:
			return (b.end - b.start) - (a.end - a.start)
		case a.rank != b.rank:
			return a.rank - b.rank
		}
		return a.start - b.start
	})
	var chosen []cand
	taken := d.takenBuffer()
	for _, c := range kept {
		free := true
		for i := c.start; i < c.end && free; i++ {
			free = !taken[i]
		}
		if !free {
			continue
		}
		for i := c.start; i < c.end; i++ {
			taken[i] = true
		}
		if m.wanted[c.entity] {
			chosen = append(chosen, c)
		}
	}
	slices.SortFunc(chosen, func(a, b cand) int { return a.start - b.start })
	return chosen
}
