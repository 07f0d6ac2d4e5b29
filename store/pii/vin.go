package pii

import "strings"

// findVINs finds vehicle identification numbers (ISO 3779): 17 capitals and
// digits without I, O and Q. The check digit at the ninth place is used in North
// America (49 CFR 565.15); Korean makers begin with KL to KR and need none.
func findVINs(d *doc, rec *recogniser) {
	next := 0
	for _, g := range d.groups {
		if int(g.start) < next {
			continue
		}
		start := int(g.start)
		for start > next && int(g.start)-start < 17 && d.vinRune(start-1) {
			start--
		}
		end := start
		for end < len(d.r) && end-start < 18 && d.vinRune(end) {
			end++
		}
		d.steps += end - start
		next = end
		if end-start != 17 || !d.clear(start, end) || !d.hasLatin(start, end) {
			continue
		}
		labelled := d.label(start)&kVIN != 0
		switch checked := d.vinCheck(start); {
		case labelled:
			d.add(rec, start, end, 0.98, "label and shape")
		case checked:
			d.add(rec, start, end, 0.85, "shape and check digit")
		case d.r[start] == 'K' && d.r[start+1] >= 'L' && d.r[start+1] <= 'R' && d.allDigits(end-4, end):
			d.add(rec, start, end, 0.75, "maker from Korea")
		}
	}
}

// vinRune says whether r[i] can stand in a vehicle identification number.
func (d *doc) vinRune(i int) bool {
	r := d.r[i]
	return r < 128 && (d.cls[i] == cDigit || d.cls[i] == cUpper && r != 'I' && r != 'O' && r != 'Q')
}

func (d *doc) allDigits(from, to int) bool {
	for ; from < to; from++ {
		if d.cls[from] != cDigit {
			return false
		}
	}
	return true
}

// vinCheck verifies the check digit of r[start:start+17].
func (d *doc) vinCheck(start int) bool {
	const values = "0123456789.ABCDEFGH..JKLMN.P.R..STUVWXYZ" // value: place modulo 10
	weights := [...]int{8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2}
	sum := 0
	for i, w := range weights {
		sum += w * (strings.IndexRune(values, d.r[start+i]) % 10)
	}
	want := rune("0123456789X"[sum%11])
	return d.r[start+8] == want
}
