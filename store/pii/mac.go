package pii

// findMACs finds hardware addresses: six pairs of hexadecimal digits with
// colons or dashes.
func findMACs(d *doc, rec *recogniser) {
	next := 0
	for _, at := range d.marks {
		start := int(at) - 2
		mark := d.r[at]
		if start < next || mark == '.' || !d.macAt(start, mark) {
			continue
		}
		end := start + 17
		letters := false
		for i := start; i < end; i++ {
			letters = letters || d.cls[i].latin()
		}
		score := 0.9
		if !letters {
			score = 0.6
		}
		if mark == '-' && !letters {
			score = 0.3
		}
		if _, ok := d.near(start, window, kMAC); ok {
			score = 0.98
		}
		d.add(rec, start, end, score, "six pairs")
		next = end
	}
}

func (d *doc) macAt(start int, mark rune) bool {
	if start < 0 || start+17 > len(d.r) || !d.clear(start, start+17) || d.at(start-1) == mark || d.at(start+17) == mark {
		return false
	}
	for i := range 17 {
		r := d.r[start+i]
		if i%3 == 2 && r != mark || i%3 != 2 && !isHex(r) {
			return false
		}
	}
	return true
}
