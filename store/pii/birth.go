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
		case d.bornBehind(s.end):
			d.add(rec, s.start, s.end, 0.97, "word behind")
		case s.bare && d.answersBirth(s):
			d.add(rec, s.start, s.end, 0.75, "answer to a question for it")
		case s.bare && d.behindName(s.start) && d.at(s.end) == ')':
			d.add(rec, s.start, s.end, 0.8, "in parentheses behind a name")
		case s.bare || label&(kDate|kAdmin) != 0:
		case d.sexBehind(s.end):
			d.add(rec, s.start, s.end, 0.85, "sex or age behind")
		default:
			if h, ok := d.near(s.start, 16, kDOB|kDate|kAdmin|kPhone); ok && h.kind&kDOB != 0 && !d.crossesLine(int(h.end), s.start) {
				d.add(rec, s.start, s.end, 0.9, "word nearby")
			}
		}
	}
}

// answersBirth says whether six digits are what someone says who was asked for
// the date of birth: "생년월일 여섯 자리 부탁드립니다.\n고객: 920318이요."
func (d *doc) answersBirth(s dateSpan) bool {
	h, ok := d.near(s.start, 48, kDOB|kDate|kAdmin|kPhone|kIDs)
	if !ok || h.kind&kDOB == 0 {
		return false
	}
	for i := int(h.end); i < s.start; i++ {
		if d.cls[i] == cDigit {
			return false
		}
	}
	return true
}

// behindName says whether "(" and what reads as a Korean name stand before r[start].
func (d *doc) behindName(start int) bool {
	p := start - 1
	if d.at(p) != '(' {
		return false
	}
	if d.class(p-1) == cSpace {
		p--
	}
	q := p
	for q > 0 && p-q < 6 && d.cls[q-1] == cHangul {
		q--
	}
	return p-q >= 2 && p-q <= 5 && d.bestName(koreanNames(), q, p).weight > 0
}

func (d *doc) crossesLine(from, to int) bool {
	for i := from; i < to; i++ {
		if d.cls[i] == cNewline || d.cls[i] == cDigit {
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
