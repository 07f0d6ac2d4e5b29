package pii

// findPostcodes finds postcodes that stand apart from an address: behind a label
// or "(우)", and those of the United States behind a city and state. A postcode
// right before or inside of an address is part of that.
func findPostcodes(d *doc, rec *recogniser) {
	for i, g := range d.groups {
		if g.len() != 5 && g.len() != 3 {
			continue
		}
		start, end := int(g.start), int(g.end)
		if d.flag[start]&flagAddress != 0 || !d.clear(start, end) || g.len() == 3 && !d.oldPostcode(i) {
			continue
		}
		n := 1
		if g.len() == 3 {
			end, n = int(d.groups[i+1].end), 2
		} else if g.sep == sepDash && i+1 < len(d.groups) && d.groups[i+1].len() == 4 { // ZIP+4
			end, n = int(d.groups[i+1].end), 2
		}
		if !alone(d.groups, i, n) {
			continue
		}
		switch {
		case d.label(start)&kPostcode != 0:
			d.add(rec, start, end, 0.95, "label")
		case d.postMark(start):
			d.add(rec, start, end, 0.9, "mark of a postcode")
		case g.len() == 5 && d.behindState(start):
			d.add(rec, start, end, 0.75, "city and state before")
		}
	}
}

// oldPostcode says whether group i and the next are "123-456", as in Korea
// until 2015.
func (d *doc) oldPostcode(i int) bool {
	return d.groups[i].sep == sepDash && i+1 < len(d.groups) && d.groups[i+1].len() == 3
}

// postMark says whether "우" or "(우)" stands before r[start].
func (d *doc) postMark(start int) bool {
	p := start
	for p > 0 && start-p < 4 && (d.cls[p-1] == cSpace || d.r[p-1] == ')' || d.r[p-1] == ':' || d.r[p-1] == '.') {
		p--
	}
	return d.at(p-1) == '우' && !d.class(p-2).word()
}

// behindState says whether ", IL " or the like stands before r[start].
func (d *doc) behindState(start int) bool {
	p := start - 1
	if d.class(p) != cSpace {
		return false
	}
	q := p
	for q > 0 && p-q < 4 && d.cls[q-1] == cUpper {
		q--
	}
	return p-q == 2 && d.class(q-1) == cSpace && d.at(q-2) == ',' && statePlaces()[d.slice(q, p)]
}
