package pii

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// allowList holds the values that stay.
type allowList struct {
	values  map[string]bool // folded
	phrases *automaton      // as written, to find what lies inside of an allowed phrase; nil: none

	patterns []*regexp.Regexp // of whole values
}

// newAllowList returns nil if there are no values and no patterns. Errors name
// the pattern.
func newAllowList(values, patterns []string) (*allowList, error) {
	a := &allowList{values: make(map[string]bool, len(values))}
	phrases := make(map[string]kind)
	for _, v := range values {
		d := newDoc(strings.TrimSpace(v), nil)
		if k := foldKey(d.r); k != "" {
			a.values[k] = true
			a.values[foldKey(withoutTitles(d.r))] = true
			phrases[lowerString(d.r)] = 1
		}
		d.free()
	}
	delete(a.values, "")
	for i, p := range patterns {
		re, err := compilePattern(p)
		if err == nil {
			re, err = regexp.Compile(`^(?:` + p + `)$`)
		}
		if err != nil {
			return nil, fmt.Errorf("allowed pattern %d: %w", i+1, err)
		}
		a.patterns = append(a.patterns, re)
	}
	if len(phrases) > 0 {
		a.phrases = newAutomaton(phrases)
	} else if len(patterns) == 0 {
		return nil, nil
	}
	return a, nil
}

// withoutTitles drops the title from "Dr. Sarah Kim" and "박지훈 원장", so that
// the name is allowed wherever it stands.
func withoutTitles(r []rune) []rune {
	words := strings.FieldsFunc(string(r), func(c rune) bool { return c == ' ' || c == '.' || c == ',' })
	for len(words) > 1 && isTitleWord(words[0]) {
		words = words[1:]
	}
	for len(words) > 1 && isTitleWord(words[len(words)-1]) {
		words = words[:len(words)-1]
	}
	return []rune(strings.Join(words, " "))
}

func isTitleWord(w string) bool {
	r := []rune(w)
	if props(r)&latinCredential != 0 || strings.Contains(" dr mr mrs ms prof professor doctor attorney judge ", " "+strings.ToLower(w)+" ") {
		return true
	}
	return classOf(r[0]) == cHangul && tailKindOf(r)&(tailTitle|tailVocative) != 0
}

// mark sets covered for the runes of d inside of allowed phrases.
func (a *allowList) mark(d *doc) {
	d.covered = resize(d.covered, len(d.r))
	if a.phrases == nil {
		return
	}
	state := int32(0)
	for i, r := range d.r {
		state = a.phrases.next(state, r)
		o := a.phrases.ends(state)
		start := i + 1 - int(o.length)
		if o.length == 0 || d.cls[start].word() && d.class(start-1) == d.cls[start] || d.cls[i] != cHangul && d.cls[i].word() && d.class(i+1) == d.cls[i] {
			continue
		}
		for ; start <= i; start++ {
			d.covered[start] = true
		}
	}
}

// permits says whether c is an allowed value, lies inside of an allowed phrase
// or is matched by an allowed pattern from its first character to its last.
func (a *allowList) permits(d *doc, c cand) bool {
	inside := true
	for i := c.start; i < c.end && inside; i++ {
		inside = d.covered[i]
	}
	if inside || a.values[foldKey(d.r[c.start:c.end])] {
		return true
	}
	return len(a.patterns) > 0 && slices.ContainsFunc(a.patterns, func(p *regexp.Regexp) bool {
		return p.MatchString(d.slice(c.start, c.end))
	})
}

// foldKey returns letters and digits of normalised runes in lower case: the
// form in which values are compared.
func foldKey(r []rune) string {
	key := make([]rune, 0, len(r))
	for _, c := range r {
		if unicode.IsLetter(c) || unicode.IsDigit(c) {
			key = append(key, unicode.ToLower(c))
		}
	}
	return string(key)
}
