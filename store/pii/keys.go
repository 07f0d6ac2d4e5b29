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
	if k, ok := keyOf(word); ok {
		m.putKey(k, v)
	}
}

func (m *runeMap[V]) putKey(k runeKey, v V) {
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
	if !ok {
		return v, false
	}
	return m.getKey(k)
}

func (m *runeMap[V]) getKey(k runeKey) (v V, ok bool) {
	if m.n == 0 {
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

// latinKeyOf returns the key of r in small letters; ok is false unless r is ASCII of
// up to sixteen letters.
func latinKeyOf(r []rune) (k runeKey, ok bool) {
	if len(r) > 16 {
		return k, false
	}
	for i, c := range r {
		if c >= 0x80 {
			return k, false
		}
		k[i>>3] = k[i>>3]<<8 | uint64(lower(c))
	}
	return k, len(r) > 0
}

// latinMap maps words in Latin letters, whatever their case. The zero value is an
// empty map.
type latinMap[V any] struct {
	short runeMap[V]   // those that have a key
	rest  map[string]V // and the few others, in small letters
}

// latinMapOf returns the map of words in small letters.
func latinMapOf[V any](words map[string]V) *latinMap[V] {
	m := &latinMap[V]{}
	for w, v := range words {
		m.put([]rune(w), v)
	}
	return m
}

func (m *latinMap[V]) put(word []rune, v V) {
	if k, ok := latinKeyOf(word); ok {
		m.short.putKey(k, v)
		return
	}
	if m.rest == nil {
		m.rest = make(map[string]V)
	}
	m.rest[lowerString(word)] = v
}

// get returns the value of r, or the zero value.
func (m *latinMap[V]) get(r []rune) (v V) {
	if k, ok := latinKeyOf(r); ok {
		v, _ = m.short.getKey(k)
	} else if m.rest != nil && len(r) <= maxLatinWord {
		var buf [4 * maxLatinWord]byte
		v = m.rest[string(lowerBytes(buf[:0], r))]
	}
	return v
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
