package pii

import "strings"

// findDocumentIDs finds the numbers of letters, certificates and contracts:
// behind a label in whatever form, and those that Korean offices give to what
// they send, the name of the unit and a number: "시행 의료정책과-1234 (2024. 5. 6.)".
func findDocumentIDs(d *doc, rec *recogniser) {
	next := 0
	for i, g := range d.groups {
		if int(g.start) < next {
			continue
		}
		if end, ok := d.documentByUnit(i); ok {
			at := int(g.start) - 1
			for at > 0 && int(g.start)-at < 20 && d.cls[at-1] == cHangul {
				at--
			}
			d.add(rec, at, end, 0.75, "office and number")
			next = end
			continue
		}
		if end, ok := d.certificate(int(g.start)); ok {
			d.add(rec, int(g.start), end, 0.7, "number at the head of a certificate")
			next = end
			continue
		}
		start := d.codeStart(int(g.start), next)
		if d.label(start)&kDocument == 0 {
			continue
		}
		end, digits := d.codeEnd(start)
		if digits >= 3 {
			d.add(rec, start, end, 0.85, "label")
			next = end
		}
	}
}

// documentByUnit says whether group i is the number in "의료정책과-1234 (2024.…",
// and where it ends.
func (d *doc) documentByUnit(i int) (end int, ok bool) {
	g := d.groups[i]
	start := int(g.start)
	if g.len() > 6 || g.len() < 2 || d.at(start-1) != '-' || d.class(start-2) != cHangul || g.sep == sepDash {
		return 0, false
	}
	switch d.r[start-2] {
	case '과', '실', '팀', '국', '부', '청', '원', '소', '관', '담':
	default:
		return 0, false
	}
	p := d.skipBlanks(int(g.end))
	if d.at(p) == '호' {
		if p == int(g.end) && !strings.ContainsRune("기선실차", d.at(p+1)) && d.class(start-4) == cHangul {
			return p, true
		}
		p = d.skipBlanks(p + 1)
	}
	if d.sentBefore(start - 1) {
		return int(g.end), true
	}
	if i+1 == len(d.groups) {
		return 0, false
	}
	year := d.groups[i+1]
	return int(g.end), d.at(p) == '(' && p+1 == int(year.start) && year.len() == 4 && validYear(d.value(year))
}

// sentBefore says whether 시행 or 접수 stands before the name of a unit that ends
// at r[p], as at the foot of a letter: "시행 총무과-1829".
func (d *doc) sentBefore(p int) bool {
	end := p
	for p > 0 && end-p < 20 && d.cls[p-1] == cHangul {
		p--
	}
	q := d.blanksBefore(p)
	return q < p && (d.hasPrefix(q-2, "시행") || d.hasPrefix(q-2, "접수")) && d.class(q-3) != cHangul
}

// certificate returns the number in "제 2024-0118 호" that fills a line, as at the
// head of a certificate, and whose digits begin at r[at:]; ok is false if there is none.
func (d *doc) certificate(at int) (end int, ok bool) {
	p := d.blanksBefore(at)
	if d.at(p-1) != '제' || d.class(d.blanksBefore(p-1)-1) != cNewline {
		return 0, false
	}
	end, digits := d.codeEnd(at)
	q := d.skipBlanks(end)
	return end, digits >= 3 && d.at(q) == '호' && d.class(d.skipBlanks(q+1)) == cNewline
}

// codeStart returns where the code begins whose first digits are at pos: letters
// of a unit, capitals and dashes may stand before them. It is not before limit.
func (d *doc) codeStart(pos, limit int) int {
	p := pos
	for p > limit && pos-p < 16 && d.flag[p]&flagValue == 0 {
		c := d.cls[p-1]
		if c != cUpper && c != cLower && c != cHangul && d.r[p-1] != '-' && d.r[p-1] != '/' {
			break
		}
		p--
	}
	return p
}

// codeEnd reads digits, letters, dashes and slashes from start on, and "제…호".
func (d *doc) codeEnd(start int) (end, digits int) {
	end = start
	named := false // inside of the name of a unit: "2024-건축과-118"
	for end < len(d.r) && end-start < 32 {
		switch c := d.cls[end]; {
		case c == cDigit:
			digits++
		case c.latin():
		case c == cHangul && (digits == 0 || d.r[end-1] == '-' || named):
			named = true
			end++
			continue
		case (d.r[end] == '-' || d.r[end] == '/' || d.r[end] == '_') && d.class(end+1).word() && end > start:
		case c == cHangul && d.r[end] == '년' && digits == 4: // "2024년 제123호"
			p := d.skipBlanks(end + 1)
			if d.at(p) != '제' || d.class(d.skipBlanks(p+1)) != cDigit {
				return end, digits
			}
			for end = d.skipBlanks(p + 1); d.class(end) == cDigit; end++ {
			}
			if d.at(end) == '호' {
				end++
			}
			return end, digits
		default:
			d.steps += end - start
			return end, digits
		}
		named = false
		end++
	}
	d.steps += end - start
	return end, digits
}
