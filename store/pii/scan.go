package pii

// sepKind is what stands between two digit groups.
type sepKind uint8

const (
	sepFar    sepKind = iota // too much, or something that no identifier holds
	sepNone                  // nothing
	sepDash                  // "-"
	sepDot                   // "."
	sepMiddle                // "·"
	sepSpace                 // blanks only
	sepWide                  // a dash or dot with blanks or a line break around it
	sepSlash                 // "/"
	sepParen                 // ")", perhaps with a dash or a blank
	sepComma                 // ","
	sepColon                 // ":"
)

// scan goes over the text once and fills the lists of candidates.
func (d *doc) scan() {
	d.scanLists()
	d.scanTables()
	d.scanContext()
	d.scanDates()
	d.stale = false
}

// scanLists fills the lists that tell nothing of their surroundings.
func (d *doc) scanLists() {
	d.scanClasses()
	d.unmaskConfusables()
	d.scanSeparators(d.groups)
	d.splitGroups()
	lexicon().scan(d)
}

func (d *doc) scanClasses() {
	n := len(d.cls)
	for i := 0; i < n; {
		start := i
		switch c := d.cls[i]; c {
		case cDigit:
			for i++; i < n && d.cls[i] == cDigit; i++ {
			}
			d.groups = append(d.groups, group{start: int32(start), end: int32(i)})
		case cHangul:
			for i++; i < n && d.cls[i] == cHangul; i++ {
			}
			d.words = append(d.words, word{int32(start), int32(i), true})
		case cUpper, cLower:
			for i++; i < n && d.cls[i].latin(); i++ {
			}
			d.words = append(d.words, word{int32(start), int32(i), false})
		case cHan:
			d.hans = append(d.hans, int32(i))
			for i++; i < n && d.cls[i] == cHan; i++ {
			}
		case cOther:
			switch d.r[i] {
			case '@':
				d.ats = append(d.ats, int32(i))
			case '(', '[':
				if lower(d.at(i+1)) == 'a' && (d.hasPrefix(i, "(at)") || d.hasPrefix(i, "[at]")) {
					d.ats = append(d.ats, int32(i))
				}
			case ':', '.', '-':
				d.marks = append(d.marks, int32(i))
			}
			i++
		case cToken:
			if d.r[i] == personToken {
				d.persons = append(d.persons, int32(i))
			}
			i++
		default:
			i++
		}
	}
}

// unmaskConfusables reads O as 0 and l or I as 1 inside of numbers, where the
// whole token is made of digits, dashes and such letters: "O1O-1234-56l8".
func (d *doc) unmaskConfusables() {
	found := false
	for _, w := range d.words {
		if w.hangul || w.end-w.start > 2 || d.class(int(w.start)-1) != cDigit && d.class(int(w.end)) != cDigit {
			continue
		}
		start, end, digits, letters := int(w.start), int(w.start), 0, 0
		for start > 0 && int(w.start)-start < 20 && isNumberLike(d.r[start-1], d.cls[start-1]) {
			start--
		}
		for end < len(d.r) && end-int(w.start) < 20 && isNumberLike(d.r[end], d.cls[end]) {
			end++
		}
		for i := start; i < end; i++ {
			if d.cls[i] == cDigit {
				digits++
			} else if d.cls[i].latin() {
				letters++
			}
		}
		d.steps += end - start
		if digits < 7 || letters > 5 || end <= int(w.start) || d.class(start-1).latin() || d.class(end).latin() {
			continue
		}
		for i := int(w.start); i < int(w.end); i++ {
			if d.r[i] == 'O' || d.r[i] == 'o' {
				d.r[i] = '0'
			} else {
				d.r[i] = '1'
			}
			d.cls[i] = cDigit
		}
		found = true
	}
	if found {
		d.clearScan()
		d.scanClasses()
	}
}

// isNumberLike says whether r can stand in a number in which letters pose as digits.
func isNumberLike(r rune, c class) bool {
	return c == cDigit || r == '-' || r == '.' || r == 'O' || r == 'o' || r == 'l' || r == 'I'
}

// scanSeparators sets the separator of each group.
func (d *doc) scanSeparators(groups []group) {
	for i := range groups {
		groups[i].sep = sepFar
		if i+1 < len(groups) {
			groups[i].sep = d.separator(int(groups[i].end), int(groups[i+1].start))
		}
	}
}

// separator judges r[from:to], which holds no digit.
func (d *doc) separator(from, to int) sepKind {
	if to-from > 4 {
		return sepFar
	}
	var mark rune
	blanks, lines := 0, 0
	for i := from; i < to; i++ {
		switch c := d.cls[i]; {
		case c == cSpace:
			blanks++
		case c == cNewline:
			lines++
		case c == cOther && mark == 0 || mark == ')' && d.r[i] == '-':
			mark = max(mark, d.r[i])
			if d.r[i] == ')' {
				mark = ')'
			}
		default:
			return sepFar
		}
	}
	switch {
	case lines > 2 || lines > 0 && mark != '-' && mark != '.':
		return sepFar
	case mark == 0 && to == from:
		return sepNone
	case mark == 0:
		return sepSpace
	case (mark == '-' || mark == '.') && blanks+lines > 0:
		return sepWide
	}
	switch mark {
	case '-':
		return sepDash
	case '.':
		return sepDot
	case '·':
		return sepMiddle
	case '/':
		return sepSlash
	case ')', '(':
		return sepParen
	case ',':
		return sepComma
	case ':':
		return sepColon
	}
	return sepFar
}

// splitGroups cuts groups at dropped characters: "0101234<zero width>5678" is
// one number to the first list, and perhaps two numbers, that touch, to this one.
func (d *doc) splitGroups() {
	s := 0
	for _, g := range d.groups {
		for s < len(d.soft) && d.soft[s] <= g.start {
			s++
		}
		if s == len(d.soft) {
			return
		}
		start := g.start
		for ; s < len(d.soft) && d.soft[s] < g.end; s++ {
			if d.soft[s] > start {
				d.split = append(d.split, group{start: start, end: d.soft[s]})
				start = d.soft[s]
			}
		}
		if start > g.start {
			d.split = append(d.split, group{start: start, end: g.end, sep: sepFar})
		}
	}
}
