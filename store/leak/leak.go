// Package leak finds values of the vault in texts and in the bytes of files.
//
// A [Matcher] holds the hashes of the values, folded: letters and digits only,
// decomposed (NFKD), in lower case. One pass over a text keeps the polynomial
// hash of what it has read (Karp and Rabin, "Efficient randomized
// pattern-matching algorithms", 1987); where the last symbols are the end of a
// value, the hash of as many symbols as the value has is looked up. So the time
// is linear in the text, however many values there are, and the Matcher holds
// no value in clear. Hashes are modulo 2^61-1 with a random base: two texts of
// 192 symbols have the same hash by chance once in 10^16 pairs.
//
// # What counts
//
// A value counts where it can hardly stand by chance. Looked for everywhere are
//
//   - values with a digit of at least 6 letters and digits, of 7 where they are
//     digits only: hard identifiers, phones, accounts, addresses (of at least 10);
//   - e-mail addresses and other values without a digit of at least 8, except
//     addresses: those are districts;
//   - names of at least three syllables of Hangul, as whole words, which means
//     with nothing but a particle or a title behind them, and names of two words
//     in Latin letters.
//
// Separators do not matter, four in a row at most, except inside of names in
// Hangul and of digits up to 8, whose value has none. Shorter values, names of
// two syllables or one word, and dates stand in other texts by chance: they
// count only where a masker finds personal data by its own evidence, and
// [Matcher.Weak] says that the vault has what it found.
//
// # Concurrency and lifetimes
//
// A Matcher is safe for concurrent use once the last value was added.
package leak

import "cloister/store/pii"

// Hit is a value of the vault that was found. It holds no part of the value.
type Hit struct {
	Token  string // that stands for the value
	Entity string
	Offset int64 // in bytes, of the value's first character
	// Encoding is "UTF-16" for a value found in that, and else empty: UTF-8,
	// composed or not, as it is or escaped as in JSON.
	Encoding string
}

// least is how many letters and digits a value has at least to be looked for
// everywhere.
func least(entity string, s shape) int {
	switch {
	case entity == pii.Date || entity == pii.DateOfBirth:
		return never
	case entity == pii.Person && s.hangul == s.symbols && s.syllables >= 3:
		return window
	case entity == pii.Person && s.latin == s.symbols && s.words >= 2:
		return window
	case entity == pii.Person:
		return never
	case entity == pii.Address && s.digits == 0: // a district
		return never
	case entity == pii.Address:
		return 10
	case s.digits == s.symbols:
		return 7
	case s.digits > 0:
		return window
	default:
		return 8
	}
}

const never = 1 << 30

// shape is what a value is made of.
type shape struct {
	symbols, digits, latin, hangul int // folded; Hangul counts in letters
	syllables                      int // of Hangul
	words                          int
	separators                     int // inside
}

// closed reports whether a value must stand without separators inside.
func closed(entity string, s shape) bool {
	if s.separators > 0 {
		return false
	}
	return entity == pii.Person && s.hangul == s.symbols || s.digits == s.symbols && s.symbols <= 8
}
