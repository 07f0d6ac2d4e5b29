package pii

import (
	"encoding/binary"
	"strconv"
	"strings"
	"time"
)

// Shifted dates lie in years that no document of today names. So a date that
// was shifted is known by its year, and is not shifted again. The way is that
// of MIMIC: A. E. W. Johnson et al., "MIMIC-III, a freely accessible critical
// care database", Scientific Data 3, 2016; whole weeks keep the day of the week.
const (
	shiftYears = 201 // the least
	shiftWeeks = 5200
)

// shiftDays returns by how many days the dates of a person are shifted; without
// a person it is the same for the whole project.
func (m *Masker) shiftDays(person string) int {
	sum := m.names.MAC("shift", person)
	weeks := binary.BigEndian.Uint64(sum[:]) % shiftWeeks
	return 7 * (shiftYears*3653/70 + int(weeks))
}

// datePart is a number or the name of a month in a date, value[start:end].
type datePart struct {
	start, end int
	n          int // its value
	digits     int // 0: a name
}

// day is a date as it is written in a value.
type day struct {
	value            string
	year, month, day datePart
	full             int // the year with its century
}

// readDate finds the parts of a date in the forms that the recognisers know.
func readDate(value string) (day, bool) {
	d := newDoc(value, nil)
	defer d.free()
	d.scan()
	x := day{value: value}
	var parts []datePart
	part := func(start, end int) datePart {
		return datePart{d.byteStart(start), d.byteEnd(end), d.number(start, end), end - start}
	}
	for _, g := range d.groups {
		if g.len() > 8 {
			return x, false
		}
		parts = append(parts, part(int(g.start), int(g.end)))
	}
	for _, w := range d.words {
		if name := d.r[w.start:w.end]; monthNames.get(name) {
			x.month = datePart{start: d.byteStart(int(w.start)), end: d.byteEnd(int(w.end)), n: 1 + strings.Index("janfebmaraprmayjunjulaugsepoctnovdec", lowerString(name[:3]))/3}
		}
	}
	switch {
	case len(parts) == 1 && (parts[0].digits == 8 || parts[0].digits == 6): // 19850312, 850312
		g := d.groups[0]
		y := g.end - 4
		x.year, x.month, x.day = part(int(g.start), int(y)), part(int(y), int(y)+2), part(int(y)+2, int(g.end))
	case len(parts) == 2 && x.month.end > 0: // March 12, 1985; 12 March 1985
		x.day, x.year = parts[0], parts[1]
	case len(parts) == 3 && parts[2].digits == 4 && parts[0].n > 12: // 25/12/1985
		x.day, x.month, x.year = parts[0], parts[1], parts[2]
	case len(parts) == 3 && parts[2].digits == 4: // 12/25/1985
		x.month, x.day, x.year = parts[0], parts[1], parts[2]
	case len(parts) == 3: // 1985. 3. 12.
		x.year, x.month, x.day = parts[0], parts[1], parts[2]
	default:
		return x, false
	}
	x.full = century(x.year)
	return x, x.full >= 1000 && x.full <= 9999 && validDay(x.month.n, x.day.n)
}

// century returns a year with its century; of two digits it is the nearest that
// a person alive can have been born in.
func century(year datePart) int {
	const now = 30
	switch {
	case year.digits != 2:
		return year.n
	case year.n > now:
		return 1900 + year.n
	}
	return 2000 + year.n
}

// shiftDate moves a date by days, in the form in which it was written; only the
// year gets four digits.
func shiftDate(value string, days int) (string, bool) {
	x, ok := readDate(value)
	if !ok {
		return "", false
	}
	to := time.Date(x.full, time.Month(x.month.n), x.day.n, 0, 0, 0, 0, time.UTC).AddDate(0, 0, days)
	month := padded(int(to.Month()), x.month)
	if x.month.digits == 0 {
		month = sameCase(to.Month().String(), value[x.month.start:x.month.end])
	}
	out, last := "", 0
	for _, p := range x.inOrder(padded(to.Year(), datePart{}), month, padded(to.Day(), x.day)) {
		out += value[last:p.start] + p.text
		last = p.end
	}
	return out + value[last:], true
}

// placed is what stands in the place of a part.
type placed struct {
	datePart
	text string
}

// inOrder returns the new parts in the order in which they stand.
func (x *day) inOrder(year, month, dayOfMonth string) []placed {
	list := []placed{{x.year, year}, {x.month, month}, {x.day, dayOfMonth}}
	for i := range list {
		for j := i; j > 0 && list[j].start < list[j-1].start; j-- {
			list[j], list[j-1] = list[j-1], list[j]
		}
	}
	return list
}

func padded(n int, like datePart) string {
	s := strconv.Itoa(n)
	if like.digits == 2 && n < 10 {
		return "0" + s
	}
	return s
}

// sameCase writes the name of a month as short, and with capitals, as like.
func sameCase(name, like string) string {
	if len(like) <= 4 {
		name = name[:3]
	}
	switch like {
	case strings.ToUpper(like):
		return strings.ToUpper(name)
	case strings.ToLower(like):
		return strings.ToLower(name)
	}
	return name
}
