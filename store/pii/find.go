package pii

// maxRounds bounds how often a record is looked at again. Masking a finding can
// bring a label closer to a number, or take a word away from a name; looking
// again until nothing is new makes masking idempotent.
const maxRounds = 6

// find returns the findings of each text of a record.
func (m *Masker) find(texts []string) [][]Finding {
	all := make([][]Finding, len(texts))
	ds := make([]*doc, len(texts))
	for i, text := range texts {
		ds[i] = newDoc(text, m.rules.entities())
		ds[i].scan()
	}
	names := &nameSet{}
	chosen := make([][]cand, len(ds))
	changed := make([]bool, len(ds)) // since the recognisers last saw it
	for i := range changed {
		changed[i] = true
	}
	for range maxRounds {
		for i, d := range ds {
			chosen[i] = nil
			if !changed[i] {
				continue
			}
			changed[i] = false
			for _, r := range m.recognisers {
				r.find(d, r)
			}
			m.rules.find(d)
			chosen[i] = m.choose(d)
			names.confirm(d, chosen[i])
		}
		fresh := false
		for i, d := range ds {
			if names.find(d, chosen[i]) {
				chosen[i] = m.choose(d)
			}
			if len(chosen[i]) > 0 {
				fresh, changed[i] = true, true
				all[i] = merge(all[i], m.findings(d, chosen[i]))
				d.collapse(chosen[i])
				d.scan()
			}
		}
		if !fresh {
			break
		}
	}
	for _, d := range ds {
		m.work.Add(int64(d.steps))
		d.free()
	}
	return all
}

// findings converts candidates, in order, to bytes of the original text.
func (m *Masker) findings(d *doc, chosen []cand) []Finding {
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
	r, cls, off, ends := d.r[:0], d.cls[:0], d.off[:0], d.ends
	composed := len(ends) > 0
	if !composed { // from now on a rune can be longer than itself
		ends = make([]uint32, 0, len(d.r))
		for i := range d.r {
			ends = append(ends, uint32(d.byteEnd(i+1)))
		}
	}
	outEnds := ends[:0]
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
		off, outEnds = append(off, d.off[pos:to]...), append(outEnds, ends[pos:to]...)
	}
	for _, c := range chosen {
		keep(c.start)
		start, end := d.off[c.start], ends[c.end-1]
		mark := rune(0)
		if c.entity == Person {
			mark = personToken
		}
		r, cls, off, outEnds = append(r, mark), append(cls, cToken), append(off, start), append(outEnds, end)
		pos = c.end
	}
	keep(len(d.r))
	d.r, d.cls, d.off, d.ends = r, cls, off, outEnds
	d.clearScan()
}
