package pii

// oldRegions are the regions in driver's licences before they had numbers.
var oldRegions = []string{
	"서울", "부산", "대구", "인천", "광주", "대전", "울산", "경기", "강원",
	"충북", "충남", "전북", "전남", "경북", "경남", "제주",
}

// findDriver finds driver's licences: RR-YY-NNNNNN-CC with a region from 11 to
// 28, or the name of a region before YY-NNNNNN-CC.
func findDriver(d *doc, rec *recogniser) {
	for _, list := range d.lists() {
		for i, g := range list {
			start := int(g.start)
			if end, ok := chain(list, i, 2, 2, 6, 2); ok && alone(list, i, 4) {
				region := d.number(start, int(g.end))
				score, why := 0.85, "region and groups"
				if region < 11 || region > 28 {
					score, why = 0.3, "groups"
				}
				score, why = d.weigh(start, kDriver|kLicense, score, why)
				d.add(rec, start, end, score, why)
				continue
			}
			if end, ok := chain(list, i, 2, 6, 2); ok {
				if at, ok := d.endsWith(start, oldRegions); ok {
					d.add(rec, at, end, 0.95, "name of a region and groups")
				} else if alone(list, i, 3) && d.label(start)&kDriver != 0 {
					d.add(rec, start, end, 0.9, "label")
				}
				continue
			}
			if g.len() == 12 && alone(list, i, 1) && d.label(start)&kDriver != 0 {
				d.add(rec, start, int(g.end), 0.95, "label")
			}
		}
	}
}

// endsWith returns where one of words begins that ends right before pos, but
// for blanks and one dash.
func (d *doc) endsWith(pos int, words []string) (at int, ok bool) {
	end := pos
	for end > 0 && pos-end < 3 && (d.cls[end-1] == cSpace || d.r[end-1] == '-') {
		end--
	}
	for _, w := range words {
		n := 0
		for range w {
			n++
		}
		if at := end - n; at >= 0 && d.hasPrefix(at, w) && d.class(at-1) != cHangul {
			return at, true
		}
	}
	return 0, false
}

// hasPrefix says whether s stands at r[at:], Latin letters without regard to case.
func (d *doc) hasPrefix(at int, s string) bool {
	for _, r := range s {
		if lower(d.at(at)) != r {
			return false
		}
		at++
	}
	return true
}
