package clean

import (
	"unicode"
	"unicode/utf8"
)

// alike reports whether two texts are near-identical: the same words but for
// Korean particles of one class, spacing, and typing errors in about one word
// of ten. Different numbers, names or particles of another class (who did what
// to whom) make two texts different.
func alike(a, b []word) bool {
	if len(a) != len(b) {
		return join(a, word.whole) == join(b, word.whole)
	}
	for i := range a {
		if a[i].stem == b[i].stem && a[i].particle != b[i].particle && a[i].particle != "" && b[i].particle != "" {
			return false
		}
	}
	return misspelt(a, b)
}

func (w word) whole() string { return w.text }

// misspelt reports whether the stems are the same but for typing errors; a and
// b have as many words.
func misspelt(a, b []word) bool {
	errs := 0
	for i := range a {
		if a[i].stem == b[i].stem {
			continue
		}
		if a[i].proper || b[i].proper || !typo(a[i].stem, b[i].stem) {
			return false
		}
		errs++
	}
	return errs <= 1+len(a)/10
}

// typo reports whether two words differ by a typing error that hardly makes
// another word of one: in words of five or more small Latin letters that begin
// alike, two neighbours swapped, or a letter too few or too many. A replaced
// letter (Hansen, Hanson) is none, nor is any change of a Korean syllable or of a
// figure.
func typo(a, b string) bool {
	if len(a) > len(b) {
		a, b = b, a
	}
	if len(a) < 5 || len(b)-len(a) > 1 || a[0] != b[0] || !latin(a) || !latin(b) {
		return false
	}
	i := 0
	for i < len(a) && a[i] == b[i] {
		i++
	}
	if len(a) == len(b) {
		return i+1 < len(a) && a[i] == b[i+1] && a[i+1] == b[i] && a[i+2:] == b[i+2:]
	}
	return a[i:] == b[i+1:]
}

func latin(s string) bool {
	for i := range len(s) {
		if s[i] < 'a' || s[i] > 'z' {
			return false
		}
	}
	return true
}

// Bands of the locality-sensitive hash: texts whose sets of three-character
// shingles have Jaccard similarity s meet in a band with probability
// 1-(1-s^3)^16, 98 % at 0.6 and 99.98 % at 0.75 (Broder 1997; Leskovec,
// Rajaraman, Ullman, Mining of Massive Datasets, chapter 3).
const (
	bands       = 16
	rowsOfBand  = 3
	shingleSize = 3
)

// signature returns the hashes of the bands of a key, by MinHash.
func signature(key string) (sig [bands]uint64) {
	var mins [bands * rowsOfBand]uint64
	for i := range mins {
		mins[i] = ^uint64(0)
	}
	var shingle [shingleSize]rune
	n := 0
	for _, r := range key {
		copy(shingle[:], shingle[1:])
		shingle[shingleSize-1] = unicode.ToLower(r)
		if n++; n < shingleSize && n < utf8.RuneCountInString(key) {
			continue
		}
		h := uint64(0)
		for _, r := range shingle {
			h = mix(h ^ uint64(r))
		}
		for i := range mins {
			mins[i] = min(mins[i], mix(h+uint64(i)*0x9E3779B97F4A7C15))
		}
	}
	for b := range sig {
		h := uint64(b)
		for _, m := range mins[b*rowsOfBand : (b+1)*rowsOfBand] {
			h = mix(h ^ m)
		}
		sig[b] = h
	}
	return sig
}

// mix is the finaliser of SplitMix64 (Steele, Lea, Flood 2014).
func mix(x uint64) uint64 {
	x += 0x9E3779B97F4A7C15
	x = (x ^ x>>30) * 0xBF58476D1CE4E5B9
	x = (x ^ x>>27) * 0x94D049BB133111EB
	return x ^ x>>31
}
