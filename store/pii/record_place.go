package pii

import (
	"sort"
	"strings"
	"unicode/utf8"
)

// Where the number of a patient stands tells what it is, label or not.

// recordByPlace says what speaks for the number r[at:end], whose digits begin at
// start, or "".
func (d *doc) recordByPlace(at, start, end int) string {
	switch {
	case d.besidePatient(at, start, end) || d.numberOfPerson(at, start):
		return "beside a patient"
	case d.behindPatient(at) && (d.at(end) == ')' || d.at(end) == ',' && !d.bareDate(start)):
		return "in parentheses behind a name"
	case d.labelBehind(end):
		return "label behind"
	case d.patientTag(at, start) || d.identifierValue(at):
		return "number of a system"
	case d.recordTold(at, start):
		return "label nearby"
	}
	return ""
}

// behindPatient says whether "name (" or "name (M/59, " stands before r[p], or
// "(name, ", or "name 님 (#".
func (d *doc) behindPatient(p int) bool {
	if d.at(p-1) == '#' {
		p--
	}
	q := d.blanksBefore(p)
	if d.at(q-1) == ',' {
		q--
		if d.nameEnds(q) {
			return true
		}
		for n := 0; n < 8 && q > 0 && d.r[q-1] != '('; n++ { // sex and age
			q--
		}
	}
	if d.at(q-1) != '(' && d.at(q-1) != '[' {
		return false
	}
	q = d.blanksBefore(q - 1)
	if d.at(q-1) == ')' { // "name (M/45) ("
		n := q - 2
		for q-n < 8 && n > 0 && d.r[n] != '(' {
			n--
		}
		if d.at(n) == '(' && d.sexAgeAt(n+1) {
			q = d.blanksBefore(n)
		}
	}
	return d.nameEnds(d.beforeHonorific(q))
}

// beforeHonorific returns where what stands before 님, 씨, 환자 or 환자분 ends that
// ends before r[q], or q.
func (d *doc) beforeHonorific(q int) int {
	for _, w := range [...]string{"님", "씨", "환자", "환자분", "환자님"} {
		if n := q - utf8.RuneCountInString(w); n > 0 && d.hasPrefix(n, w) && d.class(n-1) != cHangul {
			return d.blanksBefore(n)
		}
	}
	return q
}

// betweenFields says whether r[p] may stand between the fields of a label or a
// wristband.
func (d *doc) betweenFields(p int) bool {
	switch d.at(p) {
	case '/', ',', '|', '(', '*', '#', '[', ']':
		return true
	}
	return d.class(p) == cSpace || d.class(p) == cNewline && p >= 0 && p < len(d.r)
}

// fieldsOn and fieldsBack step over at most four such runes.
func (d *doc) fieldsOn(p int) int {
	for n := 0; n < 4 && d.betweenFields(p); n++ {
		p++
	}
	return p
}

func (d *doc) fieldsBack(p int) int {
	for n := 0; n < 4 && d.betweenFields(p-1); n++ {
		p--
	}
	return p
}

// besidePatient says whether the number r[at:end], whose digits begin at start,
// stands behind the word 환자, or beside a name and sex and age: "홍길동 20481233
// F/67", "20481233 / 홍길동 / 남 / 67세", "홍길동 F/67 20481233".
func (d *doc) besidePatient(at, start, end int) bool {
	p := at
	for n := 0; n < 3 && p > 0 && (d.cls[p-1] == cSpace || d.r[p-1] == '(' || d.r[p-1] == '#' || d.r[p-1] == ':' || d.r[p-1] == '['); n++ {
		p--
	}
	if h := d.hitEndingAt(p); h != nil && (d.hasPrefix(int(h.start), "환자") || d.hasPrefix(int(h.start), "patient") || d.hasPrefix(int(h.start), "pt")) && h.kind&kRole != 0 {
		return true
	}
	if d.bareDate(start) {
		return false
	}
	before := d.fieldsBack(at)
	if next := d.fieldsOn(end); next > end {
		if d.sexAge(next) {
			return d.nameEnds(before)
		}
		n := d.hangulEnd(next)
		if n == next && d.class(next) == cToken {
			n++
		}
		if n > next && n-next <= 5 && d.sexAge(d.fieldsOn(n)) {
			return d.nameEnds(n)
		}
	}
	if before < at {
		if p := d.sexAgeBefore(before); p > 0 {
			return d.nameEnds(d.fieldsBack(p))
		}
	}
	return false
}

// sexAge says whether "M/45", "45/M" or "남 / 45세" stands at r[p:].
func (d *doc) sexAge(p int) bool {
	if d.sexAgeAt(p) {
		return true
	}
	switch lower(d.at(p)) {
	case '남', '여', 'm', 'f':
		q := p + 1
		for n := 0; n < 3 && (d.class(q) == cSpace || d.at(q) == '/' || d.at(q) == ',' || d.at(q) == '|' || d.at(q) == '자' || d.at(q) == '성'); n++ {
			q++
		}
		return q > p+1 && d.ageEnd(q) > 0
	}
	q := d.ageEnd(p)
	if q == 0 {
		return false
	}
	for n := 0; n < 3 && (d.class(q) == cSpace || d.at(q) == '/' || d.at(q) == ',' || d.at(q) == '|'); n++ {
		q++
	}
	return strings.ContainsRune("남여mf", lower(d.at(q))) && d.at(q) != 0 && !d.class(q+1).word()
}

// ageEnd returns where the age of one to three digits ends that begins at r[p],
// or 0.
func (d *doc) ageEnd(p int) int {
	q := p
	for d.class(q) == cDigit && q-p < 4 {
		q++
	}
	if q == p || q-p > 3 {
		return 0
	}
	switch d.at(q) {
	case '세', 'Y', 'y':
		q++
	}
	if d.class(q).word() {
		return 0
	}
	return q
}

// sexAgeBefore returns where the sex and age begin that end before r[p], or 0.
func (d *doc) sexAgeBefore(p int) int {
	for q := p - 3; q > 0 && q > p-8; q-- {
		if c := d.class(q - 1); !c.word() && c != cToken && d.sexAge(q) {
			for e := q; e < p; e++ {
				if d.cls[e] == cNewline {
					return 0
				}
			}
			return q
		}
	}
	return 0
}

// bareDate says whether the digits r[start:] can be a day: "20240311".
func (d *doc) bareDate(start int) bool {
	i := sort.Search(len(d.dates), func(i int) bool { return d.dates[i].start >= start })
	return i < len(d.dates) && d.dates[i].start == start
}

// labelBehind says whether "(등록번호)" or "[MRN]" stands behind r[:end].
func (d *doc) labelBehind(end int) bool {
	p := d.skipBlanks(end)
	if d.at(p) != '(' && d.at(p) != '[' {
		return false
	}
	h, ok := d.after(p+1, 0, kRecord)
	return ok && (d.at(int(h.end)) == ')' || d.at(int(h.end)) == ']')
}

// patientTag says whether r[at:start] is "MR" or "PT", with a dash or not, the
// letters that some houses put before a patient's number.
func (d *doc) patientTag(at, start int) bool {
	return (start-at == 2 || start-at == 3 && d.r[at+2] == '-') && (d.exactPrefix(at, "MR") || d.exactPrefix(at, "PT"))
}

// identifierWindow is how far the value may stand behind "identifier" in FHIR.
const identifierWindow = 200

// identifierValue says whether `"value":"` stands before r[at], and "identifier"
// before that.
func (d *doc) identifierValue(at int) bool {
	p := at
	for n := 0; n < 5 && (isQuote(d.at(p-1)) || d.at(p-1) == ':' || d.at(p-1) == '=' || d.class(p-1) == cSpace); n++ {
		p--
	}
	if p == at || !d.hasPrefix(p-5, "value") || d.class(p-6).word() {
		return false
	}
	h, ok := d.near(p, identifierWindow, kNumber)
	return ok && d.hasPrefix(int(h.start), "identifier")
}

// toldWindow is how far a number may stand behind the label of a record when the
// rest of a sentence stands between: "환자번호 불러 드릴게요. 20481233입니다".
const toldWindow = 28

// recordTold says whether the label of a record stands before the number in the
// same line, and no other number or label between.
func (d *doc) recordTold(at, start int) bool {
	if d.bareDate(start) || d.label(at) != 0 || d.at(at-1) == '-' || d.at(at-1) == '.' || d.at(at-1) == ',' {
		return false
	}
	h, ok := d.near(at, toldWindow, kIDs|kDate|kDOB|kAdmin|kVersion|kSecret|kBankName)
	if !ok || h.kind&kRecord == 0 || d.short(&h) || d.crossesLine(int(h.end), at) {
		return false
	}
	for i := int(h.end); i < at; i++ {
		switch d.r[i] {
		case ',', ';', '|', '/':
			return false
		}
		if d.cls[i] == cToken {
			return false
		}
	}
	return true
}

// numberOfPerson says whether "ID", "No." or "Case No." stands before the digits r[start:],
// with letters from at on, and the label of a name or a patient close by.
func (d *doc) numberOfPerson(at, start int) bool {
	k := d.label(at)
	if k&(kNumber|kCase) == 0 {
		return false
	}
	if h := d.labelHit(at); h != nil && (d.class(int(h.start)-1) == cHangul || k&kCase != 0 && !d.hasPrefix(int(h.start), "case n")) { // 승인번호
		return false
	}
	if h, ok := d.near(at, 40, kName|kDOB); ok && h.kind&kNumber == 0 {
		return true
	}
	_, ok := d.after(start, 40, kName|kDOB)
	return ok
}
