package main

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"cloister/appliance/admin"
	"cloister/appliance/feedback"
)

func feedbackCommand() *cli.Command {
	return &cli.Command{
		Name:  "feedback",
		Usage: "judgements of answers: add, list, report, import, apply",
		Description: `Every answer has an id ("chatcmpl-…"), and can be rated from 1 (bad) to 5 (good),
commented and corrected: here, or by POST /v1/feedback. 'feedback apply' makes a
new version of a dataset with the corrections, and 'tune' on it closes the loop.
Texts are masked before they are stored.`,
		Subcommands: []*cli.Command{
			feedbackAddCommand(),
			{
				Name: "list", Usage: "list the latest judgements", UsageText: "cloister feedback list [--since 7d] [--limit N]",
				Description: "Examples:\n  cloister feedback list --limit 100 --json",
				Flags: []cli.Flag{
					&cli.StringFlag{Name: "since", Usage: "from `TIME` on: 7d, 12h or a date", DefaultText: "the beginning"},
					&cli.IntFlag{Name: "limit", Usage: "at most `N`", Value: 50},
				},
				Action: feedbackList,
			},
			{
				Name: "report", Usage: "sum up the judgements and show the worst answers", UsageText: "cloister feedback report [--since 7d] [--worst 20]",
				Description: "Examples:\n  cloister feedback report --since 7d --worst 20\n  cloister feedback report --since 2026-11-01 --json",
				Flags: []cli.Flag{
					&cli.StringFlag{Name: "since", Usage: "from `TIME` on: 7d, 12h or a date", Value: "7d"},
					&cli.IntFlag{Name: "worst", Usage: "show the `N` worst answers", Value: 20},
				},
				Action: feedbackReport,
			},
			{
				Name: "import", Usage: "read judgements from a file", UsageText: "cloister feedback import FILE.csv",
				Description: `The file has answer_id, or the question as it was asked, and rating, correction or
comment. Rows whose answer is no longer kept are counted and named; rows that were
imported before are left out, so a file that grows can be imported again.

Examples:
  cloister feedback import ratings.csv`,
				Action: feedbackImport,
			},
			{
				Name: "apply", Usage: "make a new dataset version with the corrections", UsageText: "cloister feedback apply --data DATASET",
				Description: `Corrections replace the answers of questions that the dataset has, in the split
where the question stands, and are added as new examples otherwise.

Examples:
  cloister feedback apply --data clinic
  cloister tune --model smollm2 --data clinic`,
				Flags:  []cli.Flag{&cli.StringFlag{Name: "data", Usage: "`DATASET` that takes the corrections up"}},
				Action: feedbackApply,
			},
		},
	}
}

func feedbackAddCommand() *cli.Command {
	return &cli.Command{
		Name: "add", Usage: "judge one answer", UsageText: "cloister feedback add ANSWER-ID [--rating 1…5] [--correction TEXT] [--comment TEXT]",
		Description: `The id of an answer is in every response of the API, and 'cloister chat --json'
prints it.

Examples:
  cloister feedback add chatcmpl-Xq3… --rating 1 --correction "We open at 8:30."`,
		Flags: []cli.Flag{
			&cli.IntFlag{Name: "rating", Usage: "`N` from 1 (bad) to 5 (good)"},
			&cli.StringFlag{Name: "correction", Usage: "what the answer should have been: `TEXT`"},
			&cli.StringFlag{Name: "comment", Usage: "`TEXT` for whoever reads the report"},
		},
		Action: feedbackAdd,
	}
}

func feedbackAdd(c *cli.Context) error {
	args, err := arguments(c, 1, "ANSWER-ID")
	if err != nil {
		return err
	}
	in := feedback.Request{AnswerID: args[0], Rating: c.Int("rating"), Correction: c.String("correction"), Comment: c.String("comment")}
	if c.IsSet("rating") && (in.Rating < 1 || in.Rating > 5) {
		return misused(c, "--rating is %d; it must be from 1 (bad) to 5 (good)", in.Rating)
	}
	if in.Rating == 0 && in.Correction == "" && in.Comment == "" {
		return misused(c, "there is nothing to add: give --rating, --correction or --comment")
	}
	return withAppliance(c, func(s *session) error {
		f, err := s.AddFeedback(c.Context, in)
		if err != nil {
			return err
		}
		if c.Bool("json") {
			return printJSON(c, f)
		}
		fmt.Fprintf(c.App.Writer, "Feedback %s is kept.\n", f.ID)
		if in.Correction == "" {
			return nil
		}
		return next(c, s.cloister("feedback apply --data DATASET"))
	})
}

func feedbackList(c *cli.Context) error {
	if _, err := arguments(c, 0); err != nil {
		return err
	}
	limit, err := positive(c, "limit")
	if err != nil {
		return err
	}
	from, err := since(c, "since")
	if err != nil {
		return err
	}
	return withAppliance(c, func(s *session) error {
		items, err := s.Feedback(c.Context, from, limit)
		if err != nil {
			return err
		}
		if c.Bool("json") {
			return printJSON(c, items)
		}
		return printFeedback(c, "There is no feedback yet.", items)
	})
}

func printFeedback(c *cli.Context, none string, items []admin.FeedbackItem) error {
	var rows [][]string
	for _, f := range items {
		rating := "-"
		if f.Rating > 0 {
			rating = strconv.Itoa(f.Rating)
		}
		state := ""
		switch {
		case f.AppliedTo != "":
			state = "in " + f.AppliedTo
		case f.Correction != "":
			state = "corrected"
		}
		question := ""
		if f.Answer != nil && len(f.Answer.Messages) > 0 {
			question = f.Answer.Messages[len(f.Answer.Messages)-1].Content
		}
		rows = append(rows, []string{rating, clock(f.CreatedAt), f.AnswerID, state, short(question)})
	}
	return table(c.App.Writer, none, []string{"rating", "time", "answer", "correction", "question"}, rows)
}

// short is the beginning of a text, for a column.
func short(s string) string {
	if r := []rune(oneLine(s)); len(r) > 60 {
		return string(r[:59]) + "…"
	}
	return oneLine(s)
}

func feedbackReport(c *cli.Context) error {
	if _, err := arguments(c, 0); err != nil {
		return err
	}
	from, err := since(c, "since")
	if err != nil {
		return err
	}
	worst, err := positive(c, "worst")
	if err != nil {
		return err
	}
	return withAppliance(c, func(s *session) error {
		r, err := s.FeedbackReport(c.Context, from, worst)
		if err != nil {
			return err
		}
		if c.Bool("json") {
			return printJSON(c, r)
		}
		w := c.App.Writer
		fmt.Fprintf(w, "Since %s: ratings 5 to 1: %d %d %d %d %d, mean %.2f; %s, %d not in a dataset yet.\n\n", clock(r.Since),
			r.Ratings[5], r.Ratings[4], r.Ratings[3], r.Ratings[2], r.Ratings[1], r.Mean, plural(r.Corrections, "correction"), r.Pending)
		for _, f := range r.Worst {
			printWorst(c, f)
		}
		if r.Pending == 0 {
			return nil
		}
		return next(c, s.cloister("feedback apply --data DATASET"))
	})
}

func printWorst(c *cli.Context, f admin.FeedbackItem) {
	w := c.App.Writer
	fmt.Fprintf(w, "rating %d  %s\n", f.Rating, f.AnswerID)
	if f.Answer != nil {
		if n := len(f.Answer.Messages); n > 0 {
			fmt.Fprintf(w, "  Q          %s\n", oneLine(f.Answer.Messages[n-1].Content))
		}
		fmt.Fprintf(w, "  answer     %s\n", oneLine(f.Answer.Answer))
	}
	if f.Correction != "" {
		fmt.Fprintf(w, "  corrected  %s\n", oneLine(f.Correction))
	}
	if f.Comment != "" {
		fmt.Fprintf(w, "  comment    %s\n", oneLine(f.Comment))
	}
	fmt.Fprintln(w)
}

func feedbackImport(c *cli.Context) error {
	args, err := arguments(c, 1, "FILE")
	if err != nil {
		return err
	}
	f, err := openData(args[0])
	if err != nil {
		return err
	}
	defer f.Close()
	return withAppliance(c, func(s *session) error {
		r, err := s.ImportFeedback(c.Context, filepath.Base(args[0]), f)
		if err != nil {
			return err
		}
		if c.Bool("json") {
			return printJSON(c, r)
		}
		fmt.Fprintf(c.App.Writer, "%s imported.\n", plural(r.Imported, "judgement"))
		if r.Repeated > 0 {
			fmt.Fprintf(c.App.Writer, "%s left out that had been imported before.\n", plural(r.Repeated, "judgement"))
		}
		if n := len(r.Unmatched); n > 0 {
			fmt.Fprintf(c.App.ErrWriter, "warning: %s matched no answer that is kept: %s\n", plural(n, "row"), rowNumbers(r.Unmatched))
		}
		return nil
	})
}

// rowNumbers lists the first rows of many.
func rowNumbers(rows []int) string {
	const most = 20
	var list []string
	for _, n := range rows[:min(len(rows), most)] {
		list = append(list, strconv.Itoa(n))
	}
	if len(rows) > most {
		list = append(list, "…")
	}
	return strings.Join(list, ", ")
}

func feedbackApply(c *cli.Context) error {
	if _, err := arguments(c, 0); err != nil {
		return err
	}
	name, err := required(c, "data")
	if err != nil {
		return err
	}
	return withAppliance(c, func(s *session) error {
		r, err := s.ApplyFeedback(c.Context, name)
		if err != nil {
			return err
		}
		if c.Bool("json") {
			return printJSON(c, r)
		}
		fmt.Fprintf(c.App.Writer, "%s@%d has %s.\n", r.Version.Dataset, r.Version.Number, plural(r.Corrections, "correction"))
		return next(c, s.cloister("tune --model MODEL --data %s", quote(r.Version.Dataset)))
	})
}
