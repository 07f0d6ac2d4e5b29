package pii

// findLicenses finds the licence numbers of doctors, nurses, lawyers and other
// professions behind their labels: 의사면허번호 제29427호.
func findLicenses(d *doc, rec *recogniser) {
	for i, g := range d.groups {
		start, end := int(g.start), int(g.end)
		n := 1
		if g.sep == sepDash && i+1 < len(d.groups) && d.groups[i+1].sep != sepDash { // 2019-12345
			end = int(d.groups[i+1].end)
			n = 2
		} else if e, ok := chain(d.groups, i, 5, 4, 5); ok { // estate agents: 27260-2018-00123
			end, n = e, 3
		}
		if g.len() < 3 && n == 1 || g.len() > 10 || !alone(d.groups, i, n) {
			continue
		}
		// State licences such as "MD-12345" or "A123456".
		for start > 0 && int(g.start)-start < 4 && (asciiLetter(d.r[start-1]) || d.r[start-1] == '-' && start > 1 && asciiLetter(d.r[start-2])) {
			start--
		}
		if d.class(start-1).latin() || d.class(end).latin() {
			continue
		}
		score := 0.9
		if l := d.label(start) | d.label(int(g.start)); l&kLicense == 0 {
			// "변호사 … (등록번호 제12873호)"
			_, ok := d.near(start, window, kAdvocate)
			h := d.labelHit(start)
			if !ok || l&kRecord == 0 || h == nil || d.at(int(h.start)) != '등' && lower(d.at(int(h.start))) != 'r' {
				continue
			}
			score = 0.95
		}
		d.add(rec, start, end, score, "label")
	}
}
