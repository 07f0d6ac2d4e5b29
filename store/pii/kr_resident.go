package pii

// findResident finds resident registration numbers: YYMMDD-SNNNNNN with S from
// 1 to 4 (9 and 0 for those born in the 1800s).
func findResident(d *doc, rec *recogniser) {
	for _, list := range [][]group{d.groups, d.split} {
		for i := range list {
			if end, ok := d.registration(list, i); ok {
				start := int(list[i].start)
				switch d.digitAt(start, 6) {
				case '1', '2', '3', '4':
					score, why := 0.7, "date and century digit"
					if d.registrationCheck(start, end, 11) {
						score, why = 0.95, "date, century digit and check digit"
					}
					if d.label(start)&kRRN != 0 {
						score, why = 1, "label"
					}
					d.add(rec, start, end, score, why)
				}
			}
		}
	}
}

// registration says whether the groups from i on have the shape of a resident
// or foreigner number, and where it ends.
func (d *doc) registration(list []group, i int) (end int, ok bool) {
	g := list[i]
	switch {
	case g.len() == 13:
		end = int(g.end)
	case g.len() == 6 && i+1 < len(list) && list[i+1].len() == 7 &&
		(g.sep == sepDash || g.sep == sepDot || g.sep == sepSpace || g.sep == sepWide):
		end = int(list[i+1].end)
	default:
		return 0, false
	}
	s := int(g.start)
	month, day := d.number(s+2, s+4), d.number(s+4, s+6)
	return end, month >= 1 && month <= 12 && day >= 1 && day <= 31
}

// number returns the value of the digits r[start:end].
func (d *doc) number(start, end int) int {
	n := 0
	for _, r := range d.r[start:end] {
		n = n*10 + int(r-'0')
	}
	return n
}

// digitAt returns the n-th digit at or after start.
func (d *doc) digitAt(start, n int) rune {
	for i := start; i < len(d.r); i++ {
		if d.cls[i] == cDigit {
			if n == 0 {
				return d.r[i]
			}
			n--
		}
	}
	return 0
}

// registrationCheck verifies the check digit of a resident (base 11) or
// foreigner number (base 13). Numbers given out since October 2020 have random
// tails, so that a failure means nothing.
func (d *doc) registrationCheck(start, end, base int) bool {
	weights := [...]int{2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5}
	sum, n, last := 0, 0, 0
	for i := start; i < end; i++ {
		if d.cls[i] != cDigit {
			continue
		}
		v := int(d.r[i] - '0')
		if n < len(weights) {
			sum += v * weights[n]
		}
		last = v
		n++
	}
	return n == 13 && (base-sum%11)%10 == last
}
