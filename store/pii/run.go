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
	i := start
	for x.n < most && i < len(d.r) {
		if d.isDigit(i, how) {
			x.digits[x.n], x.at[x.n] = d.digitAt(i), i
			x.n++
			i++
			continue
		}
		j := i
		for j < len(d.r) && j < i+4 && !d.isDigit(j, how) {
			j++
		}
		if j == len(d.r) || !d.isDigit(j, how) {
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
	d.steps += i - start
	return x
}

// isDigit says whether r[i] counts as a digit of a run.
func (d *doc) isDigit(i int, how reading) bool {
	return d.cls[i] == cDigit || how&readSpoken != 0 && d.cls[i] == cHangul && d.digitAt(i) >= 0
}

// digitAt returns the value of the digit r[i], which may be a Korean letter as the
// digits are read out; -1 if it is none.
func (d *doc) digitAt(i int) int {
	if d.cls[i] == cDigit {
		return int(d.r[i] - '0')
	}
	switch d.r[i] {
	case '공', '영':
		return 0
	case '일':
		return 1
	case '이':
		return 2
	case '삼':
		return 3
	case '사':
		return 4
	case '오':
		return 5
	case '육', '륙':
		return 6
	case '칠':
		return 7
	case '팔':
		return 8
	case '구':
		return 9
	}
	return -1
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
