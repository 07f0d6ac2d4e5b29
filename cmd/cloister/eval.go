package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode"

	"github.com/urfave/cli/v2"

	"cloister/appliance/admin"
	"cloister/lora/eval"
	"cloister/store"
)

func evalCommand() *cli.Command {
	return &cli.Command{
		Name:      "eval",
		Usage:     "compare a tuned model with its base on examples that it never saw",
		UsageText: "cloister eval --model MODEL --data DATASET|FILE [--baseline MODEL] [--keys FILE] | cloister eval --leak --model MODEL",
		Description: `Asks both models the held-out questions, through the engine that serves them,
and prints loss, exact match, token F1 and ROUGE-L side by side; for answers
that are labels, accuracy, precision, recall and F1 too. With a dataset the
frozen test split is used. A FILE (CSV, JSONL, JSON or XLSX) has question and
expected, and if you have them human_score, to compare people's scores with
ours, and key, the words that a right answer must hold. --question and --answer
name its columns if they are called otherwise.

Each evaluation makes a short leak test: it searches all stored texts and all
files of the data directory for values of the token vault, and gives the tuned
model the beginnings of training examples up to where a value was masked, to see
whether it goes on with one. --leak makes it thorough: base models, all such
beginnings (at most 500), extraction prompts, samples beside the likeliest
answers, the base model for comparison, and, if the model was trained with 'tune
--canaries', how well it remembers those. Without --data it takes the test split
of the model's dataset. 'deploy' refuses a model when something was found. What is
shown is where a value stands and its token, never the value.

Examples:
  cloister eval --model ft:smollm2:cloister:clinic:x7Kq2a --data clinic
  cloister eval --model support --data test.csv --json
  cloister eval --leak --model support --search /var/log/cloister.log`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "model", Usage: "`MODEL` to measure"},
			&cli.StringFlag{Name: "data", Usage: "`DATASET`, NAME or NAME@VERSION, or a file of questions and expected answers"},
			&cli.StringFlag{Name: "baseline", Usage: "`MODEL` to compare with, or none", DefaultText: "the base of the model"},
			&cli.StringFlag{Name: "split", Usage: "`SPLIT` of the dataset", DefaultText: "test"},
			&cli.StringFlag{Name: "keys", Usage: "`FILE` of question,key: the words that the right answer to a question of the dataset holds, alternatives as a|b"},
			&cli.StringFlag{Name: "question", Usage: "`COLUMN` of a file with the questions", DefaultText: "question"},
			&cli.StringFlag{Name: "answer", Usage: "`COLUMN` of a file with the expected answers", DefaultText: "expected"},
			&cli.StringFlag{Name: "system", Usage: "system prompt `TEXT` for the questions of a file", DefaultText: "that of the model's dataset"},
			&cli.IntFlag{Name: "limit", Usage: "at most `N` examples", DefaultText: "all"},
			&cli.IntFlag{Name: "max-tokens", Usage: "at most `N` tokens for each answer", DefaultText: "256"},
			&cli.BoolFlag{Name: "leak", Usage: "make the leak test a thorough one"},
			&cli.IntFlag{Name: "canary-sample", Usage: "rank each canary among `N` random sequences: an exposure of log2(N+1) bits can be seen", DefaultText: "255"},
			&cli.StringSliceFlag{Name: "search", Usage: "the leak test also looks into a `PATH`, a file or folder such as a log; may be repeated"},
			&cli.IntFlag{Name: "samples", Usage: "show `N` answers beside the expected ones", Value: 3},
		},
		Action: evaluate,
	}
}

func evaluate(c *cli.Context) error {
	in, file, err := evaluation(c)
	if err != nil {
		return err
	}
	if file != nil {
		defer file.Close()
	}
	return withAppliance(c, func(s *session) error {
		p := newProgress(c.App.ErrWriter)
		var reader io.Reader
		if file != nil {
			reader = file
		}
		e, err := s.Evaluate(c.Context, in, reader, func(done, total int) {
			p.show(float64(done)/float64(total), fmt.Sprintf("%d of %d requests", done, total))
		})
		p.clear()
		if err != nil {
			return err
		}
		if c.Bool("json") {
			return printJSON(c, e)
		}
		if err := printReport(c, e); err != nil {
			return err
		}
		if !strings.HasPrefix(e.Model, "ft:") {
			return nil
		}
		return next(c, s.cloister("deploy %s --as ALIAS", quote(e.Model)))
	})
}

// evaluation reads the command line. The file, of examples or of keys, is open;
// it is nil if there is none.
func evaluation(c *cli.Context) (in admin.Evaluate, file *os.File, err error) {
	if _, err := arguments(c, 0); err != nil {
		return in, nil, err
	}
	in = admin.Evaluate{
		Baseline: c.String("baseline"), Split: store.Split(c.String("split")), System: c.String("system"),
		QuestionColumn: c.String("question"), AnswerColumn: c.String("answer"),
	}
	if in.Model, err = required(c, "model"); err != nil {
		return in, nil, err
	}
	in.Leak = c.Bool("leak")
	for _, path := range c.StringSlice("search") {
		if path, err = filepath.Abs(path); err != nil { // the appliance may run in another folder
			return in, nil, err
		}
		in.Search = append(in.Search, path)
	}
	data := c.String("data")
	if data == "" && !in.Leak {
		if data, err = required(c, "data"); err != nil {
			return in, nil, err
		}
	}
	if in.Limit, err = positive(c, "limit"); err != nil {
		return in, nil, err
	}
	if in.CanarySample, err = positive(c, "canary-sample"); err != nil {
		return in, nil, err
	}
	if in.MaxTokens, err = positive(c, "max-tokens"); err != nil {
		return in, nil, err
	}
	switch in.Split {
	case "", store.Train, store.Valid, store.Test:
	default:
		return in, nil, misused(c, "--split is %q; it must be train, valid or test", in.Split)
	}
	path := c.String("keys")
	if data == "" {
		if path != "" || in.QuestionColumn != "" || in.AnswerColumn != "" {
			return in, nil, misused(c, "--keys, --question and --answer go with --data")
		}
		return in, nil, nil
	}
	if isFile(data) {
		if in.Split != "" || path != "" {
			return in, nil, misused(c, "--split and --keys are for datasets; a file is used whole and has a column key")
		}
		path = data
	} else if in.QuestionColumn != "" || in.AnswerColumn != "" {
		return in, nil, misused(c, "--question and --answer name columns of a file, and %q is a dataset", data)
	} else if in.Dataset, in.Version, err = reference(c, data); err != nil || path == "" {
		return in, nil, err
	}
	in.FileName = filepath.Base(path)
	file, err = openData(path)
	return in, file, err
}

// isFile says whether --data means a file: it has a folder or the ending of a
// file of examples. Anything else is the name of a dataset.
func isFile(data string) bool {
	endings := []string{".csv", ".tsv", ".xlsx", ".json", ".jsonl", ".ndjson"}
	return strings.ContainsRune(data, filepath.Separator) || slices.Contains(endings, strings.ToLower(filepath.Ext(data)))
}

// printReport prints an evaluation as a table, with some of its answers.
func printReport(c *cli.Context, e store.Evaluation) error {
	var r eval.Report
	if err := json.Unmarshal(e.Report, &r); err != nil {
		return fmt.Errorf("evaluation %s: %w", e.ID, err)
	}
	w := c.App.Writer
	fmt.Fprint(w, r)
	for _, sample := range r.Samples[:min(len(r.Samples), max(0, c.Int("samples")))] {
		fmt.Fprintf(w, "\nQ         %s\nexpected  %s\n", oneLine(sample.Question), oneLine(sample.Expected))
		if r.Base != nil {
			fmt.Fprintf(w, "base      %s\n", oneLine(sample.BaseAnswer))
		}
		fmt.Fprintf(w, "tuned     %s\n", oneLine(sample.Answer))
	}
	if len(r.Samples) > 0 && c.Int("samples") > 0 {
		fmt.Fprintln(w)
	}
	return nil
}

// oneLine shortens a text to a line of a terminal, which must not obey it: a
// model may write control characters.
func oneLine(s string) string {
	r := slices.DeleteFunc([]rune(strings.Join(strings.Fields(s), " ")), unicode.IsControl)
	if len(r) > 160 {
		return string(r[:159]) + "…"
	}
	return string(r)
}
