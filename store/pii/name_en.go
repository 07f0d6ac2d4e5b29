package pii

import "strings"

// namePart is a word that can be part of a name in Latin letters.
type namePart struct {
	start, end int        // without "'s"
	props      latinProps // of the word
	initial    bool       // "J."
	inner      bool       // "St." of a last name
}

func (p namePart) is(x latinProps) bool { return p.props&x != 0 }

// link says whether the part is a small word inside of a last name: van.
func (p namePart) link(d *doc) bool { return p.is(latinLink) && d.cls[p.start] == cLower }

// findLatinNames finds names in Latin letters: words with capitals, weighed by
// lists of first and last names, everyday words, and what stands around them.
func findLatinNames(d *doc, rec *recogniser) {
	next := 0
	var buf [4]namePart
	for i := range d.words {
		w := d.words[i]
		start := int(w.start)
		if w.hangul || start < next || d.cls[start] != cUpper || d.class(start-1).word() || d.class(start-1) == cToken ||
			start > 0 && (d.r[start-1] == '-' || d.r[start-1] == '\'' || d.r[start-1] == '@' || d.r[start-1] == '_' || d.r[start-1] == '/') {
			continue
		}
		parts := d.nameParts(start, buf[:0])
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
		if n == 2 && len(parts) > 2 && parts[2].props == 0 && parts[2].end-parts[2].start > 2 { // "Gustavo Silva Paiva"
			n++
		}
		end := parts[n-1].end
		if n == 1 {
			end = d.inverted(parts[0], why)
		}
		d.add(rec, start, end, odds(best+0.4), why)
		next = end
	}
	d.lowerCaseNames(rec)
}

// inverted returns where the name ends that begins with the last name and a
// comma, as in the field of a form: "Okonkwo, Chidi B."
func (d *doc) inverted(last namePart, why string) int {
	p := last.end
	if !strings.HasPrefix(why, whyField) || d.at(p) != ',' || d.class(p+1) != cSpace || d.class(p+2) != cUpper {
		return last.end
	}
	var buf [4]namePart
	parts := d.nameParts(p+2, buf[:0])
	if len(parts) == 0 || parts[0].is(latinCommon|latinCredential|latinOrganisation) && !parts[0].is(latinFirst) {
		return last.end
	}
	n := 1
	end := parts[0].end
	for q := end; n < 3 && d.class(q) == cSpace && d.class(q+1) == cUpper; n++ { // "Chidi B."
		w := d.wordAt(q + 1)
		if w-q > 2 {
			break
		}
		if end = w; d.at(w) == '.' {
			end++
		}
		q = end
	}
	return end
}

// isTitle says whether the part is a title or greeting such as Dr or Dear.
func (d *doc) isTitle(p namePart) bool {
	h := d.hitEndingAt(p.end)
	return h != nil && int(h.start) <= p.start && h.kind&(kTitle|kGreeting) != 0
}

// nameParts reads up to four words that can make a name, from start on.
func (d *doc) nameParts(start int, parts []namePart) []namePart {
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
		part.props = d.wordProps(p, part.end)
		switch {
		case len(parts) > 0 && q-p == 2 && d.hasPrefix(p, "st. ") && d.class(q+2) == cUpper: // "Latoya St. Claire"
			q++
			part.end, part.inner = q, true
		case d.cls[p] == cUpper && part.end-p == 1:
			part.initial = true
			if d.at(q) == '.' {
				q++
				part.end = q
			} else if len(parts) == 0 {
				return nil
			}
		case d.cls[p] == cUpper:
			if d.camelCase(p, part.end) {
				return d.trimLinks(parts)
			}
		case len(parts) > 0 && part.is(latinLink):
		default:
			return d.trimLinks(parts)
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
	return d.trimLinks(parts)
}

// wordProps returns what is known of the word r[p:q], or of the halves of a
// double name such as "Garcia-Lopez".
func (d *doc) wordProps(p, q int) latinProps {
	known := props(d.r[p:q])
	if known != 0 {
		return known
	}
	for i := p + 1; i+1 < q; i++ {
		if d.r[i] == '-' {
			return (props(d.r[p:i]) | props(d.r[i+1:q])) & (latinFirst | latinLast | latinSurname)
		}
	}
	return 0
}

// trimLinks drops links and initials at the end.
func (d *doc) trimLinks(parts []namePart) []namePart {
	for len(parts) > 0 && (parts[len(parts)-1].link(d) || parts[len(parts)-1].initial) {
		parts = parts[:len(parts)-1]
	}
	return parts
}

// camelCase says whether a capital stands behind small letters in r[p:q], as in
// the names of programs; McDonald and DeLuca are names of persons.
func (d *doc) camelCase(p, q int) bool {
	small := 0
	for i := p + 1; i < q; i++ {
		switch {
		case d.cls[i] == cUpper && small > 0 && d.cls[i-1] == cLower:
			return small > 3 || q-i < 3
		case d.cls[i] == cLower:
			small++
		case d.cls[i] == cOther:
			small = 0
		}
	}
	return false
}

// bestLatin returns the weight of the best name that begins with the first
// part, and of how many parts it consists.
func (d *doc) bestLatin(parts []namePart) (best float64, n int, why string) {
	before, beforeWhy, labelled := d.beforeLatin(parts[0].start)
	best = -1
	for k := len(parts); k >= 1; k-- {
		if parts[k-1].link(d) || parts[k-1].initial {
			continue
		}
		w, what := d.weighLatin(parts[:k])
		after, afterWhy := d.afterLatin(parts, k, beforeWhy)
		total := w + before + after
		if k == 1 && before == 0 && after < 2 {
			continue
		}
		if labelled && k < len(parts) && !parts[k].is(latinCommon) {
			total -= 2 // a label speaks of the whole name
		}
		if total > best {
			best, n = total, k
			if why = joinWhy(beforeWhy, what, afterWhy); why == "" {
				why = "capitals"
			}
		}
	}
	return best, n, why
}

// weighLatin weighs the words of a name by themselves.
func (d *doc) weighLatin(parts []namePart) (float64, string) {
	a, z := parts[0], parts[len(parts)-1]
	if a.is(latinOrganisation) || z.is(latinOrganisation) {
		return -9, ""
	}
	if len(parts) == 1 {
		switch {
		case isPlaceholder(d.r[a.start:a.end]):
			return -9, ""
		case a.end-a.start <= 4 && !a.is(latinFirst|latinLast|latinSurname) && allUpper(d.cls[a.start:a.end]): // "Lt. MCA"
			return -6, ""
		case a.is(latinCommon) && a.is(latinFirst|latinLast):
			return -3.2, ""
		case a.is(latinCommon):
			return -6, ""
		case a.is(latinFirst | latinLast):
			return -1.8, "known name"
		}
		return -3, ""
	}
	w := -3.0
	if a.is(latinCommon) && z.is(latinFirst) && !z.is(latinLast) { // "Can Carlos go"
		w -= 2
	}
	for _, p := range parts {
		if p.is(latinNever) {
			return -9, ""
		}
		if len(parts) > 2 && p.is(latinCommon) && !p.is(latinFirst|latinLast) {
			w -= 2
		}
	}
	if korean := d.romanName(parts); korean > 0 {
		return w + korean, "Korean name in Latin letters"
	}
	if len(parts) > 2 && parts[1].initial && !a.is(latinCommon) { // "Kevin G. Underhill"
		w += 2
	}
	first, firstWhy := d.weighFirst(a)
	last, lastWhy := weighLast(z)
	if d.hasPrefix(z.start, "park") && z.end-z.start == 4 && romanGiven(d.r[a.start:a.end]) == 0 { // more often a place
		last -= 1.5
	}
	return w + first + last, joinWhy(firstWhy, lastWhy)
}

// weighFirst weighs the first word of a name.
func (d *doc) weighFirst(a namePart) (float64, string) {
	switch {
	case a.initial:
		return 0.3, ""
	case a.is(latinFirst) && !a.is(latinCommon):
		return 2.6, "first name"
	case a.is(latinFirst):
		return 1, "first name"
	case a.is(latinCommon):
		return -3, ""
	case romanGiven(d.r[a.start:a.end]) > 0:
		return 1.5, "Korean given name"
	case a.is(latinLast):
		return 0.8, ""
	case a.end-a.start > 2:
		return 0.3, ""
	}
	return 0, ""
}

// weighLast weighs the last word of a name.
func weighLast(z namePart) (float64, string) {
	switch {
	case z.is(latinLast|latinSurname) && !z.is(latinCommon):
		return 2, "last name"
	case z.is(latinSurname):
		return 1.5, "last name"
	case z.is(latinLast):
		return 1, ""
	case z.is(latinCommon):
		return -3, ""
	case z.is(latinFirst):
		return 0.8, ""
	case z.end-z.start > 3:
		return 0.5, ""
	}
	return 0, ""
}

// isPlaceholder says whether r stands for a name that was taken out: AAA, OOO, XX.
func isPlaceholder(r []rune) bool {
	for _, c := range r[1:] {
		if lower(c) != lower(r[0]) {
			return false
		}
	}
	return len(r) < 6
}

func allUpper(cls []class) bool {
	for _, c := range cls {
		if c != cUpper {
			return false
		}
	}
	return true
}

// romanName weighs Korean names: HONG GILDONG, Hong Gil-dong, Kim Min Su, Gil-dong Hong.
func (d *doc) romanName(parts []namePart) float64 {
	a, z := parts[0], parts[len(parts)-1]
	switch len(parts) {
	case 2:
		if a.is(latinSurname) {
			if n := romanGiven(d.r[z.start:z.end]); n > 0 {
				return 2.5 + float64(n)
			}
		}
		if z.is(latinSurname) {
			if n := romanGiven(d.r[a.start:a.end]); n > 0 {
				return 2.5 + float64(n)
			}
		}
		if a.is(latinSurname) && z.is(latinSyllable) && !z.is(latinCommon) && !a.is(latinCommon) { // "Ryu Sol"
			return 1.5
		}
	case 3:
		switch b := parts[1]; {
		case a.is(latinSurname) && b.is(latinSyllable) && z.is(latinSyllable):
			return 3
		case z.is(latinSurname) && b.is(latinSyllable) && a.is(latinSyllable):
			return 2.5
		}
	}
	return 0
}

// beforeLatin weighs what stands before a name.
func (d *doc) beforeLatin(start int) (weight float64, why string, labelled bool) {
	if k := d.label(start); k&kName != 0 {
		switch h := d.labelHit(start); {
		case h == nil || d.inParentheses(h) || d.hasMark(int(h.end), start):
			return 5, whyField, true
		case !d.endsSentence(int(h.end), start) && !d.hasPrefix(int(h.start), "from") && !d.hasPrefix(int(h.start), "to"): // not "from Jaeger"
			if d.cls[h.start] == cHangul { // "성명 Tanaka Misaki"
				return 4, whyLabel, true
			}
			return 2.5, whyLabel, true
		}
	}
	p := start
	for p > 0 && start-p < 4 && (d.cls[p-1] != cDigit && !d.cls[p-1].word() && d.cls[p-1] != cToken) {
		p--
	}
	if h := d.hitEndingAt(p); h != nil {
		lines, comma := 0, false
		for q := p; q < start; q++ {
			if d.cls[q] == cNewline {
				lines++
			}
			comma = comma || d.r[q] == ','
		}
		switch {
		case h.kind&kTitle != 0 && lines == 0:
			return 4.2, "title", false
		case h.kind&kGreeting != 0 && (lines > 0 || comma): // "Sincerely,", "Thanks, Julie"
			return 2, "signature", false
		case h.kind&kGreeting != 0:
			return 2.6, "greeting", false
		case h.kind&kRole != 0 && lines == 0 && familyWords.get(d.r[h.start:h.end]):
			return 3.1, "relation", false
		case h.kind&kRole != 0 && lines == 0 && d.r[start-1] != '.': // not "Client.Post"
			return 2.2, "role", false
		}
	}
	if d.hasPrefix(start-4, " v. ") || d.hasPrefix(start-5, " vs. ") || d.hasPrefix(start-4, " vs ") {
		return 3, "party of a case", false
	}
	if d.at(start-1) == '(' && d.nameEnds(d.blanksBefore(start-1)) { // "갈하윤 (GAL HAYOON)"
		return 2.5, "name before", false
	}
	if q := start - 1; d.class(q) == cSpace && d.class(q-1) == cLower {
		from := q
		for from > 0 && q-from < 12 && d.cls[from-1].latin() {
			from--
		}
		if w := wordsBeforeNames.get(d.r[from:q]); w > 0 {
			return w, "", false
		}
	}
	if d.hasPrefix(start-4, "the ") || d.hasPrefix(start-2, "a ") && !d.class(start-3).word() {
		return -2, "", false
	}
	return 0, "", false
}

// afterLatin weighs what stands behind the first k parts; before is what stands
// before them.
func (d *doc) afterLatin(parts []namePart, k int, before string) (float64, string) {
	if k < len(parts) && parts[k].is(latinOrganisation) {
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
	if q := d.credentialEnd(p); q > p && (d.cls[q-1] == cUpper || d.at(p-1) == ' ' && d.at(p-2) == ',') && props(d.r[p:q])&latinCredential != 0 &&
		(k > 1 || d.at(parts[0].end) == ',') {
		return 3, "credentials"
	}
	if d.class(p) == cHangul && p > parts[k-1].end && isTitleTail(d.r[p:d.hangulEnd(p)]) {
		if k == 1 && !parts[0].is(latinFirst|latinLast|latinSurname) { // "Qt 디자이너"
			return 2.5, "title"
		}
		return 4, "title"
	}
	if _, ok := d.after(d.skipBlanks(p), 0, identity&^kRole); ok && d.at(parts[k-1].end) == ',' {
		return 1.5, "label of what a person has behind"
	}
	if end := parts[k-1].end; before == "greeting" && d.at(end) == ',' || before == "signature" && d.class(end) == cNewline {
		return 1.2, ""
	}
	if d.at(p) == '(' {
		if _, ok := d.after(p+1, 0, identity|kName); ok {
			return 1.5, "word in parentheses"
		}
	}
	if k == 1 && parts[0].is(latinFirst) && !parts[0].is(latinCommon) {
		before, end := d.blanksBefore(parts[0].start), parts[0].end
		begins := d.class(before-1) == cNewline || d.at(before-1) == '>' || d.at(before-1) == '/' || d.at(before-1) == '.' || d.at(before-1) == ':'
		switch {
		case begins && (d.at(end) == ',' || d.at(end) == ':'): // "Rajesh, can you …"
			return 2, "form of address"
		case d.at(end) == '\'' && lower(d.at(end+1)) == 's' && d.class(end+2) == cSpace && d.class(end+3) == cLower:
			return 1.9, "possession"
		}
	}
	if end := parts[k-1].end; d.class(end) == cSpace && d.class(end+1) == cLower {
		if w := verbsOfPersons.get(d.r[end+1 : d.wordAt(end+1)]); w > 0 {
			return w, ""
		}
	}
	if end := parts[k-1].end; (before == whyLabel || before == "relation") && k == 1 && !parts[0].is(latinCommon) && (d.at(end) == ',' || d.at(end) == '.' || d.at(end) == '!' || d.class(end) == cNewline) {
		return 0.8, "" // "it's Niamh, …"
	}
	if d.hasPrefix(p, "v. ") || d.hasPrefix(p, "vs. ") {
		return 1.5, "party of a case"
	}
	return 0, ""
}

// wordsBeforeNames are small words behind which a name is more likely than elsewhere.
var wordsBeforeNames = latinMapOf(map[string]float64{
	"with": 1, "by": 1, "told": 1, "asked": 1, "ask": 1, "met": 1, "saw": 0.8, "contact": 1, "know": 1, "known": 1, "knew": 1, "thank": 1,
	"welcome": 1, "to": 0.7, "and": 0.7, "for": 0.4, "from": 0.4, "of": 0.4, "between": 0.7, "appoint": 1, "think": 0.7, "if": 0.4, "when": 0.4,
	"is": 0.4, "at": 0.3, "or": 0.4,
})

// verbsOfPersons are what persons do rather than things.
var verbsOfPersons = latinMapOf(map[string]float64{
	"said": 1.9, "says": 1.9, "told": 1.9, "asked": 1.9, "called": 1, "wants": 1.2, "wanted": 1.2, "lives": 1.3, "lived": 1.3, "moved": 1,
	"joined": 1.5, "joins": 1.9, "presented": 1.9, "presents": 1, "signed": 1.2, "stole": 1.9, "refused": 1.9, "denies": 1.3, "denied": 1.2,
	"reports": 0.8, "reported": 1, "states": 0.8, "stated": 1.2, "testified": 1.3, "wrote": 1.3, "writes": 1, "thinks": 1.3, "works": 0.9,
	"worked": 1.2, "enrolled": 1.3, "gave": 1.2, "sent": 1, "will": 0.6, "has": 0.5, "was": 0.5, "is": 0.5, "had": 0.6, "does": 0.6, "did": 0.6,
	"came": 1, "went": 1.1, "left": 1, "agreed": 1.2, "arrived": 1, "attended": 1.3, "resigned": 1.3, "died": 1.3, "married": 1.3, "who": 1.3,
	"texted": 1.9, "quit": 1.9, "thought": 1.9, "knows": 1.9, "loves": 1.9, "emailed": 1.9, "confirmed": 1, "replied": 1.9, "promised": 1.5,
	"complained": 1.5, "consented": 1.5, "insists": 1.5, "claims": 1, "claimed": 1.2, "admitted": 1, "owes": 1.9, "owns": 1.2,
})

// familyWords are relations behind which a first name stands alone: "his wife, Adaeze,".
var familyWords = latinMapOf(map[string]bool{
	"wife": true, "husband": true, "son": true, "daughter": true, "mother": true, "father": true, "brother": true, "sister": true,
	"spouse": true, "mom": true, "dad": true, "grandmother": true, "grandfather": true, "niece": true, "nephew": true, "aunt": true,
	"uncle": true, "cousin": true, "kids": true, "children": true, "twins": true, "sons": true, "daughters": true, "girlfriend": true, "boyfriend": true, "fiance": true, "fiancee": true, "partner": true, "grandson": true, "granddaughter": true,
})

func (d *doc) credentialEnd(p int) int {
	q := p
	for q < len(d.r) && q-p < 6 && (d.cls[q].latin() || d.r[q] == '.' && d.class(q+1).latin()) {
		q++
	}
	return q
}

// lowerCaseNames finds "name: john smith" and "dr okafor": only behind a label
// or a title, and only known names.
func (d *doc) lowerCaseNames(rec *recogniser) {
	for _, h := range d.hits {
		if h.kind&(kName|kTitle) == 0 {
			continue
		}
		p := d.skipFieldMarks(int(h.end))
		if p == int(h.end) || d.class(p) != cLower {
			continue
		}
		q := d.wordAt(p)
		first := props(d.r[p:q])
		if h.kind&kTitle != 0 {
			if h.end-h.start <= 4 && first&latinLast != 0 && first&latinCommon == 0 && !d.class(q).word() {
				d.add(rec, p, q, 0.75, "title, last name")
			}
			continue
		}
		if first&latinFirst == 0 || d.class(q) != cSpace {
			continue
		}
		if z := d.wordAt(q + 1); z > q+1 && d.class(z) != cDigit {
			if last := props(d.r[q+1 : z]); last&(latinLast|latinSurname) != 0 || (first|last)&latinCommon == 0 {
				d.add(rec, p, z, 0.9, "label, first and last name")
			}
		}
	}
}
