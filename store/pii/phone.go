package pii

import "strings"

// findPhones finds Korean, North American and international telephone and fax
// numbers, and behind a label any number that can be one.
func findPhones(d *doc, rec *recogniser) {
	for _, list := range d.lists() {
		for i, g := range list {
			d.phonesFrom(rec, list, i, g)
		}
	}
	for _, w := range d.words { // "공일공 …"
		if w.hangul && w.end-w.start >= 3 && (d.r[w.start] == '공' || d.r[w.start] == '영') {
			d.disguisedPhone(rec, int(w.start))
		}
	}
}

// disguisedPhone proposes a mobile number with odd marks between its digits or with
// digits in Korean letters, and behind a label any Korean number with odd marks
// or a line break inside.
func (d *doc) disguisedPhone(rec *recogniser, start int) bool {
	how, most := readMarks|readSpoken, 11 // what follows may be a particle: "칠칠삼사이고"
	if d.cls[start] == cDigit && d.r[start] != '0' {
		return false
	}
	labelled := d.label(start)&kPhone != 0
	if labelled {
		how |= readLines
	}
	x := d.read(start, how, most)
	end, why, ok := x.korean()
	if !ok || !d.phoneEnds(end) || why == whyService || !labelled && !strings.HasPrefix(why, whyMobile) {
		return false
	}
	d.addPhone(rec, start, start, end, 0.8, why+", disguised")
	return true
}

func (d *doc) phonesFrom(rec *recogniser, list []group, i int, g group) {
	start := int(g.start)
	if g.len() > 15 || !d.phoneBorder(start) {
		return
	}
	if d.at(start-1) == '+' && !d.class(start-2).latin() {
		if end, why, ok := d.international(start); ok {
			from := start - 1
			if d.at(from-1) == '(' && d.closes(from, end) {
				from--
			}
			d.addAs(rec, d.lineKind(from), from, end, 0.995, why)
		}
		return
	}
	open := start // with the parenthesis of "(042) 277-3250"
	if d.at(start-1) == '(' && g.sep == sepParen {
		open--
	}
	if end, why, ok := d.phoneAt(start); ok && d.phoneEnds(end) {
		score := 0.85
		if why == whyService {
			score = d.serviceScore(start)
		}
		d.addPhone(rec, open, start, end, score, why)
		return
	}
	if d.disguisedPhone(rec, start) {
		return
	}
	if end, score, ok := d.northAmerican(list, i); ok {
		d.addPhone(rec, open, start, end, score, "area code, exchange and line")
		return
	}
	if d.label(start)&kPhone != 0 {
		if end, ok := d.phoneByLabel(list, i); ok {
			d.addAs(rec, d.lineKind(open), open, end, 0.85, "label")
		}
	}
}

// addPhone weighs and proposes r[from:end]; the digits begin at start.
func (d *doc) addPhone(rec *recogniser, from, start, end int, score float64, why string) {
	switch l := d.label(from); {
	case l&kPhone != 0:
		score, why = 1, "label, "+why
	case l&(kIDs&^kNotID) != 0:
		score, why = score*0.75, why+", but another label"
	case l&kNotID != 0:
		score, why = score*0.5, why+", but another label"
	default:
		if _, ok := d.near(from, window, kPhone); ok {
			score, why = min(score+0.1, 0.99), why+", word nearby"
		}
	}
	d.addAs(rec, d.lineKind(from), from, end, score, why)
}

// lineKind says whether the number at r[start:] is that of a fax: behind a label
// such as 팩스, or behind "F.".
func (d *doc) lineKind(start int) string {
	if d.label(start)&kFax != 0 {
		return Fax
	}
	p := start
	for p > 0 && start-p < 3 && (d.cls[p-1] == cSpace || d.r[p-1] == '.' || d.r[p-1] == ':' || d.r[p-1] == ')') {
		p--
	}
	if lower(d.at(p-1)) == 'f' && !d.class(p-2).word() && p < start {
		return Fax
	}
	return Phone
}

// phoneBorder says whether a telephone number can begin at r[start].
func (d *doc) phoneBorder(start int) bool {
	switch c := d.class(start - 1); {
	case c.latin(): // "T010-…", "tel02…"
		h := d.hitEndingAt(start)
		return !d.class(start-2).word() || h != nil && h.kind&kPhone != 0
	case d.at(start-1) == '-' || d.at(start-1) == '.':
		return d.class(start-2) != cDigit
	}
	return true
}

// phoneEnds says whether a telephone number can end before r[end].
func (d *doc) phoneEnds(end int) bool {
	switch c := d.class(end); {
	case c == cDigit || c.latin():
		return false
	case d.at(end) == '-':
		return d.class(end+1) != cDigit
	}
	return true
}

func (d *doc) closes(open, end int) bool {
	for i := open; i < end; i++ {
		if d.r[i] == ')' {
			return true
		}
	}
	return false
}

// Why a Korean number is one.
const (
	whyMobile   = "mobile prefix"
	whyLandline = "area code"
	whyService  = "service prefix"
)

// servicePrefixes are those of the nationwide numbers of companies.
var servicePrefixes = map[int]bool{
	1522: true, 1533: true, 1544: true, 1545: true, 1551: true, 1555: true, 1566: true, 1577: true, 1588: true,
	1599: true, 1600: true, 1611: true, 1644: true, 1660: true, 1661: true, 1666: true, 1668: true, 1670: true,
	1688: true, 1800: true, 1811: true, 1833: true, 1844: true, 1855: true, 1877: true, 1899: true,
}

// koreanPrefix returns the length of the prefix that the digits begin with and
// what it is, or 0. Source: the numbering plan of the Ministry of Science and
// ICT (전기통신번호관리세칙).
func koreanPrefix(b []int) (n int, why string) {
	if len(b) < 8 {
		return 0, ""
	}
	if b[0] == 1 {
		if servicePrefixes[b[0]*1000+b[1]*100+b[2]*10+b[3]] {
			return 4, whyService
		}
		return 0, ""
	}
	if b[0] != 0 {
		return 0, ""
	}
	switch b[1] {
	case 1:
		if b[2] == 0 || b[2] == 1 || b[2] >= 6 {
			return 3, whyMobile
		}
	case 2:
		return 2, whyLandline
	case 3:
		if b[2] >= 1 && b[2] <= 3 {
			return 3, whyLandline
		}
	case 4:
		if b[2] >= 1 && b[2] <= 4 {
			return 3, whyLandline
		}
	case 5:
		if b[2] >= 1 && b[2] <= 5 {
			return 3, whyLandline
		}
		if b[2] == 0 && b[3] >= 2 {
			return 4, "personal number prefix"
		}
	case 6:
		if b[2] >= 1 && b[2] <= 4 || b[2] == 0 {
			return 3, whyLandline
		}
	case 7, 8:
		if b[2] == 0 {
			return 3, "internet or free number prefix"
		}
	}
	return 0, ""
}

// phoneAt says whether a Korean number begins at the digit r[start].
func (d *doc) phoneAt(start int) (end int, why string, ok bool) {
	if d.r[start] != '0' && d.r[start] != '1' {
		return 0, "", false
	}
	x := d.run(start)
	return x.korean()
}

func (x *run) korean() (end int, why string, ok bool) {
	p, why := koreanPrefix(x.digits[:x.n])
	if p == 0 {
		return 0, "", false
	}
	if p == 4 && x.digits[0] == 1 {
		if x.n < 8 || !x.joined(0, 4) || !x.joined(4, 8) || x.n > 8 && x.joined(7, 9) {
			return 0, "", false
		}
		return x.at[7] + 1, why, true
	}
	middle := [...]int{4, 3}
	if why == whyMobile && x.digits[2] == 0 {
		middle = [...]int{4, 4}
	}
	for _, m := range middle {
		n := p + m + 4
		if x.n >= n && m == 3 && x.joined(0, p+1) != x.joined(p+m-1, p+m+1) {
			continue // "011178 2014"
		}
		if x.n >= n && x.joined(0, p) && x.joined(p, p+m) && x.joined(p+m, n) && (x.n == n || !x.joined(n-1, n+1)) {
			return x.at[n-1] + 1, why, true
		}
	}
	// Blanks between all the digits.
	if n := 11; why == whyMobile && x.n == n && x.at[n-1]-x.at[0] >= 2*(n-1) {
		return x.at[n-1] + 1, why + ", digits apart", true
	}
	return 0, "", false
}

// serviceScore is lower where a company's number can be two years: "1588-1600".
func (d *doc) serviceScore(start int) float64 {
	x := d.run(start)
	if second := x.digits[4]*1000 + x.digits[5]*100 + x.digits[6]*10 + x.digits[7]; second >= 1500 && second <= 2100 {
		p := d.blanksBefore(start)
		for _, w := range [...]string{"문의", "상담", "예약", "센터", "☎", "대표"} {
			if n := len([]rune(w)); d.hasPrefix(p-n, w) || d.at(p-1) == ':' && d.hasPrefix(d.blanksBefore(p-1)-n, w) {
				return 0.6
			}
		}
		return 0.4
	}
	return 0.6
}

// international reads what follows '+'.
func (d *doc) international(start int) (end int, why string, ok bool) {
	x := d.run(start)
	switch {
	case x.n < 8 || x.digits[0] == 0:
		return 0, "", false
	case x.digits[0] == 8 && x.digits[1] == 2:
		y := run{n: 1, at: [16]int{x.at[2] - 1}} // the zero that +82 drops
		skip := 2
		if x.digits[2] == 0 { // +82 (0)10
			skip = 3
		}
		y.at[0] = x.at[skip] - 1
		for i := skip; i < x.n && y.n < len(y.digits); i++ {
			y.digits[y.n], y.at[y.n] = x.digits[i], x.at[i]
			y.n++
		}
		y.gaps = x.gaps >> skip << 1 &^ 2
		if end, why, ok := y.korean(); ok {
			return end, "country code, " + why, true
		}
	case x.digits[0] == 1:
		if x.n >= 11 && x.digits[1] >= 2 {
			return x.at[10] + 1, "country code", d.phoneEnds(x.at[10] + 1)
		}
		return 0, "", false
	}
	n := min(x.n, 15)
	for n > 7 && n < x.n && x.joined(n-1, n+1) {
		n--
	}
	return x.at[n-1] + 1, "country code", n >= 8
}

// northAmerican says whether the groups from i on are an area code, an exchange
// and a line number, perhaps behind a 1.
func (d *doc) northAmerican(list []group, i int) (end int, score float64, ok bool) {
	if list[i].len() == 1 && d.r[list[i].start] == '1' && list[i].sep != sepFar && list[i].sep != sepSlash && i+1 < len(list) {
		i++
	}
	if i+3 > len(list) {
		return 0, 0, false
	}
	a, b, c := list[i], list[i+1], list[i+2]
	if a.len() != 3 || b.len() != 3 || c.len() != 4 || d.r[a.start] < '2' || d.r[b.start] < '2' || !d.phoneEnds(int(c.end)) {
		return 0, 0, false
	}
	switch {
	case a.sep == sepParen && (b.sep == sepDash || b.sep == sepSpace || b.sep == sepDot):
		score = 0.85
	case a.sep == sepDash && b.sep == sepDash || a.sep == sepDot && b.sep == sepDot:
		score = 0.75
	case a.sep == sepSpace && (b.sep == sepSpace || b.sep == sepDash):
		score = 0.55
	default:
		return 0, 0, false
	}
	return int(c.end), score, true
}

// phoneByLabel takes what stands behind a telephone label: 7 to 15 digits in
// groups that are no date.
func (d *doc) phoneByLabel(list []group, i int) (end int, ok bool) {
	digits := 0
	for ; i < len(list); i++ {
		g := list[i]
		if digits += g.len(); digits > 15 || g.len() > 12 {
			return 0, false
		}
		next := g.sep >= sepNone && g.sep <= sepWide || g.sep == sepParen
		if !next || digits >= 7 && g.sep == sepSpace && digits+list[i+1].len() > 12 {
			return int(g.end), digits >= 7 && d.phoneEnds(int(g.end))
		}
	}
	return 0, false
}
