package pii

import "sort"

// Flags of a place in the text.
const (
	flagHitEnd   = 1 << iota // a word of the lexicon ends before it
	flagHitStart             // a word of the lexicon begins at it
	flagValue                // the value of a label may begin at it
	flagAddress              // an address begins at it
	flagName                 // a name that was found begins at it
	flagNameEnd              // a name that was found ends before it
	flagCell                 // a field of a table whose column has a label begins at it
)

// value is a place at which the value of a label may begin.
type value struct {
	pos int32
	hit int32 // index in d.hits
}

// scanContext fills d.flag and d.values.
func (d *doc) scanContext() {
	d.flag = resize(d.flag, len(d.r)+1)
	for i, h := range d.hits {
		d.flag[h.start] |= flagHitStart
		d.flag[h.end] |= flagHitEnd
		if h.kind&kLabels != 0 {
			d.valuesOf(int32(i), int(h.end))
		}
	}
	for _, c := range d.cells {
		d.flag[c.pos] |= flagValue | flagCell
	}
}

// resize returns buf with n cleared elements.
func resize[T any](buf []T, n int) []T {
	if cap(buf) < n {
		buf = make([]T, n, n+n/4)
	}
	buf = buf[:n]
	clear(buf)
	return buf
}

// maxGap is how far, in runes, a label and its value may stand apart.
const maxGap = 16

// valuesOf marks the places at which the value of a label that ends at p may
// begin: behind blanks, marks such as ':' and small words such as 은 or "is".
func (d *doc) valuesOf(hit int32, p int) {
	lines := 0
	for limit := min(p+maxGap, len(d.r)); p < limit; {
		switch c := d.cls[p]; {
		case c == cNewline:
			if lines++; lines > 1 {
				return
			}
			p++
			continue
		case c == cSpace:
			p++
			continue
		case c == cToken:
			return
		}
		d.values = append(d.values, value{int32(p), hit})
		d.flag[p] |= flagValue
		n := 1
		if d.cls[p] == cOther {
			if !isFieldMark(d.r[p]) {
				return
			}
		} else if n = d.filler(p); n == 0 {
			return
		}
		p += n
	}
}

// isFieldMark says whether r may stand between a label and its value.
func isFieldMark(r rune) bool {
	switch r {
	case ':', '=', '"', '\'', '(', '[', '#', '-', '>', '|', '/', '*', '.', '}', ')', ']':
		return true
	}
	return false
}

// label returns the kinds of the label whose value begins at pos, or of the
// column of the table.
func (d *doc) label(pos int) kind {
	if d.flag[pos]&flagValue == 0 {
		return 0
	}
	if k := d.cell(pos); k != 0 {
		return k
	}
	if h := d.labelHit(pos); h != nil {
		return h.kind
	}
	return 0
}

// labelHit returns the label whose value begins at pos, or nil if there is none
// or it is the header of a column.
func (d *doc) labelHit(pos int) *hit {
	if d.flag[pos]&flagValue == 0 || d.cell(pos) != 0 {
		return nil
	}
	i := sort.Search(len(d.values), func(i int) bool { return int(d.values[i].pos) > pos }) - 1
	if i < 0 || int(d.values[i].pos) != pos {
		return nil
	}
	return &d.hits[d.values[i].hit]
}

// hitEndingAt returns the word of the lexicon that ends right before pos, or nil.
func (d *doc) hitEndingAt(pos int) *hit {
	if pos < 0 || d.flag[pos]&flagHitEnd == 0 {
		return nil
	}
	return &d.hits[d.hitEndingBefore(pos)]
}

// hitEndingBefore returns the index in d.hits of the last hit that ends at or
// before pos, or -1.
func (d *doc) hitEndingBefore(pos int) int {
	if pos < 0 || len(d.hits) == 0 {
		return -1
	}
	i := int(d.hitIndex[min(pos/hitBlock, len(d.hitIndex)-1)])
	for i < len(d.hits) && int(d.hits[i].end) <= pos {
		i++
	}
	return i - 1
}

// hitBlock is how many runes one entry of d.hitIndex speaks for.
const hitBlock = 32

// indexHits fills d.hitIndex, so that rules which ask for the words around a place
// need not search all of d.hits for each.
func (d *doc) indexHits() {
	d.hitIndex = d.hitIndex[:0]
	i := 0
	for from := 0; from <= len(d.r); from += hitBlock {
		for i < len(d.hits) && int(d.hits[i].end) <= from {
			i++
		}
		d.hitIndex = append(d.hitIndex, int32(i))
	}
}

// near returns the nearest hit of one of the kinds that ends at most window
// runes before pos.
func (d *doc) near(pos, window int, kinds kind) (hit, bool) {
	for i := d.hitEndingBefore(pos); i >= 0; i-- {
		h := d.hits[i]
		d.steps++
		if pos-int(h.end) > window {
			break
		}
		if h.kind&kinds != 0 {
			return h, true
		}
	}
	return hit{}, false
}

// after returns the first hit of one of the kinds that begins at most window runes after pos.
func (d *doc) after(pos, window int, kinds kind) (hit, bool) {
	if window == 0 && (pos >= len(d.flag) || d.flag[pos]&flagHitStart == 0) {
		return hit{}, false
	}
	i := d.hitEndingBefore(pos) + 1
	for i < len(d.hits) && int(d.hits[i].start) < pos {
		i++
	}
	for ; i < len(d.hits); i++ {
		h := d.hits[i]
		d.steps++
		if int(h.start)-pos > window {
			break
		}
		if h.kind&kinds != 0 {
			return h, true
		}
	}
	return hit{}, false
}

// fillers are what may stand between a label and its value.
var fillers = []string{"등", "은", "는", "이", "가", "을", "를", "의", "란", "제", "번호", "no", "number", "num", "nr", "is", "was", "of", "value", "s"}

// filler returns the length of the small word that begins at p, or 0.
func (d *doc) filler(p int) int {
	switch d.r[p] {
	case '은', '는', '이', '가', '을', '를', '의', '란', '제', '등':
		return 1
	case '번', 'n', 'N', 'i', 'I', 'w', 'W', 'o', 'O', 'v', 'V', 's':
	default:
		return 0
	}
	for _, f := range fillers {
		n := 0
		for _, r := range f {
			if lower(d.at(p+n)) != r {
				n = -1
				break
			}
			n++
		}
		if n <= 0 || d.class(p+n).latin() && d.class(p).latin() {
			continue
		}
		return n
	}
	return 0
}

// lower folds ASCII capitals.
func lower(r rune) rune {
	if r >= 'A' && r <= 'Z' {
		return r + 'a' - 'A'
	}
	return r
}
