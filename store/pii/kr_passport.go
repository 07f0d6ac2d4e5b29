package pii

// findPassport finds Korean passport numbers: a letter and eight digits (until
// 2021), or a letter, three digits, a letter and four digits; and after a label
// those of other countries.
func findPassport(d *doc, rec *recogniser) {
	for _, g := range d.groups {
		start := int(g.start) - 1
		if start > 0 && g.len() == 8 && d.cls[start] == cSpace && asciiLetter(d.r[start-1]) && !d.class(start-2).word() && d.label(start-1)&kPassport != 0 && d.clear(start-1, int(g.end)) {
			d.add(rec, start-1, int(g.end), 0.9, "label") // "M 12345678"
			continue
		}
		if start < 0 || !asciiLetter(d.r[start]) {
			continue
		}
		letter := d.r[start] &^ 0x20
		capital := d.cls[start] == cUpper
		known := letter == 'M' || letter == 'S' || letter == 'R' || letter == 'O' || letter == 'D'
		end := int(g.end)
		switch {
		case g.len() == 8 && d.clear(start, end) && known:
			d.addPassport(rec, start, end, 0.6, capital, "a letter of Korean passports and eight digits")
		case g.len() == 3 && known && asciiLetter(d.at(end)) && d.newPassportTail(end) && d.clear(start, end+5):
			d.addPassport(rec, start, end+5, 0.8, capital, "shape of Korean passports since 2021")
		case g.len() >= 6 && g.len() <= 8:
			// Two letters and seven digits; other countries.
			if asciiLetter(d.at(start-1)) && !asciiLetter(d.at(start-2)) {
				start--
			}
			if d.clear(start, end) && d.label(start)&kPassport != 0 {
				d.add(rec, start, end, 0.9, "label")
			}
		}
	}
	for i, g := range d.groups { // only digits: some countries
		if g.len() == 9 && d.clear(int(g.start), int(g.end)) && alone(d.groups, i, 1) && d.label(int(g.start))&kPassport != 0 {
			d.add(rec, int(g.start), int(g.end), 0.9, "label")
		}
	}
}

func (d *doc) addPassport(rec *recogniser, start, end int, score float64, capital bool, why string) {
	if !capital {
		score -= 0.25
	}
	score, why = d.weigh(start, kPassport, score, why)
	d.add(rec, start, end, score, why)
}

// newPassportTail says whether a letter and exactly four digits stand at r[at:].
func (d *doc) newPassportTail(at int) bool {
	for i := at + 1; i <= at+4; i++ {
		if d.class(i) != cDigit {
			return false
		}
	}
	return d.class(at+5) != cDigit
}

func asciiLetter(r rune) bool {
	return r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z'
}
