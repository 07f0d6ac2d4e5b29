package clean

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Separators by which stripHTML tells collapse that a break was meant: a line
// break by <br> or a row of a list, and a paragraph.
const (
	hardBreak = '\u2028'
	paragraph = '\u2029'
)

// separators writes them as plain line ends.
var separators = strings.NewReplacer(string(hardBreak), "\n", string(paragraph), "\n\n")

// wrapWidth is the width, in columns, from which on a line that ends without
// punctuation is taken to be wrapped and not ended.
const wrapWidth = 55

// collapse makes runs of spaces one space, trims lines, and keeps line breaks
// that carry meaning: those of paragraphs, lists, short lines such as opening
// hours or addresses, and of code between ``` fences. Wrapped lines are joined.
func collapse(s string) string {
	if !strings.ContainsFunc(s, unicode.IsSpace) {
		return s
	}
	s = breaks.Replace(s)
	var out []string
	prose := []string{}
	flush := func() {
		out = joinLines(out, prose)
		prose = prose[:0]
	}
	lines := strings.Split(s, "\n")
	for i := 0; i < len(lines); i++ {
		if end := fenceEnd(lines, i); end > i {
			flush()
			for _, l := range lines[i : end+1] {
				out = append(out, strings.TrimRightFunc(strings.ReplaceAll(l, string(hardBreak), ""), unicode.IsSpace))
			}
			i = end
			continue
		}
		prose = append(prose, lines[i])
	}
	flush()
	return strings.Trim(strings.Join(out, "\n"), "\n")
}

// breaks brings line ends to \n; a hard break stays marked by its separator.
var breaks = strings.NewReplacer("\r\n", "\n", "\r", "\n", "\v", "\n", "\f", "\n", "\u0085", "\n",
	string(hardBreak), string(hardBreak)+"\n", string(paragraph), "\n\n")

// fenceEnd returns the line that closes the code fence which line i opens, or
// i if it opens none or none closes it.
func fenceEnd(lines []string, i int) int {
	if !strings.HasPrefix(strings.TrimSpace(lines[i]), "```") {
		return i
	}
	for j := i + 1; j < len(lines); j++ {
		if strings.TrimSpace(lines[j]) == "```" {
			return j
		}
	}
	return i
}

// joinLines cleans lines of prose and appends them to out: blank lines become
// at most one, and wrapped lines are joined.
func joinLines(out, lines []string) []string {
	blank, hard := len(out) == 0, true // nothing joins what stood before
	for _, l := range lines {
		ended := strings.HasSuffix(l, string(hardBreak))
		l = strings.Join(strings.Fields(strings.ReplaceAll(l, string(hardBreak), "")), " ")
		switch {
		case l == "":
			if !blank {
				out = append(out, "")
			}
			blank = true
		case !blank && !hard && wrapped(out[len(out)-1], l):
			out[len(out)-1] += " " + l
		default:
			out = append(out, l)
			blank = false
		}
		hard = ended
	}
	return out
}

var listItem = regexp.MustCompile(`^(?:[-*+•·▪◦‣○●■□▶※–—]|\(?\d{1,3}[.)]|\(?[a-zA-Z가-하][.)]|[①-⑳]|#{1,6} |>|\|)`)

// wrapped reports whether the break between two lines is only where the first
// was too long for its column.
func wrapped(line, next string) bool {
	if listItem.MatchString(next) {
		return false
	}
	last, _ := utf8.DecodeLastRuneInString(line)
	first, _ := utf8.DecodeRuneInString(next)
	long := width(line) >= wrapWidth
	switch {
	case last == ',':
		return !strings.Contains(next, ":")
	case strings.ContainsRune(".!?:;。…)]|>", last):
		return long && unicode.IsLower(first)
	case strings.ContainsRune("다요까죠음함", last): // a Korean sentence may end without a point
		return false
	case unicode.IsLower(first) && unicode.IsLetter(last):
		return true
	}
	return long
}

// width counts columns of a terminal: two for East Asian characters.
func width(s string) int {
	n := 0
	for _, r := range s {
		if r >= 0x1100 && unicode.In(r, unicode.Hangul, unicode.Han, unicode.Hiragana, unicode.Katakana) {
			n++
		}
		n++
	}
	return n
}
