package leak

import (
	"crypto/rand"
	"encoding/binary"
	"math/bits"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"cloister/store/pii"
)

const (
	prime   = 1<<61 - 1
	window  = 6   // symbols at the end of a value that say which lengths to look up
	longest = 192 // symbols of a value that count; of a longer one, the first
)

// Matcher looks for the values that were added to it.
type Matcher struct {
	base    uint64
	power   [longest + 1]uint64 // of base
	values  map[uint64]*value   // by hash of all symbols
	lengths map[uint64][]uint8  // of the values that end in a window, descending; by its hash
	filter  []uint64            // bits of the windows' hashes, so that most need no map
	allowed string              // folded
	counts  Counts

	alphabet map[rune]bool // folded symbols of all values
	written  map[rune]bool // their syllables
	kinds    func() *[0x10000]kind
}

// kind says what a rune of the basic plane is for a Matcher.
type kind uint8

const (
	foreign   kind = iota // a letter or digit that no value has
	separator             // and other runes that are not letters or digits
	ignored
	single // one symbol
	many   // several symbols
)

// Counts says what a Matcher looks for.
type Counts struct {
	Strict  int `json:"strict"`  // values looked for everywhere
	Weak    int `json:"weak"`    // values that count only with a masker's evidence
	Allowed int `json:"allowed"` // values on the allow list, which are left out
}

type value struct {
	token, entity string
	symbols       int
	strict        bool
	closed        bool // has no separators inside
	name          bool // in Hangul: a whole word, but for what names carry
	digits        bool // nothing but digits
}

const filterBits = 1 << 22

// New returns a Matcher without values. allow holds texts that are nobody's
// secret: values inside of them are left out.
func New(allow []string) *Matcher {
	m := &Matcher{
		values: map[uint64]*value{}, lengths: map[uint64][]uint8{}, filter: make([]uint64, filterBits/64),
		alphabet: map[rune]bool{}, written: map[rune]bool{},
	}
	m.kinds = sync.OnceValue(m.makeKinds)
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	m.base = binary.LittleEndian.Uint64(b[:])%(prime-1<<32) + 1<<31
	m.power[0] = 1
	for i := range longest {
		m.power[i+1] = mul(m.power[i], m.base)
	}
	var all strings.Builder
	for _, text := range allow {
		symbols, _ := measure(text)
		all.WriteString(string(symbols))
		all.WriteByte('\n') // is in no folded value
	}
	m.allowed = all.String()
	return m
}

// Add adds a value of the vault.
func (m *Matcher) Add(token, entity, text string) {
	symbols, s := measure(text)
	switch {
	case len(symbols) == 0:
		return
	case strings.Contains(m.allowed, string(symbols)):
		m.counts.Allowed++
		return
	}
	symbols = symbols[:min(len(symbols), longest)]
	h := m.hash(symbols)
	v := &value{
		token: token, entity: entity, symbols: len(symbols), closed: closed(entity, s),
		name: entity == pii.Person && s.hangul == s.symbols, digits: s.digits == s.symbols,
	}
	v.strict = len(symbols) >= least(entity, s)
	old := m.values[h]
	if old != nil && (old.strict || !v.strict) { // the same value in another form, or of another entity
		return
	}
	if old == nil {
		m.counts.Weak++
	}
	m.values[h] = v
	if !v.strict {
		return
	}
	m.counts.Weak--
	m.counts.Strict++
	for _, r := range symbols {
		m.alphabet[r] = true
	}
	for _, r := range norm.NFC.String(text) {
		m.written[r] = true
	}
	w := m.hash(symbols[len(symbols)-window:])
	m.filter[w%filterBits/64] |= 1 << (w % 64)
	l := m.lengths[w]
	if i, there := slices.BinarySearchFunc(l, uint8(len(symbols)), func(a, b uint8) int { return int(b) - int(a) }); !there {
		m.lengths[w] = slices.Insert(l, i, uint8(len(symbols)))
	}
}

// makeKinds judges the runes, so that those which no value has cost little:
// syllables of Hangul as a whole, as no match ends inside of one.
func (m *Matcher) makeKinds() *[0x10000]kind {
	t, kinds := table(), new([0x10000]kind)
	for i := range rune(0x10000) {
		switch {
		case i >= hangulBase && i < hangulBase+hangulCount:
			if m.written[i] {
				kinds[i] = many
			}
		case t[i].c == cSeparator:
			kinds[i] = separator
		case t[i].c == cIgnored:
			kinds[i] = ignored
		case t[i].c == cMany:
			kinds[i] = many
			fold(t, i, func(r rune, c class) {
				if c > cIgnored && !m.alphabet[r] {
					kinds[i] = foreign
				}
			})
		case m.alphabet[t[i].r]:
			kinds[i] = single
		}
	}
	return kinds
}

// Counts says what is looked for.
func (m *Matcher) Counts() Counts { return m.counts }

// Weak returns the token and the entity of a value that is not looked for
// everywhere, as it may stand by chance; ok is false for every other text.
func (m *Matcher) Weak(text string) (token, entity string, ok bool) {
	symbols, _ := measure(text)
	v := m.values[m.hash(symbols[:min(len(symbols), longest)])]
	if v == nil || v.strict || len(symbols) == 0 {
		return "", "", false
	}
	return v.token, v.entity, true
}

// Text calls found for each value in a text, in the order of their ends.
func (m *Matcher) Text(text string, found func(Hit)) {
	s := newScanner(m, "", found)
	s.utf8([]byte(text), 0, true)
	s.end()
}

// measure folds a value.
func measure(text string) (symbols []rune, s shape) {
	t := table()
	gap := true
	for _, r := range text {
		if r == utf8.RuneError {
			continue
		}
		if r >= hangulBase && r < hangulBase+hangulCount {
			s.syllables++
		}
		fold(t, r, func(r rune, c class) {
			switch c {
			case cIgnored:
				return
			case cSeparator:
				gap = true
				return
			case cDigit:
				s.digits++
			case cLatin:
				s.latin++
			case cHangul, cCoda:
				s.hangul++
			}
			if gap {
				s.words++
				gap = false
			}
			symbols = append(symbols, r)
		})
	}
	s.symbols = len(symbols)
	s.separators = max(0, s.words-1)
	return symbols, s
}

func (m *Matcher) hash(symbols []rune) uint64 {
	h := uint64(0)
	for _, r := range symbols {
		h = m.push(h, r)
	}
	return h
}

// push returns the hash of one symbol more.
func (m *Matcher) push(h uint64, r rune) uint64 { return add(mul(h, m.base), uint64(r)+1) }

// last returns the hash of the last n symbols of those with the hash now, when
// before was the hash without them.
func (m *Matcher) last(now, before uint64, n int) uint64 {
	return add(now, prime-mul(before, m.power[n]))
}

// add and mul compute modulo prime, of numbers below it.
func add(a, b uint64) uint64 {
	s := a + b
	if s >= prime {
		s -= prime
	}
	return s
}

func mul(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return add(lo&prime, lo>>61|hi<<3)
}
