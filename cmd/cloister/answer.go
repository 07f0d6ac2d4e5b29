package main

import (
	"encoding/json"
	"fmt"

	"github.com/urfave/cli/v2"

	"cloister/appliance/admin"
	"cloister/appliance/datasets"
	"cloister/store"
)

func datasetAnswerCommand() *cli.Command {
	return &cli.Command{
		Name: "answer", Usage: "have a model answer a dataset's questions, for another one to learn from",
		UsageText: "cloister dataset answer NAME[@VERSION] --model MODEL --name NEW",
		Description: `A larger model answers the questions; its answers become a version of another
dataset, masked like all others, and a smaller model is tuned on that. Both may be
of any family. Test examples keep their own answers, so what is measured stays the
truth. For a teacher with the same tokens see also 'cloister tune --teacher'.

Examples:
  cloister dataset answer clinic --model qwen2.5-7b-instruct --name clinic-7b
  cloister tune --model smollm2-135m-instruct --data clinic-7b`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "model", Usage: "the `MODEL` that answers, a base or a tuned one"},
			&cli.StringFlag{Name: "name", Usage: "`NAME` of the dataset that gets the answers"},
			&cli.IntFlag{Name: "max-tokens", Usage: "answers that do not end within `N` tokens are left out", DefaultText: "512"},
		},
		Action: datasetAnswer,
	}
}

func datasetAnswer(c *cli.Context) error {
	args, err := arguments(c, 1, "NAME")
	if err != nil {
		return err
	}
	var in admin.AnswerDataset
	if in.Dataset, in.Version, err = reference(c, args[0]); err != nil {
		return err
	}
	if in.Model, err = required(c, "model"); err != nil {
		return err
	}
	if in.Name, err = required(c, "name"); err != nil {
		return err
	}
	if in.MaxTokens, err = positive(c, "max-tokens"); err != nil {
		return err
	}
	return withAppliance(c, func(s *session) error {
		p := newProgress(c.App.ErrWriter)
		v, err := s.AnswerDataset(c.Context, in, func(done, total int) {
			p.show(float64(done)/float64(total), fmt.Sprintf("%d of %d answers", done, total))
		})
		p.clear()
		if err != nil {
			return err
		}
		if c.Bool("json") {
			return printJSON(c, v)
		}
		if err := printAnswered(c, v); err != nil {
			return err
		}
		return next(c, s.cloister("tune --model MODEL --data %s", quote(v.Dataset)))
	})
}

// printAnswered says what a version made of answers holds.
func printAnswered(c *cli.Context, v store.Version) error {
	var rep datasets.Report
	if err := json.Unmarshal(v.Report, &rep); err != nil || rep.Answered == nil {
		return fmt.Errorf("the report of %s@%d does not read: %w", v.Dataset, v.Number, err)
	}
	a := rep.Answered
	fmt.Fprintf(c.App.Writer, "Dataset %s@%d holds %d answers of %s to the questions of %s, and %d test examples with their own answers.\n",
		v.Dataset, v.Number, a.Answered, a.Model, a.Source, a.Kept)
	if a.Left > 0 {
		fmt.Fprintf(c.App.Writer, "%d questions were left out: the answer did not end in time.\n", a.Left)
	}
	return nil
}
