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
		labelled := d.label(at)&kRecord != 0
		patient := false
		if !labelled {
			patient = g.len() > 5 && (d.besidePatient(at, start) || d.numberOfPerson(at, start))
			if !patient && !d.behindPatient(at) {
				continue
			}
		}
		end, digits := d.recordEnd(start)
		switch {
		case digits < 4 || digits > 14 || d.class(end) == cDigit:
			continue
		case labelled && letters == 0 && d.shapeOfOthers(start, end):
			d.add(rec, at, end, 0.52, "label, but the shape of another number")
		case labelled:
			d.add(rec, at, end, 0.9, "label")
		case patient && digits >= 6 && digits <= 10:
			d.add(rec, at, end, 0.6, "beside a patient")
		case digits >= 6 && digits <= 10 && d.at(end) == ')':
			d.add(rec, at, end, 0.6, "in parentheses behind a name")
		}
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

// behindPatient says whether "name (" or "name (M/59, " stands before r[p], or
// "(name, ".
func (d *doc) behindPatient(p int) bool {
	q := d.blanksBefore(p)
	if d.at(q-1) == ',' {
		q--
		if d.nameEnds(q) {
			return true
		}
		for n := 0; n < 8 && q > 0 && d.r[q-1] != '('; n++ { // sex and age
			q--
		}
	}
	return d.at(q-1) == '(' && d.nameEnds(d.blanksBefore(q-1))
}

// besidePatient says whether the digits r[start:], with letters from at on, stand
// behind the word 환자, or beside a name and sex and age: "홍길동 20481233 F/67".
func (d *doc) besidePatient(at, start int) bool {
	p := at
	for n := 0; n < 3 && p > 0 && (d.cls[p-1] == cSpace || d.r[p-1] == '(' || d.r[p-1] == '#' || d.r[p-1] == ':' || d.r[p-1] == '['); n++ {
		p--
	}
	if h := d.hitEndingAt(p); h != nil && (d.hasPrefix(int(h.start), "환자") || d.hasPrefix(int(h.start), "patient") || d.hasPrefix(int(h.start), "pt")) && h.kind&kRole != 0 {
		return true
	}
	end := start
	for d.class(end) == cDigit || d.at(end) == '-' {
		end++
	}
	skip := func(p int) int {
		for n := 0; n < 4 && (d.class(p) == cSpace || d.at(p) == '/' || d.at(p) == ',' || d.at(p) == '|' || d.at(p) == '('); n++ {
			p++
		}
		return p
	}
	next := skip(end)
	if next == end {
		return false
	}
	if d.sexAgeAt(next) {
		q := at
		for n := 0; n < 4 && (d.class(q-1) == cSpace || d.at(q-1) == '/' || d.at(q-1) == ',' || d.at(q-1) == '|') && q > 0; n++ {
			q--
		}
		return d.nameEnds(q)
	}
	if n := d.hangulEnd(next); n-next >= 2 && n-next <= 5 && d.sexAgeAt(skip(n)) {
		return d.nameEnds(n)
	}
	return false
}

// numberOfPerson says whether "ID" or "No." stands before the digits r[start:],
// with letters from at on, and the label of a name or a patient close by.
func (d *doc) numberOfPerson(at, start int) bool {
	if d.label(at)&kNumber == 0 {
		return false
	}
	if h := d.labelHit(at); h != nil && d.class(int(h.start)-1) == cHangul { // 승인번호
		return false
	}
	if h, ok := d.near(at, 40, kName|kDOB); ok && h.kind&kNumber == 0 {
		return true
	}
	_, ok := d.after(start, 40, kName|kDOB)
	return ok
}

// shapeOfOthers says whether r[start:end] is grouped as resident, corporation and
// business numbers are, 6-7 or 3-2-5, or 13 digits that begin with a date.
func (d *doc) shapeOfOthers(start, end int) bool {
	dash := func(i int) bool { return d.at(start+i) == '-' }
	switch end - start {
	case 13:
		return d.allDigits(start, end) && d.monthDay(start+2)
	case 14:
		return dash(6)
	case 12:
		return dash(3) && dash(6)
	}
	return false
}
