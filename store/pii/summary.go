package pii

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// Summary counts findings by entity. It holds no values.
type Summary map[string]int

// Add counts the findings.
func (s Summary) Add(findings []Finding) {
	for _, f := range findings {
		s[f.Entity]++
	}
}

// Summarise counts the findings of all the lists.
func Summarise(lists ...[]Finding) Summary {
	s := Summary{}
	for _, l := range lists {
		s.Add(l)
	}
	return s
}

// Total returns the number of findings.
func (s Summary) Total() int {
	n := 0
	for _, c := range s {
		n += c
	}
	return n
}

// String lists the counts, most frequent first: "PERSON 3, PHONE 1".
func (s Summary) String() string {
	names := make([]string, 0, len(s))
	for e := range s {
		names = append(names, e)
	}
	slices.SortFunc(names, func(a, b string) int {
		if s[a] != s[b] {
			return s[b] - s[a]
		}
		return strings.Compare(a, b)
	})
	for i, e := range names {
		names[i] = fmt.Sprintf("%s %d", e, s[e])
	}
	return strings.Join(names, ", ")
}

// Span is a finding in characters (Unicode code points) of the original text,
// as programs in other languages count them.
type Span struct {
	Start int    `json:"start"`
	End   int    `json:"end"`
	Type  string `json:"type"`
}

// RuneSpans converts findings, which must be in the order in which Find and
// Mask return them, from bytes to runes of text. The result is never nil.
func RuneSpans(text string, findings []Finding) []Span {
	spans := make([]Span, 0, len(findings))
	pos, runes := 0, 0
	for _, f := range findings {
		runes += utf8.RuneCountInString(text[pos:f.Start])
		n := utf8.RuneCountInString(text[f.Start:f.End])
		spans = append(spans, Span{Start: runes, End: runes + n, Type: f.Entity})
		pos, runes = f.End, runes+n
	}
	return spans
}
