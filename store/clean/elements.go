package clean

import (
	"strings"
	"unicode"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// elements are the tags that are taken for HTML; <y and z> is none.
var elements = set(
	atom.A, atom.Abbr, atom.Acronym, atom.Address, atom.Applet, atom.Article, atom.Aside, atom.Audio, atom.B, atom.Base,
	atom.Bdi, atom.Bdo, atom.Big, atom.Blink, atom.Blockquote, atom.Body, atom.Br, atom.Button, atom.Canvas,
	atom.Caption, atom.Center, atom.Cite, atom.Code, atom.Col, atom.Colgroup, atom.Data, atom.Datalist, atom.Dd,
	atom.Del, atom.Details, atom.Dfn, atom.Dialog, atom.Div, atom.Dl, atom.Dt, atom.Em, atom.Embed, atom.Fieldset,
	atom.Figcaption, atom.Figure, atom.Font, atom.Footer, atom.Form, atom.Frame, atom.Frameset, atom.H1, atom.H2,
	atom.H3, atom.H4, atom.H5, atom.H6, atom.Head, atom.Header, atom.Hgroup, atom.Hr, atom.Html, atom.I, atom.Iframe,
	atom.Img, atom.Input, atom.Ins, atom.Kbd, atom.Label, atom.Legend, atom.Li, atom.Link, atom.Main, atom.Map,
	atom.Mark, atom.Marquee, atom.Meta, atom.Meter, atom.Nav, atom.Nobr, atom.Noscript, atom.Object, atom.Ol,
	atom.Optgroup, atom.Option, atom.Output, atom.P, atom.Param, atom.Picture, atom.Pre, atom.Progress, atom.Q,
	atom.Rp, atom.Rt, atom.Ruby, atom.S, atom.Samp, atom.Script, atom.Section, atom.Select, atom.Small, atom.Source,
	atom.Span, atom.Strike, atom.Strong, atom.Style, atom.Sub, atom.Summary, atom.Sup, atom.Svg, atom.Table,
	atom.Tbody, atom.Td, atom.Template, atom.Textarea, atom.Tfoot, atom.Th, atom.Thead, atom.Time, atom.Title,
	atom.Tr, atom.Track, atom.Tt, atom.U, atom.Ul, atom.Var, atom.Video, atom.Wbr,
)

// rawText are the elements whose content the tokenizer does not look into.
var rawText = set(atom.Script, atom.Style, atom.Textarea, atom.Title, atom.Iframe, atom.Noembed, atom.Noframes,
	atom.Noscript, atom.Plaintext, atom.Xmp)

// blocks are the elements by which a text is known to be laid out by HTML, so
// that line breaks of the source mean nothing.
var blocks = set(atom.Br, atom.P, atom.Div, atom.Ul, atom.Ol, atom.Li, atom.Table, atom.Tr, atom.H1, atom.H2, atom.H3,
	atom.H4, atom.H5, atom.H6, atom.Blockquote, atom.Section, atom.Article, atom.Dl, atom.Html, atom.Body)

func set(atoms ...atom.Atom) map[atom.Atom]bool {
	m := make(map[atom.Atom]bool, len(atoms))
	for _, a := range atoms {
		m[a] = true
	}
	return m
}

// isElement tells a tag from an inequality: its name is an element's and its
// attributes have values or names that HTML knows.
func isElement(tok html.Token) bool {
	if tok.DataAtom == 0 || !elements[tok.DataAtom] {
		return false
	}
	for _, a := range tok.Attr {
		if a.Val == "" && atom.Lookup([]byte(a.Key)) == 0 &&
			!strings.HasPrefix(a.Key, "data-") && !strings.HasPrefix(a.Key, "aria-") {
			return false
		}
	}
	return true
}

// closes reports whether s holds the end tag of the element.
func closes(s, name string) bool {
	for {
		i := strings.Index(s, "</")
		if i < 0 {
			return false
		}
		s = s[i+2:]
		if len(s) >= len(name) && strings.EqualFold(s[:len(name)], name) &&
			(len(s) == len(name) || strings.ContainsRune(" \t\n\r/>", rune(s[len(name)]))) {
			return true
		}
	}
}

// blockLevel reports whether s is laid out by HTML.
func blockLevel(s string) bool {
	z := html.NewTokenizer(strings.NewReader(s))
	for {
		switch z.Next() {
		case html.ErrorToken:
			return false
		case html.StartTagToken, html.SelfClosingTagToken:
			if tok := z.Token(); blocks[tok.DataAtom] && isElement(tok) {
				return true
			}
			z.NextIsNotRawText()
		}
	}
}

// unescape decodes entities that end in a semicolon: "&amp;" and "&#39;" but
// not the "&copy" of "?a=1&copy=2".
func unescape(s string) string {
	if !strings.Contains(s, "&") {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	for {
		i := strings.IndexByte(s, '&')
		if i < 0 {
			break
		}
		b.WriteString(s[:i])
		s = s[i:]
		end := 1
		for end < len(s) && end < 40 && (s[end] == '#' || isAlnum(s[end])) {
			end++
		}
		if end < len(s) && s[end] == ';' {
			entity := s[:end+1]
			if decoded := html.UnescapeString(entity); decoded != entity && !strings.HasSuffix(decoded, ";") {
				b.WriteString(decoded)
				s = s[end+1:]
				continue
			}
		}
		b.WriteByte('&')
		s = s[1:]
	}
	b.WriteString(s)
	return b.String()
}

func isAlnum(c byte) bool {
	return c < 0x80 && (unicode.IsLetter(rune(c)) || unicode.IsDigit(rune(c)))
}
