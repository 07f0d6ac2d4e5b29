package pii

// findCards finds payment cards by prefix, grouping and check digit. Only a
// label makes up for a check digit that does not fit.
func findCards(d *doc, rec *recogniser) {
	for _, list := range d.lists() {
		for i, g := range list {
			start, end, n := int(g.start), int(g.end), 1
			ok := g.len() >= 14 && g.len() <= 19
			grouped := false
			if !ok {
				if end, ok = chain(list, i, 4, 4, 4, 4); ok {
					n = 4
				} else if end, ok = chain(list, i, 4, 6, 5); ok {
					n = 3
				} else if end, ok = chain(list, i, 4, 6, 4); ok {
					n = 3
				}
				grouped = ok
			}
			if !ok || !d.clear(start, end) || !alone(list, i, n) {
				continue
			}
			var buf [19]int
			digits := buf[:d.digits(start, end, buf[:])]
			if !cardPrefix(digits) {
				continue
			}
			score, why := 0.3, "prefix"
			if luhn(digits) {
				score, why = 0.8, "prefix and check digit"
				if grouped {
					score, why = 0.9, "prefix, groups and check digit"
				}
				score, why = d.weigh(start, kCard, score, why)
			} else if grouped && d.label(start)&kCard != 0 {
				score, why = 0.8, "label and groups"
			}
			d.add(rec, start, end, score, why)
		}
	}
}

// cardPrefix says whether a card can begin with these digits: 3 to 6 are those
// of the international brands, 22 to 27 also Mastercard's, 9 is used in Korea.
func cardPrefix(d []int) bool {
	switch d[0] {
	case 3:
		return d[1] == 4 || d[1] == 5 || d[1] == 6 || d[1] == 7 || d[1] == 0 || d[1] == 8
	case 4, 5, 6:
		return true
	case 2:
		return d[1] >= 2 && d[1] <= 7
	case 9:
		return len(d) == 16
	}
	return false
}
