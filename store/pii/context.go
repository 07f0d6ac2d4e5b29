package pii

import "sort"

// hitEndingBefore returns the index in d.hits of the last hit that ends at or
// before pos, or -1.
func (d *doc) hitEndingBefore(pos int) int {
	return sort.Search(len(d.hits), func(i int) bool { return int(d.hits[i].end) > pos }) - 1
}

// near returns the nearest hit of one of the kinds that ends at most window
// runes before pos, on the same line or the one before.
func (d *doc) near(pos, window int, kinds kind) (hit, bool) {
	for i := d.hitEndingBefore(pos); i >= 0; i-- {
		h := d.hits[i]
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
	for i := sort.Search(len(d.hits), func(i int) bool { return int(d.hits[i].start) >= pos }); i < len(d.hits); i++ {
		h := d.hits[i]
		if int(h.start)-pos > window {
			break
		}
		if h.kind&kinds != 0 {
			return h, true
		}
	}
	return hit{}, false
}

// label returns the kinds of the field label right before pos: only blanks,
// marks such as ':' and small words such as 은 or "is" stand between them.
func (d *doc) label(pos int) kind {
	if k := d.cell(pos); k != 0 {
		return k
	}
	i := d.hitEndingBefore(pos)
	if i < 0 || pos-int(d.hits[i].end) > 16 {
		return 0
	}
	h := d.hits[i]
	lines := 0
	for p := int(h.end); p < pos; {
		switch c := d.cls[p]; {
		case c == cNewline:
			if lines++; lines > 1 {
				return 0
			}
			p++
		case c == cSpace:
			p++
		case c == cOther:
			switch d.r[p] {
			case ':', '=', '"', '\'', '(', '[', '#', '-', '>', '|', '/', '*', '.', '}', ')', ']':
				p++
			default:
				return 0
			}
		default:
			n := d.filler(p)
			if n == 0 {
				return 0
			}
			p += n
		}
	}
	return h.kind
}

// fillers are what may stand between a label and its value.
var fillers = []string{"은", "는", "이", "가", "을", "를", "의", "란", "제", "번호", "no", "number", "num", "nr", "is", "was", "of"}

// filler returns the length of the small word that begins at p, or 0.
func (d *doc) filler(p int) int {
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
