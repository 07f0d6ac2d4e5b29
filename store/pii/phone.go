package pii

// findPhones finds Korean telephone numbers.
func findPhones(d *doc, rec *recogniser) {
	for _, list := range [][]group{d.groups, d.split} {
		for i, g := range list {
			start := int(g.start)
			if g.len() < 2 || d.r[start] != '0' {
				continue
			}
			if g.len() == 11 && d.r[start+1] == '1' {
				d.add(rec, start, int(g.end), 0.8, "mobile prefix")
				continue
			}
			if i+2 < len(list) && g.len() <= 4 && g.sep != sepFar && list[i+1].sep != sepFar &&
				(list[i+1].len() == 3 || list[i+1].len() == 4) && list[i+2].len() == 4 {
				d.add(rec, start, int(list[i+2].end), 0.85, "prefix and groups")
			}
		}
	}
}
