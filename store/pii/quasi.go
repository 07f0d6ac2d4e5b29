package pii

import (
	"strings"
	"sync"
)

// wordList is a list of words in two languages.
type wordList struct {
	korean  runeSet
	english map[string]bool // lower case
}

func readWordList(file string) *wordList {
	l := &wordList{english: map[string]bool{}}
	for _, line := range dataLines(file) {
		lang, list, _ := strings.Cut(line, ":")
		for w := range strings.FieldsSeq(list) {
			if lang == "ko" {
				l.korean.add([]rune(w))
			} else {
				l.english[w] = true
			}
		}
	}
	return l
}

var (
	countries = sync.OnceValue(func() *wordList { return readWordList("countries.txt") })
	positions = sync.OnceValue(func() *wordList { return readWordList("positions.txt") })
)

// longestIn returns how long the longest word of the list is that r[p:] begins with.
func (l *wordList) longestIn(r []rune) int {
	for n := min(len(r), 8); n >= 2; n-- {
		if l.korean.has(r[:n]) {
			return n
		}
	}
	return 0
}

// fieldEnd returns where the value of a field ends that begins at start: at a
// line break, a comma, a bar or two blanks.
func (d *doc) fieldEnd(start, most int) int {
	end := start
	for end < len(d.r) && end-start < most {
		c, r := d.cls[end], d.r[end]
		if c == cNewline || c == cToken || r == ',' || r == '|' || r == ';' || r == '/' || r == '"' || r == '.' || r == '\t' || c == cSpace && d.class(end+1) == cSpace {
			break
		}
		end++
	}
	for end > start && d.cls[end-1] == cSpace {
		end--
	}
	d.steps += end - start
	return end
}

// fieldValues calls each with the values of fields whose label is of kind k and
// stands before a mark, as in "직급: 과장", or over the column of a table.
func (d *doc) fieldValues(k kind, each func(start int)) {
	last := -1
	for _, v := range d.values {
		h := d.hits[v.hit]
		if p := int(v.pos); h.kind&k != 0 && p > last && d.cls[p].word() && d.hasMark(int(h.end), p) {
			last = p
			each(p)
		}
	}
	for _, c := range d.cells {
		if c.kind&k != 0 {
			each(int(c.pos))
		}
	}
}

// findPositions finds what someone is: behind a label such as 직급, or beside a name.
func findPositions(d *doc, rec *recogniser) {
	d.fieldValues(kPosition, func(p int) {
		if end := d.fieldEnd(p, 16); end > p {
			d.add(rec, p, end, 0.9, "label")
		}
	})
	names := len(d.cands)
	for i := range names {
		c := d.cands[i]
		if c.entity != Person || c.score < DefaultMinScore {
			continue
		}
		p := d.skipBlanks(c.end)
		if n := positions().longestIn(d.r[p:min(p+8, len(d.r))]); n > 0 {
			if t := tailOf(d.r[p:d.hangulEnd(p)], true); t.ok {
				d.add(rec, p, p+n, 0.8, "rank behind a name")
			}
		}
		q := c.start
		for q > 0 && c.start-q < 2 && d.cls[q-1] == cSpace {
			q--
		}
		from := q
		for from > 0 && q-from < 8 && d.cls[from-1] == cHangul {
			from--
		}
		if q < c.start && positions().korean.has(d.r[from:q]) {
			d.add(rec, from, q, 0.75, "rank before a name")
		}
	}
}

// hangulEnd returns where the run of Korean letters ends that begins at p, at
// most ten further.
func (d *doc) hangulEnd(p int) int {
	q := p
	for q < len(d.r) && d.cls[q] == cHangul && q-p < 10 {
		q++
	}
	return q
}

// schoolEnds end what someone has reached: behind the name of a school they
// make it a person's.
var schoolEnds = []string{"졸업", "재학", "수료", "중퇴", "휴학", "입학", "출신", "학사", "석사", "박사"}

// findEducations finds schools and degrees: behind a label such as 학력, or a
// school with what someone did there, "한빛대학교 의과대학 졸업".
func findEducations(d *doc, rec *recogniser) {
	d.fieldValues(kEducation, func(p int) {
		if end := d.fieldEnd(p, 40); end > p {
			d.add(rec, p, end, 0.9, "label")
		}
	})
	next := 0
	for _, w := range d.words {
		start, end := int(w.start), int(w.end)
		if !w.hangul || start < next || end-start < 4 {
			continue
		}
		school := false
		for _, s := range [...]string{"대학교", "대학원", "고등학교", "중학교", "대학"} {
			n := len([]rune(s))
			school = school || end-n > start && d.hasPrefix(end-n, s)
		}
		if !school {
			continue
		}
		p, parts := end, 0
		for ; parts < 4 && d.class(p) == cSpace && d.class(p+1) == cHangul; parts++ {
			q := d.hangulEnd(p + 1)
			for _, s := range schoolEnds {
				if d.hasPrefix(p+1, s) {
					e := p + 1 + len([]rune(s))
					d.add(rec, start, e, 0.8, "school and degree")
					next, parts = e, 9
					break
				}
			}
			p = q
		}
	}
}

// findNationalities finds where someone comes from: behind a label such as 국적,
// before 국적, or "… national".
func findNationalities(d *doc, rec *recogniser) {
	d.fieldValues(kNationality, func(p int) {
		if end := d.fieldEnd(p, 24); end > p {
			d.add(rec, p, end, 0.9, "label")
		}
	})
	for _, w := range d.words {
		start, end := int(w.start), int(w.end)
		if !w.hangul {
			if q := d.skipBlanks(end); countries().english[lowerString(d.r[start:min(end, start+20)])] && (d.hasPrefix(q, "national") || d.hasPrefix(q, "citizen")) {
				d.add(rec, start, end, 0.85, "word behind")
			}
			continue
		}
		n := countries().longestIn(d.r[start:min(end, start+8)])
		if n == 0 {
			continue
		}
		p := start + n
		switch {
		case d.hasPrefix(d.skipBlanks(p), "국적"):
			d.add(rec, start, p, 0.85, "word behind")
		case p+1 <= end && d.r[p] == '인' && tailOf(d.r[p+1:end], true).ok:
			d.add(rec, start, p+1, 0.7, "people of a country")
		}
	}
}
