package pii

import "sort"

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
		if h := d.hitEndingAt(start); h != nil && h.kind&kRecord != 0 && int(h.start) <= at { // MRN4471829
			at, letters = start, 0
		}
		h := d.recordLabel(at)
		end, digits := d.recordEnd(start, h != nil)
		if digits < 4 || digits > 14 || d.class(end) == cDigit || d.counted(end) {
			continue
		}
		if h == nil {
			if digits < 6 || digits > 10 {
				continue
			}
			if why := d.recordByPlace(at, start, end); why != "" {
				d.add(rec, at, end, 0.6, why)
				next = end
			}
			continue
		}
		switch {
		case letters == 0 && digits < 5 && (d.short(h) || d.at(end) == ',' && d.class(end+1) == cDigit):
			continue
		case letters == 0 && (d.shapeOfOthers(start, end) || d.wholeDate(start, end)):
			d.add(rec, at, end, 0.52, "label, but the shape of another number")
		default:
			d.add(rec, at, end, 0.9, "label")
		}
		next = end
	}
}

// recordLabel returns the label of the number at r[at:], or a hit of no length for
// that of its column, or nil.
func (d *doc) recordLabel(at int) *hit {
	k := d.label(at)
	h := d.labelHit(at)
	switch {
	case h != nil && k&kName != 0 && d.at(int(h.start)-1) == '/': // "등록번호/성명: 20481233 / 홍길동"
		if h = d.hitEndingAt(int(h.start) - 1); h != nil && h.kind&kRecord != 0 {
			return h
		}
		return nil
	case k&kRecord == 0:
		return nil
	case h != nil:
		return h
	}
	return &hit{kind: kRecord}
}

// short says whether a label is so short a Korean word ("차트") that it speaks of
// many things, and a year may follow.
func (d *doc) short(h *hit) bool {
	return h.end-h.start == 2 && d.cls[h.start] == cHangul
}

// counted says whether a unit stands at r[p:], so that the number before it
// counts something: 명, 건, "자리", "번부터".
func (d *doc) counted(p int) bool {
	switch d.at(p) {
	case '명', '건', '원', '개', '%', '회':
		return !d.class(p+1).word() || d.cls[p+1] == cHangul
	case '자':
		return d.at(p+1) == '리'
	case '번':
		return d.hasPrefix(p, "번부터") || d.hasPrefix(p, "번째") || d.hasPrefix(p, "번까지")
	}
	return false
}

// wholeDate says whether r[start:end] is a date that needs no word to be one.
func (d *doc) wholeDate(start, end int) bool {
	i := sort.Search(len(d.dates), func(i int) bool { return d.dates[i].start >= start })
	return i < len(d.dates) && d.dates[i].start == start && d.dates[i].end >= end && !d.dates[i].bare
}

// recordEnd reads digits, capitals and single dashes from start on, and behind a
// label the slash between a year or a day and a number: "24/00192".
func (d *doc) recordEnd(start int, labelled bool) (end, digits int) {
	end = start
	for end < len(d.r) && end-start < 24 {
		c := d.cls[end]
		if c == cDigit {
			digits++
		} else if c == cUpper && d.r[end] < 128 {
		} else if labelled && (d.yearSlash(start, end) || d.toldInFours(start, end)) {
		} else if !(d.r[end] == '-' && d.class(end-1) != cOther && (d.class(end+1) == cDigit || d.class(end+1) == cUpper)) {
			break
		}
		end++
	}
	d.steps += end - start
	return end, digits
}

// yearSlash says whether r[p] is the slash behind a year or day that begins at
// start, before a number of a series.
func (d *doc) yearSlash(start, p int) bool {
	if n := p - start; d.r[p] != '/' || n != 2 && n != 4 && n != 6 || !d.allDigits(start, p) {
		return false
	}
	q := p + 1
	for d.class(q) == cDigit && q-p < 9 {
		q++
	}
	return q-p > 4 && q-p < 9 && d.at(q) != '/'
}

// toldInFours says whether r[p] is the blank in "2039 4812", as people say numbers
// on the telephone.
func (d *doc) toldInFours(start, p int) bool {
	return p-start == 4 && d.cls[p] == cSpace && p+5 <= len(d.r) && d.allDigits(start, p) && d.allDigits(p+1, p+5) &&
		!d.class(p+5).latin() && d.class(p+5) != cDigit && !d.counted(p+5) && d.at(p+5) != '년' && d.at(p+5) != '-'
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
