package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/urfave/cli/v2"

	"cloister/appliance/admin"
	"cloister/appliance/datasets"
	"cloister/appliance/masking"
)

func datasetReviewCommand() *cli.Command {
	return &cli.Command{
		Name: "review", Usage: "decide on what masking is not sure of",
		UsageText: "cloister dataset review NAME[@VERSION] [--apply] [--decide ID=DECISION …] [--decisions FILE] [--list]",
		Description: `Asks about values that may be your own, as they stand in many answers, and about
findings whose score is between --from and --to: those that are barely masked, and
those that barely are not. It shows texts of the original. The answers:

  y  yes: mask it in this record       a  always: mask it wherever it stands
  n  no: keep it in this record        v  never: it goes on the allow list
  s  skip it for now                   q  quit; what was decided is kept

Decisions count from the next import on; --apply makes a new version with them
now. What was decided is not asked again. --json lists what is uncertain with
ids; --decide and --decisions answer without questions. A file of decisions has
a line for each: ID DECISION.

Examples:
  cloister dataset review clinic --apply
  cloister dataset review clinic --json > uncertain.json
  cloister dataset review clinic --decide PHONE_3=never --decide 5f0c1d2e3a4b=yes --apply`,
		Flags: []cli.Flag{
			&cli.Float64Flag{Name: "from", Usage: "lowest `SCORE` that is uncertain", Value: datasets.DefaultFrom},
			&cli.Float64Flag{Name: "to", Usage: "`SCORE` below which a finding is uncertain", Value: datasets.DefaultTo},
			&cli.IntFlag{Name: "limit", Usage: "ask about at most `N` values", DefaultText: "1000"},
			&cli.BoolFlag{Name: "list", Usage: "list them, and ask nothing"},
			&cli.StringSliceFlag{Name: "decide", Usage: "`ID=DECISION`: yes, no, always or never; may be repeated"},
			&cli.StringFlag{Name: "decisions", Usage: "`FILE` of decisions, one a line"},
			&cli.BoolFlag{Name: "apply", Usage: "make a new version with the decisions now"},
		},
		Action: datasetReview,
	}
}

func datasetReview(c *cli.Context) error {
	name, number, err := versionArgument(c)
	if err != nil {
		return err
	}
	limit, err := positive(c, "limit")
	if err != nil {
		return err
	}
	decisions, given, err := givenDecisions(c)
	if err != nil {
		return err
	}
	return withAppliance(c, func(s *session) error {
		if !given {
			list, err := s.Review(c.Context, name, number, c.Float64("from"), c.Float64("to"), limit)
			if err != nil {
				return notFound(err, s.cloister("dataset list"))
			}
			if c.Bool("json") {
				return printJSON(c, list)
			}
			if c.Bool("list") || len(list.Items) == 0 && !c.Bool("apply") {
				return printReview(c, list)
			}
			if decisions, err = askReview(c, list); err != nil {
				return err
			}
		}
		return decide(c, s, name, number, decisions)
	})
}

// decide sends decisions and says what became of them.
func decide(c *cli.Context, s *session, name string, number int, decisions map[string]masking.Verdict) error {
	if len(decisions) == 0 && !c.Bool("apply") {
		_, err := fmt.Fprintln(c.App.Writer, "Nothing was decided.")
		return err
	}
	out, err := s.Decide(c.Context, name, number, admin.Decide{Decisions: decisions, Apply: c.Bool("apply")})
	if err != nil {
		return notFound(err, s.cloister("dataset list"))
	}
	if c.Bool("json") {
		return printJSON(c, out)
	}
	fmt.Fprintf(c.App.Writer, "Decided: %d yes, %d no, %d always, %d never.\n",
		out.Counts[masking.Yes], out.Counts[masking.No], out.Counts[masking.Always], out.Counts[masking.Never])
	if out.Version == nil {
		return next(c, s.cloister("dataset review %s --apply", quote(name)))
	}
	return printVersionReport(c, *out.Version, nil)
}

// givenDecisions reads those of the command line; given says whether there are
// any, or --apply alone was asked for.
func givenDecisions(c *cli.Context) (decisions map[string]masking.Verdict, given bool, err error) {
	decisions = map[string]masking.Verdict{}
	for _, text := range c.StringSlice("decide") {
		id, word, ok := strings.Cut(text, "=")
		if !ok {
			return nil, false, misused(c, "--decide is %q; write ID=DECISION", text)
		}
		if err := addDecision(decisions, id, word); err != nil {
			return nil, false, misused(c, "--decide: %v", err)
		}
	}
	path := c.String("decisions")
	if path == "" {
		return decisions, len(decisions) > 0, nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, false, fmt.Errorf("--decisions: %w", err)
	}
	n := 0
	for line := range bytes.Lines(bytes.TrimPrefix(data, []byte(bom))) {
		n++
		f := strings.Fields(string(line))
		if len(f) == 0 || strings.HasPrefix(f[0], "#") {
			continue
		}
		if len(f) != 2 {
			return nil, false, fmt.Errorf("--decisions: %s, line %d: expected an id and a decision", path, n)
		}
		if err := addDecision(decisions, f[0], f[1]); err != nil {
			return nil, false, fmt.Errorf("--decisions: %s, line %d: %w", path, n, err)
		}
	}
	return decisions, true, nil
}

// letters are the short forms of decisions.
var letters = map[string]masking.Verdict{"y": masking.Yes, "n": masking.No, "a": masking.Always, "v": masking.Never}

func addDecision(decisions map[string]masking.Verdict, id, word string) error {
	id, word = strings.TrimSpace(id), strings.TrimSpace(word)
	v, ok := letters[word]
	if !ok {
		v = masking.Verdict(word)
	}
	for _, known := range masking.Verdicts {
		if v == known && id != "" {
			decisions[id] = v
			return nil
		}
	}
	return fmt.Errorf("the decision on %q is %q; it must be yes, no, always or never", id, word)
}

// askReview asks about each item until the input ends.
func askReview(c *cli.Context, list admin.Review) (map[string]masking.Verdict, error) {
	decisions := map[string]masking.Verdict{}
	in := bufio.NewReader(c.App.Reader)
	for i, item := range list.Items {
		fmt.Fprintf(c.App.Writer, "\n%d of %d\n", i+1, list.Total)
		printItem(c.App.Writer, item)
		v, quit, err := askItem(c, in, item)
		if err != nil {
			return nil, err
		}
		if v != "" {
			decisions[item.ID] = v
		}
		if quit {
			break
		}
	}
	fmt.Fprintln(c.App.Writer)
	return decisions, nil
}

// askItem asks until there is an answer; "" means that the item is skipped.
func askItem(c *cli.Context, in *bufio.Reader, item admin.ReviewItem) (v masking.Verdict, quit bool, err error) {
	question := "mask it here? y/n, a(lways), (ne)v(er), s(kip), q(uit): "
	if item.Kind == datasets.KindProposal {
		question = "is it your own? v (never mask it), a(lways mask it), s(kip), q(uit): "
	}
	for {
		fmt.Fprint(c.App.Writer, question)
		line, err := in.ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return "", false, err
		}
		answer := strings.ToLower(strings.TrimSpace(line))
		one := map[string]masking.Verdict{}
		switch {
		case answer == "q" || answer == "quit" || answer == "" && err != nil:
			return "", true, nil
		case answer == "s" || answer == "skip" || answer == "":
			return "", false, nil
		case addDecision(one, item.ID, answer) != nil || item.Kind == datasets.KindProposal && (one[item.ID] == masking.Yes || one[item.ID] == masking.No):
			fmt.Fprintln(c.App.Writer, "That is none of the answers.")
			if err != nil {
				return "", true, nil
			}
			continue
		}
		return one[item.ID], false, nil
	}
}

// printReview lists the items.
func printReview(c *cli.Context, list admin.Review) error {
	w := c.App.Writer
	if len(list.Items) == 0 {
		_, err := fmt.Fprintln(w, "There is nothing to decide.")
		return err
	}
	for _, item := range list.Items {
		fmt.Fprintln(w, item.ID)
		printItem(w, item)
	}
	if more := list.Total - len(list.Items); more > 0 {
		fmt.Fprintf(w, "%d more; --limit shows others\n", more)
	}
	return nil
}

// printItem shows an item with its context.
func printItem(w io.Writer, item admin.ReviewItem) {
	if item.Kind == datasets.KindProposal {
		fmt.Fprintf(w, "  %s %s, in %s to %s\n", item.Entity, item.Value, plural(item.Rows, "answer"), plural(item.Questions, "question"))
		for _, context := range item.Contexts {
			fmt.Fprintf(w, "    %s\n", context)
		}
		return
	}
	state := "not masked"
	if item.Masked {
		state = "masked"
	}
	fmt.Fprintf(w, "  row %d, %s: %s[%s]%s\n", item.Row, item.Role, item.Before, item.Value, item.After)
	fmt.Fprintf(w, "    %s, score %.2f, %s (%s: %s)\n", item.Entity, item.Score, state, item.Recogniser, item.Evidence)
}
