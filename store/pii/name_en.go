package pii

import "strings"

// namePart is a word that can be part of a name in Latin letters.
type namePart struct {
	start, end int
	word       string // lower case, without "'s"
	initial    bool   // "J."
	link       bool   // "van"
}

// findLatinNames finds names in Latin letters: words with capitals, weighed by
// lists of first and last names, everyday words, and what stands around them.
func findLatinNames(d *doc, rec *recogniser) {
	next := 0
	for i := range d.words {
		w := d.words[i]
		start := int(w.start)
		if w.hangul || start < next || d.cls[start] != cUpper || d.class(start-1).word() || d.class(start-1) == cToken ||
			start > 0 && (d.r[start-1] == '-' || d.r[start-1] == '\'' || d.r[start-1] == '@' || d.r[start-1] == '_' || d.r[start-1] == '/') {
			continue
		}
		parts := d.nameParts(start)
		if len(parts) == 0 {
			continue
		}
		if d.isTitle(parts[0]) {
			next = parts[0].end // the name begins behind it
			continue
		}
		best, n, why := d.bestLatin(parts)
		if best < 0 {
			continue
		}
		d.add(rec, start, parts[n-1].end, odds(best+0.4), why)
		next = parts[n-1].end
	}
	d.lowerCaseNames(rec)
}

// isTitle says whether the part is a title or greeting such as Dr or Dear.
func (d *doc) isTitle(p namePart) bool {
	i := d.hitEndingBefore(p.end)
	return i >= 0 && int(d.hits[i].end) == p.end && int(d.hits[i].start) <= p.start && d.hits[i].kind&kTitle != 0
}

// nameParts reads up to four words that can make a name, from start on.
func (d *doc) nameParts(start int) []namePart {
	var buf [5]namePart
	parts := buf[:0]
	p := start
	for len(parts) < 4 {
		q := d.wordAt(p)
		if q == p || q-p >= 24 || d.class(q) == cDigit || d.at(q) == '_' || d.class(q) == cToken {
			break
		}
		part := namePart{start: p, end: q}
		if q-p > 2 && d.r[q-2] == '\'' && lower(d.r[q-1]) == 's' {
			part.end -= 2
		}
		part.word = lowerString(d.r[p:part.end])
		switch {
		case d.cls[p] == cUpper && part.end-p == 1:
			part.initial = true
			if d.at(q) == '.' {
				q++
				part.end = q
			} else if len(parts) == 0 {
				return nil
			}
		case d.cls[p] == cUpper:
		case len(parts) > 0 && nameLinks[part.word]:
			part.link = true
		default:
			return trimLinks(parts)
		}
		parts = append(parts, part)
		if part.end != q && !part.initial { // "Garcia's" ends a name
			break
		}
		if d.at(q) == '.' && part.end-p <= 3 && d.class(q+1) == cSpace && d.isTitle(part) {
			q++
		}
		if d.class(q) != cSpace && !(part.initial && d.class(q) == cUpper) {
			break
		}
		if d.class(q) == cSpace {
			q++
		}
		p = q
	}
	return trimLinks(parts)
}

// trimLinks drops links and initials at the end.
func trimLinks(parts []namePart) []namePart {
	for len(parts) > 0 && (parts[len(parts)-1].link || parts[len(parts)-1].initial) {
		parts = parts[:len(parts)-1]
	}
	return append([]namePart(nil), parts...)
}

// bestLatin returns the weight of the best name that begins with the first
// part, and of how many parts it consists.
func (d *doc) bestLatin(parts []namePart) (best float64, n int, why string) {
	before, beforeWhy, labelled := d.beforeLatin(parts[0].start)
	best = -1
	for k := len(parts); k >= 1; k-- {
		if parts[k-1].link || parts[k-1].initial {
			continue
		}
		w, what := weighLatin(parts[:k])
		after, afterWhy := d.afterLatin(parts, k)
		total := w + before + after
		if k == 1 && before == 0 && after < 2 {
			continue
		}
		if labelled && k < len(parts) && !commonEnglish()[parts[k].word] {
			total -= 2 // a label speaks of the whole name
		}
		if total > best {
			best, n, why = total, k, joinWhy(beforeWhy, what, afterWhy)
		}
	}
	return best, n, why
}

func joinWhy(parts ...string) string {
	out := make([]string, 0, len(parts))
	for _, p := range parts {
		if p != "" {
			out = append(out, p)
		}
	}
	if len(out) == 0 {
		return "capitals"
	}
	return strings.Join(out, ", ")
}

// weighLatin weighs the words of a name by themselves.
func weighLatin(parts []namePart) (float64, string) {
	m, common := latinNames(), commonEnglish()
	a, z := parts[0], parts[len(parts)-1]
	if organisations[z.word] || organisations[a.word] {
		return -9, ""
	}
	w, why := -3.0, ""
	for _, p := range parts {
		if p.word == "and" || p.word == "the" || p.word == "of" {
			return -9, ""
		}
		if len(parts) > 2 && common[p.word] && !m.known(p.word) {
			w -= 2
		}
	}
	if len(parts) == 1 {
		switch {
		case isPlaceholder(a.word):
			return -9, ""
		case common[a.word] && m.known(a.word):
			return -3.2, ""
		case common[a.word]:
			return -6, ""
		case m.known(a.word):
			return -1.8, "known name"
		}
		return -3, ""
	}
	if korean := romanName(parts); korean > 0 {
		return w + korean, "Korean name in Latin letters"
	}
	switch {
	case a.initial:
		w += 0.3
	case m.first[a.word] && !common[a.word]:
		w, why = w+2.6, "first name"
	case m.first[a.word]:
		w, why = w+1, "first name"
	case common[a.word]:
		w -= 3
	case romanGiven(a.word) > 0:
		w, why = w+1.5, "Korean given name"
	case m.last[a.word]:
		w += 0.8
	}
	switch {
	case (m.last[z.word] || romanSurnames[z.word]) && !common[z.word]:
		w += 2
		why += " and last name"
	case romanSurnames[z.word]:
		w += 1.5
		why += " and Korean last name"
	case m.last[z.word]:
		w++
	case common[z.word]:
		w -= 3
	case m.first[z.word]:
		w += 0.8
	}
	return w, why
}

// isPlaceholder says whether w stands for a name that was taken out: AAA, OOO, XX.
func isPlaceholder(w string) bool {
	return strings.Trim(w, w[:1]) == "" && len(w) < 6
}

// romanName weighs Korean names: HONG GILDONG, Hong Gil-dong, Kim Min Su, Gil-dong Hong.
func romanName(parts []namePart) float64 {
	first, last := parts[0].word, parts[len(parts)-1].word
	switch {
	case len(parts) == 2 && romanSurnames[first] && romanGiven(last) > 0:
		return 2.5 + float64(romanGiven(last))
	case len(parts) == 2 && romanSurnames[last] && romanGiven(first) > 0:
		return 2.5 + float64(romanGiven(first))
	case len(parts) == 3 && romanSurnames[first] && romanSyllables[parts[1].word] && romanSyllables[last]:
		return 3
	case len(parts) == 3 && romanSurnames[last] && romanSyllables[parts[1].word] && romanSyllables[first]:
		return 2.5
	}
	return 0
}

// beforeLatin weighs what stands before a name.
func (d *doc) beforeLatin(start int) (weight float64, why string, labelled bool) {
	if k := d.label(start); k&kName != 0 {
		i := d.hitEndingBefore(start)
		if d.cell(start) != 0 || i >= 0 && d.hasMark(int(d.hits[i].end), start) {
			return 5, "label", true
		}
		return 2.5, "label", true
	}
	p := start
	for p > 0 && start-p < 4 && (d.cls[p-1] != cDigit && !d.cls[p-1].word() && d.cls[p-1] != cToken) {
		p--
	}
	i := d.hitEndingBefore(p)
	if i >= 0 && int(d.hits[i].end) == p {
		h := d.hits[i]
		lines := 0
		for _, c := range d.cls[p:start] {
			if c == cNewline {
				lines++
			}
		}
		switch {
		case h.kind&kTitle != 0:
			if h.end-h.start > 4 || lines > 0 { // sincerely, regards
				return 3, "greeting or signature", false
			}
			return 4.2, "title or greeting", false
		case h.kind&kRole != 0 && lines == 0:
			return 2.2, "role", false
		}
	}
	if d.hasPrefix(start-4, "the ") || d.hasPrefix(start-2, "a ") && !d.class(start-3).word() {
		return -2, "", false
	}
	return 0, "", false
}

// afterLatin weighs what stands behind the first k parts.
func (d *doc) afterLatin(parts []namePart, k int) (float64, string) {
	if k < len(parts) && organisations[parts[k].word] {
		return -4, ""
	}
	p := parts[k-1].end
	if d.class(p) == cHangul { // "Olga님", "Olga는"
		q := p
		for q < len(d.r) && d.cls[q] == cHangul && q-p < 10 {
			q++
		}
		if t := tailOf(d.r[p:q], true); t.ok && t.weight >= 2 {
			return t.weight, t.evidence
		}
		return 0, ""
	}
	for p < parts[k-1].end+2 && (d.at(p) == ',' || d.class(p) == cSpace) {
		p++
	}
	if q := d.credentialEnd(p); q > p && credentials[lowerString(d.r[p:q])] {
		return 3, "credentials"
	}
	if d.class(p) == cHangul && p > parts[k-1].end {
		q := p
		for q < len(d.r) && d.cls[q] == cHangul && q-p < 10 {
			q++
		}
		if t := tailOf(d.r[p:q], true); t.ok && t.weight >= 3.5 {
			return t.weight, "title"
		}
	}
	if _, ok := d.after(d.skipBlanks(p), 0, identity&^kRole); ok && d.at(parts[k-1].end) == ',' {
		return 1.5, "label of what a person has behind"
	}
	if d.at(p) == '(' {
		if _, ok := d.after(p+1, 0, identity|kName); ok {
			return 1.5, "word in parentheses"
		}
	}
	return 0, ""
}

func (d *doc) credentialEnd(p int) int {
	q := p
	for q < len(d.r) && q-p < 6 && (d.cls[q].latin() || d.r[q] == '.' && d.class(q+1).latin()) {
		q++
	}
	return q
}

// lowerCaseNames finds "name: john smith": only behind a label with a mark, and
// only known names.
func (d *doc) lowerCaseNames(rec *recogniser) {
	m := latinNames()
	for _, h := range d.hits {
		if h.kind&kName == 0 {
			continue
		}
		p := d.skipFieldMarks(int(h.end))
		if d.class(p) != cLower || p == int(h.end) {
			continue
		}
		q := d.wordAt(p)
		if !m.first[lowerString(d.r[p:q])] || d.class(q) != cSpace {
			continue
		}
		if z := d.wordAt(q + 1); z > q+1 && d.class(z) != cDigit {
			if last := lowerString(d.r[q+1 : z]); m.last[last] || romanSurnames[last] || !commonEnglish()[last] && !commonEnglish()[lowerString(d.r[p:q])] {
				d.add(rec, p, z, 0.9, "label, first and last name")
			}
		}
	}
}
