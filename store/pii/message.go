package pii

import (
	"slices"
	"strings"
)

// Fields that have a meaning by their place: segments of HL7, elements of DICOM
// as the usual tools print them, rows of INSERT. They count as cells of a table.

// segments are the fields of HL7 v2.5 that hold what no label tells, by number.
var segments = map[string]map[int]kind{
	"PID": {2: kRecord, 3: kRecord, 4: kRecord, 5: kName, 6: kName, 7: kDOB, 9: kName, 11: kAddress, 13: kPhone, 14: kPhone, 18: kRecord, 19: kSSN, 20: kDriver},
	"NK1": {2: kName, 4: kAddress, 5: kPhone, 6: kPhone},
	"PV1": {19: kRecord, 50: kRecord},
	"MRG": {1: kRecord, 2: kRecord, 4: kRecord},
	"ORC": {2: kRecord, 3: kRecord},
	"OBR": {2: kRecord, 3: kRecord},
	"IN1": {36: kRecord, 49: kRecord},
}

// elements are those of DICOM (PS3.6), by group and element.
var elements = map[string]kind{
	"0008,0050": kRecord, // accession number
	"0010,0010": kName,
	"0010,0020": kRecord, // patient ID
	"0010,0030": kDOB,
	"0010,1000": kRecord, // other patient IDs
	"0010,1040": kAddress,
	"0010,2154": kPhone,
	"0020,0010": kRecord, // study ID
	"0038,0010": kRecord, // admission ID
	"0040,2017": kRecord, // number of the imaging service request
}

// messageFields adds the fields of the line r[start:end] if it is a segment or an
// element.
func (d *doc) messageFields(start, end int) {
	for start < end && (d.cls[start] == cSpace || d.r[start] < ' ') { // MLLP begins with 0x0b
		start++
	}
	switch {
	case end-start > 8 && d.at(start+3) == '|' && d.cls[start] == cUpper:
		kinds := segments[d.slice(start, start+3)]
		if kinds == nil {
			return
		}
		d.fields(start, end, '|', func(i, from, to int) {
			if k := kinds[i]; k != 0 && from < to {
				d.cells = append(d.cells, cell{int32(from), k})
			}
		})
	case end-start > 14 && d.at(start) == '(' && (d.at(start+10) == ')' || d.at(start+11) == ')'):
		close := start + 10
		if d.r[close] != ')' {
			close++
		}
		k := elements[strings.ReplaceAll(d.slice(start+1, close), " ", "")]
		if k == 0 {
			return
		}
		for p := close; p < end; p++ { // dcmdump writes [value], pydicom 'value'
			if d.r[p] == '[' || d.r[p] == '\'' {
				d.cells = append(d.cells, cell{int32(p + 1), k})
				return
			}
		}
	}
}

// findMessageNames finds names in the form of HL7 and DICOM, family name and given
// name with a '^' between: "KIM^MINSEO^^^", "Hong^Gildong=洪^吉洞=홍^길동".
func findMessageNames(d *doc, rec *recogniser) {
	for _, c := range d.cells {
		if c.kind&kName == 0 {
			continue
		}
		start := int(c.pos)
		end, last, parts := start, start, 0
		for ; end < len(d.r) && end-start < 100; end++ {
			if c := d.cls[end]; c.word() {
				last = end + 1
			} else if d.r[end] == '^' {
				parts++
			} else if c != cSpace && d.r[end] != '=' && d.r[end] != '-' && d.r[end] != '.' && d.r[end] != '\'' {
				break
			}
		}
		d.steps += end - start
		if parts > 0 && last > start+1 {
			d.add(rec, start, last, 0.99, "name in a message")
		}
	}
}

// scanInserts gives the names of the columns in "INSERT INTO t (a, b) VALUES
// ('x', 'y'), ('z', …)" to the values.
func (d *doc) scanInserts() {
	n := len(d.cells)
	for _, w := range d.words {
		if w.end-w.start == 6 && !w.hangul && d.hasPrefix(int(w.start), "values") && len(d.hits) > 0 {
			d.insert(int(w.start), int(w.end))
		}
	}
	if len(d.cells) > n {
		slices.SortStableFunc(d.cells, func(a, b cell) int { return int(a.pos - b.pos) })
		d.cells = slices.CompactFunc(d.cells, func(a, b cell) bool { return a.pos == b.pos })
	}
}

// maxInsert is how far the names of columns and one row of values are read.
const maxInsert = 600

// insert reads the columns before the word VALUES, r[from:to], and the rows behind.
func (d *doc) insert(from, to int) {
	close := d.blanksOrLineBefore(from) - 1
	if d.at(close) != ')' {
		return
	}
	open := close
	for open > 0 && close-open < maxInsert && d.r[open] != '(' {
		open--
	}
	d.steps += close - open
	if d.at(open) != '(' {
		return
	}
	var kinds []kind
	for _, f := range d.tuple(open, close+1) {
		kinds = append(kinds, d.exactLabel(f[0], f[1]))
	}
	for p := to; ; p++ {
		for d.class(p) == cSpace || d.at(p) == ',' || d.class(p) == cNewline && p < len(d.r) {
			p++
		}
		row := d.tuple(p, min(len(d.r), p+maxInsert))
		if len(row) != len(kinds) {
			return
		}
		for i, f := range row {
			if kinds[i] != 0 && f[0] < f[1] {
				d.cells = append(d.cells, cell{int32(f[0]), kinds[i]})
			}
			p = max(p, f[1])
		}
		for d.at(p) != ')' {
			p++
		}
	}
}

// tuple returns the fields of the list in parentheses that begins at r[p], without
// blanks and quotes around them, or nil if it does not end before limit.
func (d *doc) tuple(p, limit int) (fields [][2]int) {
	if d.at(p) != '(' {
		return nil
	}
	var quote rune
	from := p + 1
	for q := from; q < limit; q++ {
		switch r := d.r[q]; {
		case quote != 0:
			if r == quote {
				quote = 0
			}
		case isQuote(r):
			quote = r
		case r == ',' || r == ')':
			fields = append(fields, d.trimField(from, q))
			if from = q + 1; r == ')' {
				d.steps += q - p
				return fields
			}
		}
	}
	d.steps += limit - p
	return nil
}

// trimField returns r[from:to] without blanks and quotes around it.
func (d *doc) trimField(from, to int) [2]int {
	bare := func(p int) bool { return d.cls[p] == cSpace || d.cls[p] == cNewline || isQuote(d.r[p]) }
	for from < to && bare(from) {
		from++
	}
	for to > from && bare(to-1) {
		to--
	}
	return [2]int{from, to}
}

func (d *doc) blanksOrLineBefore(p int) int {
	for p > 0 && (d.cls[p-1] == cSpace || d.cls[p-1] == cNewline) {
		p--
	}
	return p
}
