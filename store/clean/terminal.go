package clean

import (
	"fmt"
	"slices"
	"strings"
)

// shownRows is how many rows of each kind String lists.
const shownRows = 5

// names of reasons, changes and flags in words, in the order of a report.
var inWords = []struct{ kind, text string }{
	{Empty, "empty"}, {EmptyQuestion, "without a question"}, {EmptyAnswer, "without an answer"},
	{Duplicate, "exact duplicate"}, {NearDuplicate, "near-duplicate"},
	{ChangedHTML, "HTML"}, {ChangedSpace, "white space"}, {ChangedCharacters, "characters"},
	{Conflict, "conflicting answers"}, {AnswerShort, "answer short"}, {AnswerLong, "answer long"},
	{SameAnswer, "same answer"}, {Echo, "answer repeats the question"}, {Broken, "broken characters"},
}

// String returns the report for a terminal: counts, what the set looks like,
// and the first rows of each kind.
func (rep Report) String() string {
	var b strings.Builder
	line := func(label string, n int, counts map[string]int) {
		text := strings.TrimRight(fmt.Sprintf("%-10s %7d   %s", label, n, counted(counts)), " ")
		b.WriteString(text + "\n")
	}
	line("rows", rep.Rows, nil)
	line("changed", rep.EditRows, rep.Changes)
	line("dropped", rep.DropRows, rep.Drops)
	line("kept", rep.Kept, nil)
	flagged := 0
	for _, n := range rep.Flagged {
		flagged += n
	}
	if flagged > 0 {
		line("flagged", flagged, rep.Flagged)
	}
	b.WriteString("\n")
	if rep.Kept > 0 {
		rep.table(&b)
	}
	rep.rows(&b)
	for _, w := range rep.Warnings {
		b.WriteString("warning: " + w + "\n")
	}
	return b.String()
}

func counted(counts map[string]int) string {
	var out []string
	for _, w := range inWords {
		if n := counts[w.kind]; n > 0 {
			out = append(out, fmt.Sprintf("%d %s", n, w.text))
		}
	}
	return strings.Join(out, ", ")
}

func (rep Report) table(b *strings.Builder) {
	st := rep.Statistics
	fmt.Fprintf(b, "%-10s %7s %6s %6s %6s %10s %11s %11s\n", "characters", "p5", "p50", "p95", "max", "different", "distinct-1", "distinct-2")
	for _, t := range []struct {
		name string
		s    TextStatistics
	}{{"question", st.Questions}, {"answer", st.Answers}} {
		fmt.Fprintf(b, "%-10s %7d %6d %6d %6d %10d %11.2f %11.2f\n", t.name, t.s.P5, t.s.P50, t.s.P95, t.s.Max, t.s.Distinct, t.s.Distinct1, t.s.Distinct2)
	}
	var langs []string
	for _, l := range []struct{ code, name string }{{"en", "English"}, {"ko", "Korean"}, {"other", "other"}} {
		if s := st.Languages[l.code]; s > 0 {
			langs = append(langs, fmt.Sprintf("%s %.1f %%", l.name, 100*s))
		}
	}
	fmt.Fprintf(b, "language   %s\n\n", strings.Join(langs, ", "))
}

// rows lists the first rows of each kind of change, drop and flag.
func (rep Report) rows(b *strings.Builder) {
	for _, w := range inWords {
		var items []string
		total := rep.Drops[w.kind] + rep.Changes[w.kind]
		for _, c := range rep.Changed {
			if slices.Contains(c.What, w.kind) {
				items = append(items, fmt.Sprint(c.Row))
			}
		}
		for _, d := range rep.Dropped {
			if d.Reason == w.kind {
				items = append(items, dropped(d))
			}
		}
		for _, f := range rep.Flags {
			if f.Flag == w.kind {
				items = append(items, flagged(f))
				total++
			}
		}
		if len(items) == 0 {
			continue
		}
		more := ""
		if total > shownRows {
			more = fmt.Sprintf(" and %d more", total-shownRows)
		}
		items = slices.Clip(items[:min(shownRows, len(items))])
		label := w.text
		if rep.Changes[w.kind] > 0 {
			label += " changed"
		}
		fmt.Fprintf(b, "%s: rows %s%s\n", label, strings.Join(items, ", "), more)
	}
}

func dropped(d Drop) string {
	if d.DuplicateOf > 0 {
		return fmt.Sprintf("%d (of %d)", d.Row, d.DuplicateOf)
	}
	return fmt.Sprint(d.Row)
}

func flagged(f Flag) string {
	switch {
	case f.Other > 0:
		return fmt.Sprintf("%d (and %d)", f.Row, f.Other)
	case f.Rows > 0:
		return fmt.Sprintf("%d (%d rows)", f.Row, f.Rows)
	}
	return fmt.Sprint(f.Row)
}
