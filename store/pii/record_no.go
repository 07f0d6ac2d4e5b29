package pii

// findRecords finds the numbers that hospitals give to patients, charts and
// specimens. Their form differs from house to house, so that a label is needed.
func findRecords(d *doc, rec *recogniser) {
	next := 0
	for _, g := range d.groups {
		if int(g.start) < next {
			continue
		}
		start := int(g.start)
		// Letters and a dash in front: MR-67340678, P4309254.
		letters := 0
		at := start
		if d.at(at-1) == '-' && d.class(at-2).latin() {
			at--
		}
		for at > next && letters < 5 && asciiLetter(d.r[at-1]) {
			at--
			letters++
		}
		if letters > 4 || d.class(at-1) == cDigit || letters > 0 && d.at(at-1) == '-' {
			continue
		}
		if letters == 0 {
			at = start
		}
		if d.label(at)&kRecord == 0 {
			continue
		}
		end, digits := d.recordEnd(start)
		if digits < 4 || digits > 14 || d.class(end) == cDigit {
			continue
		}
		d.add(rec, at, end, 0.9, "label")
		next = end
	}
}

// recordEnd reads digits, capitals and single dashes from start on.
func (d *doc) recordEnd(start int) (end, digits int) {
	end = start
	for end < len(d.r) && end-start < 24 {
		c := d.cls[end]
		if c == cDigit {
			digits++
		} else if c == cUpper && d.r[end] < 128 {
		} else if !(d.r[end] == '-' && d.class(end-1) != cOther && (d.class(end+1) == cDigit || d.class(end+1) == cUpper)) {
			break
		}
		end++
	}
	d.steps += end - start
	return end, digits
}
