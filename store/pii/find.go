package pii

// maxRounds bounds how often a record is looked at again. Masking a finding can
// bring a label closer to a number, or take a word away from a name; looking
// again until nothing is new makes masking idempotent.
const maxRounds = 6

// record is a record while it is looked at.
type record struct {
	m     *Masker
	ds    []*doc
	look  []look // what of each text has to be looked at
	names nameSet
	all   [][]Finding // so far, of each text
}

// find returns the findings of each text of a record.
func (m *Masker) find(texts []string, g Guidance) [][]Finding {
	rec := m.read(texts, g)
	defer rec.free()
	return rec.all
}

// read looks for everything that is masked in a record.
func (m *Masker) read(texts []string, g Guidance) *record {
	rec := &record{m: m, ds: make([]*doc, len(texts)), look: make([]look, len(texts)), all: make([][]Finding, len(texts))}
	keep := keepSet(g.Keep)
	for i, text := range texts {
		rec.ds[i] = newDoc(text, m.rules.entities())
		rec.ds[i].keep = keep
	}
	rec.settle()
	if rec.suggest(g.More) {
		rec.settle()
	}
	return rec
}

// settle masks what the rules find until they find nothing new.
func (rec *record) settle() {
	chosen := make([][]cand, len(rec.ds))
	for i := range rec.look {
		rec.look[i] = lookAll
	}
	for range maxRounds {
		known := rec.names.size()
		for i, d := range rec.ds {
			chosen[i] = nil
			switch rec.look[i] {
			case lookAll:
				d.refresh()
				rec.m.recognise(d)
				chosen[i] = rec.m.choose(d, rec.m.minScore)
				rec.names.confirm(d, chosen[i])
			case lookNear:
				chosen[i] = rec.around(d)
			}
		}
		if !rec.spread(chosen, rec.names.size() > known) {
			break
		}
	}
}

// spread looks for the names of the record in all of its texts, masks what was
// chosen, and says whether anything is left to look at. Grew says whether there
// are new names.
func (rec *record) spread(chosen [][]cand, grew bool) (more bool) {
	for i, d := range rec.ds {
		next := lookNothing
		switch rec.look[i] {
		case lookNothing:
			if grew {
				d.refresh()
				d.clearCands()
				if rec.names.find(d, nil) {
					chosen[i] = rec.m.choose(d, rec.m.minScore)
				}
			}
		case lookNear:
			if grew { // they may stand anywhere
				next = lookAll
			}
		case lookAll:
			if rec.names.find(d, chosen[i]) {
				chosen[i] = rec.m.choose(d, rec.m.minScore)
			}
		}
		if len(chosen[i]) > 0 {
			rec.mask(i, chosen[i])
			next = max(next, d.whereToLook())
		}
		rec.look[i] = next
		more = more || next != lookNothing
	}
	return more
}

// recognise lets every recogniser that takes part, and the user's rules, look at
// the text.
func (m *Masker) recognise(d *doc) {
	for _, r := range m.recognisers {
		r.find(d, r)
	}
	m.rules.find(d)
}

// mask takes what was chosen in a text for findings.
func (rec *record) mask(i int, chosen []cand) {
	d := rec.ds[i]
	rec.all[i] = merge(rec.all[i], findings(d, chosen))
	d.collapse(chosen)
}

// free gives the work space back.
func (rec *record) free() {
	for _, d := range rec.ds {
		rec.m.work.Add(int64(d.steps))
		d.free()
	}
}

// findings converts candidates, in order, to bytes of the original text.
func findings(d *doc, chosen []cand) []Finding {
	out := make([]Finding, 0, len(chosen))
	for _, c := range chosen {
		out = append(out, Finding{
			Entity: c.entity, Start: d.byteStart(c.start), End: d.byteEnd(c.end),
			Score: c.score, Recogniser: c.recogniser, Evidence: c.evidence,
		})
	}
	return out
}

// merge joins two ordered lists of findings that do not overlap.
func merge(a, b []Finding) []Finding {
	if len(a) == 0 {
		return b
	}
	out := make([]Finding, 0, len(a)+len(b))
	for len(a) > 0 && len(b) > 0 {
		if a[0].Start < b[0].Start {
			out, a = append(out, a[0]), a[1:]
		} else {
			out, b = append(out, b[0]), b[1:]
		}
	}
	out = append(out, a...)
	return append(out, b...)
}

// collapse replaces each chosen stretch by one rune that stands for a mask
// token, as if the masked text had been normalised.
func (d *doc) collapse(chosen []cand) {
	r, cls, off, ends := d.r[:0], d.cls[:0], d.off[:0], d.ends[:0]
	soft := d.soft
	d.soft = d.soft[:0]
	pos := 0
	keep := func(to int) {
		for len(soft) > 0 && int(soft[0]) <= to {
			if int(soft[0]) >= pos {
				d.soft = append(d.soft, soft[0]-int32(pos)+int32(len(r)))
			}
			soft = soft[1:]
		}
		r, cls = append(r, d.r[pos:to]...), append(cls, d.cls[pos:to]...)
		off, ends = append(off, d.off[pos:to]...), append(ends, d.ends[pos:to]...)
	}
	d.fresh = d.fresh[:0]
	for _, c := range chosen {
		keep(c.start)
		d.fresh = append(d.fresh, int32(len(r)))
		start, end := d.off[c.start], d.ends[c.end-1]
		mark := rune(0)
		if c.entity == Person {
			mark = personToken
		}
		r, cls, off, ends = append(r, mark), append(cls, cToken), append(off, start), append(ends, end)
		pos = c.end
	}
	keep(len(d.r))
	d.r, d.cls, d.off, d.ends = r, cls, off, ends
	cells := d.moveCells(chosen)
	d.clearScan()
	d.cells = cells
}

// moveCells returns the fields of tables at the places that they have once each
// of the chosen stretches is one rune; what is masked is no field any more.
func (d *doc) moveCells(chosen []cand) []cell {
	kept := d.cells[:0]
	shift, n := 0, 0
	for _, c := range d.cells {
		for n < len(chosen) && chosen[n].end <= int(c.pos) {
			shift += chosen[n].end - chosen[n].start - 1
			n++
		}
		if n == len(chosen) || int(c.pos) < chosen[n].start {
			kept = append(kept, cell{c.pos - int32(shift), c.kind})
		}
	}
	return kept
}
