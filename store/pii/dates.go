package pii

// dateSpan is a date at r[start:end].
type dateSpan struct {
	start, end int
	bare       bool // six or eight digits, or a two-digit year: only a word can tell
}

// scanDates fills d.dates: every stretch that can be read as a day of a year.
func (d *doc) scanDates() {
	for i := range d.groups {
		if s, ok := d.dateAt(i); ok && (len(d.dates) == 0 || d.dates[len(d.dates)-1].end <= s.start) {
			d.dates = append(d.dates, s)
		}
	}
}

// dateAt reads a date that begins with digit group i, or with the name of a
// month before it.
func (d *doc) dateAt(i int) (dateSpan, bool) {
	g := d.groups[i]
	start := int(g.start)
	if g.len() > 8 || g.len() == 5 || g.len() == 7 || d.class(start-1) == cDigit {
		return dateSpan{}, false
	}
	if s, ok := d.englishDate(i); ok {
		return s, true
	}
	if d.class(start-1).latin() || (d.at(start-1) == '-' || d.at(start-1) == '.' || d.at(start-1) == '/') && d.class(start-2).word() {
		return dateSpan{}, false
	}
	switch g.len() {
	case 8:
		if validYear(d.number(start, start+4)) && d.monthDay(start+4) && alone(d.groups, i, 1) && d.clear(start, int(g.end)) {
			return dateSpan{start, int(g.end), true}, true
		}
		return dateSpan{}, false
	case 6:
		if d.monthDay(start+2) && alone(d.groups, i, 1) && d.clear(start, int(g.end)) {
			return dateSpan{start, int(g.end), true}, true
		}
		return dateSpan{}, false
	}
	if i+2 >= len(d.groups) {
		return dateSpan{}, false
	}
	if s, ok := d.koreanDate(i); ok {
		return s, true
	}
	return d.numericDate(i)
}

func validYear(y int) bool { return y >= 1900 && y <= 2099 }

// numericDate reads 2018-11-23, 2018. 11. 23., 11/23/2018 and 85.11.23.
func (d *doc) numericDate(i int) (dateSpan, bool) {
	a, b, c := d.groups[i], d.groups[i+1], d.groups[i+2]
	sep := a.sep
	switch {
	case sep != b.sep && !(d.dots(a, b) && d.dots(b, c)):
		return dateSpan{}, false
	case sep != sepDash && sep != sepDot && sep != sepSlash && !d.dots(a, b) && !(sep == sepWide && d.dashes(a, b)):
		return dateSpan{}, false
	case b.len() > 2 || !alone(d.groups, i, 3) || c.sep == sep && sep != sepSpace && d.at(int(c.end)) != '.':
		return dateSpan{}, false
	}
	end := int(c.end)
	if next := d.class(end); next == cDigit || next.latin() && d.r[end] != 'T' {
		return dateSpan{}, false
	}
	va, vb, vc := d.value(a), d.value(b), d.value(c)
	s := dateSpan{start: int(a.start), end: end}
	switch {
	case a.len() == 4 && c.len() <= 2 && validYear(va) && validDay(vb, vc):
	case a.len() <= 2 && c.len() == 4 && validYear(vc) && (validDay(va, vb) || validDay(vb, va)):
	case a.len() == 2 && c.len() == 2 && validDay(vb, vc):
		s.bare = true
	case sep == sepSlash && a.len() <= 2 && c.len() == 2 && (validDay(va, vb) || validDay(vb, va)): // 03/12/84
		s.bare = true
	default:
		return dateSpan{}, false
	}
	if d.at(end) == '.' && d.dots(a, b) && a.len() != 1 && d.dotIsPart(end, sep) {
		s.end++
	}
	return s, true
}

// dots and dashes say what joins two groups, blanks or not.
func (d *doc) dots(a, b group) bool   { return d.joinedBy(a, b, '.') }
func (d *doc) dashes(a, b group) bool { return d.joinedBy(a, b, '-') }

func (d *doc) joinedBy(a, b group, mark rune) bool {
	if a.sep != sepDot && a.sep != sepDash && a.sep != sepWide {
		return false
	}
	for i := a.end; i < b.start; i++ {
		if d.cls[i] == cNewline {
			return false
		}
		if d.cls[i] == cOther && d.r[i] != mark {
			return false
		}
	}
	return true
}

// dotIsPart says whether the dot at r[end] belongs to the date, as Korean
// documents write it, and does not end the sentence.
func (d *doc) dotIsPart(end int, sep sepKind) bool {
	if sep == sepWide {
		return true
	}
	next := d.class(end + 1)
	if next == cSpace {
		next = d.class(end + 2)
		return next == cHangul || next == cDigit
	}
	return next == cHangul || d.at(end+1) == ',' || d.at(end+1) == ')' || d.at(end+1) == '('
}

func (d *doc) value(g group) int {
	if g.len() > 4 {
		return 1 << 20
	}
	return d.number(int(g.start), int(g.end))
}

// koreanDate reads 2016년 6월 19일.
func (d *doc) koreanDate(i int) (dateSpan, bool) {
	a, b, c := d.groups[i], d.groups[i+1], d.groups[i+2]
	if a.len() != 4 && a.len() != 2 || b.len() > 2 || c.len() > 2 ||
		!d.unitBetween(int(a.end), int(b.start), '년') || !d.unitBetween(int(b.end), int(c.start), '월') {
		return dateSpan{}, false
	}
	end := int(c.end)
	if d.class(end) == cSpace {
		end++
	}
	if d.at(end) != '일' || a.len() == 4 && !validYear(d.value(a)) || !validDay(d.value(b), d.value(c)) {
		return dateSpan{}, false
	}
	return dateSpan{int(a.start), end + 1, false}, true
}

// unitBetween says whether r[from:to] is the unit, with blanks around it.
func (d *doc) unitBetween(from, to int, unit rune) bool {
	if to-from > 4 {
		return false
	}
	seen := false
	for ; from < to; from++ {
		switch {
		case d.r[from] == unit && !seen:
			seen = true
		case d.cls[from] != cSpace:
			return false
		}
	}
	return seen
}

var monthNames = latinMapOf(map[string]bool{
	"january": true, "february": true, "march": true, "april": true, "may": true, "june": true, "july": true,
	"august": true, "september": true, "october": true, "november": true, "december": true,
	"jan": true, "feb": true, "mar": true, "apr": true, "jun": true, "jul": true, "aug": true,
	"sep": true, "sept": true, "oct": true, "nov": true, "dec": true,
})

// englishDate reads "May 25, 1979" (group i is the day) and "25th of May 1979".
func (d *doc) englishDate(i int) (dateSpan, bool) {
	day := d.groups[i]
	if day.len() > 2 || i+1 >= len(d.groups) || d.groups[i+1].len() != 4 {
		return dateSpan{}, false
	}
	year := d.groups[i+1]
	if v := d.value(day); v < 1 || v > 31 || !validYear(d.value(year)) || year.start-day.end > 20 {
		return dateSpan{}, false
	}
	// The name of a month right before the day.
	at := int(day.start)
	for at > 0 && at > int(day.start)-3 && (d.cls[at-1] == cSpace || d.r[at-1] == '.' || d.r[at-1] == '-') {
		at--
	}
	if start, ok := d.monthBefore(at); ok && at < int(day.start) {
		p := d.skipOrdinal(int(day.end))
		for p < int(year.start) && (d.r[p] == ',' || d.cls[p] == cSpace || d.r[p] == '-') {
			p++
		}
		return dateSpan{start, int(year.end), false}, p == int(year.start)
	}
	// Or behind it.
	p := d.skipOrdinal(int(day.end))
	for p < len(d.r) && (d.cls[p] == cSpace || d.r[p] == '-') {
		p++
	}
	if d.hasPrefix(p, "of ") {
		p += 3
	}
	end := p
	for end < len(d.r) && d.cls[end].latin() && end-p < 10 {
		end++
	}
	if !monthNames.get(d.r[p:end]) {
		return dateSpan{}, false
	}
	for end < int(year.start) && (d.r[end] == ',' || d.r[end] == '.' || d.r[end] == '-' || d.cls[end] == cSpace) {
		end++
	}
	return dateSpan{int(day.start), int(year.end), false}, end == int(year.start)
}

// monthBefore returns where the name of a month begins that ends before r[end].
func (d *doc) monthBefore(end int) (start int, ok bool) {
	start = end
	for start > 0 && end-start < 10 && d.cls[start-1].latin() {
		start--
	}
	return start, end > start && monthNames.get(d.r[start:end])
}

func (d *doc) skipOrdinal(p int) int {
	for _, s := range [...]string{"st", "nd", "rd", "th"} {
		if d.hasPrefix(p, s) {
			return p + 2
		}
	}
	return p
}
