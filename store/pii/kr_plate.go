package pii

import "strings"

// plateLetters are the letters on Korean plates: private, rental, business,
// delivery (자동차 등록번호판 등의 기준에 관한 고시).
const plateLetters = "가나다라마거너더러머버서어저고노도로모보소오조구누두루무부수우주바사아자배하허호"

// plateUnits are those of them that count or name something after a number,
// too, as in "291조 9000억".
const plateUnits = "가도배부수자조주호"

// findPlates finds vehicle plates: two or three digits, a letter, four digits;
// the old ones with the name of a region in front.
func findPlates(d *doc, rec *recogniser) {
	for i, g := range d.groups {
		if g.len() != 4 || i == 0 || d.class(int(g.end)) == cDigit {
			continue
		}
		at := int(g.start) - 1
		blank := false
		if d.class(at) == cSpace {
			blank = true
			at--
		}
		if d.class(at) != cHangul || !strings.ContainsRune(plateLetters, d.r[at]) {
			continue
		}
		letter, front := d.r[at], at
		if d.class(front-1) == cSpace {
			front--
		}
		first := d.groups[i-1]
		if int(first.end) != front || first.len() < 1 || first.len() > 3 {
			continue
		}
		start, end := int(first.start), int(g.end)
		if region, ok := d.endsWith(start, oldRegions); ok && first.len() < 3 {
			d.add(rec, region, end, 0.95, "region, letter and digits")
			continue
		}
		if first.len() == 1 || d.at(start-1) == '-' || d.at(start-1) == '.' || d.at(end) == ',' && d.class(end+1) == cDigit || d.at(end) == '-' {
			continue
		}
		score, why := 0.8, "letter between digits"
		if blank && strings.ContainsRune(plateUnits, letter) || d.unitFollows(end) {
			score, why = 0.35, "letter between digits that can be a unit"
		}
		if _, ok := d.near(start, window, kPlate); ok {
			score, why = score+0.3, why+", word nearby"
		} else if _, ok := d.after(end, 12, kPlate); ok {
			score, why = score+0.3, why+", word nearby"
		}
		d.add(rec, start, end, score, why)
	}
}

// unitFollows says whether what stands at r[end:] makes an amount of the digits
// before it.
func (d *doc) unitFollows(end int) bool {
	return d.class(end) == cHangul && strings.ContainsRune("원억만천년개건명점회", d.r[end])
}
