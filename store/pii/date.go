package pii

// findDates finds days that are not someone's birth: of a stay, an accident, a
// judgment. The days on which laws or notices take effect are nobody's.
func findDates(d *doc, rec *recogniser) {
	admin := -1 // end of the last date that belongs to an institution
	for _, s := range d.dates {
		label := d.label(s.start)
		if label&kAdmin != 0 || admin >= 0 && d.ranges(admin, s.start) {
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
