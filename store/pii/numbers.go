package pii

// What the recognisers of numbers share.

// kIDs are the labels of identifiers: one of them right before a number says
// what it is, and so that it is nothing else.
const kIDs = kRRN | kFRN | kBRN | kCRN | kPassport | kDriver | kPhone | kCard | kBank | kInsurance |
	kPlate | kRecord | kLicense | kSSN | kIBAN | kNotID | kPostcode | kDocument | kVIN

// window is how far, in runes, a label may stand from what it speaks about
// when other words stand between.
const window = 25

// lists returns the digit groups, and those that touch where an invisible
// character was dropped, cut there.
func (d *doc) lists() [2][]group { return [2][]group{d.groups, d.split} }

// weigh lifts a score when a label of the recogniser's own kind stands near,
// and lowers it when the label right before says something else.
func (d *doc) weigh(start int, own kind, score float64, why string) (float64, string) {
	l := d.label(start)
	switch {
	case l&own != 0:
		return 1, "label, " + why
	case l&kIDs != 0:
		return score * 0.5, why + ", but another label"
	}
	if h, ok := d.near(start, window, own|kNotID); ok {
		if h.kind&own != 0 {
			return min(score+0.15, 0.99), why + ", word nearby"
		}
		return score * 0.7, why + ", but a word nearby"
	}
	return score, why
}

// weighShape is weigh for a number whose grouping tells what it is: "등록번호",
// which anything can have, speaks for it then.
func (d *doc) weighShape(start int, own kind, score float64, why string) (float64, string) {
	if d.label(start)&kIDs&^own == kRecord {
		return min(score+0.1, 0.98), "label of any number, " + why
	}
	return d.weigh(start, own, score, why)
}

// chain says whether the groups from i on have these lengths, with a separator
// of an identifier (dash, dot, blank, or a dash with blanks around) between
// them, and returns the end. A group of digits that goes on makes it false.
func chain(list []group, i int, lengths ...int) (end int, ok bool) {
	if i+len(lengths) > len(list) {
		return 0, false
	}
	for n, want := range lengths {
		g := list[i+n]
		if g.len() != want {
			return 0, false
		}
		if n+1 < len(lengths) && (g.sep < sepNone || g.sep > sepWide) {
			return 0, false
		}
	}
	return int(list[i+len(lengths)-1].end), true
}

// alone says whether no further number hangs on the groups i to i+n-1 with a
// dash: "1-2345-6789-01" is not a telephone number with something around it.
func alone(list []group, i, n int) bool {
	before := i > 0 && (list[i-1].sep == sepDash)
	last := i + n - 1
	return !before && list[last].sep != sepDash
}

// clear says whether neither a letter nor a digit touches r[start:end]; Korean
// letters may follow, as particles do.
func (d *doc) clear(start, end int) bool {
	before, after := d.class(start-1), d.class(end)
	return before != cDigit && !before.latin() && after != cDigit && !after.latin()
}

// number returns the value of the digits r[start:end].
func (d *doc) number(start, end int) int {
	n := 0
	for _, r := range d.r[start:end] {
		n = n*10 + int(r-'0')
	}
	return n
}

// digits copies up to len(buf) digits of r[start:end] into buf and returns
// their number, which can be greater than len(buf).
func (d *doc) digits(start, end int, buf []int) int {
	n := 0
	for i := start; i < end; i++ {
		if d.cls[i] == cDigit {
			if n < len(buf) {
				buf[n] = int(d.r[i] - '0')
			}
			n++
		}
	}
	return n
}

// monthDay says whether the four digits r[at:at+4] are a month and a day.
func (d *doc) monthDay(at int) bool {
	return validDay(d.number(at, at+2), d.number(at+2, at+4))
}

func validDay(month, day int) bool {
	const long = 1<<1 | 1<<3 | 1<<5 | 1<<7 | 1<<8 | 1<<10 | 1<<12
	switch {
	case month < 1 || month > 12 || day < 1 || day > 31:
		return false
	case month == 2:
		return day <= 29
	}
	return day <= 30 || long>>month&1 == 1
}

// luhn verifies the check digit of cards (ISO/IEC 7812-1, annex B).
func luhn(digits []int) bool {
	sum := 0
	for i, v := range digits {
		if (len(digits)-i)%2 == 0 {
			if v *= 2; v > 9 {
				v -= 9
			}
		}
		sum += v
	}
	return sum%10 == 0
}
