package pii

import (
	"slices"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// drop marks in the fold table a rune that matching does not see.
const drop = 0xFFFF

// hard marks a rune after which the text must be composed first.
const hard = 0xFFFE

// fold maps the runes of the basic plane to what matching sees.
var fold = sync.OnceValue(func() *[0x10000]uint16 {
	t := new([0x10000]uint16)
	for r := range t {
		t[r] = uint16(r)
	}
	for r := rune(0x80); r < 0x10000; r++ {
		switch {
		case unicode.Is(unicode.Nd, r):
			t[r] = uint16('0' + digitValue(r))
		case unicode.Is(unicode.Zs, r):
			t[r] = ' '
		case unicode.Is(unicode.Mn, r) || unicode.Is(unicode.Mc, r), r >= 0x1100 && r <= 0x11FF,
			r >= 0xA960 && r <= 0xA97F, r >= 0xD7B0 && r <= 0xD7FF:
			t[r] = hard
		case unicode.Is(unicode.Cf, r) || unicode.Is(unicode.Cc, r):
			t[r] = drop
		case r >= 0xFF01 && r <= 0xFF5E:
			t[r] = uint16(r - 0xFF01 + '!')
		case r >= 0xF900 && r <= 0xFAFF: // compatibility ideographs
			t[r] = hard
		}
	}
	for _, r := range "‐‑‒–—―⁃−﹘﹣－ーㅡ─━⸺⸻" {
		t[r] = '-'
	}
	for _, r := range "“”„‟″〃＂" {
		t[r] = '"'
	}
	for _, r := range "‘’‚‛′＇`´" {
		t[r] = '\''
	}
	for r, to := range map[rune]rune{'。': '.', '．': '.', '․': '.', '、': ',', '：': ':', '∶': ':', '〜': '~', '～': '~', '∼': '~', '⁄': '/', '∕': '/'} {
		t[r] = uint16(to)
	}
	for _, r := range []rune{0x115F, 0x1160, 0x3164, 0xFFA0, 0x034F, 0x180E, 0x2800} {
		t[r] = drop
	}
	for r := rune(0xFE00); r <= 0xFE0F; r++ { // variation selectors
		t[r] = drop
	}
	t[0x2028], t[0x2029], t[0x85] = '\n', '\n', '\n'
	t[0x0B], t[0x0C] = '\n', '\n'
	for r := range rune(0x20) {
		if r != '\t' && r != '\n' && r != '\r' && r != 0x0B && r != 0x0C {
			t[r] = drop
		}
	}
	t[0x7F] = drop
	t[drop], t[hard] = drop, drop // noncharacters
	return t
})

// digitValue returns the value of a decimal digit: in every script the ten
// digits follow each other, and each range of Nd is a multiple of ten long.
func digitValue(r rune) int {
	for _, x := range unicode.Nd.R16 {
		if r >= rune(x.Lo) && r <= rune(x.Hi) {
			return int(r-rune(x.Lo)) % 10
		}
	}
	for _, x := range unicode.Nd.R32 {
		if r >= rune(x.Lo) && r <= rune(x.Hi) {
			return int(r-rune(x.Lo)) % 10
		}
	}
	return 0
}

// foldRune returns what matching sees of r: the rune, drop or hard.
func foldRune(t *[0x10000]uint16, r rune) rune {
	if r < 0x10000 {
		return rune(t[r])
	}
	switch {
	case unicode.Is(unicode.Nd, r):
		return rune('0' + digitValue(r))
	case r >= 0xE0000 && r <= 0xE0FFF: // tags and variation selectors
		return drop
	case unicode.Is(unicode.Mn, r), r >= 0x2F800 && r <= 0x2FA1F:
		return hard
	}
	return r
}

// normalise fills r, cls, off, ends and soft from text.
func (d *doc) normalise() {
	t := fold()
	text := d.text
	n := utf8.RuneCountInString(text)
	d.r, d.cls, d.off, d.ends = slices.Grow(d.r, n), slices.Grow(d.cls, n), slices.Grow(d.off, n), slices.Grow(d.ends, n)
	for i := 0; i < len(text); {
		c := text[i]
		if c < utf8.RuneSelf {
			if c == '<' || c == '[' {
				if n := d.markLen(text[i:]); n > 0 {
					d.push(tokenRune(text[i:]), cToken, i, i+n)
					i += n
					continue
				}
			}
			if f := t[c]; f == drop {
				d.soft = append(d.soft, int32(len(d.r)))
			} else {
				d.push(rune(f), asciiClass[f], i, i+1)
			}
			i++
			continue
		}
		r, n := utf8.DecodeRuneInString(text[i:])
		if r >= 0xAC00 && r <= 0xD7A3 {
			d.push(r, cHangul, i, i+n)
			i += n
			continue
		}
		switch f := foldRune(t, r); f {
		case drop:
			d.soft = append(d.soft, int32(len(d.r)))
		case hard:
			i = d.compose(t, i, n)
			continue
		default:
			d.push(f, classOf(f), i, i+n)
		}
		i += n
	}
}

// tokenRune returns what stands for the mask token at the start of s.
func tokenRune(s string) rune {
	if strings.HasPrefix(s[1:], Person) {
		return personToken
	}
	return 0
}

// push adds the rune r that stands for text[off:end].
func (d *doc) push(r rune, c class, off, end int) {
	d.r = append(d.r, r)
	d.cls = append(d.cls, c)
	d.off = append(d.off, uint32(off))
	d.ends = append(d.ends, uint32(end))
}

// compose pushes the segment (NFC) that the rune of n bytes at text[i:] belongs to,
// perhaps with what was pushed last, and returns where the segment ends. Every rune
// of it maps to the whole segment, so that a span never cuts a letter from its
// marks.
func (d *doc) compose(t *[0x10000]uint16, i, n int) int {
	start, kept := i, len(d.r)
	if kept > 0 && d.cls[kept-1] != cToken && int(d.ends[kept-1]) == i && !norm.NFC.PropertiesString(d.text[i:]).BoundaryBefore() {
		start = int(d.off[kept-1])
		for kept > 0 && int(d.off[kept-1]) == start {
			kept--
		}
	}
	var it norm.Iter
	it.InitString(norm.NFC, d.text[start:])
	seg := it.Next()
	end := start + it.Pos()
	if end <= i { // too many marks on one letter
		seg, start, end, kept = []byte(d.text[i:i+n]), i, i+n, len(d.r)
	}
	d.r, d.cls, d.off, d.ends = d.r[:kept], d.cls[:kept], d.off[:kept], d.ends[:kept]
	d.pushSegment(t, seg, start, end)
	return end
}

func (d *doc) pushSegment(t *[0x10000]uint16, seg []byte, start, end int) {
	first := len(d.r)
	for len(seg) > 0 {
		r, n := utf8.DecodeRune(seg)
		seg = seg[n:]
		f := foldRune(t, r)
		if f == drop || f == hard && len(d.r) > first && !unicode.IsLetter(r) {
			if f == drop {
				d.soft = append(d.soft, int32(len(d.r)))
			}
			continue
		}
		if f == hard {
			f = r
		}
		d.push(f, classOf(f), start, end)
	}
}

var asciiClass = func() (t [128]class) {
	for c := range t {
		switch r := rune(c); {
		case r == ' ' || r == '\t':
			t[c] = cSpace
		case r == '\n' || r == '\r':
			t[c] = cNewline
		case r >= '0' && r <= '9':
			t[c] = cDigit
		case r >= 'A' && r <= 'Z':
			t[c] = cUpper
		case r >= 'a' && r <= 'z':
			t[c] = cLower
		}
	}
	return t
}()

// classOf returns the class of a folded rune.
func classOf(r rune) class {
	switch {
	case r < 128:
		return asciiClass[r]
	case r >= 0xAC00 && r <= 0xD7A3:
		return cHangul
	case r >= 0x4E00 && r <= 0x9FFF || r >= 0x3400 && r <= 0x4DBF || r >= 0x20000 && r <= 0x3FFFF:
		return cHan
	case r < 0x250 || r >= 0x1E00 && r <= 0x1EFF: // Latin
		if unicode.IsUpper(r) {
			return cUpper
		}
		if unicode.IsLetter(r) {
			return cLower
		}
		return cOther
	case unicode.IsLetter(r) || unicode.Is(unicode.M, r):
		return cLetter
	}
	return cOther
}
