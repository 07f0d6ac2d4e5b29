package pii

// findResident finds resident registration numbers: YYMMDD-SNNNNNN with S from
// 1 to 4 (9 and 0 for those born in the 1800s), whole or with a masked tail.
func findResident(d *doc, rec *recogniser) {
	for _, list := range d.lists() {
		for i, g := range list {
			if g.len() == 6 && d.monthDay(int(g.start)+2) {
				if end, ok := d.maskedTail(g); ok {
					score, why := d.weigh(int(g.start), kRRN|kFRN, 0.8, "birth date and masked tail")
					d.add(rec, int(g.start), end, score, why)
					continue
				}
			}
			d.addRegistration(rec, list, i, "123490", kRRN, 11)
		}
	}
}

// addRegistration proposes the number that begins with group i when its seventh
// digit is one of centuries. A check digit that does not fit never rejects it:
// numbers given out since October 2020 have random tails.
func (d *doc) addRegistration(rec *recogniser, list []group, i int, centuries string, own kind, base int) {
	start := int(list[i].start)
	end, glued, ok := d.registration(list, i)
	if !ok || !clearBefore(d, start) {
		return
	}
	var digits [13]int
	d.digits(start, end, digits[:])
	if !validDay(digits[2]*10+digits[3], digits[4]*10+digits[5]) {
		return
	}
	rare := unlikelyBirth(digits[0]*10+digits[1], digits[6])
	if !containsDigit(centuries, digits[6]) {
		return
	}
	bare := list[i].len() >= 13
	score, why := 0.75, "birth date and century digit"
	switch {
	case registrationCheck(digits, base):
		score, why = 0.9, "birth date, century digit and check digit"
		if rare {
			score = 0.75
		}
	case rare:
		score = 0.45
	case bare:
		score = 0.6
	}
	if bare {
		score -= 0.04
	}
	if glued {
		why += ", another number right behind"
	}
	score, why = d.weighShape(start, own|kRRN|kFRN, score, why)
	d.add(rec, start, end, score, why)
}

// unlikelyBirth says whether the century digit puts the birth into the future
// or more than a century back: more often it is another number. The year moves
// slowly enough to stand here.
func unlikelyBirth(year, century int) bool {
	const now = 30
	switch century {
	case 1, 2, 5, 6:
		return year < now-10
	case 3, 4, 7, 8:
		return year > now
	}
	return true
}

func clearBefore(d *doc, start int) bool {
	return !d.class(start - 1).latin()
}

func containsDigit(set string, digit int) bool {
	for _, c := range set {
		if int(c-'0') == digit {
			return true
		}
	}
	return false
}

// registration says whether 13 digits in the shape of a resident number begin
// with group i, and where they end. Glued is a number whose tail runs straight
// into a telephone number, as in a table that lost its separators.
func (d *doc) registration(list []group, i int) (end int, glued, ok bool) {
	g := list[i]
	if g.len() == 13 {
		return int(g.end), false, true
	}
	if g.len() != 6 && (g.len() > 6 || d.flag[g.start]&flagValue == 0) {
		return 0, false, false
	}
	if end, ok := chain(list, i, 6, 7); ok {
		return end, false, alone(list, i, 2)
	}
	if g.len() == 6 && g.sep == sepDash && i+1 < len(list) && list[i+1].len() > 7 {
		end := int(list[i+1].start) + 7
		if _, _, ok := d.phoneAt(end); ok {
			return end, true, true
		}
	}
	end, ok = d.disguisedRegistration(int(g.start))
	return end, false, ok
}

// disguisedRegistration reads, behind a label, six and seven digits with any marks or
// a line break between them, or thirteen that all stand apart.
func (d *doc) disguisedRegistration(start int) (end int, ok bool) {
	if d.label(start)&(kRRN|kFRN) == 0 {
		return 0, false
	}
	x := d.read(start, readMarks|readLines, 14)
	const all = 1<<13 - 2
	if x.n < 13 || x.n > 13 && x.joined(12, 14) || x.gaps&all != all && !(x.joined(0, 6) && x.joined(6, 13)) {
		return 0, false
	}
	end = x.at[12] + 1
	return end, d.at(end) != '-'
}

// maskedTail says whether a dash and seven characters follow group g, of which
// all or all but the first few digits are masked, and where they end.
func (d *doc) maskedTail(g group) (end int, ok bool) {
	i := int(g.end)
	if d.at(i) != '-' {
		return 0, false
	}
	masked := 0
	for i++; i < len(d.r) && i < int(g.end)+8; i++ {
		switch r := d.r[i]; {
		case d.cls[i] == cDigit && masked == 0:
		case r == '*' || r == 'x' || r == 'X' || r == '●' || r == '○' || r == '•' || r == '#' || r == '_' || r == '■' || r == '□' || r == '∗' || r == '✱':
			masked++
		default:
			return 0, false
		}
	}
	return i, masked >= 3 && i == int(g.end)+8 && d.class(i) != cDigit
}

// registrationCheck verifies the check digit of a resident (base 11) or
// foreigner number (base 13).
func registrationCheck(digits [13]int, base int) bool {
	weights := [...]int{2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5}
	sum := 0
	for i, w := range weights {
		sum += digits[i] * w
	}
	return (base-sum%11)%10 == digits[12]
}
