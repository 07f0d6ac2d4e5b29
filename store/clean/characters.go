package clean

import (
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// characters brings s to NFC and removes characters that cannot be seen.
func characters(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if i := strings.IndexFunc(s, invisible); i >= 0 {
		s = visible(s)
	}
	return norm.NFC.String(s)
}

// invisible reports whether r is a candidate for removal.
func invisible(r rune) bool {
	switch {
	case r == '\n' || r == '\r' || r == '\t':
		return false
	case r < ' ', r >= 0x7F && r < 0xA0:
		return true
	case r < 0xAD:
		return false
	}
	switch r {
	case 0xAD, // soft hyphen
		0x061C, 0x180E, 0x200B, 0x200C, 0x200D, 0x200E, 0x200F, 0x2060, 0xFEFF,
		0x202A, 0x202B, 0x202C, 0x202D, 0x202E, 0x2066, 0x2067, 0x2068, 0x2069:
		return true
	case 0x3164, 0xFFA0, 0x115F, 0x1160: // Hangul fillers
		return true
	}
	return r >= 0x2061 && r <= 0x2064 || r >= 0xE0000 && r <= 0xE007F || r >= 0xFFF9 && r <= 0xFFFB
}

// visible removes invisible characters; joiners stay between characters of
// scripts (and between emoji) where they change what is seen.
func visible(s string) string {
	rs := []rune(s)
	var b strings.Builder
	b.Grow(len(s))
	for i, r := range rs {
		if !invisible(r) {
			b.WriteRune(r)
			continue
		}
		if r != 0x200C && r != 0x200D || i == 0 || i+1 == len(rs) {
			continue
		}
		if joins(rs[i-1]) && joins(rs[i+1]) {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// joins reports whether a joiner beside r may be meant.
func joins(r rune) bool {
	return r == 0xFE0F || r >= 0x1F000 && r < 0x20000 ||
		unicode.In(r, unicode.So, unicode.Arabic, unicode.Syriac, unicode.Devanagari, unicode.Bengali,
			unicode.Gurmukhi, unicode.Gujarati, unicode.Oriya, unicode.Tamil, unicode.Telugu,
			unicode.Kannada, unicode.Malayalam, unicode.Sinhala)
}
