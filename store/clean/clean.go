// Package clean makes raw questions and answers fit for training: it removes
// markup and stray white space, drops what is empty or there twice, flags what
// looks wrong, and reports every decision.
//
// [Clean] works in this order, each step on the result of the one before:
//
//  1. characters: NFC; control and zero-width characters removed
//  2. HTML: tags become line breaks, lists and nothing; entities become
//     characters; scripts and styles go; text in back-quotes stays as it is
//  3. white space: runs collapse; line breaks stay where they carry meaning
//  4. empty rows dropped
//  5. exact duplicates dropped
//  6. near-duplicates dropped: question and answer the same but for case,
//     punctuation, Korean particles, politeness or a typing error. Paraphrases
//     stay: they are what a model learns from. A question that comes again with
//     another answer is flagged as a conflict, and both rows stay.
//  7. flags and statistics
//
// Every step can be turned off. A [Report] names rows and reasons and never
// holds texts of the data. Cleaning a cleaned set changes nothing, except that
// line breaks which HTML asked for may then be taken for wrapped lines.
//
// All functions are safe for concurrent use; the package keeps no state. Time
// and memory grow linearly with the rows.
package clean

import (
	"context"

	"cloister/store/ingest"
)

// Options turn steps off and set bounds. The zero value does everything.
type Options struct {
	KeepCharacters     bool `json:"keep_characters,omitempty"`
	KeepHTML           bool `json:"keep_html,omitempty"`
	KeepSpace          bool `json:"keep_space,omitempty"`
	KeepEmpty          bool `json:"keep_empty,omitempty"`
	KeepDuplicates     bool `json:"keep_duplicates,omitempty"`      // exact ones
	KeepNearDuplicates bool `json:"keep_near_duplicates,omitempty"` // and no conflicts are looked for
	// MinAnswer and MaxAnswer are the lengths, in runes, below and above which
	// an answer is flagged; 0: chosen from the data, see Report.MinAnswer.
	MinAnswer int `json:"min_answer,omitempty"`
	MaxAnswer int `json:"max_answer,omitempty"`
	// SameAnswer is the number of rows with one and the same answer from which
	// on they are flagged; 0: chosen from the data.
	SameAnswer int `json:"same_answer,omitempty"`
}

// Clean returns the records that are fit to train on, in their order and with
// their Group set, and what was done. The records passed in are not changed.
func Clean(records []ingest.Record, o Options) ([]ingest.Record, Report) {
	out, rep, _ := CleanContext(context.Background(), records, o) // only the context's end is an error
	return out, rep
}

// CleanContext is Clean for large sets: it gives up when ctx ends, with its error.
func CleanContext(ctx context.Context, records []ingest.Record, o Options) ([]ingest.Record, Report, error) {
	rep := Report{Rows: len(records)}
	out := make([]ingest.Record, 0, len(records))
	for i, rec := range records {
		if err := ended(ctx, i); err != nil {
			return nil, Report{}, err
		}
		pair := rec.Rejected != ""
		rec, changes := texts(rec, o)
		rep.change(rec.Row, changes)
		reason := emptiness(rec)
		if reason == "" && pair {
			reason = indifference(rec)
		}
		if reason != "" && (!o.KeepEmpty || pair) {
			rep.Dropped = append(rep.Dropped, Drop{Row: rec.Row, Reason: reason})
			continue
		}
		out = append(out, rec)
	}
	out, err := dedupe(ctx, out, o, &rep)
	if err != nil {
		return nil, Report{}, err
	}
	rep.Kept = len(out)
	if err := inspect(ctx, out, o, &rep); err != nil {
		return nil, Report{}, err
	}
	rep.finish()
	return out, rep, nil
}

// ended asks the context at every 256th row.
func ended(ctx context.Context, row int) error {
	if row%256 != 0 {
		return nil
	}
	return ctx.Err()
}

// texts cleans every text of a record and tells what changed.
func texts(rec ingest.Record, o Options) (ingest.Record, changed) {
	var c changed
	rec.System = c.text(rec.System, o)
	rec.Question = c.text(rec.Question, o)
	rec.Answer = c.text(rec.Answer, o)
	rec.Rejected = c.text(rec.Rejected, o)
	if rec.Messages != nil {
		msgs := make([]ingest.Message, len(rec.Messages))
		for i, m := range rec.Messages {
			m.Content = c.text(m.Content, o)
			msgs[i] = m
		}
		rec.Messages = msgs
	}
	return rec, c
}

// changed notes which steps found work in a record.
type changed struct{ characters, html, space bool }

// text cleans one text. Characters and HTML go in rounds, as one may make work
// for the other: an entity may stand for a zero-width space, or for the '<' of
// a tag that was escaped twice.
func (c *changed) text(s string, o Options) string {
	spaced := s
	for round := range 8 {
		before := s
		if !o.KeepCharacters {
			s = characters(s)
			c.characters = c.characters || s != before
		}
		if round == 0 {
			spaced = s
		}
		plain := s
		if !o.KeepHTML {
			s = stripHTML(s)
			c.html = c.html || s != plain
		}
		if s == before {
			break
		}
	}
	if o.KeepSpace {
		return separators.Replace(s)
	}
	// The breaks that HTML left are not the author's white space.
	c.space = c.space || collapse(spaced) != spaced
	return collapse(s)
}

// indifference says why a pair prefers nothing, or nothing.
func indifference(rec ingest.Record) string {
	switch rec.Rejected {
	case "":
		return EmptyAnswer
	case answer(rec):
		return EqualAnswers
	}
	return ""
}

// emptiness says why a record has nothing to learn from, or nothing.
func emptiness(rec ingest.Record) string {
	if rec.Messages == nil {
		switch {
		case rec.Question == "" && rec.Answer == "":
			return Empty
		case rec.Question == "":
			return EmptyQuestion
		case rec.Answer == "":
			return EmptyAnswer
		}
		return ""
	}
	asked, answered := false, false
	for _, m := range rec.Messages {
		if m.Content == "" {
			continue
		}
		asked = asked || m.Role == ingest.RoleUser
		answered = answered || m.Role == ingest.RoleAssistant && (m.Weight == nil || *m.Weight != 0)
	}
	switch {
	case !asked && !answered:
		return Empty
	case !asked:
		return EmptyQuestion
	case !answered:
		return EmptyAnswer
	}
	return ""
}
