package pii

import (
	"math"
	"slices"
	"strings"
)

// findKoreanNames finds names in Korean letters. Every text word that begins
// with a surname is weighed: the syllables behind it, what hangs on it, what
// stands before and behind it. The weights are log odds; a name has more for it
// than against it.
func findKoreanNames(d *doc, rec *recogniser) {
	m := koreanNames()
	next := 0
	for i, w := range d.words {
		if !w.hangul || int(w.start) < next || !m.opens[d.r[w.start]-hangulBase] && d.flag[w.start]&flagHitStart == 0 {
			continue
		}
		if end, ok := d.spacedName(m, i); ok {
			d.add(rec, int(w.start), end, 0.95, "label, name with blanks between its syllables")
			next = end
			continue
		}
		best := d.bestName(m, int(w.start), int(w.end))
		// "환자홍길동": a label may run straight into the name.
		if h := d.hitInside(w); h > 0 {
			if n := d.bestName(m, h, int(w.end)); n.weight > best.weight {
				best = n
			}
		}
		if best.weight < 0 || best.why[0]+best.why[1]+best.why[2] == "" && best.end == int(w.end) {
			if g := d.givenName(m, int(w.start), int(w.end)); g.weight > 0 {
				best = g
			}
		}
		if best.weight < 0 {
			if best.weight > weakest {
				d.weak = append(d.weak, best)
			}
			continue
		}
		d.add(rec, best.start, best.end, odds(best.weight), best.evidence())
		next = best.end
	}
}

// odds turns log odds into a score.
func odds(w float64) float64 { return 1 / (1 + math.Exp(-w)) }

// koreanName is a reading of a text word as a name.
type koreanName struct {
	start, end int
	weight     float64
	why        [4]string // evidence, some of it empty
}

func (n *koreanName) evidence() string {
	if why := joinWhy(n.why[:]...); why != "" {
		return why
	}
	return "surname and given name"
}

// prior is what speaks against a name before anything is known.
const prior = -4

// mostBefore is the most that what stands before a name can weigh.
const mostBefore = 6.5

// mostAfter is the most that what stands behind a name can weigh.
const mostAfter = 5

// mostInside is the most if the word goes on behind the name.
const mostInside = 2.5

// weakest is the least weight of a reading that is worth keeping.
const weakest = -2

// bestName returns the best reading of the word r[start:end].
func (d *doc) bestName(m *nameModel, start, end int) koreanName {
	return d.bestNameAbove(m, start, end, weakest)
}

// bestNameAbove returns the best reading that weighs more than floor; what lies
// below may be returned, too, or nothing.
func (d *doc) bestNameAbove(m *nameModel, start, end int, floor float64) koreanName {
	none := koreanName{weight: -100}
	r := d.r[start:end]
	if len(r) < 2 || d.class(start-1) == cDigit {
		return none
	}
	surname, compound := float64(m.surname[r[0]-hangulBase]), m.isCompound(r)
	if surname == 0 && !compound {
		return none
	}
	x := nameReader{d: d, m: m, start: start, r: r, floor: floor, best: none, compound: compound}
	if surname != 0 {
		if len(x.r) >= 3 {
			x.try(3, surname+m.weight(x.r[1], x.r[2]))
		}
		if m.single[x.r[1]-hangulBase] {
			x.try(2, surname-0.9)
		} else if d.flag[start]&flagValue != 0 && x.behindLabel() {
			x.try(2, surname-3.5)
		}
		if len(x.r) >= 4 && !compound && m.plains.has(x.r[1], x.r[2]) && m.plain.has(x.r[1:4]) {
			x.plain = true
			x.try(4, surname+3)
		} else if len(x.r) >= 4 && !compound && tailOf(x.r[4:], hasCoda(x.r[3])).ok && d.labelNear(start) && x.look() != "" {
			x.try(4, surname-3)
		}
	}
	if compound && len(x.r) >= 3 {
		if len(x.r) >= 4 {
			x.try(4, 2+m.weight(x.r[2], x.r[3]))
		}
		if m.single[x.r[2]-hangulBase] {
			x.try(3, 0.5)
		}
	}
	return x.best
}

// givenName reads a usual given name without a surname, as friends call each
// other: "윤서야", "도현이네". The tail has to be one that only persons take.
func (d *doc) givenName(m *nameModel, start, end int) koreanName {
	none := koreanName{weight: -100}
	r := d.r[start:end]
	if len(r) < 3 || len(r) > 6 || !m.given.has(r[0], r[1]) || m.words.has(r[:2]) || m.words.has(r[:3]) {
		return none
	}
	tail := d.callingTail(start, start+2, end)
	if tail == 0 {
		return none
	}
	before, why := d.beforeName(start)
	return koreanName{start, start + 2, m.weight(r[0], r[1]) + tail + before - 6, [4]string{why, "given name and how friends call it"}}
}

// callingTail weighs what hangs on a given name r[start:p] in a word that ends
// at end: 야 and 아 at the beginning of a clause, 이 before a particle, 한테, 님.
func (d *doc) callingTail(start, p, end int) float64 {
	coda := hasCoda(d.r[p-1])
	switch r := d.r[p]; {
	case end == p+1 && (r == '야' && !coda || r == '아' && coda):
		before := d.blanksBefore(start)
		if c := d.class(before - 1); c == cNewline || c == cOther || c == cToken {
			return 2.5
		}
		return 0
	case r == '이' && coda && end > p+1 && tailKindOf(d.r[p:end])&tailPersonal != 0:
		return 1.5
	case tailKindOf(d.r[p:end])&tailPersonal != 0 && r != '이' && r != '께':
		return 1.5
	case (r == '님' || r == '씨') && (end == p+1 || tailKindOf(d.r[p+1:end])&(tailPersonal|tailNeutral|tailIntroduces) != 0):
		return 3
	}
	return 0
}

// nameReader tries the lengths that a name can have in a word.
type nameReader struct {
	d        *doc
	m        *nameModel
	start    int
	r        []rune
	best     koreanName
	floor    float64 // readings below do not matter
	looked   bool    // the next two are set
	before   float64 // weight of what stands before
	compound bool    // the surname has two syllables
	plain    bool    // the given name has three
	why      string
	known    bool    // the penalty
	penalty  float64 // for the ordinary word that r begins with
}

// try weighs the first n runes as a name; given is the weight of its syllables.
func (x *nameReader) try(n int, given float64) {
	x.d.steps += n
	t := tailOf(x.r[n:], hasCoda(x.r[n-1]))
	if !t.ok {
		return
	}
	if n == 3 && x.r[2] == '이' && t.evidence == "introduction" && hasCoda(x.r[1]) { // "양훈이고요"
		given -= 3
	}
	if n == 2 && tailKindOf(x.r[:n])&tailTitle != 0 { // "위원님"
		return
	}
	w := given + t.weight + prior
	least, after := max(x.best.weight, x.floor), float64(mostAfter)
	if n < len(x.r) {
		after = mostInside
	}
	if w+mostBefore+after < least {
		return
	}
	x.look()
	if w += x.before; w+after < least && x.why != whyField {
		return
	}
	if !x.known {
		x.penalty = max(x.m.wordPenalty(x.r), x.d.labelPenalty(x.start))
		x.known = true
	}
	if w+after-x.penalty < least && x.why != whyField {
		return
	}
	if x.d.cutsWord(x.start, x.start+n) {
		return
	}
	after, afterWhy := x.d.afterName(x.start+n, n == len(x.r))
	if n == 4 && !x.compound && !x.plain && t.weight+after >= 3.5 && x.why != whyField { // "사회복지과장"
		return
	}
	if n == 2 && t.weight < 3 && x.why == "" && afterWhy == "" {
		return
	}
	w += after - x.penalty
	if n == 2 && (x.why == "role" || x.why == whyLabel) && n == len(x.r) && x.penalty == 0 && x.d.fieldOver(x.start+n) { // "동승자 갈현,"
		w++
	}
	if x.why == whyField { // the value of a field carries no particle
		if n == len(x.r) && x.r[n-1] == '이' {
			w += 1.5
		} else if n < len(x.r) && t.weight < 1 {
			w -= 1.5
		}
	}
	if x.why == whyField && n == len(x.r) && n < 4 && x.penalty == 0 && x.d.fieldOver(x.start+n) { // whoever it is, this is the name
		w = max(w, 0.2*float64(n))
	}
	if w > x.best.weight {
		x.best = koreanName{x.start, x.start + n, w, [4]string{x.why, afterWhy, t.evidence, ""}}
		if given > 3 {
			x.best.why[3] = "usual name"
		}
	}
}

// look weighs what stands before the word, once, and says what it is.
func (x *nameReader) look() string {
	if !x.looked {
		x.before, x.why = x.d.beforeName(x.start)
		x.looked = true
	}
	return x.why
}

// labelNear says whether a word of the lexicon ends close before r[start]: without
// one, nothing that is sure of itself stands before a name.
func (d *doc) labelNear(start int) bool {
	return d.flag[start]&flagValue != 0 || d.hitEndingAt(d.blanksBefore(start)) != nil
}

// behindLabel says whether the label of a name stands before the word.
func (x *nameReader) behindLabel() bool { return x.look() == whyField || x.why == whyLabel }

// fieldOver says whether the value of a field can end before r[p], or another
// label follows.
func (d *doc) fieldOver(p int) bool {
	if d.fieldEnds(p) {
		return true
	}
	_, ok := d.after(d.skipBlanks(p), 0, kLabels)
	return ok && d.class(p) == cSpace
}

// cutsWord says whether a word of the lexicon of three or more syllables begins
// inside of r[start:end] and goes on behind it: "신원보증인".
func (d *doc) cutsWord(start, end int) bool {
	i := d.hitEndingBefore(end) + 1
	if i >= len(d.hits) {
		return false
	}
	h := d.hits[i]
	return int(h.start) > start && int(h.start) < end && h.end-h.start >= 3
}

// labelPenalty is how much speaks against a name because a label of three or
// more syllables stands there itself: 매수자, 손자녀.
func (d *doc) labelPenalty(start int) float64 {
	if d.flag[start]&flagHitStart == 0 {
		return 0
	}
	if h, ok := d.after(start, 0, kLabels|kDistrict); ok && h.end-h.start >= 3 {
		return 6
	}
	return 0
}

// joinWhy joins pieces of evidence.
func joinWhy(parts ...string) string {
	out := ""
	for _, p := range parts {
		if p != "" && out != "" {
			out += ", "
		}
		out += p
	}
	return out
}

// What stands before a name: the label of a field with a colon or in a table,
// or a label without.
const (
	whyField = "label of the field"
	whyLabel = "label"
)

// beforeName weighs what stands before a name.
func (d *doc) beforeName(start int) (float64, string) {
	label := d.label(start)
	if label&kName != 0 && !d.objectBefore(start) {
		if h := d.labelHit(start); h == nil || d.inParentheses(h) || d.hasMark(int(h.end), start) {
			return 6.5, whyField
		}
		if d.opensField(d.labelHit(start), start) {
			return 6, whyField
		}
		return 4.5, whyLabel
	}
	p := start
	for p > 0 && start-p < 3 && (d.cls[p-1] == cSpace || d.r[p-1] == ':' || d.r[p-1] == '(' || d.r[p-1] == '"' || d.r[p-1] == '\'' || d.r[p-1] == '[' || d.r[p-1] == '-' || d.r[p-1] == '·') {
		p--
	}
	if h := d.hitEndingAt(d.blanksBefore(p)); h != nil && h.kind&kGreeting != 0 || d.at(p-1) == ',' && d.greetingBefore(p-1) {
		return 2.5, "greeting"
	}
	if p < start && d.rankBefore(p) {
		return 3.5, "title"
	}
	if h := d.hitEndingAt(p); h != nil && h.kind&(kRole|kName) != 0 {
		if d.class(int(h.start)-1) != cHangul || h.end-h.start > 2 || d.hasColon(p, start) {
			if d.hasColon(p, start) {
				return 4.8, "role"
			}
			return 4, "role"
		}
	}
	if h := d.labelHit(start); h != nil && h.kind&kRole != 0 && !strings.ContainsRune("이가을를의", d.at(int(h.end))) { // "의뢰인은 …"
		return 2.5, "role"
	}
	if p < start && d.numberEnds(p) {
		return 1.8, "number of a person before"
	}
	if w, why := d.personWord(p, start); w > 0 {
		return w, why
	}
	// "저 …인데요".
	if p < start && (d.at(p-1) == '저' || d.at(p-1) == '전') && !d.class(p-2).word() {
		return 2, "introduction"
	}
	// Relations of one syllable, behind a comma or at the start: ", 모 조은지".
	if p < start && d.class(p-1) == cHangul && !d.class(p-2).word() && strings.ContainsRune("부모자처망녀", d.r[p-1]) {
		return 2.5, "relation"
	}
	return 0, ""
}

// numberEnds says whether a long number ends before r[p], as that of an account,
// a chart or a telephone does in a list before a name.
func (d *doc) numberEnds(p int) bool {
	n, digits := p, 0
	for n > 0 && p-n < 20 && (d.cls[n-1] == cDigit || d.r[n-1] == '-') {
		n--
		if d.cls[n] == cDigit {
			digits++
		}
	}
	return digits >= 7 || p > 0 && d.cls[p-1] == cToken && d.r[p-1] != personToken
}

// greetingBefore says whether "Best" or the like ends before r[p], in Latin letters.
func (d *doc) greetingBefore(p int) bool {
	h := d.hitEndingAt(p)
	return h != nil && h.kind&kGreeting != 0
}

// rankBefore says whether the title of a clinician or the like in Latin letters
// ends before r[p]: "R2 도경완", "Dr. 강필석", "RN 곽하린".
func (d *doc) rankBefore(p int) bool {
	if d.at(p-1) == '.' {
		p--
	}
	if d.class(p-1) == cDigit && lower(d.at(p-2)) == 'r' && !d.class(p-3).word() {
		return true
	}
	if h := d.hitEndingAt(p); h != nil && h.kind&kTitle != 0 {
		return true
	}
	q := p
	for q > 0 && p-q < 4 && d.cls[q-1] == cUpper {
		q--
	}
	return p-q >= 2 && !d.class(q-1).word() && props(d.r[q:p])&latinCredential != 0
}

// endsPerson says whether words for persons end in r.
func endsPerson(r rune) bool {
	switch r {
	case '자', '인', '관', '사', '원', '장', '감', '과', '팀', '실', '국':
		return true
	}
	return false
}

// personWord weighs a word before a name that is in no list but ends as those
// for persons do, "설계자", "점검관"; with a colon it is a label.
func (d *doc) personWord(p, start int) (float64, string) {
	if p == start || p < 3 || d.class(p-2) != cHangul || d.class(p-3) != cHangul || !endsPerson(d.r[p-1]) {
		return 0, ""
	}
	if d.hasColon(p, start) {
		return 3, "word for a person"
	}
	return 1.2, "word for a person"
}

func (d *doc) hasColon(from, to int) bool { return slices.Contains(d.r[from:to], ':') }

// objectBefore says whether the label before a name is an object: "이름을 지정해".
func (d *doc) objectBefore(start int) bool {
	h := d.labelHit(start)
	if h == nil {
		return false
	}
	for i := int(h.end); i < start; i++ { // "<이름>을 가진", too
		if d.r[i] == '을' || d.r[i] == '를' {
			return true
		}
	}
	return false
}

// opensField says whether a label without a mark begins a field of a form, at the
// beginning of a line or behind a gap, and only blanks part it from its value.
func (d *doc) opensField(h *hit, start int) bool {
	before := int(h.start) - 1
	if d.class(before) != cNewline && !(d.class(before) == cSpace && d.class(before-1) == cSpace) && d.at(before) != '/' && d.at(before) != '|' {
		return false
	}
	for i := int(h.end); i < start; i++ {
		if d.cls[i] != cSpace {
			return false
		}
	}
	return start > int(h.end)
}

// inParentheses says whether the label that ends at p stands in parentheses of
// its own: "(영문) Shim Jihoo".
func (d *doc) inParentheses(h *hit) bool {
	return d.at(int(h.end)) == ')' && d.at(int(h.start)-1) == '('
}

// hasMark says whether a colon or the like stands in r[from:to].
func (d *doc) hasMark(from, to int) bool {
	mark := false
	for i := from; i < to; i++ {
		switch {
		case d.r[i] == '.' || d.r[i] == ')' || d.r[i] == ']':
			return false
		case d.cls[i] == cOther && d.r[i] != '-' && d.r[i] != '(' || d.cls[i] == cNewline:
			mark = true
		}
	}
	return mark
}

// endsSentence says whether a mark stands in r[from:to] that parts a label from
// what follows.
func (d *doc) endsSentence(from, to int) bool {
	for i := from; i < to; i++ {
		if r := d.r[i]; r == '.' || r == ')' || r == ']' || r == '(' || r == '-' || r == '`' || r == '"' {
			return true
		}
	}
	return false
}

// identity are the labels of what only a person has: behind "…의" they say
// that a person stands before it.
const identity = kRRN | kFRN | kPassport | kDriver | kPhone | kEmail | kCard | kBank | kInsurance | kRecord | kLicense | kDOB | kAddress | kRole

// afterName weighs what stands behind a name.
func (d *doc) afterName(end int, bare bool) (float64, string) {
	if !bare {
		if d.at(end) == '의' && d.class(end+1) == cSpace {
			if _, ok := d.after(end+2, 0, identity); ok {
				return 2.5, "what only a person has"
			}
		}
		if (d.at(end) == '과' || d.at(end) == '와') && d.class(end+1) == cSpace { // "…와 그 배우자"
			p := end + 2
			if d.hasPrefix(p, "그 ") {
				p += 2
			}
			if _, ok := d.after(p, 0, kRole); ok {
				return 2, "relation behind"
			}
		}
		return 0, ""
	}
	p := end
	for p < end+2 && d.class(p) == cSpace {
		p++
	}
	if d.at(p) == '(' {
		return d.afterParenthesis(p)
	}
	if w, why := d.dataBehind(end); w > 0 {
		return w, why
	}
	if p > end && d.class(p) == cHangul {
		q := d.hangulEnd(p)
		if t := tailOf(d.r[p:q], true); t.ok && t.weight >= 3.5 {
			return t.weight, "title"
		}
		if w := d.weakTitle(p, q); w > 0 {
			return w, "title"
		}
		if d.relationAt(p) && d.bestSurname(p+2) {
			return 2.5, "relation behind"
		}
		if d.hasPrefix(p, "씨") && q-p < 5 {
			return 4, "form of address"
		}
		for _, w := range [...]string{"명의", "명의의", "본인", "소유", "소유의"} {
			if d.hasPrefix(p, w) && q-p == len([]rune(w)) {
				return 3.5, "word of ownership"
			}
		}
		for _, w := range [...]string{"올림", "드림", "배상", "귀하", "귀중", "앞"} {
			if d.hasPrefix(p, w) && q-p == len([]rune(w)) {
				return 4.5, "signature or address of a letter"
			}
		}
	}
	if d.at(p) == ',' {
		if _, ok := d.after(d.skipBlanks(p+1), 0, identity&^kRole); ok {
			return 2.5, "label of what a person has behind"
		}
	}
	if d.class(p) == cDigit || d.at(p) == ',' || d.at(p) == '/' || d.at(p) == ':' {
		for n := 0; n < 3 && d.class(p) != cDigit && p < len(d.r); n++ {
			p++
		}
		if _, _, ok := d.phoneNear(p); ok {
			return 2, "telephone number behind"
		}
	}
	return 0, ""
}

// dataBehind weighs what rosters and lines of tables have behind a name: a full
// date, a resident number, sex and age, an address, a bank, an e-mail address, or
// "] [오후" of an exported chat.
func (d *doc) dataBehind(end int) (float64, string) {
	if d.at(end) == ']' && d.at(end+2) == '[' && d.at(end+3) == '오' {
		return 5, "speaker of a chat"
	}
	p := end
	for p < end+8 && (d.class(p) == cSpace || (d.at(p) == '|' || d.at(p) == '/') && p > end) {
		p++
	}
	if p == end {
		return 0, ""
	}
	switch c := d.class(p); {
	case c == cDigit:
		n := p
		for d.class(n) == cDigit && n-p < 9 {
			n++
		}
		switch {
		case n-p == 6 && d.at(n) == '-' && d.class(n+1) == cDigit && d.monthDay(p+2):
			return 3.5, "resident number behind"
		case n-p == 4 && d.number(p, n) <= adultYear && validYear(d.number(p, n)) && (d.at(n) == '-' || d.at(n) == '.' || d.at(n) == '년'):
			return 2.5, "date behind"
		case n-p == 6 && d.monthDay(p+2) && !d.class(n).word():
			return 1.5, "six digits behind"
		}
	case c == cHangul || c == cUpper:
		if q := d.wordAt(p); c == cUpper && q-p >= 2 && (props(d.r[p:q])&latinCredential != 0 || d.hasPrefix(p, "pm") && q-p == 2) {
			return 3.5, "title"
		}
		if d.sexAgeAt(p) {
			return 4, "sex and age behind"
		}
		if h, ok := d.after(p, 0, kProvince|kDistrict|kBankName); ok && d.class(int(h.end)) != cHangul && h.end-h.start > 1 {
			return 2, "address or bank behind"
		}
	case d.at(p) == '<':
		for q := p + 1; q < len(d.r) && q-p < 40 && d.cls[q] != cSpace && d.r[q] != '>'; q++ {
			if d.r[q] == '@' {
				return 4, "e-mail address behind"
			}
		}
	}
	return 0, ""
}

// sexAgeAt says whether "여 72", "F/67" or "남 44세" stands at r[p:].
func (d *doc) sexAgeAt(p int) bool {
	switch lower(d.at(p)) {
	case '남', '여', 'm', 'f':
	default:
		return false
	}
	q := p + 1
	if d.at(q) == '/' || d.class(q) == cSpace {
		q++
	}
	n := q
	for d.class(n) == cDigit && n-q < 4 {
		n++
	}
	return n > q && n-q < 4 && (!d.class(n).word() || d.at(n) == '세')
}

// weakTitle weighs a title that is also the end of other words, and stands apart
// here: "오지헌 차장이", "김민수 군".
func (d *doc) weakTitle(p, q int) float64 {
	for _, w := range [...]string{"차장", "기자", "군", "양"} {
		n := p + len([]rune(w))
		if n <= q && d.hasPrefix(p, w) && (n == q || tailKindOf(d.r[n:q])&(tailPersonal|tailNeutral) != 0) {
			if n-p > 1 {
				return 4
			}
			return 2.5
		}
	}
	return 0
}

// bestSurname says whether the word at r[p:] begins with a surname.
func (d *doc) bestSurname(p int) bool {
	m := koreanNames()
	return d.class(p) == cHangul && d.class(p+1) == cHangul && (m.surname[d.r[p]-hangulBase] != 0 || m.isCompound(d.r[p:p+2]))
}

func (d *doc) phoneNear(p int) (int, string, bool) {
	if d.class(p) != cDigit {
		return 0, "", false
	}
	return d.phoneAt(p)
}

// afterParenthesis weighs "(남, 45세)", "(배우자)", "(洪吉童)", "(800313-…)" or
// "(인)" behind a name.
func (d *doc) afterParenthesis(p int) (float64, string) {
	q := p + 1
	for d.class(q) == cSpace {
		q++
	}
	switch {
	case d.class(q) == cHan && strings.ContainsRune(surnameHanja, d.r[q]):
		return 3, "Chinese surname in parentheses"
	case d.hasPrefix(q, "이하 ") || d.hasPrefix(q, "이하,"):
		return 3, "definition of a contract"
	case d.hasPrefix(q, "인)") || d.hasPrefix(q, "서명)") || d.hasPrefix(q, "印)"):
		return 4.5, "signature"
	case d.hasPrefix(q, "만 ") || d.sexBehind(p) || d.hasPrefix(q, "여,") || d.hasPrefix(q, "남,") || d.hasPrefix(q, "여/") || d.hasPrefix(q, "남/"):
		return 3.5, "sex or age in parentheses"
	case d.class(q) == cDigit:
		n := 0
		for d.class(q+n) == cDigit && n < 8 {
			n++
		}
		if n == 6 && d.monthDay(q+2) || n == 8 && d.monthDay(q+4) {
			return 4.5, "birth date in parentheses"
		}
		if n >= 6 || n == 4 && (d.at(q+n) == '.' || d.at(q+n) == '-' || d.at(q+n) == '년') || n == 3 && d.at(q) == '0' || n == 2 && d.at(q+n) == '세' {
			return 3, "number or date in parentheses"
		}
	case d.class(q).latin():
		if k := d.wordAt(q); d.cls[q] == cUpper && k-q > 2 {
			return 1, "Latin letters in parentheses"
		}
	}
	if d.at(q+1) == ')' && strings.ContainsRune("부모자처녀남여", d.at(q)) {
		return 3, "relation in parentheses"
	}
	if h, ok := d.after(q, 0, identity|kName); ok && int(h.start) == q {
		return 3, "word in parentheses"
	}
	return 0, ""
}

// spacedName reads "홍 길 동" or "홍 길동" behind the label of a name.
func (d *doc) spacedName(m *nameModel, i int) (end int, ok bool) {
	w := d.words[i]
	if w.end-w.start != 1 && !(w.end-w.start == 2 && m.isCompound(d.r[w.start:w.end])) {
		return 0, false
	}
	if w.end-w.start == 1 && m.surname[d.r[w.start]-hangulBase] == 0 || i+1 >= len(d.words) {
		return 0, false
	}
	a := d.words[i+1]
	if !a.hangul || !d.blanksOnly(w.end, a.start) || d.at(int(w.start)-1) == '>' {
		return 0, false
	}
	if k := d.label(int(w.start)); k&kName == 0 && !(k&kRole != 0 && a.end-a.start == 1 && d.class(int(w.start)-2) == cSpace) {
		return 0, false
	}
	if a.end-a.start >= 2 { // 홍 길동
		r := d.r[a.start:a.end]
		if m.weight(r[0], r[1]) > 0.5 && !m.words.has(r[:2]) && tailOf(r[2:], hasCoda(r[1])).ok {
			return int(a.start) + 2, true
		}
		return 0, false
	}
	if i+2 >= len(d.words) {
		return 0, false
	}
	b := d.words[i+2]
	if !b.hangul || !d.blanksOnly(a.end, b.start) || !tailOf(d.r[b.start+1:b.end], hasCoda(d.r[b.start])).ok {
		return 0, false
	}
	return int(b.start) + 1, true
}

func (d *doc) blanksOnly(from, to int32) bool {
	if to-from > 8 || to == from {
		return false
	}
	for i := from; i < to; i++ {
		if d.cls[i] != cSpace {
			return false
		}
	}
	return true
}

// hitInside returns where the label of a name or a role ends inside of word w,
// so that a name may begin there, or 0.
func (d *doc) hitInside(w word) int {
	if w.end-w.start < 4 || d.flag[w.start]&flagHitStart == 0 {
		return 0
	}
	i := d.hitEndingBefore(int(w.end) - 2)
	if i < 0 {
		return 0
	}
	h := d.hits[i]
	if h.start != w.start || h.end-h.start < 2 || h.kind&(kName|kRole) == 0 || tailKindOf(d.r[h.end:w.end]) != 0 ||
		strings.ContainsRune("하되된될할한했합함됩됨해시", d.r[h.end]) { // "참조하시기"
		return 0
	}
	return int(h.end)
}
