package main

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"cloister/appliance/admin"
	"cloister/appliance/client"
	"cloister/lora/train"
)

func tuneCommand() *cli.Command {
	return &cli.Command{
		Name:      "tune",
		Usage:     "train a model on a dataset",
		UsageText: "cloister tune --model MODEL --data DATASET|FILE [--suffix NAME] [--epochs N …]",
		Description: `Trains an adapter on the base model and follows the job with a progress bar. What
you leave open is chosen from the data and the model, and said with its reason.
The best epoch is kept; when the validation loss no longer falls, it stops early.

Ctrl-C stops at a checkpoint and says how to go on. When an appliance runs
(cloister serve), the job runs there and Ctrl-C only stops watching it.

A FILE is imported as a dataset of the same name first; 'cloister dataset import'
does that with more choices.

Examples:
  cloister tune --model smollm2-135m-instruct --data clinic
  cloister tune --model smollm2-135m-instruct --data clinic@2 --epochs 5 --lr 5e-4 --suffix v2`,
		Flags: append([]cli.Flag{
			&cli.StringFlag{Name: "model", Usage: "base `MODEL`, or a tuned one to train its base anew"},
			&cli.StringFlag{Name: "data", Usage: "`DATASET`, NAME or NAME@VERSION, or a file of examples"},
			&cli.StringFlag{Name: "suffix", Usage: "part of the new model's name: `NAME`", DefaultText: "none"},
			&cli.BoolFlag{Name: "detach", Usage: "start the job in the running appliance and do not follow it"},
		}, hyperFlags()...),
		Action: tune,
	}
}

// hyperFlags are the hyper-parameters of tune and estimate.
func hyperFlags() []cli.Flag {
	return []cli.Flag{
		&cli.IntFlag{Name: "epochs", Usage: "passes over the data: `N`", DefaultText: "chosen for you"},
		&cli.IntFlag{Name: "batch-size", Usage: "examples in one step: `N`", DefaultText: "chosen for you"},
		&cli.Float64Flag{Name: "lr", Usage: "learning rate `X`", DefaultText: "chosen for you"},
		&cli.Float64Flag{Name: "lr-multiplier", Usage: "`X` times the learning rate that would be chosen", DefaultText: "1"},
		&cli.IntFlag{Name: "rank", Usage: "rank `N` of the adapter", DefaultText: "chosen for you"},
		&cli.Float64Flag{Name: "alpha", Usage: "the adapter's scale is `X` / rank", DefaultText: "chosen for you"},
		&cli.StringFlag{Name: "targets", Usage: "`LIST` of matrices to adapt, such as attn_q,attn_v", DefaultText: "chosen for you"},
		&cli.StringFlag{Name: "schedule", Usage: "`NAME` of the learning rate's course: cosine, linear or constant", DefaultText: "chosen for you"},
		&cli.IntFlag{Name: "warmup-steps", Usage: "`N` steps in which the learning rate rises, -1 for none", DefaultText: "chosen for you"},
		&cli.Float64Flag{Name: "weight-decay", Usage: "weight decay `X` of AdamW", DefaultText: "chosen for you"},
		&cli.Float64Flag{Name: "max-grad-norm", Usage: "gradients are clipped to the norm `X`", DefaultText: "1"},
		&cli.IntFlag{Name: "max-length", Usage: "longer examples are cut after `N` tokens", DefaultText: "chosen for you"},
		&cli.IntFlag{Name: "patience", Usage: "stop after `N` epochs without a better validation loss, -1 for never", DefaultText: "chosen for you"},
		&cli.Int64Flag{Name: "seed", Usage: "`N`: the same number gives the same adapter"},
	}
}

// hyperparameters reads hyperFlags; 0 means "choose for me".
func hyperparameters(c *cli.Context) (train.Hyperparameters, error) {
	h := train.Hyperparameters{
		LearningRate: c.Float64("lr"), LearningRateMultiplier: c.Float64("lr-multiplier"), Alpha: c.Float64("alpha"),
		WeightDecay: c.Float64("weight-decay"), MaxGradNorm: c.Float64("max-grad-norm"),
		Schedule: c.String("schedule"), WarmupSteps: c.Int("warmup-steps"), Patience: c.Int("patience"), Seed: c.Int64("seed"),
	}
	for flag, to := range map[string]*int{"epochs": &h.Epochs, "batch-size": &h.BatchSize, "rank": &h.Rank, "max-length": &h.MaxLength} {
		n, err := positive(c, flag)
		if err != nil {
			return h, err
		}
		*to = n
	}
	for _, flag := range []string{"lr", "lr-multiplier", "alpha", "max-grad-norm"} {
		if v := c.Float64(flag); c.IsSet(flag) && !(v > 0) {
			return h, misused(c, "--%s is %g; it must be above 0", flag, v)
		}
	}
	if targets := c.String("targets"); targets != "" {
		for name := range strings.SplitSeq(targets, ",") {
			h.Targets = append(h.Targets, strings.TrimSpace(name))
		}
	}
	return h, nil
}

// positive returns a whole number that must be 1 or more if it is given, 0 if not.
func positive(c *cli.Context, flag string) (int, error) {
	n := c.Int(flag)
	if n < 1 && (n != 0 || c.IsSet(flag)) {
		return 0, misused(c, "--%s is %d; it must be 1 or more", flag, n)
	}
	return n, nil
}

func tune(c *cli.Context) error {
	in, data, err := trainOn(c)
	if err != nil {
		return err
	}
	in.Suffix = c.String("suffix")
	return withWorkingAppliance(c, func(s *session) error {
		if c.Bool("detach") && s.status.Listen == "" {
			return withHint(fmt.Errorf("--detach needs an appliance that goes on after this command, and none runs on %s", s.home), "%s", s.cloister("serve"))
		}
		if err := resolveData(c, s, &in, data); err != nil {
			return err
		}
		j, err := s.Tune(c.Context, in)
		if err != nil {
			return err
		}
		if !c.Bool("detach") {
			return follow(c, s, j)
		}
		if c.Bool("json") {
			return printJSON(c, j)
		}
		fmt.Fprintf(c.App.Writer, "Job %s is %s.\n", j.ID, j.Status)
		return next(c, s.cloister("job resume %s", j.ID))
	})
}

// trainOn reads what tune and estimate have in common. data is as it was typed.
func trainOn(c *cli.Context) (in admin.TrainOn, data string, err error) {
	if _, err := arguments(c, 0); err != nil {
		return in, "", err
	}
	if in.Model, err = required(c, "model"); err != nil {
		return in, "", err
	}
	if data, err = required(c, "data"); err != nil {
		return in, "", err
	}
	if in.Hyperparameters, err = hyperparameters(c); err != nil {
		return in, "", err
	}
	if !isFile(data) {
		in.Dataset, in.Version, err = reference(c, data)
	}
	return in, data, err
}

// resolveData imports the file that --data names, if it names one.
func resolveData(c *cli.Context, s *session, in *admin.TrainOn, data string) error {
	if !isFile(data) {
		return nil
	}
	name := datasetName(data)
	v, err := importFile(c, s, data, admin.ImportDataset{Name: name})
	if client.CodeIs(err, "invalid_file_format") { // its advice is about flags that this command has not
		return withHint(err, "%s", s.cloister("dataset import %s --name %s --question COLUMN --answer COLUMN", quote(data), quote(name)))
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(c.App.ErrWriter, "%s is now dataset %s@%d. What was cleaned and masked: %s\n",
		filepath.Base(data), v.Dataset, v.Number, s.cloister("dataset report %s@%d", quote(v.Dataset), v.Number))
	in.Dataset, in.Version = v.Dataset, v.Number
	return nil
}

// datasetName makes the name of a dataset of that of a file.
func datasetName(path string) string {
	base := filepath.Base(path)
	name := strings.Map(func(r rune) rune {
		if strings.ContainsRune(" @/:", r) {
			return '-'
		}
		return r
	}, strings.TrimSuffix(base, filepath.Ext(base)))
	return strings.Trim(name, "-._")
}
