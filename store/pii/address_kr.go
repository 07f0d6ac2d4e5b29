package pii

import "strings"

// findKoreanAddresses finds Korean addresses as one span from the province to
// the floor, new style (road and number) and old style (동 or 리 and lot). An
// area without a number, such as "서울특별시 강남구", needs a label.
func findKoreanAddresses(d *doc, rec *recogniser) {
	next := 0
	for _, h := range d.hits {
		start := int(h.start)
		if start < next || h.kind&(kProvince|kDistrict|kAddress) == 0 {
			continue
		}
		if h.kind&kAddress != 0 { // "배송지: 역삼동 823-45"
			p := d.skipFieldMarks(int(h.end))
			if d.class(p) != cHangul || d.class(p-1) == cHangul {
				continue
			}
			start = p
		} else if d.class(start-1) == cHangul && !d.endsHit(start) {
			continue
		}
		a := d.parseAddress(start)
		if score, why := a.judge(d); score > 0 {
			end := a.end
			if from := d.postcodeBefore(a.start); from < a.start && score >= 0.5 {
				a.start = from
			}
			d.add(rec, a.start, end, score, why)
			if score >= 0.5 {
				d.flag[a.start] |= flagAddress
				next = end
			}
		}
	}
}

// address is what parseAddress read.
type address struct {
	start, end int
	province   uint32
	district   uint32
	districts  int  // number of them
	mismatch   bool // the district is not in the province
	area       bool // 읍, 면, 동, 리 or 가
	road       bool
	number     bool
	details    int // building, 동, 호, 층
}

// parseAddress reads as much of an address as stands at r[start:].
func (d *doc) parseAddress(start int) address {
	a := address{start: start, end: start}
	p := start
	for n := 0; n < 9 && !a.number; n++ {
		p = d.skipBlanks(p)
		if !d.addressPart(&a, p) && !d.addressGoesOn(&a, p) {
			break
		}
		p = a.end
	}
	if !a.number && (!a.area || !a.anchored()) {
		return a
	}
	for range 10 {
		if !d.addressDetail(&a) {
			break
		}
	}
	return a
}

// addressGoesOn reads one part in the next line, where the address has a label and
// the line begins with a district, a road, or a place that has a number.
func (d *doc) addressGoesOn(a *address, p int) bool {
	if d.class(p) != cNewline || !a.anchored() || d.label(a.start)&kAddress == 0 {
		return false
	}
	if p++; d.at(p-1) == '\r' && d.at(p) == '\n' {
		p++
	}
	if p = d.skipBlanks(p); d.class(p) != cHangul {
		return false
	}
	b := *a
	if !d.addressPart(&b, p) || b.area && !a.area && d.class(d.skipBlanks(b.end)) != cDigit {
		return false
	}
	*a = b
	return true
}

// addressPart reads one part up to the number.
func (d *doc) addressPart(a *address, p int) bool {
	if d.class(p) == cDigit {
		return (a.road || a.area) && d.addressNumber(a, p)
	}
	if a.road || a.area { // "산 12-3", "지하 175"
		for _, w := range [...]string{"산", "지하"} {
			if q := d.skipBlanks(p + len([]rune(w))); d.hasPrefix(p, w) && d.class(q) == cDigit {
				return d.addressNumber(a, q)
			}
		}
	}
	if d.class(p) != cHangul {
		return false
	}
	end := p
	for end < len(d.r) && end-p < 14 && (d.cls[end] == cHangul || d.cls[end] == cDigit || d.r[end] == '·') {
		end++
	}
	g := places()
	if a.province == 0 && a.districts == 0 && !a.area && !a.road {
		for q := min(end, p+7); q >= p+2; q-- {
			if bits := g.province(d.r[p:q]); bits != 0 && (q == end || g.district(d.r[q:end]) != 0 || q-p > 2) {
				a.province, a.end = bits, q
				return true
			}
		}
	}
	if a.districts < 2 && !a.area && !a.road {
		for q := min(end, p+6); q >= p+2; q-- {
			if bits := g.district(d.r[p:q]); bits != 0 {
				if a.province != 0 && a.province&bits == 0 || a.district&bits == 0 && a.district != 0 {
					a.mismatch = true
				}
				a.district, a.end = bits, q
				a.districts++
				return true
			}
		}
	}
	return d.areaOrRoad(a, p, end)
}

// areaOrRoad reads the word r[p:end] as 읍, 면, 동, 리, 가, 로 or 길.
func (d *doc) areaOrRoad(a *address, p, end int) bool {
	for q := end; q >= p+2; q-- { // a particle or a number may hang on it
		last := d.r[q-1]
		if d.cls[q-1] != cHangul || q < end && d.cls[q] == cHangul && !a.anchored() {
			continue
		}
		switch last {
		case '로', '길':
			if q < end && d.cls[q] != cDigit || d.cls[p] != cHangul {
				continue
			}
			if d.hasPrefix(q-2, "으로") || !d.roadNumberFollows(q) {
				continue
			}
			a.road, a.end = true, q
			return true
		case '읍', '면', '동', '리', '가':
			if q-p > 7 || q < end && d.cls[q] == cHangul || d.hasPrefix(q-3, "어딘가") {
				continue
			}
			a.area, a.end = true, q
			return true
		}
	}
	return false
}

func (a *address) anchored() bool { return a.province != 0 || a.districts > 0 }

// roadNumberFollows says whether a number or a side road follows the name of a road.
func (d *doc) roadNumberFollows(p int) bool {
	p = d.skipBlanks(p)
	if d.hasPrefix(p, "지하") {
		p = d.skipBlanks(p + 2)
	}
	return d.class(p) == cDigit
}

// addressNumber reads "12길", "242", "823-45번지" at r[p:].
func (d *doc) addressNumber(a *address, p int) bool {
	q := p
	for q-p < 5 && d.class(q) == cDigit {
		q++
	}
	if d.class(q) == cDigit {
		return false
	}
	for _, w := range [...]string{"번길", "번로", "길", "가길", "나길", "다길", "라길", "로"} {
		if d.hasPrefix(q, w) && (w != "로" || d.roadNumberFollows(q+1)) {
			if w == "로" && d.class(q+1) == cHangul {
				continue
			}
			a.road, a.end = true, q+len([]rune(w))
			return true
		}
	}
	if d.at(q) == '가' && a.road { // 을지로 2가
		a.area, a.end = true, q+1
		return true
	}
	if d.at(q) == '동' && !a.area && a.districts > 0 && q-p == 1 {
		return false
	}
	if dash, next := d.looseDash(q); next > 0 {
		q = dash
		r := next
		for r-q < 5 && d.class(r) == cDigit {
			r++
		}
		if d.class(r) == cDigit || d.at(r) == '-' {
			return false
		}
		q = r
	}
	if d.countsSomething(q) {
		return false
	}
	if d.hasPrefix(q, "번지") {
		q += 2
	} else if d.hasPrefix(q, " 번지") {
		q += 3
	}
	a.number, a.end = true, q
	return true
}

// looseDash says whether a dash and a digit follow at p, perhaps with a blank on
// both sides: the places of both, or 0.
func (d *doc) looseDash(p int) (dash, digit int) {
	if d.at(p) == '-' && d.class(p+1) == cDigit {
		return p, p + 1
	}
	if d.class(p) == cSpace && d.at(p+1) == '-' && d.class(p+2) == cSpace && d.class(p+3) == cDigit {
		return p + 1, p + 3
	}
	return 0, 0
}

// countsSomething says whether a unit follows a number, so that it is not that
// of a house.
func (d *doc) countsSomething(q int) bool {
	if d.at(q) == '.' && d.class(q+1) == cDigit || d.at(q) == ',' && d.class(q+1) == cDigit || d.at(q) == '%' || d.at(q) == '~' && d.class(q+1) == cDigit {
		return true
	}
	if d.class(q).latin() {
		return true
	}
	for _, u := range [...]string{"년", "월", "원", "명", "개", "건", "번 출구", "번출구", "호선", "회", "점", "시간", "분", "퍼센트", "미터", "억", "만", "천", "세", "살", "차", "위", "인분", "주년", "일"} {
		if d.hasPrefix(q, u) && !(u == "일" && d.class(q+1) == cHangul) {
			return true
		}
	}
	return false
}

// addressDetail reads one of building, 동, 호, 층 and "(역삼동)" behind the number.
func (d *doc) addressDetail(a *address) bool {
	p, commas := a.end, 0
	for p < a.end+3 && (d.class(p) == cSpace || d.at(p) == ',') {
		if d.r[p] == ',' {
			commas++
		}
		p++
	}
	if d.at(p) == '(' && p-a.end < 3 {
		return d.addressParenthesis(a, p)
	}
	if p == a.end || commas > 1 {
		return false
	}
	if q, ok := d.unitOfBuilding(p); ok {
		a.end = q
		a.details++
		return true
	}
	q := p
	for q < len(d.r) && q-p < 16 && (d.cls[q] == cHangul || d.cls[q] == cDigit || d.cls[q].latin() || d.r[q] == '-') {
		q++
	}
	if q == p || d.cls[p] == cDigit && d.cls[q-1] == cDigit {
		return false
	}
	if n := buildingName(d.r[p:q]); n > 0 {
		a.end = p + n
		if d.class(a.end) == cDigit { // "은빛마을5단지"
			if e, ok := d.unitOfBuilding(a.end); ok {
				a.end = e
			}
		}
		a.details++
		return true
	}
	if d.cls[p] == cDigit {
		return false
	}
	if _, ok := d.unitOfBuilding(d.skipBlanks(q)); ok && d.cls[q-1] != cDigit && q-p > 1 && d.skipBlanks(q) > q {
		a.end = q
		a.details++
		return true
	}
	return false
}

// unitOfBuilding reads "107동", "1122호", "지하 1층", "B101호" at r[p:].
func (d *doc) unitOfBuilding(p int) (end int, ok bool) {
	if d.hasPrefix(p, "지하") {
		p = d.skipBlanks(p + 2)
	} else if r := d.at(p); (r == 'B' || r == 'b' || r == '제') && d.class(p+1) == cDigit {
		p++
	}
	q := p
	for q-p < 5 && d.class(q) == cDigit {
		q++
	}
	letter := q == p && q-p == 0 && (d.class(q) == cUpper || strings.ContainsRune("가나다라마바", d.at(q))) && d.at(q+1) == '동'
	if q == p && !letter {
		return 0, false
	}
	if letter {
		return q + 2, d.class(q+2) == cSpace
	}
	for _, u := range [...]string{"호실", "층", "동", "호", "단지", "블록", "실", "관", "통", "반", "f", "차"} {
		if !d.hasPrefix(q, u) {
			continue
		}
		n := q + len([]rune(u))
		if u == "f" && d.class(n).latin() || (u == "통" || u == "반" || u == "차" || u == "관") && d.class(n) == cHangul || u == "호" && d.at(n) == '선' {
			continue
		}
		return n, true
	}
	return 0, false
}

// buildingSuffixes end the names of buildings.
var buildingSuffixes = []string{
	"아파트", "빌라", "빌딩", "타워", "오피스텔", "맨션", "멘션", "주택", "연립", "상가", "프라자", "플라자", "센터", "하이츠",
	"타운", "캐슬", "팰리스", "자이", "푸르지오", "래미안", "힐스테이트", "아이파크", "더샵", "롯데캐슬", "이편한세상", "e편한세상",
	"편한세상", "파크", "마을", "빌리지", "하우스", "원룸", "고시원", "기숙사", "병원", "의원", "약국", "회관", "학교", "apt",
}

// buildingName returns how much of word is the name of a building, without
// what hangs on it.
func buildingName(word []rune) int {
	s := string(word)
	best := 0
	for _, suffix := range buildingSuffixes {
		if i := strings.Index(strings.ToLower(s), suffix); i > 0 || i == 0 && suffix == "아파트" {
			if n := len([]rune(s[:i+len(suffix)])); n > best {
				best = n
			}
		}
	}
	return best
}

// addressParenthesis reads "(역삼동, 한빛빌딩)".
func (d *doc) addressParenthesis(a *address, p int) bool {
	end := p + 1
	for end < len(d.r) && end-p < 30 && d.r[end] != ')' && d.cls[end] != cNewline && d.cls[end] != cToken {
		end++
	}
	if d.at(end) != ')' {
		return false
	}
	q := p + 1
	for q < end && (d.cls[q] == cHangul || d.cls[q] == cDigit) {
		q++
	}
	if q-p < 3 || !strings.ContainsRune("동가리읍면", d.r[q-1]) && buildingName(d.r[p+1:q]) == 0 || d.cls[p+1] == cDigit {
		return false
	}
	a.end = end + 1
	a.details++
	return true
}

// judge scores what was read.
func (a *address) judge(d *doc) (float64, string) {
	place := a.road || a.area
	label := d.label(a.start)&kAddress != 0
	score, why := 0.0, ""
	switch {
	case a.anchored() && place && a.number:
		score, why = 0.9, "district, place and number"
	case a.anchored() && a.area && a.details > 1: // "관악구 봉천동 늘봄맨션 105동 904호"
		score, why = 0.85, "district, place and unit of a building"
	case place && a.number && a.details > 0:
		score, why = 0.6, "place, number and unit of a building"
	case a.road && a.number:
		score, why = 0.4, "road and number"
	case a.area && a.number && d.r[a.end-1] == '지':
		score, why = 0.6, "place and lot"
	case a.anchored() && place:
		score, why = 0.45, "district and place"
	case place && a.number:
		score, why = 0.3, "place and number"
	case a.province != 0 && a.districts > 0 || a.districts > 1:
		score, why = 0.35, "province and district"
	case a.anchored():
		score, why = 0.15, "district"
	case !label:
		return 0, ""
	}
	if label && (a.number || a.anchored()) {
		score, why = min(score+0.4, 1), "label, "+why
	} else if d.livesBehind(a.end) && score >= 0.35 {
		score, why = score+0.2, why+", someone lives there"
	}
	if a.mismatch {
		score, why = score-0.5, why+", but the district is elsewhere"
	}
	return score, why
}

// livesBehind says whether "에 거주", "에 살" or the like follows.
func (d *doc) livesBehind(p int) bool {
	for _, w := range [...]string{"에 거주", "에서 거주", "에 살", "에 사는", "에서 사는", " 거주", "에 주소를", "에 주민등록", "에서 살"} {
		if d.hasPrefix(p, w) {
			return true
		}
	}
	return false
}

// postcodeBefore returns where a five-digit postcode begins that stands right
// before an address, or pos.
func (d *doc) postcodeBefore(pos int) int {
	p := pos
	for p > 0 && pos-p < 3 && (d.cls[p-1] == cSpace || d.r[p-1] == ')' || d.r[p-1] == ']' || d.r[p-1] == ',' || d.cls[p-1] == cNewline) {
		p--
	}
	n := 0
	for n < 6 && d.class(p-1-n) == cDigit {
		n++
	}
	if p == pos || n != 5 || d.class(p-6).word() {
		return pos
	}
	p -= 5
	if open := d.at(p - 1); open == '(' || open == '[' {
		p--
	}
	return p
}

func (d *doc) skipBlanks(p int) int {
	for n := 0; n < 3 && d.class(p) == cSpace; n++ {
		p++
	}
	return p
}

// skipFieldMarks returns where the value of a field begins whose label ends at p.
func (d *doc) skipFieldMarks(p int) int {
	for n := 0; n < 6; n++ {
		switch {
		case d.class(p) == cSpace, strings.ContainsRune(":=\"'([-)는은가이", d.at(p)) && d.at(p) != 0:
			p++
		default:
			return p
		}
	}
	return p
}

// endsHit says whether a word of the lexicon ends before r[pos], so that the
// one that begins there stands on its own: "주소서울".
func (d *doc) endsHit(pos int) bool {
	return d.flag[pos]&flagHitEnd != 0
}
