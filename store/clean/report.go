package clean

import (
	"cmp"
	"slices"
)

// Reasons of a [Drop].
const (
	Empty         = "empty"
	EmptyQuestion = "empty_question"
	EmptyAnswer   = "empty_answer"
	EqualAnswers  = "equal_answers"  // of a pair, so that nothing is preferred
	Duplicate     = "duplicate"      // exactly the same as DuplicateOf
	NearDuplicate = "near_duplicate" // the same but for form
)

// What of a [Change].
const (
	ChangedCharacters = "characters" // NFC, invisible characters
	ChangedHTML       = "html"       // tags or entities
	ChangedSpace      = "space"      // white space
)

// Kinds of a [Flag].
const (
	AnswerShort = "answer_short"
	AnswerLong  = "answer_long"
	SameAnswer  = "same_answer" // the answer of Rows rows; Row is the first
	Conflict    = "conflict"    // the question of row Other with another answer
	Echo        = "echo"        // the answer repeats the question
	Broken      = "broken_text" // U+FFFD: read in a wrong encoding once
)

// listed bounds each list of a report; counts are always complete.
const listed = 10_000

// Report says what Clean did, with the numbers of rows and never their texts.
type Report struct {
	Rows     int `json:"rows"` // passed in
	Kept     int `json:"kept"`
	DropRows int `json:"dropped_rows"`
	EditRows int `json:"changed_rows"`

	// Counts of rows by reason, kind of change and flag.
	Drops   map[string]int `json:"drops,omitempty"`
	Changes map[string]int `json:"changes,omitempty"`
	Flagged map[string]int `json:"flagged,omitempty"`

	// The first 10,000 of each, by row.
	Dropped []Drop   `json:"dropped,omitempty"`
	Changed []Change `json:"changed,omitempty"`
	Flags   []Flag   `json:"flags,omitempty"`

	Statistics Statistics `json:"statistics"`
	// MinAnswer, MaxAnswer and SameAnswer are the bounds that were used; 0:
	// none, as the answers are labels.
	MinAnswer  int `json:"min_answer"`
	MaxAnswer  int `json:"max_answer"`
	SameAnswer int `json:"same_answer"`

	Warnings []string `json:"warnings,omitempty"` // sentences
}

// Drop is a row that was left out.
type Drop struct {
	Row         int    `json:"row"`
	Reason      string `json:"reason"`
	DuplicateOf int    `json:"duplicate_of,omitempty"` // a row that stayed
}

// Change is a row whose texts were changed.
type Change struct {
	Row  int      `json:"row"`
	What []string `json:"what"`
}

// Flag is a row that stayed and should be looked at.
type Flag struct {
	Row   int    `json:"row"`
	Flag  string `json:"flag"`
	Other int    `json:"other,omitempty"`
	Rows  int    `json:"rows,omitempty"`
}

// change notes the changes of a row.
func (rep *Report) change(row int, c changed) {
	var what []string
	for _, w := range []struct {
		done bool
		name string
	}{{c.characters, ChangedCharacters}, {c.html, ChangedHTML}, {c.space, ChangedSpace}} {
		if w.done {
			what = append(what, w.name)
		}
	}
	if what != nil {
		rep.Changed = append(rep.Changed, Change{Row: row, What: what})
	}
}

// finish counts, sorts, bounds the lists, and warns.
func (rep *Report) finish() {
	rep.DropRows, rep.EditRows = len(rep.Dropped), len(rep.Changed)
	rep.Drops, rep.Changes, rep.Flagged = map[string]int{}, map[string]int{}, map[string]int{}
	for _, d := range rep.Dropped {
		rep.Drops[d.Reason]++
	}
	for _, c := range rep.Changed {
		for _, w := range c.What {
			rep.Changes[w]++
		}
	}
	for _, f := range rep.Flags {
		rep.Flagged[f.Flag] += max(1, f.Rows)
	}
	slices.SortStableFunc(rep.Dropped, func(a, b Drop) int { return cmp.Compare(a.Row, b.Row) })
	slices.SortStableFunc(rep.Flags, func(a, b Flag) int { return cmp.Compare(a.Row, b.Row) })
	rep.warn()
	rep.Dropped = rep.Dropped[:min(listed, len(rep.Dropped))]
	rep.Changed = rep.Changed[:min(listed, len(rep.Changed))]
	rep.Flags = rep.Flags[:min(listed, len(rep.Flags))]
}
