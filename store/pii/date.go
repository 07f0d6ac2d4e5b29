package pii

// findDates finds days that are not someone's birth: of a stay, an accident, a
// judgment. The days on which laws or notices take effect are nobody's.
func findDates(d *doc, rec *recogniser) {
	admin := -1 // end of the last date that belongs to an institution
	for _, s := range d.dates {
		label := d.label(s.start)
		if label&kAdmin != 0 || d.enacts(s.end) || admin >= 0 && d.ranges(admin, s.start) {
			admin = s.end
			continue
		}
		if label&kVersion != 0 || label&(kIDs&^kNotID) != 0 && s.bare {
			continue
		}
		switch {
		case !s.bare:
			d.add(rec, s.start, s.end, 0.8, "shape of a date")
		case label&kDate != 0:
			d.add(rec, s.start, s.end, 0.7, "label")
		}
	}
}

// enacts says whether r[end:] makes the date that of a statute: "2008. 2. 22.
// 법률 제8852호로 개정".
func (d *doc) enacts(end int) bool {
	p := end
	for p < end+3 && (d.class(p) == cSpace || d.at(p) == ')' || d.at(p) == ',') {
		p++
	}
	for _, w := range [...]string{"법률 제", "법률제", "대통령령 제", "대통령령제", "부령 제", "총리령 제", "조례 제", "규칙 제", "고시 제", "개정", "시행", "공포", "제정", "신설", "일부개정", "전부개정", "전문 개정", "부칙"} {
		if d.hasPrefix(p, w) && (w != "시행" || d.class(p+2) != cHangul) { // not "시행한 검사"
			return true
		}
	}
	return false
}

// ranges says whether r[from:to] joins two dates to a span of time.
func (d *doc) ranges(from, to int) bool {
	if to-from > 6 {
		return false
	}
	for i := from; i < to; i++ {
		switch d.r[i] {
		case '~', '-', '부', '터', '∼', ' ', '.':
		default:
			return false
		}
	}
	return true
}
