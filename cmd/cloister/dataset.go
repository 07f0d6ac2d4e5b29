package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"cloister/appliance/admin"
	"cloister/store"
	"cloister/store/vault"
)

func datasetCommand() *cli.Command {
	return &cli.Command{
		Name:  "dataset",
		Usage: "datasets: import, list, show, report, risk, policy, review, export, answer, rm",
		Description: `A dataset is a series of frozen versions, each with its examples cleaned, masked
and split into train, valid and test. Near-duplicate questions stay in the same
split, and old test questions stay in the test split when data is added.`,
		Subcommands: []*cli.Command{
			datasetImportCommand(),
			{
				Name: "list", Usage: "list the datasets", UsageText: "cloister dataset list",
				Description: "Examples:\n  cloister dataset list", Action: datasetList,
			},
			{
				Name: "show", Usage: "show the versions of a dataset", UsageText: "cloister dataset show NAME",
				Description: "Examples:\n  cloister dataset show clinic", Action: datasetShow,
			},
			{
				Name: "report", Usage: "show what cleaning and masking did", UsageText: "cloister dataset report NAME[@VERSION] [--reveal]",
				Description: `Says which rows were dropped or changed and why, what was masked, and what the
set looks like. It proposes values for --allow, as mask tokens; --reveal shows
the values themselves, and nothing else of the report holds personal data.

Examples:
  cloister dataset report clinic --reveal
  cloister dataset report clinic@1 --json`,
				Flags:  []cli.Flag{&cli.BoolFlag{Name: "reveal", Usage: "show the proposed values themselves"}},
				Action: datasetReport,
			},
			datasetRiskCommand(),
			{
				Name: "policy", Usage: "show what a version was masked with, as JSON", UsageText: "cloister dataset policy NAME[@VERSION]",
				Description: `Prints the masking policy with its word lists, and the allow list, as they were
when the version was made: names and numbers in the clear, so that each use is
in 'cloister audit'. The policy in it is null where there was none.

Examples:
  cloister dataset policy clinic@1
  cloister dataset policy clinic | jq .policy > policy.json`,
				Action: datasetPolicy,
			},
			{
				Name: "export", Usage: "write the masked examples as chat JSONL", UsageText: "cloister dataset export NAME[@VERSION] [--split SPLIT] [--output FILE]",
				Description: `Each line is {"messages": […]}, or a preference pair, in the forms that OpenAI's
fine-tuning takes too. Judged answers have a "label" beside their messages.

Examples:
  cloister dataset export clinic --split test > test.jsonl
  cloister dataset export clinic@2 --output clinic.jsonl`,
				Flags: []cli.Flag{
					&cli.StringFlag{Name: "split", Usage: "only this `SPLIT`: train, valid or test"},
					&cli.StringFlag{Name: "output", Usage: "write to `FILE` instead of standard output"},
				},
				Action: datasetExport,
			},
			datasetReviewCommand(),
			datasetAnswerCommand(),
			{
				Name: "rm", Usage: "remove a dataset with all its versions", UsageText: "cloister dataset rm NAME",
				Description: "A dataset that a job or an evaluation refers to is not removed.\n\nExamples:\n  cloister dataset rm clinic",
				Action:      datasetRemove,
			},
		},
	}
}

func datasetImportCommand() *cli.Command {
	return &cli.Command{
		Name: "import", Usage: "clean, mask and split a raw file into a new version of a dataset",
		UsageText: "cloister dataset import FILE --name NAME [--question COLUMN --answer COLUMN] [--policy FILE] [--allow FILE]",
		Description: `Reads CSV, XLSX, JSON or JSONL, in UTF-8 or CP949, and prints what was cleaned and
masked. Columns with common names (question, answer, …) are found; others are
named with --question and --answer. JSONL may also hold {"messages": […]},
with a "label" (true or false) if the answer was judged, or preference pairs in
OpenAI's form: {"input": …, "preferred_output": …, "non_preferred_output": …}.

What is your own (your staff, your front desk's number) must stay unmasked, or
the model will answer <PERSON_3>: put it into a file, one value a line, and name
the file with --allow. The report proposes candidates. With --policy a file says
how each kind of data is masked, and what your own patterns and lists of names
are ('cloister mask --print-policy'); it becomes the policy of the project, for
all later imports, feedback and answers.

With --second-pass a model reads what the rules left and proposes further names
and addresses. It only adds: what it proposes must stand in the text literally,
is marked, and can be looked at with 'cloister dataset review'. The smallest models
find nothing or half of what is left; use the largest one that you have.

Examples:
  cloister dataset import raw.csv --name clinic
  cloister dataset import faq.xlsx --name clinic --question Frage --answer Antwort --allow ours.txt
  cloister dataset import chats.jsonl --name clinic --second-pass --model qwen2.5-7b-instruct`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "name", Usage: "`NAME` of the dataset"},
			&cli.StringFlag{Name: "question", Usage: "`COLUMN` of the questions", DefaultText: "found by its name"},
			&cli.StringFlag{Name: "answer", Usage: "`COLUMN` of the answers", DefaultText: "found by its name"},
			&cli.StringFlag{Name: "system-column", Usage: "`COLUMN` of system prompts"},
			&cli.StringFlag{Name: "system", Usage: "system prompt `TEXT` for every example that has none"},
			&cli.StringFlag{Name: "allow", Usage: "`FILE` of values that stay unmasked, one a line"},
			&cli.StringFlag{Name: "policy", Usage: "`FILE` that says how texts are masked, from now on", DefaultText: "the one of before"},
			&cli.StringFlag{Name: "format", Usage: "`FORMAT`: csv, xlsx, json or jsonl", DefaultText: "by name and content"},
			&cli.StringFlag{Name: "encoding", Usage: "`ENCODING`: utf-8, cp949 or utf-16", DefaultText: "detected"},
			&cli.StringFlag{Name: "sheet", Usage: "`SHEET` of a workbook", DefaultText: "the first"},
			&cli.BoolFlag{Name: "keep-html", Usage: "do not turn HTML into text"},
			&cli.BoolFlag{Name: "second-pass", Usage: "have a model look for names and addresses that the rules missed"},
			&cli.StringFlag{Name: "model", Usage: "the `MODEL` that reads for --second-pass", DefaultText: "the one that is served"},
			&cli.BoolFlag{Name: "append", Usage: "add to the examples of the newest version instead of replacing them"},
		},
		Action: datasetImport,
	}
}

func datasetImport(c *cli.Context) error {
	args, err := arguments(c, 1, "FILE")
	if err != nil {
		return err
	}
	name, err := required(c, "name")
	if err != nil {
		return err
	}
	allow, err := allowList(c.String("allow"))
	if err != nil {
		return err
	}
	if c.String("model") != "" && !c.Bool("second-pass") {
		return misused(c, "--model names who reads for --second-pass, which is missing")
	}
	var masking []byte
	if path := c.String("policy"); path != "" {
		p, err := readPolicy(path)
		if err != nil {
			return err
		}
		masking = p.JSON()
	}
	return withAppliance(c, func(s *session) error {
		v, err := importFile(c, s, args[0], admin.ImportDataset{
			Name: name, Format: c.String("format"), Encoding: c.String("encoding"), Sheet: c.String("sheet"),
			QuestionColumn: c.String("question"), AnswerColumn: c.String("answer"),
			SystemColumn: c.String("system-column"), System: c.String("system"),
			Allow: allow, Policy: masking, KeepHTML: c.Bool("keep-html"), Append: c.Bool("append"),
			SecondPass: c.Bool("second-pass"), Model: c.String("model"),
		})
		if err != nil {
			return err
		}
		if c.Bool("json") {
			return printJSON(c, v)
		}
		if err := printVersionReport(c, v, nil); err != nil {
			return err
		}
		return next(c, s.cloister("tune --model MODEL --data %s", quote(v.Dataset)))
	})
}

// importFile sends a file to be made into a dataset version.
func importFile(c *cli.Context, s *session, path string, in admin.ImportDataset) (store.Version, error) {
	f, err := openData(path)
	if err != nil {
		return store.Version{}, err
	}
	defer f.Close()
	in.FileName = filepath.Base(path)
	p := newProgress(c.App.ErrWriter)
	defer p.clear()
	return s.ImportDataset(c.Context, in, f, func(done, total int) {
		p.show(float64(done)/float64(total), fmt.Sprintf("second pass: %d of %d examples", done, total))
	})
}

// openData opens a file of examples.
func openData(path string) (*os.File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	if info, err := f.Stat(); err != nil || info.IsDir() {
		_ = f.Close()
		return nil, errors.Join(err, fmt.Errorf("%s is a directory; name a file", path))
	}
	return f, nil
}

// reference splits "name@3" into a dataset's name and a version, 0 for the newest.
func reference(c *cli.Context, s string) (name string, version int, err error) {
	name, number, ok := strings.Cut(s, "@")
	if !ok {
		return name, 0, nil
	}
	version, err = strconv.Atoi(number)
	if err != nil || version < 1 {
		return "", 0, misused(c, "%q is not a dataset; write NAME or NAME@VERSION, such as %s@1", s, name)
	}
	return name, version, nil
}

// versionArgument reads the one argument of a command, NAME or NAME@VERSION.
func versionArgument(c *cli.Context) (name string, version int, err error) {
	args, err := arguments(c, 1, "NAME")
	if err != nil {
		return "", 0, err
	}
	return reference(c, args[0])
}

func datasetList(c *cli.Context) error {
	if _, err := arguments(c, 0); err != nil {
		return err
	}
	return withAppliance(c, func(s *session) error {
		sets, err := s.Datasets(c.Context)
		if err != nil {
			return err
		}
		if c.Bool("json") {
			return printJSON(c, sets)
		}
		var rows [][]string
		for _, d := range sets {
			rows = append(rows, []string{d.Name, strconv.Itoa(d.Latest), clock(d.CreatedAt)})
		}
		return table(c.App.Writer, "There are no datasets. Import one: cloister dataset import FILE --name NAME", []string{"name", "versions", "created"}, rows)
	})
}

func datasetShow(c *cli.Context) error {
	args, err := arguments(c, 1, "NAME")
	if err != nil {
		return err
	}
	return withAppliance(c, func(s *session) error {
		d, err := s.Dataset(c.Context, args[0])
		if err != nil {
			return notFound(err, s.cloister("dataset list"))
		}
		if c.Bool("json") {
			return printJSON(c, d)
		}
		var rows [][]string
		for _, v := range d.Versions {
			rows = append(rows, []string{
				fmt.Sprintf("%s@%d", d.Name, v.Number), v.Origin, clock(v.CreatedAt),
				strconv.Itoa(v.Counts[store.Train]), strconv.Itoa(v.Counts[store.Valid]), strconv.Itoa(v.Counts[store.Test]), maskedWith(v),
			})
		}
		return table(c.App.Writer, "This dataset has no versions.", []string{"version", "origin", "created", "train", "valid", "test", "masked with"}, rows)
	})
}

// datasetPolicy prints JSON with or without --json: it is for files.
func datasetPolicy(c *cli.Context) error {
	name, number, err := versionArgument(c)
	if err != nil {
		return err
	}
	return withAppliance(c, func(s *session) error {
		used, err := s.Used(c.Context, name, number)
		if err != nil {
			return notFound(err, s.cloister("dataset show %s", quote(name)))
		}
		return printJSON(c, used)
	})
}

func datasetReport(c *cli.Context) error {
	name, number, err := versionArgument(c)
	if err != nil {
		return err
	}
	return withAppliance(c, func(s *session) error {
		v, err := s.Version(c.Context, name, number)
		if err != nil {
			return notFound(err, s.cloister("dataset list"))
		}
		if c.Bool("json") {
			return printJSON(c, v)
		}
		var revealed []admin.Proposal
		if c.Bool("reveal") {
			if revealed, err = s.Proposals(c.Context, name, number); err != nil {
				return err
			}
		}
		return printVersionReport(c, v, revealed)
	})
}

func datasetExport(c *cli.Context) error {
	name, number, err := versionArgument(c)
	if err != nil {
		return err
	}
	split := store.Split(c.String("split"))
	switch split {
	case "", store.Train, store.Valid, store.Test:
	default:
		return misused(c, "--split is %q; it must be train, valid or test", split)
	}
	return withAppliance(c, func(s *session) error {
		export := func(w io.Writer) error {
			return notFound(s.Export(c.Context, name, number, split, w), s.cloister("dataset list"))
		}
		if path := c.String("output"); path != "" {
			return writeFile(path, export)
		}
		return export(c.App.Writer)
	})
}

// writeFile makes a file whole or not at all, durably. What is there already is replaced.
func writeFile(path string, write func(io.Writer) error) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".cloister-*") // 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // after the rename there is nothing to remove
	err = write(f)
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return vault.SyncDir(filepath.Dir(path))
}

func datasetRemove(c *cli.Context) error {
	args, err := arguments(c, 1, "NAME")
	if err != nil {
		return err
	}
	return withAppliance(c, func(s *session) error {
		if err := s.RemoveDataset(c.Context, args[0]); err != nil {
			return notFound(err, s.cloister("dataset list"))
		}
		if c.Bool("json") {
			return printJSON(c, map[string]any{"name": args[0], "deleted": true})
		}
		_, err := fmt.Fprintf(c.App.Writer, "Dataset %s is removed.\n", args[0])
		return err
	})
}
