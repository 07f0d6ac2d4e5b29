package pii

// findEmails finds e-mail addresses around each '@', "(at)" and "[at]".
func findEmails(d *doc, rec *recogniser) {
	prev := 0
	for _, at := range d.ats {
		sign, behind, odd := d.atSign(int(at))
		if sign < prev {
			continue
		}
		start := sign
		for start > prev && sign-start < 64 && isMailLocal(d.r[start-1], d.cls[start-1]) {
			start--
		}
		for start < sign && (d.r[start] == '.' || d.r[start] == '-' || d.r[start] == '\'') {
			start++
		}
		end, ok := d.mailDomain(behind, odd)
		d.steps += end - start
		prev = behind
		mention := odd && behind == int(at)+1 && d.digitsIn(start, sign) == 0 // "thanks @example.com"
		if start == sign || !ok || mention {
			continue
		}
		prev = end
		score, why := 0.95, "shape of an e-mail address"
		if odd {
			score, why = 0.8, "shape of an e-mail address, disguised"
		}
		d.add(rec, start, end, score, why)
	}
}

// atSign returns where the sign at r[at] begins and ends with the blanks around it.
// Odd is one that is written out or has blanks.
func (d *doc) atSign(at int) (start, end int, odd bool) {
	start, end = at, at+1
	if d.r[at] != '@' { // "(at)"
		end = at + len("(at)")
	}
	for n := 0; n < 2 && d.class(start-1) == cSpace; n++ {
		start--
	}
	for n := 0; n < 2 && d.class(end) == cSpace; n++ {
		end++
	}
	return start, end, end-start > 1
}

// dotSign returns the length of the dot at r[at]: "." or, in an odd address, "[dot]"
// and "(dot)" with a blank at most on both sides. 0 if there is none.
func (d *doc) dotSign(at int, odd bool) int {
	if d.r[at] == '.' {
		return 1
	}
	n := 0
	if odd && d.r[at] == ' ' {
		n++
	}
	if !odd || !d.hasPrefix(at+n, "[dot]") && !d.hasPrefix(at+n, "(dot)") {
		return 0
	}
	if n += len("[dot]"); d.at(at+n) == ' ' {
		n++
	}
	return n
}

// mailDomain returns where the domain at r[start:] ends, and whether it is one.
func (d *doc) mailDomain(start int, odd bool) (end int, ok bool) {
	end, dots, tail, last := start, 0, start, start // the last dot is r[tail:last]
	for end < len(d.r) && end-start < 254 {
		c, r := d.cls[end], d.r[end]
		if n := d.dotSign(end, odd); n > 0 {
			if last == end {
				break
			}
			dots++
			tail = end
			end += n
			last = end
			continue
		}
		if !(c == cDigit || r < 128 && c.latin() || r == '-') {
			break
		}
		end++
	}
	if end == last && dots > 0 { // that of a sentence
		end = tail
		dots--
	}
	for end > start && (d.r[end-1] == '-' || d.r[end-1] == '.') {
		if d.r[end-1] == '.' {
			dots--
		}
		end--
	}
	if odd && (end-last < 2 || !d.cls[last].latin()) { // "12 EA @ 5.00USD"
		return end, false
	}
	return end, dots > 0 && end > start && d.cls[end-1].latin()
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
