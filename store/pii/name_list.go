package pii

import "strings"

// What a word must weigh to be a name because names stand beside it in a list:
// on one side, on both, and where an ordinary word follows it.
const (
	listFloor     = -4.5
	betweenFloor  = -6
	followedFloor = -1.5
)

// findLists walks from every name to its neighbours in a list, "위원 김상철,
// 이은주, 박도현", or in the lines of one, and proposes what can be a name there.
// Mask tokens of persons are names, too, so that it does not matter how much of
// the list was masked before.
func findLists(d *doc, chosen []cand) {
	for _, p := range d.persons {
		d.walkList(int(p), int(p)+1)
	}
	for _, c := range chosen {
		if c.entity == Person {
			d.flag[c.start] |= flagName
			d.flag[c.end] |= flagNameEnd
		}
	}
	for _, c := range chosen {
		if c.entity == Person {
			d.walkList(c.start, c.end)
		}
	}
}

// walkList proposes the neighbours of the name r[start:end], one after the other.
func (d *doc) walkList(start, end int) {
	first := start
	for p := end; ; {
		q, ok := d.nextItem(p)
		if !ok {
			q, ok = d.nextLine(start, p)
		}
		if !ok || d.isName(q) {
			break
		}
		a, b, ok := d.listName(q, listFloor)
		if !ok {
			break
		}
		start, p = a, b
	}
	for a, b := first, end; ; {
		q, ok := d.lineBefore(a, b)
		if !ok || d.isName(q) {
			break
		}
		if a, b, ok = d.listName(q, listFloor); !ok {
			break
		}
	}
	for p := first; ; {
		q, ok := d.itemBefore(p)
		if !ok || d.flag[q]&flagNameEnd != 0 || d.class(q-1) == cToken {
			break
		}
		from := d.itemStart(q)
		if from == q || d.isName(from) {
			break
		}
		a, _, ok := d.listName(from, listFloor)
		if !ok {
			break
		}
		p = a
	}
}

// itemStart returns where the item of a list begins that ends before r[q]: a
// word, or up to four words in Latin letters that begin with capitals.
func (d *doc) itemStart(q int) int {
	from := q
	for from > 0 && q-from < 10 && d.cls[from-1] == cHangul {
		from--
	}
	for n := 0; n < 4 && from > 0 && (d.cls[from-1].latin() || d.r[from-1] == '.'); n++ {
		p := from
		if d.r[p-1] == '.' {
			p--
		}
		for p > 0 && from-p < maxLatinWord && (d.cls[p-1].latin() || (d.r[p-1] == '-' || d.r[p-1] == '\'') && p < from) {
			p--
		}
		if d.class(p) != cUpper {
			break
		}
		from = p
		if d.class(p-1) != cSpace || !d.class(p-2).latin() && d.at(p-2) != '.' {
			return from
		}
		from-- // behind the word before
	}
	for from < q && d.cls[from] == cSpace {
		from++
	}
	return from
}

// isName says whether a name was found at r[p:].
func (d *doc) isName(p int) bool {
	return d.class(p) == cToken || p < len(d.flag) && d.flag[p]&flagName != 0
}

// listName proposes the item of a list that begins at p when it can be a name.
func (d *doc) listName(p int, floor float64) (start, end int, ok bool) {
	if d.class(p) != cHangul {
		return d.listLatin(p)
	}
	q := p
	for q < len(d.r) && d.cls[q] == cHangul && q-p < 12 {
		q++
	}
	d.steps += q - p
	if d.class(q) == cHangul {
		return 0, 0, false
	}
	n := d.bestNameAbove(koreanNames(), p, q, betweenFloor)
	if n.end == 0 {
		return 0, 0, false
	}
	if next, ok := d.nextItem(n.end); ok && d.isName(next) {
		floor = betweenFloor
	} else if n.end == q && d.followed(q) {
		floor = followedFloor
	}
	if n.weight < floor {
		return 0, 0, false
	}
	d.addNeighbour(n.start, n.end, n.evidence())
	return n.start, n.end, true
}

// addNeighbour proposes a name of a list.
func (d *doc) addNeighbour(start, end int, why string) {
	d.flag[start] |= flagName
	d.flag[end] |= flagNameEnd
	d.cands = append(d.cands, cand{
		start: start, end: end, entity: Person, score: 0.6, recogniser: "name_list",
		evidence: why + ", other names in the list", rank: len(recognisers),
	})
}

// followed says whether an ordinary word follows behind a blank.
func (d *doc) followed(p int) bool {
	q := d.skipBlanks(p)
	return q > p && d.class(q) == cHangul && d.at(q-1) != '\t' && !isTitleTail(d.r[q:d.hangulEnd(q)]) && !d.relationAt(q)
}

// isTitleTail says whether r is a title, perhaps with a particle.
func isTitleTail(r []rune) bool {
	t := tailOf(r, true)
	return t.ok && t.weight >= 3.5
}

// relationAt says whether a relation of one syllable stands at r[p:]: "모 유선화".
func (d *doc) relationAt(p int) bool {
	return d.class(p+1) == cSpace && strings.ContainsRune("부모자처녀", d.at(p)) && d.class(p+2) == cHangul
}

// listLatin is listName for Latin letters.
func (d *doc) listLatin(p int) (start, end int, ok bool) {
	if d.class(p) != cUpper || d.class(p-1).word() {
		return 0, 0, false
	}
	var buf [4]namePart
	parts := d.nameParts(p, buf[:0])
	for k := len(parts); k >= 1; k-- {
		if parts[k-1].link(d) || parts[k-1].initial {
			continue
		}
		known := parts[0].is(latinFirst|latinLast) || parts[k-1].is(latinLast|latinSurname)
		end := parts[k-1].end
		next, more := d.nextItem(end)
		between := more && d.isName(next)
		ended := more || d.hasPrefix(p-4, "and ") || d.class(end) == cNewline || d.class(end) == cOther && d.at(end) != '-' && d.at(end) != '@'
		if w, why := d.weighLatin(parts[:k]); ended && w > -3.2 && k < 4 && (known && (k > 1 || w > -2) || between && k > 1) {
			if why == "" {
				why = "capitals"
			}
			d.addNeighbour(p, end, why)
			return p, end, true
		}
	}
	return 0, 0, false
}

// nextItem returns where the next item of the list begins behind a name that
// ends at p: behind a title, something in parentheses, and a comma or the like.
func (d *doc) nextItem(p int) (q int, ok bool) {
	q = d.skipBlanks(p)
	if q > p && d.class(q) == cHangul { // "김상철 위원, 이은주 위원"
		if e := d.hangulEnd(q); isTitleTail(d.r[q:e]) {
			q = e
		}
	}
	if d.at(q) == '(' {
		if e := d.closing(q); e > q {
			q = e
		}
	}
	mark := d.skipBlanks(q)
	switch r := d.at(mark); {
	case r == ',' || r == '·' || r == '/' || r == ';' || r == '→' || r == '&' || r == 'ㆍ' || r == '∙' || r == '・':
		mark++
	case q == p && (r == '과' || r == '와') && d.class(mark+1) == cSpace && mark == p:
		mark++
	case mark > p && r == '및' && d.class(mark+1) == cSpace:
		mark++
	case mark > p && d.hasPrefix(mark, "and "):
		mark += 4
	default:
		return 0, false
	}
	for n := 0; n < 4 && (d.class(mark) == cSpace || d.class(mark) == cNewline && mark < len(d.r)); n++ {
		mark++
	}
	if d.hasPrefix(mark, "and ") {
		mark += 4
	}
	return mark, mark < len(d.r)
}

// closing returns where the parenthesis that opens at p is closed again, or p.
func (d *doc) closing(p int) int {
	for q := p + 1; q < len(d.r) && q-p < 24 && d.cls[q] != cNewline; q++ {
		if d.r[q] == ')' {
			return q + 1
		}
	}
	return p
}

// itemBefore returns where the item of the list ends that stands before the
// name at p.
func (d *doc) itemBefore(p int) (q int, ok bool) {
	q = d.blanksBefore(p)
	if q < p && d.hasPrefix(q-4, " and") {
		q = d.blanksBefore(q - 4)
		if d.at(q-1) == ',' {
			q--
		}
		return q, q > 0
	}
	switch r := d.at(q - 1); {
	case q > 0 && (r == ',' || r == '·' || r == '/' || r == ';' || r == '→' || r == '&' || r == 'ㆍ' || r == '∙' || r == '・'):
		q = d.blanksBefore(q - 1)
	case q < p && (r == '과' || r == '와') && d.class(q-2) == cHangul:
	case q < p && r == '및' && d.class(q-2) == cSpace:
		q = d.blanksBefore(q - 1)
	default:
		return 0, false
	}
	if d.at(q-1) == ')' {
		open := q - 2
		for open > 0 && q-open < 24 && d.r[open] != '(' && d.cls[open] != cNewline {
			open--
		}
		if d.at(open) == '(' {
			q = d.blanksBefore(open)
		}
	}
	return q, q > 0
}

func (d *doc) blanksBefore(p int) int {
	for n := 0; n < 3 && p > 0 && d.cls[p-1] == cSpace; n++ {
		p--
	}
	return p
}

// nextLine returns the place in the next line that stands where the name
// r[start:end] does in its own: behind the same marks and digits at the beginning,
// and with the same kind of thing behind it.
func (d *doc) nextLine(start, end int) (q int, ok bool) {
	from, ok := d.lineStart(start)
	if !ok {
		return 0, false
	}
	line := end
	for line < len(d.r) && line-end < maxLine && d.cls[line] != cNewline {
		line++
	}
	d.steps += line - end
	if line >= len(d.r) || d.cls[line] != cNewline {
		return 0, false
	}
	return d.samePlace(from, start, end, d.skipNewlines(line))
}

// lineBefore is nextLine for the line before.
func (d *doc) lineBefore(start, end int) (q int, ok bool) {
	from, ok := d.lineStart(start)
	if !ok || from == 0 {
		return 0, false
	}
	line := from - 1
	for line > 0 && d.cls[line-1] == cNewline {
		line--
	}
	for n := 0; line > 0 && d.cls[line-1] != cNewline; n++ {
		if n == maxLine {
			return 0, false
		}
		line--
	}
	d.steps += from - line
	return d.samePlace(from, start, end, line)
}

// maxLine is how long, in runes, a line of a list of names can be.
const maxLine = 80

// lineStart returns where the line begins in which r[start:] stands near the
// beginning.
func (d *doc) lineStart(start int) (from int, ok bool) {
	for from = start; start-from < 12; from-- {
		if from == 0 || d.cls[from-1] == cNewline {
			return from, true
		}
	}
	return 0, false
}

func (d *doc) skipNewlines(p int) int {
	for n := 0; n < 3 && p < len(d.r) && d.cls[p] == cNewline; n++ {
		p++
	}
	return p
}

// samePlace returns the place in the line that begins at b which corresponds to
// the name r[start:end] in the line that begins at a.
func (d *doc) samePlace(a, start, end, b int) (q int, ok bool) {
	bare := a == start
	for a < start && b < len(d.r) {
		switch {
		case d.cls[a] == cDigit && d.cls[b] == cDigit:
			for d.class(a) == cDigit && a < start {
				a++
			}
			for d.class(b) == cDigit {
				b++
			}
		case d.r[a] == d.r[b] && d.cls[a] != cDigit && d.cls[a] != cNewline:
			a++
			b++
		default:
			return 0, false
		}
	}
	if a != start || b >= len(d.r) || d.class(b) != cHangul && (bare || d.class(b) != cUpper) {
		return 0, false
	}
	if !bare {
		return b, true
	}
	// Without a mark before it, what stands behind has to be of the same kind.
	n := d.hangulEnd(b)
	behind := func(p int) class {
		q := d.skipBlanks(p)
		if q == p && d.class(p) != cNewline {
			return cLetter
		}
		return d.class(q)
	}
	return b, n > b && behind(n) == behind(end) && behind(n) != cLetter && behind(n) != cHangul
}
