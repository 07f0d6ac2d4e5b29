package pii

// findEmails finds e-mail addresses around each '@'.
func findEmails(d *doc, rec *recogniser) {
	prev := 0
	for _, at := range d.ats {
		at := int(at)
		start := at
		for start > prev && at-start < 64 && isMailLocal(d.r[start-1], d.cls[start-1]) {
			start--
		}
		for start < at && (d.r[start] == '.' || d.r[start] == '-' || d.r[start] == '\'') {
			start++
		}
		end, dots, last := at+1, 0, at
		for end < len(d.r) && end-at < 255 {
			c, r := d.cls[end], d.r[end]
			if r == '.' {
				if last == end-1 {
					break
				}
				dots++
				last = end
			} else if !(c == cDigit || r < 128 && c.latin() || r == '-') {
				break
			}
			end++
		}
		for end > at+1 && (d.r[end-1] == '.' || d.r[end-1] == '-') {
			if d.r[end-1] == '.' {
				dots--
			}
			end--
		}
		d.steps += end - start
		prev = at + 1
		if start == at || dots < 1 || !d.cls[end-1].latin() {
			continue
		}
		prev = end
		d.add(rec, start, end, 0.95, "shape of an e-mail address")
	}
}

func isMailLocal(r rune, c class) bool {
	if r >= 128 {
		return false
	}
	switch r {
	case '.', '_', '%', '+', '-', '~', '\'':
		return true
	}
	return c == cDigit || c.latin()
}
