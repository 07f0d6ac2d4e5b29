package ingest

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"path"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"
)

// window is how many bytes are looked at to tell formats, encodings and
// delimiters apart.
const window = 64 << 10

// Beginnings of files that are not text.
var magics = []struct{ magic, format, msg string }{
	{"PK\x03\x04", XLSX, ""},
	{"\xD0\xCF\x11\xE0", "", "this is an old Excel file (.xls); save it as .xlsx or CSV"},
	{"%PDF", "", "this is a PDF; export the table as CSV or .xlsx"},
	{"\x1f\x8b", "", "this is compressed with gzip; unpack it first"},
}

// open tells the format and returns the file's text as UTF-8 without byte
// order mark and with \n or \r\n as line ends; for XLSX, the bytes themselves.
func (rd *reader) open(r io.Reader) (*bufio.Reader, string, error) {
	raw := bufio.NewReaderSize(r, window)
	head, err := raw.Peek(window)
	if err != nil && err != io.EOF {
		return nil, "", err
	}
	if len(head) == 0 {
		return nil, "", rd.fail(0, 0, "", "the file is empty")
	}
	for _, m := range magics {
		if !bytes.HasPrefix(head, []byte(m.magic)) {
			continue
		}
		if m.format == "" {
			return nil, "", rd.fail(0, 0, "", "%s", m.msg)
		}
		if rd.o.Format != "" && rd.o.Format != m.format {
			return nil, "", rd.fail(0, 0, "", "this is an .xlsx file, not %s; leave --format out", rd.o.Format)
		}
		return raw, m.format, nil
	}
	if rd.o.Format == XLSX || rd.o.Format == "" && ext(rd.file) == ".xlsx" {
		return nil, "", rd.fail(0, 0, "", "this is not an .xlsx file; if it is text, use --format csv, json or jsonl")
	}
	decoded, err := rd.decode(raw, head)
	if err != nil {
		return nil, "", err
	}
	text := bufio.NewReaderSize(decoded, window)
	start, err := text.Peek(window)
	if err != nil && err != io.EOF {
		return nil, "", err
	}
	if bytes.ContainsRune(start, '\r') && !bytes.ContainsRune(start, '\n') {
		text = bufio.NewReaderSize(crReader{text}, window)
	}
	format, err := rd.format(start)
	return text, format, err
}

func ext(file string) string { return strings.ToLower(path.Ext(file)) }

// format tells CSV, JSON and JSONL apart, by option, name and content.
func (rd *reader) format(start []byte) (string, error) {
	switch rd.o.Format {
	case "":
	case CSV, JSON, JSONL:
		return rd.o.Format, nil
	default:
		return "", rd.fail(0, 0, "", "unknown format %q; use csv, xlsx, json or jsonl", rd.o.Format)
	}
	start = bytes.TrimLeft(start, " \t\r\n")
	isJSON := bytes.HasPrefix(start, []byte("{")) || bytes.HasPrefix(start, []byte("["))
	switch e := ext(rd.file); {
	case e == ".csv" || e == ".tsv":
		return CSV, nil
	case e == ".json":
		return JSON, nil
	case e == ".jsonl" || e == ".ndjson":
		if bytes.HasPrefix(start, []byte("[")) {
			return JSON, nil
		}
		return JSONL, nil
	case isJSON:
		return JSON, nil // its reader takes one object after another, too
	}
	return CSV, nil
}

// decode returns r as UTF-8. head is the beginning of r, not yet consumed.
func (rd *reader) decode(r *bufio.Reader, head []byte) (io.Reader, error) {
	switch name := strings.ToLower(strings.ReplaceAll(rd.o.Encoding, "_", "-")); name {
	case "":
	case "utf-8", "utf8":
		return rd.located(utf8Reader(r)), nil
	case "utf-16", "utf16", "utf-16le", "utf16le":
		return rd.located(utf16Reader(r, unicode.LittleEndian)), nil
	case "utf-16be", "utf16be":
		return rd.located(utf16Reader(r, unicode.BigEndian)), nil
	case "cp949", "euc-kr", "euckr", "uhc", "ms949":
		return rd.located(cp949Reader(r)), nil
	case "windows-1252", "cp1252", "latin1", "iso-8859-1":
		return rd.located(charmap.Windows1252.NewDecoder().Reader(r)), nil
	default:
		return nil, rd.fail(0, 0, "", "unknown encoding %q; use utf-8, utf-16, utf-16le, utf-16be, cp949 or windows-1252", rd.o.Encoding)
	}
	switch {
	case bytes.HasPrefix(head, []byte("\xEF\xBB\xBF")):
		return rd.located(utf8Reader(r)), nil
	case bytes.HasPrefix(head, []byte("\xFF\xFE")), bytes.HasPrefix(head, []byte("\xFE\xFF")):
		return rd.located(utf16Reader(r, unicode.LittleEndian)), nil
	}
	switch n := bytes.Count(head, []byte{0}); {
	case n*4 >= len(head): // every other byte of Latin letters
		return nil, rd.fail(0, 0, "", "this is not text, or it is UTF-16 without a byte order mark; then use --encoding utf-16le or utf-16be")
	case n > 0:
		line := 1 + bytes.Count(head[:bytes.IndexByte(head, 0)], []byte("\n"))
		return nil, rd.fail(0, line, "", "this is not text: there is a NUL byte; save the table as CSV in UTF-8 (or, if it is UTF-16, use --encoding utf-16le or utf-16be)")
	}
	return rd.located(&detector{r: r}), nil
}

func utf8Reader(r *bufio.Reader) io.Reader {
	if b, _ := r.Peek(3); string(b) == "\xEF\xBB\xBF" {
		_, _ = r.Discard(3) // cannot fail: it was peeked
	}
	return transform.NewReader(r, encoding.UTF8Validator)
}

// utf16Reader decodes UTF-16 of the given order, or of that which a byte order
// mark tells.
func utf16Reader(r io.Reader, e unicode.Endianness) io.Reader {
	return unicode.UTF16(e, unicode.UseBOM).NewDecoder().Reader(r)
}

// detector reads ASCII until the first other byte, and settles the encoding by
// what stands there: UTF-8 if that is valid, else CP949.
type detector struct {
	r       *bufio.Reader
	settled io.Reader
}

var (
	errNeither  = errors.New("neither UTF-8 nor CP949")
	errNotCP949 = errors.New("not CP949")
)

func (d *detector) Read(p []byte) (int, error) {
	if d.settled != nil {
		return d.settled.Read(p)
	}
	if _, err := d.r.Peek(1); err != nil {
		return 0, err
	}
	b, _ := d.r.Peek(min(d.r.Buffered(), len(p)))
	if n := bytes.IndexFunc(b, func(r rune) bool { return r >= utf8.RuneSelf }); n >= 0 {
		b = b[:n]
	}
	if len(b) > 0 {
		n := copy(p, b)
		_, err := d.r.Discard(n)
		return n, err
	}
	if len(p) == 0 {
		return 0, nil
	}
	win, err := d.r.Peek(window)
	if err != nil && err != io.EOF {
		return 0, err
	}
	switch whole := err == io.EOF; {
	case validUTF8(win, whole):
		d.settled = transform.NewReader(d.r, encoding.UTF8Validator)
	case validCP949(win, whole):
		d.settled = cp949Reader(d.r)
	default:
		d.settled = &brokenReader{d.r, win}
	}
	return d.settled.Read(p)
}

// validUTF8 reports whether b is UTF-8; a last rune may be cut off unless b is
// the whole rest of the file.
func validUTF8(b []byte, whole bool) bool {
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		if r == utf8.RuneError && n == 1 {
			return !whole && !utf8.FullRune(b)
		}
		b = b[n:]
	}
	return true
}

func validCP949(b []byte, whole bool) bool {
	dst := make([]byte, 3*len(b)+16)
	n, _, err := korean.EUCKR.NewDecoder().Transform(dst, b, whole)
	if err != nil && err != transform.ErrShortSrc {
		return false
	}
	return !bytes.Contains(dst[:n], []byte("\uFFFD"))
}

func cp949Reader(r io.Reader) io.Reader { return &strict{r: korean.EUCKR.NewDecoder().Reader(r)} }

// strict turns the replacement character, by which decoders of two-byte sets
// report bytes that they do not know, into an error.
type strict struct {
	r    io.Reader
	tail [2]byte // end of the last chunk
	err  error
}

func (s *strict) Read(p []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	n, err := s.r.Read(p)
	joined := append(s.tail[:len(s.tail):len(s.tail)], p[:n]...)
	if i := bytes.Index(joined, []byte("\uFFFD")); i >= 0 {
		s.err = errNotCP949
		return max(0, min(n, i-len(s.tail))), nil
	}
	copy(s.tail[:], joined[len(joined)-2:])
	return n, err
}

// brokenReader delivers the valid part of the window, so that the line of the
// first broken byte can be told, and then errNeither.
type brokenReader struct {
	r   *bufio.Reader
	win []byte
}

func (b *brokenReader) Read(p []byte) (int, error) {
	n := 0
	for n < len(b.win) && n < len(p) {
		r, size := utf8.DecodeRune(b.win[n:])
		if r == utf8.RuneError && size == 1 || n+size > len(p) {
			break
		}
		n += size
	}
	if n == 0 {
		return 0, errNeither
	}
	copy(p, b.win[:n])
	b.win = b.win[n:]
	return n, nil
}

// located makes errors of the encoding into errors of the file, with the line.
func (rd *reader) located(r io.Reader) io.Reader { return &lineReader{rd: rd, r: r, line: 1} }

type lineReader struct {
	rd   *reader
	r    io.Reader
	line int
}

func (l *lineReader) Read(p []byte) (int, error) {
	n, err := l.r.Read(p)
	l.line += bytes.Count(p[:n], []byte("\n"))
	what := ""
	switch {
	case errors.Is(err, errNeither):
		what = "neither UTF-8 nor CP949"
	case errors.Is(err, errNotCP949):
		what = "not valid CP949"
	case errors.Is(err, encoding.ErrInvalidUTF8):
		what = "not valid UTF-8"
	default:
		return n, err
	}
	return n, l.rd.fail(0, l.line, "", "the text is %s; save the file as UTF-8, or name its encoding with --encoding", what)
}

// crReader turns the carriage returns of old Macintosh files into line feeds.
type crReader struct{ r io.Reader }

func (c crReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	for i, b := range p[:n] {
		if b == '\r' {
			p[i] = '\n'
		}
	}
	return n, err
}
