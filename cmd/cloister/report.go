package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"cloister/appliance/datasets"
	"cloister/appliance/masking"
	"cloister/store"
)

// printVersionReport prints what cleaning, masking and splitting did. revealed
// are the proposals with their values, nil to show their tokens.
func printVersionReport(c *cli.Context, v store.Version, revealed []datasets.Proposal) error {
	w := c.App.Writer
	var r datasets.Report
	if len(v.Report) > 0 {
		if err := json.Unmarshal(v.Report, &r); err != nil {
			return fmt.Errorf("the report of %s@%d: %w", v.Dataset, v.Number, err)
		}
	}
	fmt.Fprintf(w, "Dataset %s@%d\n\n", v.Dataset, v.Number)
	if r.Clean != nil {
		fmt.Fprintf(w, "Cleaned\n%s\n", r.Clean)
	}
	if f := r.Feedback; f != nil {
		fmt.Fprintf(w, "Corrections: %s replaced, %s added, %d of them held out\n\n", plural(f.Replaced, "answer"), plural(f.Added, "example"), f.HeldOut)
	}
	if r.Mask.Entities.Total() == 0 {
		fmt.Fprintln(w, "Masked      nothing: no personal data was found")
	} else {
		fmt.Fprintf(w, "Masked      %s in %s: %s\n", plural(r.Mask.Entities.Total(), "place"), plural(r.Mask.Rows, "example"), r.Mask.Entities)
	}
	if u := r.Mask.Used; u != nil {
		fmt.Fprintf(w, "Masked with %s\n", usedText(u))
	}
	if p := r.SecondPass; p != nil {
		fmt.Fprintf(w, "Second pass by %s: %s more in %s; %s proposed\n", p.Model, plural(p.Places, "place"), plural(p.Rows, "example"), plural(p.Proposed, "value"))
	}
	if revealed == nil {
		revealed = r.Mask.Proposals
	}
	if err := printProposals(c, v, revealed); err != nil {
		return err
	}
	if r.Mask.Asked > 0 {
		fmt.Fprintf(w, "\n%s in many answers, but in questions, too, and so may be a client's; only --allow\ntakes them.\n", standing(r.Mask.Asked))
	}
	fmt.Fprintf(w, "\nSplits      %d train, %d valid, %d test\n", v.Counts[store.Train], v.Counts[store.Valid], v.Counts[store.Test])
	for _, warning := range r.Warnings {
		fmt.Fprintf(w, "warning: %s\n", warning)
	}
	return nil
}

// standing begins a sentence on n values.
func standing(n int) string {
	if n == 1 {
		return "One more value stands"
	}
	return fmt.Sprintf("%d more values stand", n)
}

func printProposals(c *cli.Context, v store.Version, proposals []datasets.Proposal) error {
	if len(proposals) == 0 {
		return nil
	}
	w := c.App.Writer
	fmt.Fprintln(w, "\nThese stand in the answers to several different questions, so they may be your")
	fmt.Fprintf(w, "own. If they are, allow them with 'cloister dataset review %s', or put them\ninto a file and import again with --allow FILE:\n", v.Dataset)
	var rows [][]string
	for _, p := range proposals {
		value := p.Value
		if value == "" {
			value = "(--reveal shows it)"
		}
		rows = append(rows, []string{"  " + p.Token, strconv.Itoa(p.Rows), strconv.Itoa(p.Questions), value})
	}
	if err := table(w, "", []string{"  token", "answers", "questions", "value"}, rows); err != nil {
		return err
	}
	for _, p := range proposals {
		for _, context := range p.Contexts {
			fmt.Fprintf(w, "  %s: %s\n", p.Token, context)
		}
	}
	return nil
}

// usedText says what a version was masked with: counts and modes, no values.
func usedText(u *masking.Summary) string {
	text := u.Hash[:12] + ": default policy"
	if u.Policy != "" {
		text = u.Hash[:12] + ": policy of the project"
		var modes []string
		for _, e := range slices.Sorted(maps.Keys(u.Modes)) {
			modes = append(modes, e+" "+string(u.Modes[e]))
		}
		if len(modes) > 0 {
			text += " (" + strings.Join(modes, ", ") + ")"
		}
	}
	for _, part := range []struct {
		n    int
		noun string
	}{{u.Rules, "rule"}, {u.Words, "word"}, {u.Allowed, "allowed value"}, {u.Patterns, "allowed pattern"}, {u.Always, "always masked value"}} {
		if part.n > 0 {
			text += ", " + plural(part.n, part.noun)
		}
	}
	return text
}

// maskedWith names what a version was masked with, for a table.
func maskedWith(v store.Version) string {
	var r datasets.Report
	if err := json.Unmarshal(v.Report, &r); err != nil || r.Mask.Used == nil {
		return "-"
	}
	return r.Mask.Used.Hash[:12]
}
