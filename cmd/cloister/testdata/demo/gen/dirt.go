package main

import (
	"fmt"
	"html"
	"math/rand/v2"
	"strings"

	"golang.org/x/text/unicode/norm"
)

// set is one demo set and what is particular to its file.
type set struct {
	name   string
	header string
	cells  func(n int) (before, after string) // other columns of row n
	allow  []string                           // what is the institution's own
	near   func(r row, n int) row             // a near-duplicate
	hi     string
	comma  rune
}

var clinic = set{
	name:   "clinic",
	header: "Ticket,Channel,Question,Answer,Closed by",
	cells: func(n int) (string, string) {
		return fmt.Sprintf("BC-%d,%s,", 1000+n, []string{"phone", "web", "desk"}[n%3]), []string{",desk 1", ",desk 2", ","}[n%3]
	},
	allow: []string{
		"Brackenfold Clinic", "Tannery Row", "Cooper Lane", "Hollin Gate",
		"Halvorsen", "Quillon", "Abernasz", "Osterby", "Pell", "Wren", "Theo Brandvold", "Brandvold",
		"Priya Ostrom", "Ostrom", "June Castellane", "Castellane", "Gideon Farrow", "Farrow",
		"555-0168", "555-0193", "555-0117", "records@brackenfold.example",
	},
	near: func(r row, n int) row {
		switch n % 3 {
		case 0:
			r.question = "Hello, " + strings.ToLower(r.question) + "!"
		case 1:
			r.question = strings.ToUpper(strings.TrimRight(r.question, "?"))
			r.answer = strings.TrimSuffix(r.answer, ".")
		default:
			r.question = strings.NewReplacer("appointment", "appointmnet", "Where", "Wheer", "clinic", "clnic", "called", "caled").Replace(r.question)
			r.answer += " "
		}
		return r
	},
	hi: "Hi,\n",
}

var lawfirm = set{
	name:   "lawfirm",
	header: "번호;접수 경로;질문;답변",
	comma:  ';',
	cells: func(n int) (string, string) {
		return fmt.Sprintf("HSD-%d;%s;", 300+n, []string{"전화", "홈페이지", "방문"}[n%3]), ""
	},
	allow: []string{
		"법무법인 해솔담", "백도현", "남궁세라", "표진욱", "위하림", "탁여준", "맹라온",
		"02-555-0184", "02-555-0129", "docs@haesoldam.example", "느티내역",
	},
	near: func(r row, n int) row {
		switch n % 3 {
		case 0:
			r.question = "안녕하세요. " + r.question
		case 1:
			r.question = strings.ReplaceAll(strings.TrimRight(r.question, "?"), " ", "")
		default:
			r.question += "?"
			r.answer = strings.TrimSuffix(r.answer, ".")
		}
		return r
	},
	hi: "안녕하세요\n",
}

// write returns the file as an export would be: byte order mark, CRLF, and
// between the good rows empty ones and copies.
func (s set) write(rows []row) string {
	rnd := rand.New(rand.NewPCG(7, uint64(len(rows))))
	comma := string(s.comma)
	if s.comma == 0 {
		comma = ","
	}
	var b strings.Builder
	b.WriteString("\uFEFF" + s.header + "\r\n")
	n := 0
	put := func(r row) {
		before, after := s.cells(n)
		b.WriteString(before + s.cell(r.question) + comma + s.cell(r.answer) + after + "\r\n")
		n++
	}
	for i, r := range rows {
		put(s.soil(r, rnd))
		switch {
		case i%37 == 20: // typed in twice, from the same screen
			put(s.soil(r, rnd))
		case i%31 == 12:
			put(s.near(r, i))
		case i%61 == 40:
			put(row{})
		case i%97 == 60:
			put(row{question: r.question})
		case i%101 == 70:
			put(row{answer: "<br>&nbsp;"})
		case i%103 == 50:
			put(row{answer: r.answer})
		case i%113 == 80:
			b.WriteString("\r\n")
		}
	}
	return b.String()
}

// cell quotes a text where CSV asks for it; line ends become CRLF.
func (s set) cell(text string) string {
	text = strings.ReplaceAll(text, "\n", "\r\n")
	if strings.ContainsAny(text, ",;\"\r\n") || text != strings.TrimSpace(text) {
		return quote(text)
	}
	return text
}

// soil dirties about two rows of five, in ways that lose nothing.
func (s set) soil(r row, rnd *rand.Rand) row {
	kind := rnd.IntN(22)
	if r.personal {
		kind %= 2
	}
	switch kind {
	case 0:
		r.answer = "<p>" + escape(r.answer) + "</p>"
	case 1:
		r.answer = `<div class="answer">` + strings.ReplaceAll(escape(r.answer), "\n", "<br/>") + "</div><script>track(42);</script>"
	case 2:
		r.question = strings.ReplaceAll(r.question, " ", "  ")
	case 3:
		r.answer = strings.Replace(r.answer, " ", "&nbsp;", 1)
	case 4:
		r.question = "  " + r.question + " \t"
	case 5:
		r.question = s.hi + r.question
	case 6:
		r.answer = strings.Replace(r.answer, " ", " <b>", 1) + "</b>"
	case 7:
		r.answer = "<span style=\"color: #333\">" + escape(r.answer) + "</span><br><br>"
	case 8:
		r.question = norm.NFD.String(strings.Replace(r.question, " ", " \u200B", 1))
	case 9:
		r.answer = "<!-- template 3 -->" + escape(r.answer)
	}
	if s.comma == 0 && strings.HasPrefix(r.answer, "Please bring:") {
		r.answer = "Please bring:<ul><li>Form N-7, filled in</li><li>your insurance card</li></ul>"
	}
	return r
}

// escape writes a text as HTML, as editors do: apostrophes and dollars, too.
func escape(s string) string {
	return strings.ReplaceAll(html.EscapeString(s), "$", "&#36;")
}
