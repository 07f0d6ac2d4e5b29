package leak

import (
	"sync"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// class is the kind of a folded rune.
type class uint8

const (
	cSeparator class = iota
	cIgnored         // marks and invisible characters
	cDigit
	cLatin
	cHangul // the first letter of a syllable, or its vowel
	cCoda   // the last consonant of a syllable
	cLetter // of other scripts
	cMany   // becomes several; see many
)

// folded is what a rune of the basic plane becomes.
type folded struct {
	r rune
	c class
}

// table folds the runes of the basic plane but the syllables of Hangul.
var table = sync.OnceValue(func() *[0x10000]folded {
	t := new([0x10000]folded)
	for r := range rune(0x10000) {
		if r >= hangulBase && r < hangulBase+hangulCount {
			continue
		}
		d := []rune(norm.NFKD.String(string(r)))
		if len(d) == 1 {
			t[r] = plain(d[0])
		} else {
			t[r] = folded{r, cMany}
		}
	}
	return t
})

// plain folds a rune that is decomposed already.
func plain(r rune) folded {
	switch {
	case unicode.In(r, unicode.M, unicode.Cf):
		return folded{r, cIgnored}
	case unicode.Is(unicode.Nd, r):
		return folded{r, cDigit}
	case r >= 0x11A8 && r <= 0x11FF:
		return folded{r, cCoda}
	case r >= 0x1100 && r < 0x11A8:
		return folded{r, cHangul}
	case unicode.Is(unicode.Latin, r) && unicode.IsLetter(r):
		return folded{unicode.ToLower(r), cLatin}
	case unicode.IsLetter(r):
		return folded{unicode.ToLower(r), cLetter}
	}
	return folded{r, cSeparator}
}

// Numbers of Unicode's section 3.12, "Conjoining Jamo Behavior".
const (
	hangulBase  = 0xAC00
	hangulCount = 11172
	leadBase    = 0x1100
	vowelBase   = 0x1161
	codaBase    = 0x11A7
	vowels      = 21
	codas       = 28
)

// fold calls emit for what r becomes.
func fold(t *[0x10000]folded, r rune, emit func(rune, class)) {
	if i := r - hangulBase; i >= 0 && i < hangulCount {
		emit(leadBase+i/(vowels*codas), cHangul)
		emit(vowelBase+i%(vowels*codas)/codas, cHangul)
		if c := i % codas; c > 0 {
			emit(codaBase+c, cCoda)
		}
		return
	}
	if r < 0x10000 && t[r].c != cMany {
		emit(t[r].r, t[r].c)
		return
	}
	for _, d := range norm.NFKD.String(string(r)) {
		f := plain(d)
		emit(f.r, f.c)
	}
}
