package pii

// ibanLengths are the lengths of IBANs by country (SWIFT IBAN registry).
var ibanLengths = map[string]int{
	"AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22, "BR": 29,
	"BY": 28, "CH": 21, "CR": 22, "CY": 28, "CZ": 24, "DE": 22, "DK": 18, "DO": 28, "EE": 20, "EG": 29,
	"ES": 24, "FI": 18, "FO": 18, "FR": 27, "GB": 22, "GE": 22, "GI": 23, "GL": 18, "GR": 27, "GT": 28,
	"HR": 21, "HU": 28, "IE": 22, "IL": 23, "IQ": 23, "IS": 26, "IT": 27, "JO": 30, "KW": 30, "KZ": 20,
	"LB": 28, "LC": 32, "LI": 21, "LT": 20, "LU": 20, "LV": 21, "LY": 25, "MC": 27, "MD": 24, "ME": 22,
	"MK": 19, "MR": 27, "MT": 31, "MU": 30, "NL": 18, "NO": 15, "PK": 24, "PL": 28, "PS": 29, "PT": 25,
	"QA": 29, "RO": 24, "RS": 22, "SA": 24, "SC": 31, "SD": 18, "SE": 24, "SI": 19, "SK": 24, "SM": 27,
	"ST": 25, "SV": 28, "TL": 23, "TN": 24, "TR": 26, "UA": 29, "VA": 22, "VG": 24, "XK": 20,
}

// findIBAN finds international bank account numbers (ISO 13616): two letters,
// two check digits, and the country's number of letters and digits, perhaps in
// groups of four. Without a label the remainder modulo 97 has to be 1.
func findIBAN(d *doc, rec *recogniser) {
	for _, g := range d.groups {
		start := int(g.start) - 2
		if start < 0 || g.len() < 2 || !asciiLetter(d.r[start]) || !asciiLetter(d.r[start+1]) || d.class(start-1).word() && d.class(start-1) != cHangul {
			continue
		}
		want := ibanLengths[string([]rune{d.r[start] &^ 0x20, d.r[start+1] &^ 0x20})]
		if want == 0 {
			continue
		}
		end, n, rest := start, 0, 0
		for ; end < len(d.r) && n < want; end++ {
			c := d.r[end]
			if d.cls[end] == cSpace && n%4 == 0 && n > 0 {
				continue
			}
			if !asciiLetter(c) && d.cls[end] != cDigit {
				break
			}
			n++
		}
		d.steps += end - start
		if n != want || d.class(end) == cDigit || d.class(end).latin() {
			continue
		}
		// The first four characters count last; letters are 10 to 35.
		var chars []rune
		for i := start; i < end; i++ {
			if d.cls[i] != cSpace {
				chars = append(chars, d.r[i])
			}
		}
		for _, c := range append(chars[4:], chars[:4]...) {
			if c >= '0' && c <= '9' {
				rest = (rest*10 + int(c-'0')) % 97
			} else {
				rest = (rest*100 + int(c&^0x20-'A') + 10) % 97
			}
		}
		switch {
		case rest == 1:
			d.add(rec, start, end, 0.98, "country, length and check digits")
		case d.label(start)&kIBAN != 0:
			d.add(rec, start, end, 0.8, "label, country and length")
		}
	}
}
