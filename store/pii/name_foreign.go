package pii

import "sync"

// foreignSyllables hardly occur in Korean words but write the sounds of other
// languages: names of people from abroad are full of them.
const foreignSyllables = "쩐쯔쯩웬띠똥뚜뚝뚱푹흐쯔샤쉬셰슈숴쇼쩌쑤뤄뤼뮈뷔퓌튀쿄쿤쿨큐캄팃팜팟펠톤틴뉴벳얀얄욘욜잉훙헝샹쟝쳰챠쥔췬궈쉐쟈즈프브트크르츠"

var isForeign = sync.OnceValue(func() *[hangulCount]bool {
	t := new([hangulCount]bool)
	for _, r := range foreignSyllables {
		t[r-hangulBase] = true
	}
	return t
})

// findForeignNames finds names of people from abroad in Korean letters, of one to
// four words: the whole value of a field or what stands behind a role, or the words
// before 씨 or 님. Sounds of other languages have to be among them.
func findForeignNames(d *doc, rec *recogniser) {
	foreign := isForeign()
	next := 0
	for i, w := range d.words {
		if !w.hangul || int(w.start) < next || w.end-w.start > 7 {
			continue
		}
		for _, r := range d.r[w.start:w.end] {
			if foreign[r-hangulBase] {
				next = d.foreignFrom(rec, i)
				break
			}
		}
	}
}

// foreignFrom proposes the name that word i belongs to: it may have begun up to
// three words before. It returns where to go on.
func (d *doc) foreignFrom(rec *recogniser, i int) int {
	for n := range 4 {
		if i-n < 0 || n > 0 && (!d.words[i-n].hangul || d.words[i-n+1].start-d.words[i-n].end != 1 || d.cls[d.words[i-n].end] != cSpace) {
			break
		}
		start := int(d.words[i-n].start)
		k := d.label(start)
		labelled := k&(kName|kRole) != 0 && !d.objectBefore(start)
		if !labelled {
			h := d.hitEndingAt(d.blanksBefore(start))
			labelled = h != nil && h.kind&(kRole|kName) != 0 && d.class(int(h.start)-1) != cHangul
		}
		end, words, titled := d.foreignWords(start)
		if end <= int(d.words[i].start) || !labelled && !titled || words > 4 || d.exactLabel(start, end) != 0 {
			continue
		}
		if strong, all := d.foreignShare(start, end); strong*4 < all || all < 3 {
			continue
		}
		if !titled && !(d.fieldEnds(end) && (words > 1 || k&kName != 0 || d.at(d.skipBlanks(end)) == '(')) {
			continue
		}
		why := "label"
		if titled {
			why = "title"
		}
		d.add(rec, start, end, 0.75, why+", sounds of another language")
		return end
	}
	return int(d.words[i].end)
}

// foreignWords returns where the words end that can make a name from start on,
// their number, and whether 씨 or 님 follows.
func (d *doc) foreignWords(start int) (end, words int, titled bool) {
	p := start
	for words < 5 {
		q := p
		for q < len(d.r) && d.cls[q] == cHangul && q-p < 8 {
			q++
		}
		if q == p || q-p == 8 {
			break
		}
		if r := d.r[p:q]; words > 0 && (tailKindOf(r)&tailVocative != 0 || isTitleTail(r)) {
			return end, words, true
		}
		for n := 1; n <= 3 && q-n > p; n++ { // "자수르씨가", "자수르는"
			if t := tailOf(d.r[q-n:q], hasCoda(d.r[q-n-1])); t.ok && t.weight >= 3.5 {
				return q - n, words + 1, true
			}
		}
		words++
		end = q
		if d.class(q) != cSpace && d.at(q) != '·' || d.class(q+1) != cHangul {
			break
		}
		p = q + 1
	}
	if words == 0 {
		return start, 0, false
	}
	return end, words, false
}

// foreignShare counts syllables of r[start:end], and among them those of other languages.
func (d *doc) foreignShare(start, end int) (strong, all int) {
	for i := start; i < end; i++ {
		if d.cls[i] == cHangul {
			all++
			if isForeign()[d.r[i]-hangulBase] {
				strong++
			}
		}
	}
	return strong, all
}

// fieldEnds says whether the value of a field can end before r[p].
func (d *doc) fieldEnds(p int) bool {
	switch r := d.at(p); {
	case d.class(p) == cNewline, r == '(', r == ',', r == '/', r == '|', r == ')':
		return true
	}
	return d.class(p) == cSpace && (d.class(p+1) == cSpace || d.at(p+1) == '(' || d.class(p+1) == cDigit || d.class(p+1) == cUpper)
}
