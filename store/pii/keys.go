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

// runeMap maps words of up to eight runes. It is a hash table with open
// addressing: a text is looked up in it at every word, and Go's maps take five
// times as long for keys of two machine words. The zero value is an empty map.
type runeMap[V any] struct {
	keys []runeKey // the zero key marks a free place
	vals []V
	n    int
}

// put sets the value of a word; a word that is too long is left out.
func (m *runeMap[V]) put(word []rune, v V) {
	k, ok := keyOf(word)
	if !ok {
		return
	}
	if 2*m.n >= len(m.keys) { // at most half full
		old := *m
		*m = runeMap[V]{keys: make([]runeKey, max(16, 4*len(old.keys))), vals: make([]V, max(16, 4*len(old.keys)))}
		for i, k := range old.keys {
			if k != (runeKey{}) {
				m.set(k, old.vals[i])
			}
		}
	}
	m.set(k, v)
}

func (m *runeMap[V]) set(k runeKey, v V) {
	i := k.hash() & uint64(len(m.keys)-1)
	for m.keys[i] != k && m.keys[i] != (runeKey{}) {
		i = (i + 1) & uint64(len(m.keys)-1)
	}
	if m.keys[i] != k {
		m.n++
	}
	m.keys[i], m.vals[i] = k, v
}

// get returns the value of r, or the zero value.
func (m *runeMap[V]) get(r []rune) (v V, ok bool) {
	k, ok := keyOf(r)
	if !ok || m.n == 0 {
		return v, false
	}
	for i := k.hash() & uint64(len(m.keys)-1); m.keys[i] != (runeKey{}); i = (i + 1) & uint64(len(m.keys)-1) {
		if m.keys[i] == k {
			return m.vals[i], true
		}
	}
	return v, false
}

func (k runeKey) hash() uint64 {
	h := k[0]*0x9E3779B97F4A7C15 ^ k[1]*0xC2B2AE3D27D4EB4F
	return h ^ h>>32
}

// runeSet is a set of words of up to eight runes.
type runeSet struct{ words runeMap[struct{}] }

func (s *runeSet) add(word []rune) { s.words.put(word, struct{}{}) }

func (s *runeSet) has(r []rune) bool {
	_, ok := s.words.get(r)
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
