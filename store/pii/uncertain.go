package pii

import "slices"

// Doubt is a finding that a person should look at.
type Doubt struct {
	Finding
	// Masked says whether it is masked: its score is the masker's least or above.
	Masked bool `json:"masked"`
}

// Uncertain returns what was found in each text of a record with a score of at
// least from and below to, in order and without overlaps: findings that are
// masked, and candidates that just fell short. Nothing is masked, and the
// findings have no tokens.
func (m *Masker) Uncertain(texts []string, g Guidance, from, to float64) [][]Doubt {
	rec := m.read(texts, g)
	defer rec.free()
	all := make([][]Doubt, len(texts))
	for i, d := range rec.ds {
		for _, f := range rec.all[i] {
			if f.Score >= from && f.Score < to {
				all[i] = append(all[i], Doubt{Finding: f, Masked: true})
			}
		}
		for _, f := range m.short(d, from) {
			if f.Score < to {
				all[i] = append(all[i], Doubt{Finding: f})
			}
		}
		slices.SortFunc(all[i], func(a, b Doubt) int { return a.Start - b.Start })
	}
	return all
}

// short returns what falls short of the least score in a text whose findings
// are masked.
func (m *Masker) short(d *doc, from float64) []Finding {
	if from >= m.minScore {
		return nil
	}
	d.refresh()
	d.clearCands()
	m.recognise(d)
	for _, n := range d.weak {
		d.cands = append(d.cands, cand{
			start: n.start, end: n.end, entity: Person, score: odds(n.weight), recogniser: "name_kr", evidence: n.evidence(), rank: len(recognisers),
		})
	}
	return findings(d, m.choose(d, from))
}
