package pii

// findURLs finds web addresses: a scheme with "://", or "www.".
func findURLs(d *doc, rec *recogniser) {
	last := 0
	for _, at := range d.marks {
		at := int(at)
		if at < last {
			continue
		}
		start := at
		switch {
		case d.r[at] == ':' && d.at(at+1) == '/' && d.at(at+2) == '/':
			for start > last && at-start < 12 && d.cls[start-1].latin() {
				start--
			}
			if at-start < 2 {
				continue
			}
		case d.r[at] == '.' && at >= 3 && d.hasPrefix(at-3, "www") && !d.class(at-4).word():
			start = at - 3
		default:
			continue
		}
		end := at + 1
		for end < len(d.r) && isURLRune(d.r[end]) {
			end++
		}
		for end > at && isClosing(d.r[end-1]) {
			end--
		}
		d.steps += end - start
		last = end
		if end-at < 4 || end-start < 8 {
			continue
		}
		d.add(rec, start, end, 0.9, "shape of a web address")
	}
}

func isURLRune(r rune) bool {
	switch r {
	case '"', '<', '>', '\\', '^', '`', '{', '}', '|', '\'':
		return false
	}
	return r > ' ' && r < 127
}

// isClosing says whether r ends a sentence rather than an address.
func isClosing(r rune) bool {
	switch r {
	case '.', ',', ';', ':', '!', '?', ')', ']', '"', '\'', '*', '_', '~':
		return true
	}
	return false
}
