package pii_test

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
)

var marked = regexp.MustCompile(`\{([A-Z_]+)\|([^{}]*)\}`)

// readMarked reads texts in which {ENTITY|text} marks what is personal.
func readMarked(t testing.TB, name string) []labelled {
	t.Helper()
	raw, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	var rows []labelled
	for part := range strings.SplitSeq(string(raw), "\n== ") {
		id, body, ok := strings.Cut(part, "\n")
		if !ok || strings.HasPrefix(id, "#") {
			continue
		}
		row := labelled{ID: id}
		var b strings.Builder
		last := 0
		for _, m := range marked.FindAllStringSubmatchIndex(body, -1) {
			b.WriteString(body[last:m[0]])
			start := b.Len()
			b.WriteString(body[m[4]:m[5]])
			row.add(body[m[2]:m[3]], body[m[4]:m[5]], start)
			last = m[1]
		}
		b.WriteString(body[last:])
		row.Text = strings.TrimRight(b.String(), "\n")
		rows = append(rows, row)
	}
	if len(rows) == 0 {
		t.Fatal(fmt.Errorf("%s holds no records", name))
	}
	return rows
}

func (l *labelled) add(label, text string, start int) {
	l.Spans = append(l.Spans, span{Label: label, BStart: start, BEnd: start + len(text), Text: text})
}
