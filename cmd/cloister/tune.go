package main

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"cloister/appliance/admin"
	"cloister/appliance/client"
)

func tuneCommand() *cli.Command {
	return &cli.Command{
		Name:      "tune",
		Usage:     "train a model on a dataset",
		UsageText: "cloister tune --model MODEL --data DATASET|FILE [--suffix NAME] [--from MODEL] [--epochs N …]",
		Description: `Trains an adapter on the base model and follows the job with a progress bar. What
you leave open is chosen from the data and the model, and said with its reason.
The best epoch is kept; when the validation loss no longer falls, it stops early.

Ctrl-C stops at a checkpoint and says how to go on. When an appliance runs
(cloister serve), the job runs there and Ctrl-C only stops watching it.

A FILE is imported as a dataset of the same name first; 'cloister dataset import'
does that with more choices.

With --method dpo or kto a model learns what people prefer, mostly after it has
learned the answers themselves (--from). dpo takes pairs, one on a line, as OpenAI
has them:
  {"input": {"messages": [{"role": "user", "content": "…"}]},
   "preferred_output": [{"role": "assistant", "content": "…"}],
   "non_preferred_output": [{"role": "assistant", "content": "…"}]}
kto takes the same, or single answers that are right or wrong:
  {"messages": [{"role": "user", …}, {"role": "assistant", …}], "label": true}

With --teacher a larger model of the same family (the same tokens) is learnt from
as well, also a tuned one: what it finds likely at each place of the answers. To learn answers that
it writes itself, see 'cloister dataset answer'.

With a tuned model or one of its checkpoints, as --model or --from, training
goes on with its adapter; rank, alpha and targets are the adapter's then. With a
base model it begins anew.

To repeat a step in another program, such as PyTorch: --init gives the adapter
that training begins with, --no-shuffle makes the first batch the first examples,
--precision float32 computes exactly, and --dump-gradients writes loss, gradients
and tokens of the first step as safetensors.

Examples:
  cloister tune --model smollm2-135m-instruct --data clinic
  cloister tune --model smollm2-135m-instruct --data clinic@2 --epochs 5 --lr 5e-4 --suffix v2
  cloister tune --from ft:smollm2-135m-instruct:…:ckpt-step-60 --data clinic@3
  cloister tune --from ft:smollm2-135m-instruct:… --method dpo --data prefs.jsonl`,
		Flags: append(append([]cli.Flag{
			&cli.StringFlag{Name: "model", Usage: "base `MODEL`, or a tuned one to go on with"},
			&cli.StringFlag{Name: "from", Usage: "go on with the adapter of a tuned `MODEL` or checkpoint", DefaultText: "a new adapter"},
			&cli.StringFlag{Name: "init", Usage: "go on with an `ADAPTER`: a GGUF file, or a model as with --from", DefaultText: "a new adapter"},
			&cli.StringFlag{Name: "data", Usage: "`DATASET`, NAME or NAME@VERSION, or a file of examples"},
			&cli.StringFlag{Name: "suffix", Usage: "part of the new model's name: `NAME`", DefaultText: "none"},
			&cli.StringFlag{Name: "dump-gradients", Usage: "write loss, gradients and tokens of the first step to a `FILE` (safetensors)", DefaultText: "off"},
			&cli.StringFlag{Name: "canaries", Usage: "plant random answers to measure what is learnt by heart: `COUNTS`, such as 0,1,10,50 for four of them, planted so many times; 0 is a control", DefaultText: "none"},
			trainDeviceFlag("device"),
			&cli.BoolFlag{Name: "detach", Usage: "start the job in the running appliance and do not follow it"},
		}, teacherFlags()...), hyperFlags()...),
		Action: tune,
	}
}

func tune(c *cli.Context) error {
	in, data, err := trainOn(c)
	if err != nil {
		return err
	}
	in.Suffix = c.String("suffix")
	if err := startFrom(c, &in); err != nil {
		return err
	}
	if err := learnFrom(c, &in); err != nil {
		return err
	}
	if in.Canaries, err = canaries(c); err != nil {
		return err
	}
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

// canaries reads how often each canary is planted.
func canaries(c *cli.Context) (times []int, err error) {
	text := c.String("canaries")
	if text == "" {
		return nil, nil
	}
	for part := range strings.SplitSeq(text, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(part))
		if err != nil || n < 0 {
			return nil, misused(c, "--canaries is %q; it must be whole numbers such as 0,1,10,50", text)
		}
		times = append(times, n)
	}
	return times, nil
}

// trainOn reads what tune and estimate have in common. data is as it was typed.
func trainOn(c *cli.Context) (in admin.TrainOn, data string, err error) {
	if _, err := arguments(c, 0); err != nil {
		return in, "", err
	}
	if in.From = c.String("from"); in.From == "" {
		in.From = c.String("init")
	}
	if in.Model = c.String("model"); in.Model == "" && (in.From == "" || isModelFile(in.From)) {
		if in.Model, err = required(c, "model"); err != nil {
			return in, "", err
		}
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

// startFrom reads what training continues from, and where its first gradients
// go. The appliance may run in another folder, so paths become absolute.
func startFrom(c *cli.Context, in *admin.TrainOn) (err error) {
	if c.String("from") != "" && c.String("init") != "" {
		return misused(c, "--from and --init both say what to continue from; give one of them")
	}
	if isModelFile(in.From) {
		if in.Init, err = filepath.Abs(in.From); err != nil {
			return err
		}
		in.From = ""
	}
	if path := c.String("dump-gradients"); path != "" {
		in.DumpGradients, err = filepath.Abs(path)
	}
	return err
}

// isModelFile says whether --init, --from or --teacher names a file and no model.
func isModelFile(name string) bool {
	return strings.ContainsRune(name, filepath.Separator) || strings.EqualFold(filepath.Ext(name), ".gguf")
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
