package pii

import "sort"

// cell is a field of a table whose column has a label.
type cell struct {
	pos  int32 // where the value begins
	kind kind
}

// cell returns the kinds of the column header over the cell that begins at pos.
func (d *doc) cell(pos int) kind {
	if d.flag[pos]&flagCell == 0 {
		return 0
	}
	i := sort.Search(len(d.cells), func(i int) bool { return int(d.cells[i].pos) >= pos })
	if i < len(d.cells) && int(d.cells[i].pos) == pos {
		return d.cells[i].kind
	}
	return 0
}

const maxColumns = 64

// scanTables finds lines whose fields are labels, and gives their kinds to the
// fields below them. Fields stand between commas, tabs, semicolons, bars,
// slashes with blanks around, or two blanks and more.
func (d *doc) scanTables() {
	var header [maxColumns]kind
	columns := 0
	var mark rune
	hits := 0
	for start := 0; start < len(d.r); {
		end := start
		for end < len(d.r) && d.cls[end] != cNewline {
			end++
		}
		if columns > 0 {
			if n := d.fields(start, end, mark, func(i, from, to int) {
				if header[i] != 0 && from < to {
					d.cells = append(d.cells, cell{int32(from), header[i]})
				}
			}); n != columns && n > 1 {
				columns = 0
			}
		}
		for hits < len(d.hits) && int(d.hits[hits].start) < start {
			hits++
		}
		if columns == 0 && end-start < 400 && hits+1 < len(d.hits) && int(d.hits[hits+1].start) < end && d.bareBefore(start, int(d.hits[hits].start)) {
			if mark = d.markBehind(int(d.hits[hits].end), end); mark == 0 {
				mark = d.markBehind(int(d.hits[hits+1].end), end)
			}
			if mark == 0 && d.wordsOnly(start, end) {
				mark = oneBlank
			}
			if mark != 0 {
				columns = d.header(start, end, mark, &header)
			}
		}
		d.messageFields(start, end)
		start = end + 1
	}
	d.scanInserts()
}

// header reads the line r[start:end] as the header of a table and returns the
// number of its columns, or 0 if too few of its fields are labels.
func (d *doc) header(start, end int, mark rune, kinds *[maxColumns]kind) (columns int) {
	clear(kinds[:])
	labels, filled := 0, 0
	n := d.fields(start, end, mark, func(i, from, to int) {
		if from < to {
			filled++
		}
		if k := d.exactLabel(from, to); k != 0 {
			kinds[i] = k
			labels++
		}
	})
	if n < 2 || labels < 2 || labels*2 < filled {
		return 0
	}
	if mark == oneBlank { // it may be a sentence
		if n < 3 {
			return 0
		}
		for i := range kinds {
			if kinds[i] &= kIDs | kDOB | kDate | kName; labels < n {
				kinds[i] &^= kName
			}
		}
	}
	return n
}

// oneBlank is the mark between the fields of a table whose blanks a scanner or a
// chat took away: "성명 생년월일 연락처".
const oneBlank = '\u2423'

// wordsOnly says whether the short line r[start:end] holds nothing but Korean words.
func (d *doc) wordsOnly(start, end int) bool {
	if end-start > 60 {
		return false
	}
	for _, c := range d.cls[start:end] {
		if c != cHangul && c != cSpace {
			return false
		}
	}
	return true
}

// markBehind returns the mark that stands between two fields behind the label
// that ends at p, or 0.
func (d *doc) markBehind(p, end int) rune {
	q := p
	for q < end && (d.cls[q] == cSpace && d.r[q] != '\t' || d.r[q] == '"' || d.r[q] == '\'') {
		q++
	}
	switch r := d.at(q); {
	case q >= end:
		return 0
	case r == ',' || r == '\t' || r == '|' || r == ';':
		return r
	case r == '/' && q > p && d.class(q+1) == cSpace:
		return r
	case q > p+1 && d.cls[p] == cSpace:
		return ' '
	}
	return 0
}

// bareBefore says whether only blanks, bars and quotes stand in r[from:to], or
// one field, such as a number, before the first label.
func (d *doc) bareBefore(from, to int) bool {
	return to-from < 24
}

// fields calls each with the fields of the line r[start:end], without blanks
// and quotes around them, and returns their number.
func (d *doc) fields(start, end int, mark rune, each func(i, from, to int)) int {
	n := 0
	for from := start; ; n++ {
		to := d.fieldMark(from, end, mark)
		if n < maxColumns {
			a, b := from, to
			for a < b && (d.cls[a] == cSpace || d.r[a] == '"' || d.r[a] == '\'') {
				a++
			}
			for b > a && (d.cls[b-1] == cSpace || d.r[b-1] == '"' || d.r[b-1] == '\'') {
				b--
			}
			each(n, a, b)
		}
		if to >= end {
			return n + 1
		}
		d.steps += to - from
		from = to + 1
		for mark == ' ' && from < end && d.cls[from] == cSpace {
			from++
		}
	}
}

// fieldMark returns where the mark behind the field stands that begins at from,
// or end. Marks inside of quotes do not count.
func (d *doc) fieldMark(from, end int, mark rune) int {
	quoted := d.at(from) == '"'
	for p := from; p < end; p++ {
		switch r := d.r[p]; {
		case quoted:
			quoted = p == from || r != '"'
		case mark == ' ':
			if d.cls[p] == cSpace && d.class(p+1) == cSpace && p > from {
				return p
			}
		case mark == oneBlank:
			if d.cls[p] == cSpace {
				return p
			}
		case r != mark:
		case mark != '/' || d.class(p-1) == cSpace && d.class(p+1) == cSpace:
			return p
		}
	}
	return end
}

// exactLabel returns the kinds of the lexicon's word that is r[from:to].
func (d *doc) exactLabel(from, to int) kind {
	if from >= to || to-from > 24 {
		return 0
	}
	i := sort.Search(len(d.hits), func(i int) bool { return int(d.hits[i].start) >= from })
	if i < len(d.hits) && int(d.hits[i].start) == from && int(d.hits[i].end) == to {
		return d.hits[i].kind
	}
	return 0
}
