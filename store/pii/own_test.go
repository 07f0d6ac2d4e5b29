package pii_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var marked = regexp.MustCompile(`\{([A-Z_?]+)\|([^{}]*)\}`)

// readMarked reads texts in which {ENTITY|text} marks what is personal.
func readMarked(t testing.TB, name string) []labelled {
	t.Helper()
	var rows []labelled
	for _, record := range readRecords(t, name) {
		rows = append(rows, parseMarked(record[0], record[1]))
	}
	if len(rows) == 0 {
		t.Fatalf("%s holds no records", name)
	}
	return rows
}

// readRecords returns the records of a file under testdata, each as its head
// and its body. A record begins with "== "; lines before the first are comments.
func readRecords(t testing.TB, name string) [][2]string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	var records [][2]string
	for part := range strings.SplitSeq("\n"+string(raw), "\n== ") {
		if head, body, ok := strings.Cut(part, "\n"); ok && head != "" {
			records = append(records, [2]string{head, body})
		}
	}
	return records
}

// parseMarked takes the marks out of a text.
func parseMarked(id, body string) labelled {
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
	return row
}

func (l *labelled) add(label, text string, start int) {
	l.Spans = append(l.Spans, span{Label: label, BStart: start, BEnd: start + len(text), Text: text})
}
