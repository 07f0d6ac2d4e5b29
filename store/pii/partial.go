package pii

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// partial hides most of a value behind asterisks, and leaves its separators. It
// is false where nothing would be hidden. What it made before it leaves as it is.
func partial(entity, value string) (string, bool) {
	out := value
	switch entity {
	case ResidentNumber, ForeignerNumber, CorporateNumber:
		out = hide(value, 6, 0)
	case DriverLicense, Passport, Postcode:
		out = hide(value, 2, 0)
	case BusinessNumber, VehicleID:
		out = hide(value, 3, 0)
	case SocialSecurity:
		out = hide(value, 0, 4)
	case CreditCard, IBAN:
		out = hide(value, 4, 4)
	case BankAccount:
		out = hide(value, 3, min(6, max(0, letters(value)-6)))
	case MedicalRecord, HealthInsurance, LicenseNumber, DocumentID:
		out = hide(value, 0, 2)
	case Phone, Fax:
		out = hide(value, phonePrefix(value), 4)
	case VehiclePlate:
		out = hide(value, letters(value)-4, 0)
	case CourtCase:
		out = partialCase(value)
	case Email:
		out = partialEmail(value)
	case Address:
		return partialAddress(value), true
	case IPAddress, MACAddress:
		out = hide(value, letters(value)/2, 0)
	case URL:
		out = partialURL(value)
	default: // 홍**, A**** M*****
		out = partialWords(value)
	}
	return out, strings.Contains(out, "*")
}

// counted says whether hide counts r: letters, digits, and what it hid before.
func counted(r rune) bool { return r == '*' || unicode.IsLetter(r) || unicode.IsDigit(r) }

// letters counts them.
func letters(s string) (n int) {
	for _, r := range s {
		if counted(r) {
			n++
		}
	}
	return n
}

// hide replaces the letters and digits of a value but the first and the last few.
func hide(value string, first, last int) string {
	n, i := letters(value), 0
	return strings.Map(func(r rune) rune {
		if !counted(r) {
			return r
		}
		i++
		if i > first && i <= n-last {
			return '*'
		}
		return r
	}, value)
}

// phonePrefix is the length of the first group of digits, or 3.
func phonePrefix(value string) int {
	start := strings.IndexFunc(value, counted)
	n := strings.IndexFunc(value[max(0, start):], func(r rune) bool { return !counted(r) })
	if n >= 2 && n <= 4 {
		return n
	}
	return 3
}

// partialCase leaves the year and the code of a case: 2023가합*****.
func partialCase(value string) string {
	i := strings.LastIndexFunc(value, unicode.IsLetter)
	if i >= 0 && strings.HasSuffix(value, "호") {
		i = strings.LastIndexFunc(value[:i], unicode.IsLetter)
	}
	_, n := utf8.DecodeRuneInString(value[max(0, i):])
	return value[:i+n] + hide(value[i+n:], 0, 0)
}

// partialEmail leaves the first character and the server: m***@naver.com.
func partialEmail(value string) string {
	i := strings.LastIndexAny(value, "@＠")
	if i <= 0 {
		return hide(value, 1, 0)
	}
	_, n := utf8.DecodeRuneInString(value)
	return value[:n] + "***" + value[i:]
}

// partialURL leaves the server.
func partialURL(value string) string {
	i := strings.Index(value, "://")
	if i < 0 {
		i = -3
	}
	if n := strings.IndexByte(value[i+3:], '/'); n >= 0 {
		return value[:i+3+n+1] + "***"
	}
	return hide(value, 0, 0)
}

// partialAddress leaves the province and the districts at the start, and so all
// of an address that has nothing else.
func partialAddress(value string) string {
	kept := ""
	g := places()
	for word := range strings.FieldsSeq(value) {
		if r := []rune(word); g.province(r) == 0 && g.district(r) == 0 {
			return kept + "***"
		}
		kept += word + " "
	}
	return value
}

// partialWords leaves the first letter of each word.
func partialWords(value string) string {
	inside := false
	return strings.Map(func(r rune) rune {
		if !counted(r) {
			inside = false
			return r
		}
		if inside {
			return '*'
		}
		inside = true
		return r
	}, value)
}
