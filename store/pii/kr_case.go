package pii

import (
	"strings"
	"sync"
)

// courtCodes are the codes of case numbers.
var courtCodes = sync.OnceValue(func() *runeSet {
	codes := &runeSet{}
	for _, line := range dataLines("court_codes.txt") {
		for _, c := range strings.Fields(line) {
			codes.add([]rune(c))
		}
	}
	return codes
})

// findCases finds the numbers of court cases, 2023가합12345, and of
// prosecutors' cases, 2024년 형제12345호. With blanks inside, a code of one
// syllable needs a word such as 사건 nearby, for it can be anything.
func findCases(d *doc, rec *recogniser) {
	codes := courtCodes()
	for i := 1; i < len(d.groups); i++ {
		serial, year := d.groups[i], d.groups[i-1]
		if year.len() != 4 && year.len() != 2 || serial.len() > 7 || int(serial.start)-int(year.end) > 9 {
			continue
		}
		if y := d.number(int(year.start), int(year.end)); y < 48 || y > 99 && y < 1948 || y > 2099 {
			continue
		}
		if !d.clear(int(year.start), int(year.end)) {
			continue
		}
		from, to := int(year.end), int(serial.start)
		blanks := 0
		if d.r[from] == '년' {
			from++
			blanks++
		}
		for from < to && d.cls[from] == cSpace {
			from++
			blanks++
		}
		for to > from && (d.cls[to-1] == cSpace || d.r[to-1] == '제' && to-1 > from && d.cls[to-2] == cSpace) {
			to--
			blanks++
		}
		if from == to || !allHangul(d.cls[from:to]) {
			continue
		}
		if !codes.has(d.r[from:to]) && !(d.r[from] == '재' && codes.has(d.r[from+1:to])) {
			continue
		}
		start, end := int(year.start), int(serial.end)
		score, why := 0.9, "year, code and serial number"
		if year.len() == 2 { // until 1999
			score = 0.45
		}
		if to-from == 1 && blanks > 0 {
			score, why = 0.4, "year, short code and serial number"
		} else if d.unitFollows(end) && to-from == 1 {
			score = 0.45
		}
		if _, ok := d.near(start, window, kCase); ok {
			score, why = score+0.45, why+", word nearby"
		} else if _, ok := d.after(end, 10, kCase); ok {
			score, why = score+0.2, why+", word nearby"
		}
		if d.at(end) == '호' {
			end++
		}
		d.add(rec, start, end, score, why)
	}
}

func allHangul(cls []class) bool {
	for _, c := range cls {
		if c != cHangul {
			return false
		}
	}
	return true
}
