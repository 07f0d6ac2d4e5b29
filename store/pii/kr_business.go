package pii

// findBusiness finds business registration numbers: AAA-BB-CCCCC. Without a
// label the check digit has to fit.
func findBusiness(d *doc, rec *recogniser) {
	for _, list := range d.lists() {
		for i, g := range list {
			end, ok := chain(list, i, 3, 2, 5)
			bare := false
			if ok {
				ok = alone(list, i, 3)
			} else if g.len() == 10 {
				end, ok, bare = int(g.end), true, true
			}
			start := int(g.start)
			if !ok || !clearBefore(d, start) || d.r[start] == '0' {
				continue
			}
			var digits [10]int
			d.digits(start, end, digits[:])
			score, why := 0.2, "shape"
			if businessCheck(digits) {
				score, why = 0.8, "shape and check digit"
				if bare {
					score = 0.4
				}
			}
			weigh := d.weigh
			if !bare { // "등록번호: 123-45-67890" of a certificate of registration
				weigh = d.weighShape
				if d.label(start)&kRecord != 0 {
					score += 0.4
				}
			}
			score, why = weigh(start, kBRN, score, why)
			d.add(rec, start, end, score, why)
		}
	}
}

func businessCheck(digits [10]int) bool {
	weights := [...]int{1, 3, 7, 1, 3, 7, 1, 3, 5}
	sum := digits[8] * 5 / 10
	for i, w := range weights {
		sum += digits[i] * w
	}
	return (10-sum%10)%10 == digits[9]
}
