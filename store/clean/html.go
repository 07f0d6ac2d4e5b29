package clean

import (
	"fmt"
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// stripHTML turns HTML into plain text: <br> and blocks into line breaks, lists
// into lines that begin with "- " or a number, cells into columns, links into
// their text and address, <pre> into a code fence; entities into characters.
// Scripts, styles, comments and other tags go. What is no HTML stays: 'a < b',
// 'x<y', <PERSON_1>, <kim@example.com>, and anything in back-quotes.
func stripHTML(s string) string {
	if !strings.ContainsAny(s, "<&") {
		return s
	}
	kept, rest := protectCode(s)
	st := &stripper{flow: blockLevel(rest)}
	st.run(rest)
	return restoreCode(st.b.String(), kept)
}

// stripper holds the state of one text.
type stripper struct {
	b      strings.Builder
	flow   bool     // line breaks of the source are only spaces, as in HTML
	lists  []int    // open lists: -1 is <ul>, otherwise the last number of <ol>
	links  []string // addresses of open <a>, or ""
	starts []int    // where their texts begin
	pre    int      // open <pre>
	hidden string   // element whose content is dropped, or ""
	cells  int      // in the open row of a table
	inCell int      // open cells
	marker int      // length of the text after the marker of a list item
}

func (st *stripper) run(s string) {
	z := html.NewTokenizer(strings.NewReader(s))
	done := 0                     // bytes of s consumed
	unclosed := map[string]bool{} // names of which no end tag follows
	for {
		kind := z.Next()
		raw := string(z.Raw())
		done += len(raw)
		switch kind {
		case html.ErrorToken:
			st.text(raw) // a tag that is never closed is no tag
			st.text(s[min(done, len(s)):])
			return
		case html.TextToken:
			st.text(raw)
		case html.StartTagToken, html.SelfClosingTagToken:
			tok := z.Token()
			if rawText[tok.DataAtom] && (unclosed[tok.Data] || !closes(s[done:], tok.Data)) {
				unclosed[tok.Data] = true
				z.NextIsNotRawText()
				st.text(raw)
				continue
			}
			if st.hidden != "" {
				continue
			}
			if !isElement(tok) {
				z.NextIsNotRawText()
				st.text(raw)
				continue
			}
			st.open(tok)
		case html.EndTagToken:
			tok := z.Token()
			if tok.Data == st.hidden {
				st.hidden = ""
			} else if st.hidden == "" {
				if elements[tok.DataAtom] && tok.DataAtom != 0 {
					st.close(tok.DataAtom)
				} else {
					st.text(raw)
				}
			}
		case html.CommentToken:
			if !strings.HasPrefix(raw, "<!--") || !strings.HasSuffix(raw, "-->") {
				st.text(raw) // "</ 3" and "<!" are comments only to a browser
			}
		case html.DoctypeToken:
		}
	}
}

// text writes a text of the source, entities decoded.
func (st *stripper) text(raw string) {
	if st.hidden != "" {
		return
	}
	raw = unescape(raw)
	if st.flow && st.pre == 0 {
		raw = strings.NewReplacer("\r\n", " ", "\n", " ", "\r", " ").Replace(raw)
		if strings.TrimSpace(raw) == "" && st.atBreak() {
			return
		}
	}
	st.b.WriteString(raw)
}

// atBreak reports whether nothing was written yet on the line.
func (st *stripper) atBreak() bool {
	s := st.b.String()
	return s == "" || len(s) == st.marker || strings.HasSuffix(s, string(hardBreak)) || strings.HasSuffix(s, string(paragraph))
}

// line ends the line, paragraph also leaves a blank one; neither does so twice.
func (st *stripper) line() {
	if !st.atBreak() {
		st.b.WriteRune(hardBreak)
	}
}

func (st *stripper) paragraph() {
	if s := st.b.String(); s != "" && len(s) != st.marker && !strings.HasSuffix(s, string(paragraph)) {
		st.b.WriteRune(paragraph)
	}
}

func (st *stripper) open(tok html.Token) {
	switch a := tok.DataAtom; a {
	case atom.Script, atom.Style, atom.Head, atom.Template, atom.Noscript, atom.Iframe, atom.Object:
		if tok.Type == html.StartTagToken && (a != atom.Head) {
			st.hidden = tok.Data
		}
	case atom.Br:
		st.b.WriteRune(hardBreak)
	case atom.Hr:
		st.paragraph()
	case atom.Ul, atom.Ol:
		st.line()
		n := -1
		if a == atom.Ol {
			n = 0
		}
		st.lists = append(st.lists, n)
	case atom.Li:
		st.item()
	case atom.Tr:
		st.line()
		st.cells = 0
	case atom.Td, atom.Th:
		if st.cells++; st.cells > 1 {
			st.b.WriteString(" | ")
		}
		st.inCell++
	case atom.Pre:
		st.paragraph()
		st.b.WriteString("```" + string(hardBreak))
		st.pre++
	case atom.A:
		st.links = append(st.links, address(tok))
		st.starts = append(st.starts, st.b.Len())
	case atom.Img:
		st.b.WriteString(attribute(tok, "alt"))
	default:
		st.block(a)
	}
}

func (st *stripper) close(a atom.Atom) {
	switch a {
	case atom.Ul, atom.Ol:
		if n := len(st.lists); n > 0 {
			st.lists = st.lists[:n-1]
		}
		st.line()
	case atom.Td, atom.Th:
		st.inCell = max(0, st.inCell-1)
	case atom.Tr, atom.Table:
		st.inCell = 0
		st.block(a)
	case atom.Li:
		st.line()
	case atom.Br:
		st.b.WriteRune(hardBreak)
	case atom.Pre:
		if st.pre > 0 {
			st.pre--
			st.line()
			st.b.WriteString("```" + string(paragraph))
		}
	case atom.A:
		if n := len(st.links); n > 0 {
			link, text := st.links[n-1], st.b.String()[st.starts[n-1]:]
			st.links, st.starts = st.links[:n-1], st.starts[:n-1]
			if link != "" && !strings.Contains(link, strings.TrimSpace(text)) {
				fmt.Fprintf(&st.b, " (%s)", link)
			} else if strings.TrimSpace(text) == "" {
				st.b.WriteString(link)
			}
		}
	default:
		st.block(a)
	}
}

// item begins a row of a list.
func (st *stripper) item() {
	st.line()
	if n := len(st.lists); n == 0 || st.lists[n-1] < 0 {
		st.b.WriteString("- ")
	} else {
		st.lists[n-1]++
		fmt.Fprintf(&st.b, "%d. ", st.lists[n-1])
	}
	st.marker = st.b.Len()
}

// block breaks the line or the paragraph at the border of a block; within a
// cell of a table it is a space.
func (st *stripper) block(a atom.Atom) {
	if st.inCell > 0 {
		st.b.WriteByte(' ')
		return
	}
	switch a {
	case atom.P, atom.H1, atom.H2, atom.H3, atom.H4, atom.H5, atom.H6, atom.Blockquote, atom.Table:
		st.paragraph()
	case atom.Div, atom.Section, atom.Article, atom.Header, atom.Footer, atom.Main, atom.Nav, atom.Aside,
		atom.Address, atom.Tr, atom.Dl, atom.Dt, atom.Dd, atom.Figure, atom.Figcaption, atom.Form, atom.Fieldset, atom.Option:
		st.line()
	}
}

// address returns where a link goes, if that says more than its text.
func address(tok html.Token) string {
	href := strings.TrimSpace(attribute(tok, "href"))
	if strings.HasPrefix(href, "http://") || strings.HasPrefix(href, "https://") {
		return href
	}
	return ""
}

func attribute(tok html.Token, name string) string {
	for _, a := range tok.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}
