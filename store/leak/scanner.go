package leak

import (
	"encoding/binary"
	"io"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"cloister/store/pii"
)

// maxGap is how many separators in a row a value may have inside.
const maxGap = 4

// ringSize is a power of two above longest.
const ringSize = 256

// scanner reads one stream of runes.
type scanner struct {
	m        *Matcher
	table    *[0x10000]folded
	kinds    *[0x10000]kind
	encoding string
	found    func(Hit)

	n       int  // symbols since the last break
	gap     int  // separators since the last symbol
	foreign rune // right before the first symbol: a letter that no value has, or 0
	ring    [ringSize]symbol
	waiting []waiting
}

// symbol is a place of the stream, by its number since the last break.
type symbol struct {
	hash   uint64 // of all symbols up to this one
	offset int64
	gaps   int // separators before it since the last break
	alone  bool
	class  class
}

// waiting is a value that was read whole, until what follows says whether it
// stands for itself.
type waiting struct {
	v      *value
	offset int64
	last   class
	tail   []rune // of a name: Hangul behind it
}

// maxTail is how many letters of Hangul behind a name are looked at: nine syllables.
const maxTail = 27

func newScanner(m *Matcher, encoding string, found func(Hit)) *scanner {
	return &scanner{m: m, table: table(), kinds: m.kinds(), encoding: encoding, found: found}
}

// rune reads one.
func (s *scanner) rune(r rune, offset int64) {
	k := many
	if r < 0x10000 {
		k = s.kinds[r]
	}
	switch {
	case k == separator:
		s.separator()
	case k == ignored:
	case k == foreign && len(s.waiting) == 0:
		s.n, s.gap, s.foreign = 0, 0, r
	case k == single:
		s.symbol(s.table[r].r, s.table[r].c, offset)
	default:
		fold(s.table, r, func(r rune, c class) {
			switch c {
			case cIgnored:
			case cSeparator:
				s.separator()
			default:
				s.symbol(r, c, offset)
			}
		})
	}
}

// separator reads what is no letter or digit.
func (s *scanner) separator() {
	if s.gap++; s.gap > maxGap {
		s.end()
	} else if len(s.waiting) > 0 {
		s.settle(0, cSeparator)
	}
}

// end breaks the stream: no value goes on beyond this place.
func (s *scanner) end() {
	if len(s.waiting) > 0 {
		s.settle(0, cSeparator)
	}
	s.n, s.gap, s.foreign = 0, 0, 0
}

// symbol takes one up.
func (s *scanner) symbol(r rune, c class, offset int64) {
	if len(s.waiting) > 0 {
		s.settle(r, c)
	}
	before := s.ring[s.n%ringSize]
	alone := s.gap > 0
	if s.n == 0 {
		before = symbol{}
		if s.foreign != 0 {
			fold(s.table, s.foreign, func(_ rune, c class) { before.class = c })
		}
		alone = alone || s.foreign == 0
		s.ring[0], s.foreign = before, 0
	}
	now := symbol{hash: s.m.push(before.hash, r), offset: offset, gaps: before.gaps + s.gap, alone: alone, class: c}
	s.n++
	s.gap = 0
	s.ring[s.n%ringSize] = now
	if s.n < window {
		return
	}
	w := s.m.last(now.hash, s.ring[(s.n-window)%ringSize].hash, window)
	if s.m.filter[w%filterBits/64]&(1<<(w%64)) == 0 {
		return
	}
	for _, length := range s.m.lengths[w] {
		if n := int(length); n <= s.n && s.try(now, n) {
			return
		}
	}
}

// try looks the last n symbols up.
func (s *scanner) try(now symbol, n int) bool {
	v := s.m.values[s.m.last(now.hash, s.ring[(s.n-n)%ringSize].hash, n)]
	if v == nil || !v.strict || v.symbols != n {
		return false
	}
	first := s.ring[(s.n-n+1)%ringSize]
	if v.closed && now.gaps > first.gaps || !first.alone && !v.begins(s.ring[(s.n-n)%ringSize].class, first.class) {
		return false
	}
	s.waiting = append(s.waiting, waiting{v: v, offset: first.offset, last: now.class})
	return true
}

// begins says whether the value may begin with a symbol of class c right behind another.
func (v *value) begins(before, c class) bool {
	switch {
	case c == cDigit && before == cDigit, c == cLatin && before == cLatin:
		return false
	case v.digits && v.symbols <= 8:
		return before != cLatin
	}
	return !v.name || before != cHangul && before != cCoda
}

// settle decides on the waiting values, as the next symbol is c.
func (s *scanner) settle(r rune, c class) {
	kept := s.waiting[:0]
	for _, w := range s.waiting {
		hangul := c == cHangul || c == cCoda
		switch {
		case s.gap == 0 && (c == cDigit && w.last == cDigit || c == cLatin && w.last == cLatin):
		case s.gap == 0 && c == cLatin && w.v.digits && w.v.symbols <= 8:
		case s.gap == 0 && c == cCoda && len(w.tail) == 0: // a longer syllable
		case s.gap == 0 && hangul && w.v.name && len(w.tail) < maxTail:
			w.tail = append(w.tail, r)
			kept = append(kept, w)
		case w.v.name && !pii.FollowsName(norm.NFC.String(string(w.tail)), w.last == cCoda):
		default:
			s.found(Hit{Token: w.v.token, Entity: w.v.entity, Offset: w.offset, Encoding: s.encoding})
		}
	}
	s.waiting = kept
}

// longestEscape is a surrogate pair as in JSON: \ud83d\ude00.
const longestEscape = 12

// utf8 reads UTF-8, in which \u and its like are what they stand for, and
// returns how many bytes it has read: all of them at the end of the stream.
func (s *scanner) utf8(b []byte, offset int64, last bool) int {
	i := 0
	for i < len(b) && (last || i+longestEscape <= len(b)) {
		at := offset + int64(i)
		c := b[i]
		switch {
		case c == '\\':
			r, n := escape(b[i:])
			s.rune(r, at)
			i += n
		case c < utf8.RuneSelf:
			s.rune(rune(c), at)
			i++
		default:
			r, n := utf8.DecodeRune(b[i:])
			i += n
			if r == utf8.RuneError {
				s.end()
			} else {
				s.rune(r, at)
			}
		}
	}
	return i
}

// escape reads what begins with a backslash.
func escape(b []byte) (rune, int) {
	if len(b) < 2 {
		return '\\', len(b)
	}
	switch b[1] {
	case 'n', 'r', 't', 'b', 'f':
		return '\n', 2
	case '"', '/', '\\':
		return rune(b[1]), 2
	case 'u':
		r, ok := hex4(b)
		if !ok {
			break
		}
		if utf16.IsSurrogate(r) && len(b) >= longestEscape && b[6] == '\\' && b[7] == 'u' {
			if low, ok := hex4(b[6:]); ok {
				return utf16.DecodeRune(r, low), longestEscape
			}
		}
		return r, 6
	}
	return '\\', 1
}

// hex4 reads \uXXXX.
func hex4(b []byte) (rune, bool) {
	if len(b) < 6 {
		return 0, false
	}
	r := rune(0)
	for _, c := range b[2:6] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			c = c | 0x20 - 'a' + 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

// utf16 reads the units of one byte order that begin at start, an even number
// of bytes apart.
func (s *scanner) utf16(b []byte, offset int64, order binary.ByteOrder) {
	for i := 0; i+1 < len(b); i += 2 {
		r := rune(order.Uint16(b[i:]))
		if utf16.IsSurrogate(r) {
			s.end() // no letter of a name is beyond the basic plane
			continue
		}
		s.rune(r, offset+int64(i))
	}
}

// block is how many bytes are read at a time, an even number.
const block = 1 << 16

// Reader calls found for each value in a stream of bytes, in UTF-8 or UTF-16 of
// either byte order at any place, and returns the number of bytes.
func (m *Matcher) Reader(r io.Reader, found func(Hit)) (int64, error) {
	narrow := newScanner(m, "", found)
	var even, odd [2]*scanner // UTF-16 by the place where it begins
	for i := range even {
		even[i], odd[i] = newScanner(m, "UTF-16", found), newScanner(m, "UTF-16", found)
	}
	var text []byte                // not yet read as UTF-8
	chunk := make([]byte, 1+block) // the first is the last byte of the block before
	for read := int64(0); ; {
		n, err := io.ReadFull(r, chunk[1:])
		last := err == io.EOF || err == io.ErrUnexpectedEOF
		if err != nil && !last {
			return read, err
		}
		if !last && [1 + block]byte(chunk) == [1 + block]byte{} { // a hole of the file
			narrow.utf8(text, read-int64(len(text)), true)
			narrow.end()
			text = text[:0]
			for i := range even {
				even[i].end()
				odd[i].end()
			}
			read += block
			continue
		}
		text = append(text, chunk[1:1+n]...)
		used := narrow.utf8(text, read+int64(n-len(text)), last)
		text = text[:copy(text, text[used:])]
		shifted, at := chunk[:1+n], read-1
		if read == 0 {
			shifted, at = chunk[min(2, 1+n):1+n], 1
		}
		for i, order := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
			even[i].utf16(chunk[1:1+n], read, order)
			odd[i].utf16(shifted, at, order)
		}
		read += int64(n)
		if last {
			narrow.end()
			for i := range even {
				even[i].end()
				odd[i].end()
			}
			return read, nil
		}
		chunk[0] = chunk[n]
	}
}
