package pii

// findCorporation finds corporate registration numbers: AAAABB-CCCCCCD, where
// AAAA is the registry office and BB the kind of corporation. The check digit
// was dropped on 2025-01-31, so that it only raises the score. Many read as a
// birth date, too: a label settles it, then whichever check digit fits.
func findCorporation(d *doc, rec *recogniser) {
	for _, list := range d.lists() {
		for i, g := range list {
			end, ok := chain(list, i, 6, 7)
			if !ok && g.len() == 13 {
				end, ok = int(g.end), true
			}
			start := int(g.start)
			if !ok || !clearBefore(d, start) {
				continue
			}
			var digits [13]int
			d.digits(start, end, digits[:])
			office, form := digits[0]*1000+digits[1]*100+digits[2]*10+digits[3], digits[4]*10+digits[5]
			known := office >= 1101 && office <= 2999 && corporateForm(form)
			score, why := 0.3, "shape"
			switch {
			case known && corporateCheck(digits):
				score, why = 0.8, "registry office, form and check digit"
			case known && g.len() == 6 && g.sep == sepDash:
				score, why = 0.55, "registry office and form"
			}
			if g.len() == 13 {
				score -= 0.25
			}
			weigh := d.weigh
			if g.len() == 6 {
				weigh = d.weighShape
			}
			score, why = weigh(start, kCRN, score, why)
			if !known && score == 1 {
				score = 0.9
			}
			d.add(rec, start, end, score, why)
		}
	}
}

// corporateForm says whether the registry uses this code of the form of a corporation.
func corporateForm(code int) bool {
	return code >= 11 && code <= 15 || code == 21 || code == 22 || code >= 31 && code <= 53 ||
		code == 71 || code >= 81 && code <= 86
}

func corporateCheck(digits [13]int) bool {
	sum := 0
	for i, v := range digits[:12] {
		sum += v * (1 + i%2)
	}
	return (10-sum%10)%10 == digits[12]
}
