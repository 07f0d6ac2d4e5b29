package clean

import (
	"regexp"
	"strings"
	"unicode/utf8"
)

// Code in back-quotes stands aside while HTML is removed; in its place stand
// characters of a private-use plane, one for each piece.
const (
	codeBase = 0x10_0000
	codeMax  = 0x10_FFFD - codeBase
)

// protectCode takes out fenced blocks and `spans`; the back-quote of "it`s"
// opens none. A text that already holds characters of the plane is left alone.
func protectCode(s string) (kept []string, rest string) {
	if !strings.Contains(s, "`") || strings.ContainsFunc(s, func(r rune) bool { return r >= codeBase }) {
		return nil, s
	}
	var b strings.Builder
	for {
		i := strings.IndexByte(s, '`')
		if i < 0 || len(kept) > codeMax {
			break
		}
		ticks := i
		for ticks < len(s) && s[ticks] == '`' {
			ticks++
		}
		n := ticks - i
		end := closing(s[ticks:], n)
		if before, _ := utf8.DecodeLastRuneInString(s[:i]); end < 0 || n < 3 && wordRune(before) && before != utf8.RuneError {
			b.WriteString(s[:ticks])
			s = s[ticks:]
			continue
		}
		end += ticks + n
		b.WriteString(s[:i])
		b.WriteRune(rune(codeBase + len(kept)))
		kept = append(kept, s[i:end])
		s = s[end:]
	}
	b.WriteString(s)
	return kept, b.String()
}

var blankLine = regexp.MustCompile(`^[\pZ\s]*\n`)

// closing returns where a run of exactly n back-quotes begins, or -1. A span of
// fewer than three ends with its paragraph.
func closing(s string, n int) int {
	for i := 0; i < len(s); {
		if n < 3 && s[i] == '\n' && blankLine.MatchString(s[i+1:]) {
			return -1
		}
		if s[i] != '`' {
			i++
			continue
		}
		j := i
		for j < len(s) && s[j] == '`' {
			j++
		}
		if j-i == n {
			return i
		}
		i = j
	}
	return -1
}

func restoreCode(s string, kept []string) string {
	if len(kept) == 0 {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		if i := int(r) - codeBase; i >= 0 && i < len(kept) {
			b.WriteString(kept[i])
		} else {
			b.WriteString(s[:n])
		}
		s = s[n:]
	}
	return b.String()
}
