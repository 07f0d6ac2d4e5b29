package pii

import (
	"strings"
	"sync"
)

// streetWords end the names of streets. Those marked weak are also everyday
// words, and need a city, a postcode or a label beside them.
var streetWords = map[string]bool{ // true: weak
	"street": false, "st": false, "avenue": false, "ave": false, "av": false, "boulevard": false, "blvd": false,
	"road": false, "rd": false, "lane": false, "ln": false, "drive": true, "dr": true, "court": true, "ct": true,
	"place": true, "pl": true, "square": true, "sq": true, "terrace": true, "ter": true, "way": true, "parkway": false,
	"pkwy": false, "highway": true, "hwy": true, "circle": true, "cir": true, "trail": true, "trl": true, "row": true,
	"close": true, "crescent": true, "cres": true, "alley": true, "broadway": true, "loop": true, "plaza": true,
	"turnpike": false, "expressway": true, "gardens": true, "grove": true, "mews": false, "quay": true, "walk": true,
	"run": true, "path": true, "pike": true, "point": true, "ridge": true, "crossing": true, "heights": true, "bend": true,
}

// unitWords begin the part of an address inside of a building.
var unitWords = latinMapOf(map[string]bool{
	"apt": true, "apartment": true, "suite": true, "ste": true, "unit": true, "floor": true, "fl": true, "room": true,
	"rm": true, "bldg": true, "building": true, "flat": true, "lot": true, "space": true, "penthouse": true, "ph": true,
})

// statePlaces holds postal abbreviations (in capitals) and names of states.
var statePlaces = sync.OnceValue(func() map[string]bool {
	m := make(map[string]bool)
	for _, line := range dataLines("us_places.txt") {
		for entry := range strings.SplitSeq(line, "|") {
			short, name, _ := strings.Cut(entry, " ")
			m[short], m[name] = true, true
		}
	}
	return m
})

// findEnglishAddresses finds addresses that begin with the number of a house:
// "7916 Lake St, Apt 4B, Chicago, IL 60614"; post boxes; and Korean addresses
// in Latin letters: "12, Teheran-ro 4-gil, Gangnam-gu, Seoul".
func findEnglishAddresses(d *doc, rec *recogniser) {
	next := 0
	for _, g := range d.groups {
		start := int(g.start)
		if start < next || g.len() > 6 || d.class(start-1).word() || d.at(start-1) == '.' || d.at(start-1) == '$' {
			continue
		}
		if end, score, why := d.romanAddress(start); score > 0 {
			score, why = d.liftAddress(start, end, score, why)
			d.add(rec, d.unitBefore(start), end, score, why)
			next = end
			continue
		}
		if end, score, why := d.streetAddress(start, int(g.end)); score > 0 {
			score, why = d.liftAddress(start, end, score, why)
			d.add(rec, start, end, score, why)
			if score >= 0.5 {
				next = end
			}
			continue
		}
		if box := d.postBox(start); box >= 0 {
			end, parts := d.cityStatePostcode(int(g.end))
			score := 0.6 + 0.15*float64(min(parts, 2))
			d.add(rec, box, end, score, "post box")
			next = end
		}
	}
}

// unitBefore returns where "Apt. " or the like begins right before r[start], or start.
func (d *doc) unitBefore(start int) int {
	p := d.blanksBefore(start)
	if d.at(p-1) == '.' {
		p--
	}
	q := p
	for q > 0 && p-q < 10 && d.cls[q-1].latin() {
		q--
	}
	if q < p && unitWords.get(d.r[q:p]) {
		return q
	}
	return start
}

func (d *doc) liftAddress(start, end int, score float64, why string) (float64, string) {
	if d.label(start)&kAddress != 0 {
		return min(score+0.35, 1), "label, " + why
	}
	if _, ok := d.near(start, 16, kAddress); ok {
		return min(score+0.3, 1), why + ", word nearby"
	}
	return score, why
}

// wordAt returns the end of the Latin word, with its apostrophes and dots
// inside, that begins at r[p].
func (d *doc) wordAt(p int) int {
	q := p
	for q < len(d.r) && q-p < 24 && (d.cls[q].latin() || (d.r[q] == '\'' || d.r[q] == '-') && q > p && d.class(q+1).latin()) {
		q++
	}
	d.steps += q - p
	return q
}

// streetAddress reads what follows the number r[start:p].
func (d *doc) streetAddress(start, p int) (end int, score float64, why string) {
	if d.class(p).latin() && !d.class(p+1).word() { // 221B
		p++
	}
	street, weak := 0, false
	q := p
	for n := range 6 {
		if d.class(q) != cSpace {
			break
		}
		q++
		w := d.wordAt(q)
		if w == q { // "5th Avenue", "42nd Street"
			o := q
			for d.class(o) == cDigit && o-q < 4 {
				o++
			}
			if o == q || d.skipOrdinal(o) == o {
				break
			}
			w = d.skipOrdinal(o)
			q = w
			continue
		}
		word := lowerString(d.r[q:w])
		isWeak, known := streetWords[word]
		if known && (n > 0 || word == "broadway") && (d.cls[q] == cUpper || !isWeak) {
			street, weak = w, isWeak
		} else if street > 0 && n > 0 && len(word) <= 2 && strings.Trim(word, "nsew") == "" {
			street = w // "Main St NW"
		} else if d.cls[q] != cUpper || street > 0 {
			break
		}
		q = w
		if d.at(q) == '.' && street == 0 && len(word) <= 2 { // "W. Magnolia", "St. Mary's"
			q++
		}
	}
	if street == 0 {
		return 0, 0, ""
	}
	end, units := d.addressUnit(street)
	last, parts := d.cityStatePostcode(end)
	score, why = 0.6, "number and street"
	if weak {
		score, why = 0.3, "number and what can be a street"
	}
	if units {
		score += 0.15
	}
	if parts > 0 {
		end = last
		score += 0.2 * float64(parts)
		why += ", city, state or postcode"
	}
	return end, min(score, 0.97), why
}

// addressUnit reads ", Apt 4B" or " #12".
func (d *doc) addressUnit(end int) (int, bool) {
	p := end
	for p < end+4 && (d.class(p) == cSpace || d.at(p) == ',' || d.at(p) == '.') {
		p++
	}
	if d.at(p) == '#' && d.class(p+1) == cDigit {
		return d.alnumEnd(p + 1), true
	}
	w := d.wordAt(p)
	if w == p || !unitWords.get(d.r[p:w]) {
		q := p // "3rd Floor", "4th Fl"
		for d.class(q) == cDigit && q-p < 3 {
			q++
		}
		if o := d.skipOrdinal(q); q > p && o > q && d.class(o) == cSpace {
			if w := d.wordAt(o + 1); unitWords.get(d.r[o+1 : w]) {
				return w, true
			}
		}
		return end, false
	}
	p = w
	for p < w+3 && (d.class(p) == cSpace || d.at(p) == '.' || d.at(p) == '#') {
		p++
	}
	if q := d.alnumEnd(p); q > p && q-p < 7 && (d.cls[p] == cDigit || d.cls[p] == cUpper) {
		return q, true
	}
	return end, false
}

func (d *doc) alnumEnd(p int) int {
	for d.class(p) == cDigit || d.class(p).latin() || d.at(p) == '-' && (d.class(p+1) == cDigit || d.class(p+1) == cUpper) {
		p++
	}
	return p
}

// cityStatePostcode reads ", Chicago, IL 60614" and says how much of it there is.
func (d *doc) cityStatePostcode(end int) (last, parts int) {
	p := end
	last = end
	if d.at(p) == '.' && d.at(p+1) == ',' {
		p++
	}
	comma := d.at(p) == ',' || d.class(p) == cNewline
	if !comma && d.class(p) != cSpace {
		return end, 0
	}
	for p < len(d.r) && (d.r[p] == ',' || d.cls[p] == cSpace || d.cls[p] == cNewline) && p-end < 4 {
		p++
	}
	// Up to four words of a city, the last of which may be the state already.
	city := p
	for n := 0; n < 4 && d.class(p) == cUpper; n++ {
		w := d.wordAt(p)
		if w-p >= 2 && w-p <= 3 && statePlaces()[d.slice(p, w)] && n > 0 {
			break
		}
		q := w
		if d.at(q) == '.' && w-p <= 2 { // "St. Louis"
			q++
		}
		p = q
		if d.class(p) != cSpace || d.class(p+1) != cUpper {
			break
		}
		p++
	}
	if p == city {
		return end, 0
	}
	cityEnd := p
	for cityEnd > city && d.cls[cityEnd-1] == cSpace {
		cityEnd--
	}
	q := p
	for q < p+3 && (d.class(q) == cSpace || d.at(q) == ',') {
		q++
	}
	if w, ok := d.stateAt(q); ok {
		last, parts = w, 2
		if code := d.postcodeAt(w); code > 0 {
			return code, 3
		}
		return last, parts
	}
	if code := d.postcodeAt(cityEnd); code > 0 && comma {
		return code, 2
	}
	// ", Boston, MA" needs the comma; "Main St Boston" stays without.
	return end, 0
}

// stateAt reads the abbreviation or name of a state at r[p:].
func (d *doc) stateAt(p int) (end int, ok bool) {
	w := d.wordAt(p)
	if w > p && statePlaces()[d.slice(p, w)] {
		return w, true
	}
	if d.class(w) == cSpace {
		if w2 := d.wordAt(w + 1); w2 > w+1 && statePlaces()[d.slice(p, w2)] {
			return w2, true
		}
	}
	return 0, false
}

// postcodeAt reads " 60614", " 60614-1234", " SW1A 1AA" or " M5V 2T6" at r[p:],
// and returns its end or 0.
func (d *doc) postcodeAt(p int) int {
	q := p
	for q < p+3 && (d.class(q) == cSpace || d.at(q) == ',') {
		q++
	}
	if q == p {
		return 0
	}
	n := 0
	for n < 6 && d.class(q+n) == cDigit {
		n++
	}
	switch {
	case n == 5 && d.at(q+5) == '-' && d.class(q+9) == cDigit && d.class(q+10) != cDigit:
		return q + 10
	case (n == 5 || n == 4) && !d.class(q+n).word():
		return q + n
	case n > 0:
		return 0
	}
	w := q
	for w-q < 4 && (d.class(w) == cUpper || d.class(w) == cDigit) {
		w++
	}
	if w-q >= 2 && d.cls[q] == cUpper && d.hasDigit(q, w) && d.class(w) == cSpace && d.class(w+1) == cDigit &&
		d.class(w+2) == cUpper && (d.class(w+3) == cUpper || d.class(w+3) == cDigit) && !d.class(w+4).word() {
		return w + 4
	}
	return 0
}

func (d *doc) hasDigit(from, to int) bool {
	for i := from; i < to; i++ {
		if d.cls[i] == cDigit {
			return true
		}
	}
	return false
}

// postBox returns where "P.O. Box" begins before r[start], or -1.
func (d *doc) postBox(start int) int {
	for _, w := range [...]string{"p.o. box ", "po box ", "p. o. box ", "p.o.box "} {
		if at := start - len(w); at >= 0 && d.hasPrefix(at, w) && !d.class(at-1).word() {
			return at
		}
	}
	return -1
}

// romanParts end the parts of a Korean address in Latin letters.
var romanParts = []string{"-ro", "-gil", "-daero", "-dong", "-gu", "-si", "-gun", "-do", "-eup", "-myeon", "-ri", "-ga"}

// romanAddress reads "101-1203, 12, Teheran-ro 4-gil, Gangnam-gu, Seoul 06234".
func (d *doc) romanAddress(start int) (end int, score float64, why string) {
	parts := 0
	end = start
	for p := start; p < len(d.r) && p-start < 120; {
		q := p
		for q < len(d.r) && q-p < maxLatinWord && (d.cls[q].latin() || d.cls[q] == cDigit || (d.r[q] == '-' || d.r[q] == '\'') && q > p) {
			q++
		}
		d.steps += q - p
		var ok, counts bool
		if ok, counts = d.romanPart(p, q, parts); !ok {
			break
		}
		if counts {
			parts++
		}
		if counts || parts > 0 && (q-p == 5 && d.cls[p] == cDigit || d.cls[p].latin()) {
			end = q
		}
		for p = q; p < q+2 && (d.class(p) == cSpace || d.at(p) == ','); p++ {
		}
		if p == q {
			break
		}
	}
	if parts < 2 {
		return 0, 0, ""
	}
	return end, 0.9, "parts of a Korean address in Latin letters"
}

// romanPart judges r[p:q]: ok says whether it can stand in an address behind so
// many parts, counts whether it is a part itself.
func (d *doc) romanPart(p, q, parts int) (ok, counts bool) {
	if p == q {
		return false, false
	}
	if d.cls[p] == cDigit {
		if q-p <= 5 && !d.hasLatin(p, q) {
			return true, false
		}
		return d.hasRomanSuffix(p, q) || !d.hasLatin(p, q), d.hasRomanSuffix(p, q)
	}
	if d.hasRomanSuffix(p, q) {
		return true, true
	}
	var buf [4 * maxLatinWord]byte
	switch string(lowerBytes(buf[:0], d.r[p:q])) {
	case "seoul", "busan", "daegu", "incheon", "gwangju", "daejeon", "ulsan", "sejong", "suwon", "seongnam", "jeju":
		return parts > 0, parts > 0
	case "korea", "republic", "of", "south":
		return parts > 1, false
	}
	return false, false
}

func (d *doc) hasLatin(p, q int) bool {
	for ; p < q; p++ {
		if d.cls[p].latin() {
			return true
		}
	}
	return false
}

// hasRomanSuffix says whether r[p:q] ends in "-ro", "-gu" or the like.
func (d *doc) hasRomanSuffix(p, q int) bool {
	for _, s := range romanParts {
		if at := q - len(s); at > p && d.hasPrefix(at, s) {
			return true
		}
	}
	return false
}
