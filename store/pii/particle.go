package pii

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// particles are the pairs of particles that follow a consonant and a vowel. 으로
// follows consonants but ㄹ.
var particles = [][2]string{
	{"은", "는"}, {"이", "가"}, {"을", "를"}, {"과", "와"}, {"으로", "로"}, {"아", "야"},
	{"이랑", "랑"}, {"이나", "나"}, {"이며", "며"}, {"이라", "라"}, {"으로서", "로서"}, {"으로부터", "로부터"}, {"으로는", "로는"}, {"과는", "와는"}, {"과의", "와의"},
}

// swapParticle returns the particle that stands to the word to as p, a whole
// run of Korean letters, stands to the word from: the one that fits where p
// fits, the wrong one where p is wrong. So it undoes itself. It is false for
// what is no particle of a pair.
func swapParticle(p, from, to string) (string, bool) {
	for _, pair := range particles {
		if p != pair[0] && p != pair[1] {
			continue
		}
		if liquid := strings.HasPrefix(pair[0], "으로"); takesFirst(from, liquid) == takesFirst(to, liquid) {
			return p, true
		}
		if p == pair[0] {
			return pair[1], true
		}
		return pair[0], true
	}
	return "", false
}

// takesFirst says whether the particle for consonants follows a word; after ㄹ it
// does not where liquid is set.
func takesFirst(word string, liquid bool) bool {
	coda, l := sound(word)
	return coda && !(l && liquid)
}

// sound says whether the last letter or digit of a word, as it is read in
// Korean, ends in a consonant, and whether in ㄹ.
func sound(word string) (coda, liquid bool) {
	for len(word) > 0 {
		r, n := utf8.DecodeLastRuneInString(word)
		word = word[:len(word)-n]
		switch {
		case r >= hangulBase && r < hangulBase+hangulCount:
			return hasCoda(r), (r-hangulBase)%28 == 8
		case r >= '0' && r <= '9': // 영 일 이 삼 사 오 육 칠 팔 구
			return strings.ContainsRune("013678", r), strings.ContainsRune("178", r)
		case unicode.IsLetter(r):
			r = unicode.ToLower(r)
			return strings.ContainsRune("bcklmnpt", r), r == 'l'
		}
	}
	return false, false
}

// hangulRun returns the length in bytes of the Korean letters that s begins with.
func hangulRun(s string) int {
	for i, r := range s {
		if r < hangulBase || r >= hangulBase+hangulCount {
			return i
		}
	}
	return len(s)
}
