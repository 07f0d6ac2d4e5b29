package eval

import (
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// Words returns the comparable units of a text, as the package doc defines
// them. It returns nil for a text without letters or digits.
func Words(text string) []string {
	runes := []rune(norm.NFC.String(cases.Fold().String(norm.NFC.String(text))))
	var words []string
	var word []rune // the unit being read
	letters := 0    // letters since the unit began or since its last dropped point
	end := func() {
		if len(word) > 0 {
			words = append(words, string(word))
		}
		word, letters = word[:0], 0
	}
	for i, r := range runes {
		switch {
		case isSyllable(r):
			end()
			words = append(words, string(r))
		case isWord(r):
			word = append(word, r)
			letters++
		case len(word) > 0 && i+1 < len(runes) && isWord(runes[i+1]) && !isSyllable(runes[i+1]):
			switch joint(runes[i-1], r, runes[i+1], letters) {
			case keep:
				word = append(word, r)
				letters = 0
			case drop:
				if r == '.' {
					letters = 0
				}
			default:
				end()
			}
		default:
			end()
		}
	}
	end()
	return dropArticles(words)
}

// What to do with a punctuation mark between two characters of words.
const (
	split = iota
	keep
	drop
)

// joint decides about mark, which stands between left and right; letters is
// the number of characters of the unit since its last point.
func joint(left, mark, right rune, letters int) int {
	digits := unicode.IsDigit(left) && unicode.IsDigit(right)
	alpha := unicode.IsLetter(left) && unicode.IsLetter(right)
	apostrophe := mark == '\'' || mark == '’'
	switch {
	case digits && (mark == ',' || apostrophe):
		return drop
	case digits && (mark == '.' || mark == ':'):
		return keep
	case alpha && apostrophe:
		return drop
	case alpha && mark == '.' && letters == 1:
		return drop
	}
	return split
}

func isWord(r rune) bool {
	return unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r) || r == '_'
}

func isSyllable(r rune) bool {
	return unicode.In(r, unicode.Hangul, unicode.Han, unicode.Hiragana, unicode.Katakana)
}

func dropArticles(words []string) []string {
	kept := make([]string, 0, len(words))
	for _, w := range words {
		if w != "a" && w != "an" && w != "the" {
			kept = append(kept, w)
		}
	}
	if len(kept) == 0 {
		if len(words) == 0 {
			return nil
		}
		return words
	}
	return kept
}

// contains reports whether part stands in whole as an unbroken sequence of
// units. An empty part stands nowhere.
func contains(whole, part []string) bool {
	if len(part) == 0 {
		return false
	}
	for i := 0; i+len(part) <= len(whole); i++ {
		if slices.Equal(whole[i:i+len(part)], part) {
			return true
		}
	}
	return false
}

// normalise joins the units of a text: equal strings are equal answers.
func normalise(text string) string { return strings.Join(Words(text), " ") }
