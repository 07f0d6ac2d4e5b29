package pii

import (
	"strconv"
	"strings"
)

// generalise says less of a value: the year of a date, 90 and over or the
// decade of an age, the province of an address. It is false for a value whose
// form it does not know.
func generalise(entity, value string) (string, bool) {
	switch entity {
	case Date, DateOfBirth:
		x, ok := readDate(value)
		if !ok {
			return "", false
		}
		year := strconv.Itoa(x.full)
		if strings.ContainsAny(value, "년.") { // as Korean documents write dates
			year += "년"
		}
		return year, true
	case OldAge:
		if strings.ContainsAny(value, "세살") {
			return "90세 이상", true
		}
		return "90+", true
	case Age:
		return decade(value)
	case Address:
		return province(value)
	}
	return "", false
}

// decade returns 40대 or 40s for an age.
func decade(value string) (string, bool) {
	d := newDoc(value, nil)
	defer d.free()
	d.scan()
	if len(d.groups) != 1 || d.groups[0].len() > 2 {
		return "", false
	}
	tens := d.value(d.groups[0]) / 10 * 10
	korean := strings.ContainsAny(value, "세살")
	switch {
	case tens == 0 && korean:
		return "10세 미만", true
	case tens == 0:
		return "under 10", true
	case korean:
		return strconv.Itoa(tens) + "대", true
	}
	return strconv.Itoa(tens) + "s", true
}

// province returns the province that an address begins with, as it is written
// there, or the one that has its district.
func province(value string) (string, bool) {
	g := places()
	for word := range strings.FieldsSeq(value) {
		r := []rune(word)
		if g.province(r) != 0 {
			return word, true
		}
		if bits := g.district(r); bits != 0 {
			name := ""
			for p, b := range g.provinces {
				if b == bits && (len(p) > len(name) || len(p) == len(name) && p < name) { // in one province only; its longest name
					name = p
				}
			}
			return name, name != ""
		}
	}
	return "", false
}
