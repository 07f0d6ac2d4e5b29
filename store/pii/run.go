package pii

import "strings"

// run is a stretch of digits with short separators, as far as it can matter to
// a telephone number or a resident number.
type run struct {
	digits [16]int
	at     [16]int // place of each digit
	gaps   uint32  // bit i: something other than a line break stands before digit i
	n      int
}

// reading says what else a run may hold, where more than its digits speaks for it.
type reading uint8

const (
	readMarks  reading = 1 << iota // marks that numbers are not written with: "010_5521~7734", "760821--1033215"
	readLines                      // a line break anywhere
	readSpoken                     // digits in Korean letters: "공일공"
)

// run reads up to 16 digits from start on.
func (d *doc) run(start int) run { return d.read(start, 0, 16) }

// read reads up to most digits from start on.
func (d *doc) read(start int, how reading, most int) (x run) {
	for i := start; x.n < most && i < len(d.r); {
		if v, ok := d.digitAt(i, how); ok {
			x.digits[x.n], x.at[x.n] = v, i
			x.n++
			i++
			d.steps++
			continue
		}
		j := i
		for ; j < len(d.r) && j < i+4; j++ {
			if _, ok := d.digitAt(j, how); ok {
				break
			}
		}
		d.steps += j - i
		if j == len(d.r) || j == i+4 && d.cls[j] != cDigit {
			break
		}
		gap, ok := d.gap(i, j, how)
		if !ok {
			break
		}
		if gap {
			x.gaps |= 1 << x.n
		}
		i = j
	}
	return x
}

// spokenDigits are the digits as they are read out, from 0 on; two have a second
// form.
var spokenDigits = []rune("공일이삼사오육칠팔구영륙")

// digitAt returns the value of the digit r[i].
func (d *doc) digitAt(i int, how reading) (int, bool) {
	switch {
	case d.cls[i] == cDigit:
		return int(d.r[i] - '0'), true
	case how&readSpoken == 0 || d.cls[i] != cHangul:
		return 0, false
	}
	for v, r := range spokenDigits {
		if r == d.r[i] {
			return [...]int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 6}[v], true
		}
	}
	return 0, false
}

// gap says whether r[from:to] may stand between two digits of a run, and whether
// it parts them: a bare line break does not.
func (d *doc) gap(from, to int, how reading) (gap, ok bool) {
	if s := d.separator(from, to); s != sepFar && s != sepComma && s != sepColon {
		return true, true
	}
	if how == 0 {
		return false, false
	}
	lines := 0
	for i := from; i < to; i++ {
		switch {
		case d.cls[i] == cNewline && how&readLines != 0:
			lines++
		case d.cls[i] == cSpace:
			gap = gap || lines == 0
		case d.cls[i] == cOther && how&readMarks != 0 && strings.ContainsRune("-/_~.·", d.r[i]) && (d.r[i] != '.' || lines == 0):
			gap = true
		default:
			return false, false
		}
	}
	return gap, lines <= 2
}

// joined says whether the digits from i to j-1 stand side by side.
func (x *run) joined(i, j int) bool {
	return x.gaps>>(i+1)&(1<<(j-1-i)-1) == 0
}
