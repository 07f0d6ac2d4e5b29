package ingest

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Names of columns and fields that are taken without being told, the first
// that is there. They are compared without case, spaces, '_' and '-'.
var (
	questionNames = []string{
		"question", "prompt", "instruction", "input", "query", "user",
		"질문", "질의", "문의", "문의내용", "질문내용", "고객질문", "물음", "입력", "지시",
	}
	answerNames = []string{
		"answer", "completion", "output", "response", "reply", "assistant", "expected", "target",
		"답변", "응답", "답", "대답", "회신", "답변내용", "출력",
	}
	systemNames = []string{"system", "systemprompt", "시스템", "시스템프롬프트"}
	contextName = "input" // beside "instruction", as in Alpaca's files
)

// columns are the places of what a record is made of; -1: there is none.
type columns struct {
	question, context, answer, system int
	extra                             []int // of Options.extras
}

// canonical returns the form in which names are compared.
func canonical(name string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r) || r == '_' || r == '-' || r == '\uFEFF':
			return -1
		}
		return unicode.ToLower(r)
	}, norm.NFC.String(name))
}

// resolver finds columns by name.
type resolver struct {
	names []string
	index map[string][]int // canonical name to places
}

func newResolver(names []string) *resolver {
	r := &resolver{names: names, index: make(map[string][]int, len(names))}
	for i, n := range names {
		if c := canonical(n); c != "" {
			r.index[c] = append(r.index[c], i)
		}
	}
	return r
}

// find returns the place of the named column, or else of the first of the
// common names; -1 if there is none. Two columns of one name are an error.
func (r *resolver) find(name string, common []string) (int, string) {
	if name != "" {
		for i, n := range r.names {
			if n == name {
				return i, ""
			}
		}
		common = []string{name}
	}
	for _, c := range common {
		switch at := r.index[canonical(c)]; len(at) {
		case 0:
		case 1:
			return at[0], ""
		default:
			return -1, fmt.Sprintf("there are two columns %q; rename one", c)
		}
	}
	return -1, ""
}

// resolve finds the columns that o asks for. The message is empty if question
// and answer and whatever else was named are there.
func resolve(names []string, o Options) (columns, string) {
	r := newResolver(names)
	c := columns{question: -1, context: -1, answer: -1, system: -1}
	for _, f := range []struct {
		place  *int
		name   string
		common []string
	}{
		{&c.question, o.QuestionColumn, questionNames},
		{&c.answer, o.AnswerColumn, answerNames},
		{&c.system, o.SystemColumn, systemNames},
	} {
		at, msg := r.find(f.name, f.common)
		if msg != "" {
			return c, msg
		}
		*f.place = at
	}
	if c.question == c.answer && c.answer >= 0 {
		return c, "question and answer are the same column; use --question and --answer to name two"
	}
	if o.QuestionColumn == "" && c.question >= 0 && canonical(names[c.question]) == "instruction" {
		if at := r.index[contextName]; len(at) == 1 && at[0] != c.answer {
			c.context = at[0]
		}
	}
	extra, msg := r.extra(o)
	if msg != "" {
		return c, msg
	}
	c.extra = extra
	return c, r.complain(c, o)
}

// extra finds the further columns; the place of an optional one that is not
// there is -1.
func (r *resolver) extra(o Options) (places []int, msg string) {
	for i, name := range o.extras() {
		at, msg := r.find(name, nil)
		if at < 0 && msg == "" && i < len(o.Extra) {
			msg = r.missing(name, "")
		}
		if msg != "" {
			return nil, msg
		}
		places = append(places, at)
	}
	return places, ""
}

// complain says which of the required columns is missing.
func (r *resolver) complain(c columns, o Options) string {
	var lacking []string
	hint := ""
	if c.question < 0 {
		lacking = append(lacking, or(o.QuestionColumn, "question"))
		hint = " --question NAME"
	}
	if c.answer < 0 {
		lacking = append(lacking, or(o.AnswerColumn, "answer"))
		hint += " --answer NAME"
	}
	if c.question < 0 && c.answer < 0 && !o.unordered && len(r.names) == 2 && shown(r.names[0]) && shown(r.names[1]) {
		hint = fmt.Sprintf(" --question %s --answer %s", shellWord(r.names[0]), shellWord(r.names[1]))
	}
	switch {
	case len(lacking) > 0 && o.FixedColumns:
		return r.missing(strings.Join(lacking, `" and no column "`), "")
	case len(lacking) > 0:
		return r.missing(strings.Join(lacking, `" and no column "`), "; use"+hint)
	case o.SystemColumn != "" && c.system < 0:
		return r.missing(o.SystemColumn, "")
	}
	return ""
}

func (r *resolver) missing(name, hint string) string {
	return fmt.Sprintf("there is no column \"%s\"; it has: %s%s", name, r.list(), hint)
}

// list names the columns if all of them look like names: a file without a
// header must not put its first record into a message.
func (r *resolver) list() string {
	var out []string
	for _, n := range r.names {
		switch {
		case strings.TrimSpace(n) == "":
		case !shown(n):
			return fmt.Sprintf("%d columns whose first row does not look like names (the first row must hold the names)", len(r.names))
		default:
			out = append(out, strings.TrimSpace(n))
		}
	}
	switch n := len(out) - listedNames; {
	case n > 0:
		return fmt.Sprintf("%s and %d more", strings.Join(out[:listedNames], ", "), n)
	case len(out) == 0:
		return "no names"
	}
	return strings.Join(out, ", ")
}

// listedNames is how many columns a message names.
const listedNames = 20

// shown reports whether a column's name may stand in a message.
func shown(name string) bool {
	name = strings.TrimSpace(name)
	if name == "" || utf8.RuneCountInString(name) > 32 || strings.ContainsAny(name, "@?!\n\r\"") {
		return false
	}
	digits := 0
	for _, r := range name {
		if unicode.IsDigit(r) {
			digits++
		}
		if unicode.IsControl(r) {
			return false
		}
	}
	return digits < 5 && len(strings.Fields(name)) <= 4
}

func shellWord(s string) string {
	s = strings.TrimSpace(s)
	if strings.ContainsAny(s, " '$`\\;&|<>()*#~") {
		return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
	}
	return s
}

func or(s, other string) string {
	if s != "" {
		return s
	}
	return other
}
