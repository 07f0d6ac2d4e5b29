package pii

import "unicode"

// runeKey packs up to eight runes of the basic plane, so that stretches of a
// text can be looked up in a map without making strings of them.
type runeKey [2]uint64

// keyOf returns the key of r; ok is false if r is too long.
func keyOf(r []rune) (k runeKey, ok bool) {
	if len(r) > 8 {
		return k, false
	}
	for i, c := range r {
		k[i>>2] = k[i>>2]<<16 | uint64(c&0xFFFF)
	}
	return k, len(r) > 0
}

// runeSet is a set of words of up to eight runes.
type runeSet map[runeKey]struct{}

func (s runeSet) add(word string) {
	if k, ok := keyOf([]rune(word)); ok {
		s[k] = struct{}{}
	}
}

func (s runeSet) has(r []rune) bool {
	k, ok := keyOf(r)
	if !ok {
		return false
	}
	_, ok = s[k]
	return ok
}

// maxLatinWord is how long, in runes, a word in Latin letters can be that any
// list holds.
const maxLatinWord = 24

// lowerBytes appends r in lower case to buf.
func lowerBytes(buf []byte, r []rune) []byte {
	for _, c := range r {
		if c < 0x80 {
			buf = append(buf, byte(lower(c)))
		} else {
			buf = append(buf, string(unicode.ToLower(c))...)
		}
	}
	return buf
}

// lowerString returns r in lower case.
func lowerString(r []rune) string {
	var buf [64]byte
	return string(lowerBytes(buf[:0], r))
}
