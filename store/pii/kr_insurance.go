package pii

// findInsurance finds health insurance numbers: eleven digits, sometimes with a
// dash after the first, behind a label; with the dash, a word nearby is enough.
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
			if !ok || !alone(list, i, n) {
				continue
			}
			start := int(g.start)
			if d.label(start)&kInsurance != 0 {
				d.add(rec, start, end, 1, "label")
			} else if h, ok := d.near(start, 48, kInsurance|kIDs); ok && h.kind&kInsurance != 0 && n == 2 {
				d.add(rec, start, end, 0.8, "word nearby and shape")
			}
		}
	}
}
