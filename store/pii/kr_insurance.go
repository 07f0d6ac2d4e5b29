package pii

// findInsurance finds health insurance numbers: eleven digits, sometimes with a
// dash after the first, and only behind a label.
func findInsurance(d *doc, rec *recogniser) {
	for _, list := range d.lists() {
		for i, g := range list {
			end, n := int(g.end), 1
			ok := g.len() == 11
			if !ok {
				if end, ok = chain(list, i, 1, 10); ok {
					n = 2
				}
			}
			if ok && alone(list, i, n) && d.label(int(g.start))&kInsurance != 0 {
				d.add(rec, int(g.start), end, 1, "label")
			}
		}
	}
}
