package pii

// findSSN finds US social security numbers: AAA-GG-SSSS. The Social Security
// Administration never gives out area 000, 666 or 9xx, group 00 or serial 0000.
func findSSN(d *doc, rec *recogniser) {
	for _, list := range d.lists() {
		for i, g := range list {
			start, end := int(g.start), int(g.end)
			labelled := d.label(start)&kSSN != 0
			end3, ok := chain(list, i, 3, 2, 4)
			n := 3
			if ok {
				end = end3
			} else if n = 1; g.len() != 9 || !labelled {
				continue
			}
			if !alone(list, i, n) || !d.clear(start, end) {
				continue
			}
			var a [9]int
			d.digits(start, end, a[:])
			area, grp, serial := a[0]*100+a[1]*10+a[2], a[3]*10+a[4], a[5]*1000+a[6]*100+a[7]*10+a[8]
			score := 0.7
			if area == 0 || area == 666 || area >= 900 || grp == 0 || serial == 0 {
				score = 0.2
			}
			if g.sep != sepDash && !labelled {
				score -= 0.3
			}
			score, why := d.weigh(start, kSSN, score, "groups and range")
			d.add(rec, start, end, score, why)
		}
	}
}
