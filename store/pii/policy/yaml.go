package policy

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The parser reads the part of YAML 1.2 that a policy needs, and JSON with it:
// block and flow mappings and lists, plain and quoted scalars on one line,
// comments. What it does not read (anchors, tags, block scalars, several
// documents) is an error, never another meaning; a test compares the two with
// go.yaml.in/yaml. That library itself would be 360 kB of the binary.

// node is a value with its place in the file.
type node struct {
	line int
	kind nodeKind
	text string   // of a scalar
	keys []string // of a mapping, as long as items
	at   []int    // lines of keys
	list []*node  // of a list, or the values of a mapping
}

type nodeKind int

const (
	null nodeKind = iota
	scalar
	quoted // a scalar that is text whatever it looks like
	sequence
	mapping
)

// maxDepth bounds how deep values stand in each other.
const maxDepth = 16

// yamlParser reads a file from pos on. Errors are panics of *Error, which
// parseYAML catches: every other line would be a check otherwise.
type yamlParser struct {
	name  string
	text  string
	pos   int
	line  int // of pos, from 1
	depth int
}

// parseYAML returns the one document of a file.
func parseYAML(name, text string) (root *node, err error) {
	p := &yamlParser{name: name, text: strings.ReplaceAll(strings.TrimPrefix(text, "\ufeff"), "\r\n", "\n"), line: 1}
	defer func() {
		if r := recover(); r != nil {
			e, ok := r.(*Error)
			if !ok {
				panic(r)
			}
			root, err = nil, e
		}
	}()
	p.checkText()
	p.blank()
	if p.startsDocument() && p.peek(0) == '-' {
		p.pos += 3
		p.endOfLine()
		p.blank()
	}
	if p.pos == len(p.text) {
		return &node{line: p.line}, nil
	}
	root = p.block(p.column())
	p.blank()
	if p.pos < len(p.text) {
		p.fail("this line is indented less than the first, or belongs to nothing")
	}
	return root, nil
}

func (p *yamlParser) fail(format string, args ...any) {
	panic(&Error{File: p.name, Line: p.line, Message: fmt.Sprintf(format, args...)})
}

// checkText refuses what no policy holds, before anything is read.
func (p *yamlParser) checkText() {
	if !utf8.ValidString(p.text) {
		p.fail("the file is not UTF-8")
	}
	for _, r := range p.text {
		if r == '\n' {
			p.line++
		}
		if r == '\t' {
			p.fail("the line holds a tab; use blanks, or \\t in double quotes")
		}
		if control(r) && r != '\n' {
			p.fail("the file holds a control character (U+%04X)", r)
		}
	}
	p.line = 1
}

// control says whether r is no character to be seen in a file.
func control(r rune) bool {
	return unicode.IsControl(r) || r == '\u2028' || r == '\u2029' || r == '\ufeff'
}

// peek returns the byte at pos+n, 0 behind the end.
func (p *yamlParser) peek(n int) byte {
	if p.pos+n < len(p.text) {
		return p.text[p.pos+n]
	}
	return 0
}

// column returns how many bytes stand before pos in its line.
func (p *yamlParser) column() int { return p.pos - 1 - strings.LastIndexByte(p.text[:p.pos], '\n') }

// blanks skips blanks in the line.
func (p *yamlParser) blanks() {
	for p.peek(0) == ' ' {
		p.pos++
	}
}

// ends says whether a comment or nothing follows in the line; pos is behind blanks.
func (p *yamlParser) ends() bool {
	c := p.peek(0)
	return p.pos == len(p.text) || c == '\n' || c == '#' && (p.pos == 0 || strings.IndexByte(" \n", p.text[p.pos-1]) >= 0)
}

// endOfLine skips the rest of a line, which holds a comment at most.
func (p *yamlParser) endOfLine() {
	p.blanks()
	if !p.ends() {
		p.fail("a value ends before the end of its line; put text with special characters in quotes")
	}
	for p.pos < len(p.text) && p.text[p.pos] != '\n' {
		p.pos++
	}
	if p.pos < len(p.text) {
		p.pos++
		p.line++
	}
}

// blank skips empty lines and comments, up to the first character of a line.
func (p *yamlParser) blank() {
	for p.pos < len(p.text) {
		if p.blanks(); !p.ends() {
			return
		}
		p.endOfLine()
	}
}

// startsDocument says whether "---" or "..." stands at pos as the mark of a document.
func (p *yamlParser) startsDocument() bool {
	c := p.peek(3)
	return (strings.HasPrefix(p.text[p.pos:], "---") || strings.HasPrefix(p.text[p.pos:], "...")) &&
		(c == 0 || c == ' ' || c == '\n') && p.column() == 0
}

// deeper counts a level.
func (p *yamlParser) deeper() {
	if p.depth++; p.depth > maxDepth {
		p.fail("values stand more than %d levels deep in each other", maxDepth)
	}
}

// block reads a value that begins at pos, the first of its lines, indented by indent.
func (p *yamlParser) block(indent int) *node {
	p.deeper()
	defer func() { p.depth-- }()
	switch {
	case p.dash():
		return p.blockList(indent)
	case p.keyAhead():
		return p.blockMap(indent)
	}
	n := p.inline(false)
	p.endOfLine()
	return n
}

// dash says whether a list's item begins at pos.
func (p *yamlParser) dash() bool {
	c := p.peek(1)
	return p.peek(0) == '-' && (c == 0 || c == ' ' || c == '\n')
}

// keyAhead says whether "key:" begins at pos.
func (p *yamlParser) keyAhead() bool {
	save := *p
	defer func() { *p = save }()
	switch p.peek(0) {
	case '"', '\'':
		p.quotedText()
	case '[', '{':
		return false
	default:
		p.plain(false, true)
	}
	p.blanks()
	return p.colon()
}

// colon says whether ':' at pos ends a key.
func (p *yamlParser) colon() bool {
	c := p.peek(1)
	return p.peek(0) == ':' && (c == 0 || c == ' ' || c == '\n')
}

func (p *yamlParser) blockList(indent int) *node {
	n := &node{line: p.line, kind: sequence}
	for p.pos < len(p.text) && p.column() == indent && p.dash() {
		p.pos++
		n.list = append(n.list, p.value(indent, false))
	}
	p.noDeeper(indent)
	return n
}

func (p *yamlParser) blockMap(indent int) *node {
	n := &node{line: p.line, kind: mapping}
	for p.pos < len(p.text) && p.column() == indent && !p.dash() {
		if !p.keyAhead() {
			p.fail("expected a name and a colon with a blank behind it")
		}
		p.key(n, false)
		p.blanks()
		p.pos++ // the colon
		n.list = append(n.list, p.value(indent, true))
	}
	p.noDeeper(indent)
	return n
}

// noDeeper refuses a line that is indented more than the block before it.
func (p *yamlParser) noDeeper(indent int) {
	if p.pos < len(p.text) && p.column() > indent {
		p.fail("this line is indented more than the ones it belongs to")
	}
}

// value reads what stands behind "key:" or "-" in a block with this indent.
func (p *yamlParser) value(indent int, ofKey bool) *node {
	line := p.line
	p.blanks()
	if !p.ends() {
		if !ofKey && (p.dash() || p.keyAhead()) { // "- name: …"
			n := p.block(p.column())
			p.blank()
			return n
		}
		n := p.inline(false)
		p.endOfLine()
		p.blank()
		return n
	}
	p.endOfLine()
	p.blank()
	if p.pos == len(p.text) || p.column() < indent || p.column() == indent && !(ofKey && p.dash()) {
		return &node{line: line}
	}
	n := p.block(p.column())
	p.blank()
	return n
}

// key reads a key into a mapping.
func (p *yamlParser) key(n *node, flow bool) {
	line := p.line
	var key string
	if c := p.peek(0); c == '"' || c == '\'' {
		key = p.quotedText()
	} else if key = p.plain(flow, true); key == "" {
		p.fail("expected a name and a colon with a blank behind it")
	}
	for i, k := range n.keys {
		if k == key {
			p.fail("the name stands in line %d already", n.at[i])
		}
	}
	n.keys, n.at = append(n.keys, key), append(n.at, line)
}

// inline reads a value in a line: a flow value, which may go over several
// lines, or a scalar.
func (p *yamlParser) inline(flow bool) *node {
	n := &node{line: p.line}
	switch p.peek(0) {
	case '[', '{':
		return p.flow()
	case '"', '\'':
		n.kind, n.text = quoted, p.quotedText()
		return n
	}
	n.text = p.plain(flow, false)
	if n.kind = scalar; n.text == "" || n.text == "~" || n.text == "null" || n.text == "Null" || n.text == "NULL" {
		n.kind = null
	}
	return n
}

// flow reads [a, b] or {a: b}.
func (p *yamlParser) flow() *node {
	p.deeper()
	defer func() { p.depth-- }()
	n, end := &node{line: p.line, kind: sequence}, byte(']')
	if p.peek(0) == '{' {
		n.kind, end = mapping, '}'
	}
	p.pos++
	for {
		p.flowBlanks()
		if p.peek(0) == end {
			p.pos++
			return n
		}
		if n.kind == mapping {
			c := p.peek(0)
			p.key(n, true)
			p.flowBlanks()
			if p.peek(0) != ':' || c != '"' && c != '\'' && !p.colon() {
				p.fail("expected a colon and a blank behind a name")
			}
			p.pos++
			p.flowBlanks()
		}
		if c := p.peek(0); c == ',' || c == ']' || c == '}' {
			p.fail("expected a value before %q", c)
		}
		n.list = append(n.list, p.inline(true))
		p.flowBlanks()
		switch p.peek(0) {
		case ',':
			p.pos++
		case end:
		default:
			p.fail("expected a comma or %q; put text with special characters in quotes", end)
		}
	}
}

// flowBlanks skips blanks, line breaks and comments inside of a flow value.
func (p *yamlParser) flowBlanks() {
	for {
		p.blanks()
		if p.pos == len(p.text) {
			p.fail("the file ends inside of brackets")
		}
		if !p.ends() {
			return
		}
		p.endOfLine()
	}
}

// plain reads a scalar without quotes, up to a comment, the end of the line or
// ": ". In a flow value it ends at a comma or bracket as well.
func (p *yamlParser) plain(flow, key bool) string {
	if p.startsDocument() {
		p.fail("the file holds several documents")
	}
	c := p.peek(0)
	if strings.IndexByte("&*!|>%@`,[]{}#", c) >= 0 && c != 0 ||
		strings.IndexByte("-?:", c) >= 0 && c != 0 && (strings.IndexByte(" \n", p.peek(1)) >= 0 || p.peek(1) == 0 || flow && strings.IndexByte(",[]{}", p.peek(1)) >= 0) {
		if !key || c != ':' {
			p.fail("a value begins with %q; put it in quotes, or leave it out if it is not meant as text", c)
		}
	}
	start := p.pos
	for ; p.pos < len(p.text); p.pos++ {
		c := p.text[p.pos]
		if c == '\n' || c == '#' && p.pos > start && p.text[p.pos-1] == ' ' ||
			flow && strings.IndexByte(",[]{}", c) >= 0 {
			break
		}
		if next := p.peek(1); c == ':' && (next == 0 || next == ' ' || next == '\n' || flow && strings.IndexByte(",[]{}", next) >= 0) {
			if !key {
				p.fail("a value holds a colon and a blank; put it in quotes")
			}
			break
		}
	}
	return strings.TrimRight(p.text[start:p.pos], " ")
}

// quotedText reads "…" or '…', which end in the same line.
func (p *yamlParser) quotedText() string {
	quote := p.text[p.pos]
	p.pos++
	var b strings.Builder
	for p.pos < len(p.text) && p.text[p.pos] != '\n' {
		c := p.text[p.pos]
		p.pos++
		switch {
		case c == quote && quote == '\'' && p.peek(0) == '\'':
			p.pos++
			b.WriteByte('\'')
		case c == quote:
			return b.String()
		case c == '\\' && quote == '"':
			b.WriteString(p.escape())
		default:
			b.WriteByte(c)
		}
	}
	p.fail("a quotation mark is not closed in its line")
	return ""
}

// escapes are the ones that YAML and JSON share, and some more of YAML's.
var escapes = map[byte]string{
	'"': `"`, '\\': `\`, '/': "/", 'n': "\n", 't': "\t", 'r': "\r", 'b': "\b", 'f': "\f", '0': "\x00", 'a': "\a", 'v': "\v", 'e': "\x1b", ' ': " ",
}

// escape reads what follows a backslash.
func (p *yamlParser) escape() string {
	c := p.peek(0)
	if s, ok := escapes[c]; ok {
		p.pos++
		return s
	}
	digits := map[byte]int{'x': 2, 'u': 4, 'U': 8}[c]
	if digits > 0 && p.pos+1+digits <= len(p.text) {
		if r, err := strconv.ParseUint(p.text[p.pos+1:p.pos+1+digits], 16, 32); err == nil && utf8.ValidRune(rune(r)) {
			p.pos += 1 + digits
			return string(rune(r))
		}
	}
	p.fail(`a backslash in double quotes begins no known character; write \\ for itself, or use single quotes`)
	return ""
}
