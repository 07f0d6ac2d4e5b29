package pii

import "strings"

// findBirths finds dates of birth: dates with a label such as 생년월일 or DOB
// before them, with 생 or 출생 behind them, or with the sex behind them.
func findBirths(d *doc, rec *recogniser) {
	for _, s := range d.dates {
		label := d.label(s.start)
		switch {
		case label&kDOB != 0:
			d.add(rec, s.start, s.end, 0.99, "label")
		case label&(kRRN|kFRN) != 0:
			d.add(rec, s.start, s.end, 0.9, "label of a number that begins with it")
		case d.bornBehind(s.end):
			d.add(rec, s.start, s.end, 0.97, "word behind")
		case label&(kDate|kAdmin) == 0 && d.answersBirth(s):
			d.add(rec, s.start, s.end, 0.86, "answer to a question for it")
		case d.behindName(s):
			d.add(rec, s.start, s.end, 0.86, "behind a name")
		case d.bornBefore(s.start), !s.bare && d.yearOf(s) <= adultYear && d.nameAndSexBefore(s.start):
			d.add(rec, s.start, s.end, 0.87, "sex, age or b. before")
		case s.bare && d.nameEnds(d.blanksBefore(s.start)) && d.blanksBefore(s.start) < s.start && d.sexBehind(s.end):
			d.add(rec, s.start, s.end, 0.8, "behind a name, sex behind")
		case s.bare || label&(kDate|kAdmin) != 0:
		case d.sexBehind(s.end):
			d.add(rec, s.start, s.end, 0.85, "sex or age behind")
		default:
			if h, ok := d.near(s.start, 16, kDOB|kDate|kAdmin|kPhone); ok && h.kind&kDOB != 0 && !d.birthTold(h) && !d.crossesLine(int(h.end), s.start) {
				d.add(rec, s.start, s.end, 0.9, "word nearby")
			}
		}
	}
}

// answersBirth says whether six digits are what someone says who was asked for
// the date of birth: "생년월일 여섯 자리 부탁드립니다.\n고객: 920318이요."
func (d *doc) answersBirth(s dateSpan) bool {
	h, ok := d.near(s.start, 48, kDOB|kDate|kAdmin|kPhone|kIDs)
	if !ok || h.kind&kDOB == 0 || d.birthTold(h) {
		return false
	}
	for i := int(h.end); i < s.start; i++ {
		if d.cls[i] == cDigit || d.valueToken(i) {
			return false
		}
	}
	return true
}

// birthTold says whether the word of a birth is a verb that tells of one, and not
// the label of a date: "출생하여 2020. 1. 5. 사망".
func (d *doc) birthTold(h hit) bool {
	switch d.at(int(h.end)) {
	case '하', '한', '했', '해', '신':
		return true
	}
	return false
}

// valueToken says whether r[i] is the mask token of something else than a person:
// the answer, or the value of the label, has been masked already.
func (d *doc) valueToken(i int) bool { return d.cls[i] == cToken && d.r[i] != personToken }

// adultYear is the latest year that, beside a name, is rather that of a birth
// than of a letter: whoever was born then has come of age. It moves slowly
// enough to stand here.
const adultYear = 2008

// behindName says whether a date stands in parentheses behind a name, or, if it
// lies far enough back, right behind a name, a passport or a field of a line that
// begins with a name.
func (d *doc) behindName(s dateSpan) bool {
	p := s.start
	paren := d.at(p-1) == '('
	if paren {
		p--
	}
	q := d.blanksBefore(p)
	switch {
	case paren:
		return (d.at(s.end) == ')' || d.at(s.end) == ',' || d.at(s.end) == '~' || d.class(s.end) == cSpace && d.at(s.end+1) == '~') && d.nameEnds(q)
	case s.bare || d.yearOf(s) > adultYear:
		return false
	case q == p && d.at(p-1) != '|', q == 0:
		return false
	}
	for n := 0; n < 3 && (d.at(q-1) == '/' || d.at(q-1) == '|' || d.at(q-1) == ',' || d.at(q-1) == ')' || d.class(q-1) == cSpace); n++ {
		q--
	}
	return d.nameEnds(q) || d.class(q-1) == cHan || d.passportEnds(q)
}

// bornBefore says whether the sex or "b." stands right before a date in
// parentheses: "(남, 1985. 3. 12.)", "(b. 3 May 1985)".
func (d *doc) bornBefore(start int) bool {
	p := start
	for n := 0; n < 2 && (d.class(p-1) == cSpace || d.at(p-1) == ',' || d.at(p-1) == '.') && p > 0; n++ {
		p--
	}
	if p == start || d.class(p-2).word() {
		return false
	}
	open := d.at(p-2) == '(' || d.class(p-2) == cSpace && d.at(p-3) == ',' || d.at(p-2) == '/'
	switch r := d.at(p - 1); r {
	case '남', '여':
		return open
	case 'b':
		return open && d.at(p) == '.'
	}
	return false
}

// nameAndSexBefore says whether "홍길동 남 " stands before r[start].
func (d *doc) nameAndSexBefore(start int) bool {
	p := d.blanksBefore(start)
	if p == start || d.class(p-2) != cSpace {
		return false
	}
	switch d.at(p - 1) {
	case '남', '여', 'M', 'F':
		return d.nameEnds(d.blanksBefore(p - 1))
	}
	return false
}

// yearOf returns the year of a date that holds one of four digits, or 9999.
func (d *doc) yearOf(s dateSpan) int {
	for i := s.start; i+4 <= s.end; i++ {
		if d.allDigits(i, i+4) {
			return d.number(i, i+4)
		}
	}
	return 9999
}

// nameEnds says whether what reads as a Korean name, or the mask token of a
// person, ends before r[q].
func (d *doc) nameEnds(q int) bool {
	if d.class(q-1) == cToken {
		return d.r[q-1] == personToken
	}
	p := q
	if d.class(q - 1).latin() {
		for p > 0 && q-p < maxLatinWord && d.cls[p-1].latin() {
			p--
		}
		known := props(d.r[p:q])
		return d.cls[p] == cUpper && known&(latinFirst|latinLast|latinSurname) != 0 && known&latinCommon == 0
	}
	for p > 0 && q-p < 6 && d.cls[p-1] == cHangul {
		p--
	}
	return q-p >= 2 && q-p <= 5 && d.bestNameAbove(koreanNames(), p, q, -3).weight > -3
}

// passportEnds says whether letters and digits such as those of a passport end
// before r[q].
func (d *doc) passportEnds(q int) bool {
	p := q
	for p > 0 && q-p < 10 && (d.cls[p-1] == cDigit || d.cls[p-1] == cUpper) {
		p--
	}
	return q-p == 9 && d.cls[p] == cUpper && d.class(p-1) == cSpace
}

func (d *doc) crossesLine(from, to int) bool {
	for i := from; i < to; i++ {
		if d.cls[i] == cNewline || d.cls[i] == cDigit || d.valueToken(i) {
			return true
		}
	}
	return false
}

// bornBehind says whether 생, 출생 or 태어나 stands at r[end:].
func (d *doc) bornBehind(end int) bool {
	for d.class(end) == cSpace || d.at(end) == '(' {
		end++
	}
	if d.at(end) == '일' && d.at(end+1) == '생' {
		end++
	}
	if d.hasPrefix(end, "출생") || d.hasPrefix(end, "에 출생") || d.hasPrefix(end, "에 태어") || d.hasPrefix(end, "태어") || d.hasPrefix(end, "년생") {
		return true
	}
	if d.at(end) != '생' {
		return false
	}
	return d.class(end+1) != cHangul || strings.ContainsRune("으은이인의임년", d.r[end+1])
}

// sexBehind says whether the sex or the age follows: "(1985. 3. 12., 남)".
func (d *doc) sexBehind(end int) bool {
	p := end
	for p < end+4 && (d.class(p) == cSpace || d.at(p) == ',' || d.at(p) == '/' || d.at(p) == '(' || d.at(p) == '.') {
		p++
	}
	if p == end {
		return false
	}
	for _, w := range [...]string{"남", "여", "남자", "여자", "남성", "여성", "m", "f", "male", "female", "만 "} {
		n := len([]rune(w))
		if d.hasPrefix(p, w) && !d.class(p+n).word() {
			return true
		}
	}
	q := p
	for d.class(q) == cDigit {
		q++
	}
	return q > p && q-p < 4 && d.at(q) == '세' && (d.at(q+1) == ')' || d.at(q+1) == ',' || d.class(q+1) == cSpace)
}
