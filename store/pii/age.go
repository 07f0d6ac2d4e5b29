package pii

// Ages are found by two recognisers, for an age of 90 or more singles a person
// out by itself.
func findAges(d *doc, rec *recogniser)    { d.ages(rec, 0, 89) }
func findOldAges(d *doc, rec *recogniser) { d.ages(rec, 90, 120) }

// ages finds how old someone is: 45세, 만 45살, "72-year-old", "aged 45", F/63,
// "나이: 45". The limits of laws and tariffs, such as "만 19세 이상", are nobody's age.
func (d *doc) ages(rec *recogniser, from, to int) {
	for i, g := range d.groups {
		if g.len() > 3 {
			continue
		}
		start, end := int(g.start), int(g.end)
		if d.class(start-1) == cDigit || d.at(start-1) == '.' || d.at(start-1) == ',' || d.at(start-1) == '-' || d.at(start-1) == '~' {
			continue
		}
		if v := d.number(start, end); v < from || v > to {
			continue
		}
		if e, ok := d.yearsOld(end); ok {
			if !d.ageLimit(e) && !d.class(start-1).word() {
				d.add(rec, start, e, 0.85, "unit of age")
			}
			continue
		}
		switch {
		case d.class(end).word() || g.sep == sepDash || g.sep == sepDot || g.sep == sepSlash || i > 0 && d.groups[i-1].sep == sepDash:
		case d.label(start)&kAge != 0 && g.len() > 1:
			d.add(rec, start, end, 0.85, "label")
		case d.sexSlash(start):
			d.add(rec, start, end, 0.8, "sex before")
		}
	}
}

// yearsOld reads 세, 살, "-year-old", " y/o" at r[p:] and returns the end.
func (d *doc) yearsOld(p int) (end int, ok bool) {
	q := d.skipBlanks(p)
	if r := d.at(q); q-p < 2 && (r == '세' || r == '살') {
		next := d.at(q + 1)
		return q + 1, d.class(q+1) != cHangul || tailKindOf([]rune{next}) != 0 || next == '인' || next == '로' || next == '때' || next == '남' || next == '여'
	}
	for d.at(p) == '-' || d.class(p) == cSpace && p < q {
		p++
	}
	for _, w := range [...]string{"year-old", "years old", "year old", "years of age", "yrs old", "y/o", "yo", "y.o.", "yr old", "yrs"} {
		if n := len(w); d.hasPrefix(p, w) && !d.class(p+n).word() {
			return p + n, true
		}
	}
	return 0, false
}

// ageLimit says whether r[p:] makes the age before it that of a rule.
func (d *doc) ageLimit(p int) bool {
	p = d.skipBlanks(p)
	for _, w := range [...]string{"이상", "이하", "미만", "초과", "부터", "까지", "~", "-", "이전", "이후", "에서", "전후", "or older", "or younger", "and older", "and over", "and above", "or over"} {
		if d.hasPrefix(p, w) {
			return true
		}
	}
	return false
}

// sexSlash says whether "남/" or "F/" stands before r[start].
func (d *doc) sexSlash(start int) bool {
	if d.at(start-1) != '/' || d.class(start-3).word() {
		return false
	}
	switch lower(d.at(start - 2)) {
	case '남', '여', 'm', 'f':
		return true
	}
	return false
}
