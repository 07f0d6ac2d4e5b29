package pii

import (
	"slices"
	"sort"
	"unicode"
)

// nameSet holds the names of a record that are certain: wherever else they
// stand in it, they are masked, too.
type nameSet struct {
	korean runeSet         // without blanks
	given  runeSet         // of those of three syllables, without the surname
	latin  map[string]bool // full names and the distinctive words of them, lower case
	begins pairFilter      // what korean and given begin with
	latins pairFilter      // and latin, in small letters
}

// pairFilter is a small set of pairs of runes that sometimes says yes for one that
// is not in it.
type pairFilter [64]uint64

func (f *pairFilter) add(a, b rune) {
	h := pairHash(a, b)
	f[h>>6] |= 1 << (h & 63)
}

func (f *pairFilter) has(a, b rune) bool {
	h := pairHash(a, b)
	return f[h>>6]>>(h&63)&1 == 1
}

// pairHash returns twelve bits.
func pairHash(a, b rune) uint32 { return (uint32(a)*0x9E3779B1 ^ uint32(b)*0x85EBCA77) >> 20 }

// size returns the number of names and parts of names.
func (s *nameSet) size() int { return s.korean.words.n + s.given.words.n + len(s.latin) }

// confirmScore is how sure a name must be to be looked for elsewhere.
const confirmScore = 0.6

// confirm adds the names among chosen.
func (s *nameSet) confirm(d *doc, chosen []cand) {
	for _, c := range chosen {
		if c.entity != Person || c.score < confirmScore {
			continue
		}
		switch d.cls[c.start] {
		case cHangul:
			s.confirmKorean(d, c)
		case cUpper, cLower:
			s.confirmLatin(d, c)
		}
	}
}

// confirmKorean adds a name in Korean letters.
func (s *nameSet) confirmKorean(d *doc, c cand) {
	var buf [8]rune
	name := buf[:0]
	for i := c.start; i < c.end && len(name) < len(buf); i++ {
		if d.cls[i] == cHangul {
			name = append(name, d.r[i])
		}
	}
	switch n := len(name); {
	case n < 2 || n > 5, n == 2 && (c.score <= 0.8 || koreanNames().words.has(name)):
		return
	case n == 3:
		s.given.add(name[1:])
		s.begins.add(name[1], name[2])
	}
	s.korean.add(name)
	s.begins.add(name[0], name[1])
}

// confirmLatin adds a name in Latin letters, and those of its words that are
// nothing but names.
func (s *nameSet) confirmLatin(d *doc, c cand) {
	if s.latin == nil {
		s.latin = make(map[string]bool)
	}
	parts := 0
	for p := c.start; p < c.end; {
		q := d.wordAt(p)
		if q == p {
			p++
			continue
		}
		if k := props(d.r[p:q]); q-p >= 3 && k&latinCommon == 0 && k&(latinFirst|latinLast) != 0 {
			s.addLatin(d.r[p:q])
		}
		parts++
		p = q
	}
	if parts > 1 {
		s.addLatin(d.r[c.start:c.end])
	}
}

func (s *nameSet) addLatin(r []rune) {
	s.latin[lowerString(r)] = true
	s.latins.add(unicode.ToLower(r[0]), unicode.ToLower(r[1]))
}

// find proposes further mentions of the names in d, and names that fell just
// short but stand beside one that did not. It says whether there are any.
func (s *nameSet) find(d *doc, chosen []cand) bool {
	before := len(d.cands)
	for i := range d.words {
		w := &d.words[i]
		if w.hangul {
			if w.end-w.start > 1 && s.begins.has(d.r[w.start], d.r[w.start+1]) {
				s.findKorean(d, w)
			}
		} else if d.cls[w.start] == cUpper && s.latins.has(unicode.ToLower(d.r[w.start]), unicode.ToLower(d.at(int(w.start)+1))) {
			s.findLatin(d, int(w.start))
		}
	}
	findLists(d, chosen)
	d.findPairs()
	for _, c := range d.weak {
		if c.weight > -1.5 && besideName(d, c, chosen) {
			d.cands = append(d.cands, cand{
				start: c.start, end: c.end, entity: Person, score: 0.55, recogniser: "name_beside",
				evidence: c.evidence() + ", another name beside it", rank: len(recognisers),
			})
		}
	}
	return len(d.cands) > before
}

// findPairs proposes names that just fall short, but are joined to another of
// their kind: "전미도와 정문성이".
func (d *doc) findPairs() {
	for i := 1; i < len(d.weak); i++ {
		a, b := d.weak[i-1], d.weak[i]
		if a.end-a.start < 3 || b.end-b.start < 3 || a.weight+b.weight < -3.8 {
			continue
		}
		if q, ok := d.nextItem(a.end); !ok || q != b.start {
			continue
		}
		for _, n := range [...]koreanName{a, b} {
			d.cands = append(d.cands, cand{
				start: n.start, end: n.end, entity: Person, score: 0.52, recogniser: "name_pair",
				evidence: n.evidence() + ", joined to another name", rank: len(recognisers),
			})
		}
	}
}

func (s *nameSet) findKorean(d *doc, w *word) {
	r := d.r[w.start:w.end]
	for n := min(len(r), 5); n >= 2; n-- {
		if !s.korean.has(r[:n]) {
			continue
		}
		if t := tailOf(r[n:], hasCoda(r[n-1])); !t.ok || n == 2 && len(r) > 2 && t.weight < 0.3 {
			continue
		}
		d.cands = append(d.cands, cand{
			start: int(w.start), end: int(w.start) + n, entity: Person, score: confirmScore,
			recogniser: "name_again", evidence: "a name of the same record", rank: len(recognisers),
		})
		return
	}
	// "지안이도", of a 김지안.
	if start, end := int(w.start), int(w.end); len(r) >= 3 && s.given.has(r[:2]) && !koreanNames().words.has(r[:2]) && d.callingTail(start, start+2, end) > 0 {
		d.cands = append(d.cands, cand{
			start: start, end: start + 2, entity: Person, score: confirmScore,
			recogniser: "name_again", evidence: "given name of a name of the same record", rank: len(recognisers),
		})
	}
}

func (s *nameSet) findLatin(d *doc, start int) {
	if d.class(start-1).word() || start > 0 && (d.r[start-1] == '-' || d.r[start-1] == '\'') {
		return
	}
	// The longest of up to three words.
	end := start
	for p, n := start, 0; n < 3; n++ {
		q := d.wordAt(p)
		if q == p {
			break
		}
		if q-start <= 3*maxLatinWord {
			var buf [12 * maxLatinWord]byte
			if s.latin[string(lowerBytes(buf[:0], d.r[start:q]))] {
				end = q
			}
		}
		if d.class(q) != cSpace {
			break
		}
		p = q + 1
	}
	if end == start {
		return
	}
	start, end = d.wholeLatin(start, end)
	d.cands = append(d.cands, cand{
		start: start, end: end, entity: Person, score: confirmScore,
		recogniser: "name_again", evidence: "a name of the same record", rank: len(recognisers),
	})
}

// wholeLatin returns the whole of a name of which r[start:end] is the first or
// the last name: unknown words with capitals around it.
func (d *doc) wholeLatin(start, end int) (int, int) {
	var buf [4]namePart
	parts := d.nameParts(start, buf[:0])
	for k := len(parts) - 1; k > 0 && k < 4; k-- {
		p := parts[k]
		if parts[0].end == end && !p.initial && !p.link(d) && p.end-p.start > 2 && !p.is(latinCommon|latinOrganisation|latinNever) &&
			parts[0].is(latinFirst) && (k < 2 || parts[1].initial || parts[1].link(d)) {
			end = p.end
			break
		}
	}
	from := d.itemStart(end)
	if from < start {
		if parts := d.nameParts(from, buf[:0]); len(parts) > 1 && len(parts) < 4 && parts[len(parts)-1].end == end && !d.isTitle(parts[0]) &&
			!parts[0].is(latinCommon|latinNever|latinOrganisation) {
			return from, end
		}
	}
	return start, end
}

// besideName says whether one of the chosen names stands in the same line close to c.
func besideName(d *doc, c koreanName, chosen []cand) bool {
	const near = 12
	i := sort.Search(len(chosen), func(i int) bool { return chosen[i].start >= c.start })
	for _, n := range [...]int{i - 1, i, i + 1} {
		if n < 0 || n >= len(chosen) || chosen[n].entity != Person || chosen[n].start == c.start {
			continue
		}
		from, to := min(chosen[n].end, c.end), max(chosen[n].start, c.start)
		if to >= from && to-from <= near && !slices.Contains(d.cls[from:to], cNewline) {
			return true
		}
	}
	return false
}
