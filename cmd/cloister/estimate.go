package main

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"cloister/appliance/admin"
	"cloister/appliance/estimate"
)

func estimateCommand() *cli.Command {
	return &cli.Command{
		Name:      "estimate",
		Usage:     "say what tuning would take: tokens, steps, time, memory, price",
		UsageText: "cloister estimate --model MODEL --data DATASET|FILE [--epochs N …] | --plan FILE.gguf [--max-length N --memory SIZE]",
		Description: `Counts the tokens as training would see them, measures this machine's speed for
some seconds, and prints the settings that would be chosen with their reasons.
The price is what the same training would cost at the services of a table that
you can edit; here it costs nothing.

Memory is planned by part before anything is trained. Where the job does not fit,
it says what would: shorter rows, a smaller rank, a smaller copy of the model.
A teacher (--teacher) and the model that training goes on with (--from) count too.
--memory plans for another machine, --device cuda --device-memory for a card that
need not be here. --plan needs neither data nor an imported
model: the first megabytes of a GGUF file, its header, are enough.

Examples:
  cloister estimate --model smollm2-135m-instruct --data clinic
  cloister estimate --model smollm2-135m-instruct --data clinic --epochs 20 --json
  cloister estimate --plan Llama-3-70B.Q4_K.gguf --max-length 4096 --memory 80GB
  cloister estimate --plan Llama-3-8B.Q4_K.gguf --device cuda --device-memory 12GB`,
		Flags: append(append([]cli.Flag{
			&cli.StringFlag{Name: "model", Usage: "base `MODEL`, or a tuned one to go on with"},
			&cli.StringFlag{Name: "from", Usage: "go on with the adapter of a tuned `MODEL` or checkpoint", DefaultText: "a new adapter"},
			&cli.StringFlag{Name: "init", Usage: "go on with an `ADAPTER`: a GGUF file, or a model as with --from", DefaultText: "a new adapter"},
			&cli.StringFlag{Name: "data", Usage: "`DATASET`, NAME or NAME@VERSION, or a file of examples"},
			&cli.StringFlag{Name: "plan", Usage: "plan the memory for training on `FILE.gguf`, or on the beginning of one, without data"},
			&cli.StringFlag{Name: "memory", Usage: "plan for a machine with `SIZE` to spare, such as 24GB", DefaultText: "what is free here"},
			trainDeviceFlag("device"),
			&cli.StringFlag{Name: "device-memory", Usage: "with --plan: plan for a card with `SIZE` to spare, which need not be here", DefaultText: "what is free on the card here"},
			&cli.BoolFlag{Name: "offload-activations", Usage: "with --plan: let inputs of layers wait on the host, not on the card", DefaultText: "only where nothing else fits"},
			&cli.IntFlag{Name: "threads", Usage: "with --plan: compute on `N` threads", DefaultText: "one for each core"},
		}, teacherFlags()...), hyperFlags()...),
		Action: estimateJob,
	}
}

func estimateJob(c *cli.Context) error {
	memory, err := sizeFlag(c, "memory")
	if err != nil {
		return err
	}
	if c.IsSet("plan") {
		return planMemory(c, memory)
	}
	for _, flag := range []string{"threads", "device-memory", "offload-activations"} {
		if c.IsSet(flag) {
			return misused(c, "--%s is for --plan", flag)
		}
	}
	train, data, err := trainOn(c)
	if err == nil {
		err = errors.Join(startFrom(c, &train), learnFrom(c, &train))
	}
	if err != nil {
		return err
	}
	in := admin.EstimateOn{TrainOn: train, Memory: memory}
	return withAppliance(c, func(s *session) error {
		if err := resolveData(c, s, &in.TrainOn, data); err != nil {
			return err
		}
		p := newProgress(c.App.ErrWriter)
		if p.width != nil {
			p.draw(0, "measuring this machine's speed …")
		}
		e, err := s.Estimate(c.Context, in)
		p.clear()
		if err != nil {
			return err
		}
		if c.Bool("json") {
			return printJSON(c, e)
		}
		return printEstimate(c, s, e)
	})
}

func printEstimate(c *cli.Context, s *session, e admin.Estimate) error {
	w := c.App.Writer
	fmt.Fprintf(w, "Training %s on %s@%d:\n\n", e.Model, e.Dataset, e.Version)
	pairs := []string{
		"examples", fmt.Sprintf("%d to learn from, %d to validate", e.Examples, e.ValidExamples),
		"tokens", fmt.Sprintf("%d in an epoch, %d of them answers", e.Tokens, e.LossTokens),
	}
	for _, name := range slices.Sorted(maps.Keys(e.OpenAITokens)) {
		pairs = append(pairs, "", fmt.Sprintf("%d as OpenAI counts them (%s)", e.OpenAITokens[name], name))
	}
	pairs = append(pairs, "steps", strconv.Itoa(e.Steps))
	if e.Seconds > 0 {
		pairs = append(pairs, "time", fmt.Sprintf("%s at most, at %.0f tokens/s", span(e.Seconds), e.TokensPerSecond))
	}
	if e.TeacherSeconds > 0 {
		pairs = append(pairs, "", fmt.Sprintf("%s of it to ask the teacher, before the first step", span(e.TeacherSeconds)))
	}
	if e.MemoryBytes > 0 {
		pairs = append(pairs, "memory", byteSize(e.MemoryBytes))
	}
	if err := facts(w, pairs...); err != nil {
		return err
	}
	if e.Memory != nil {
		if err := printMemory(w, e.Memory); err != nil {
			return err
		}
	}
	fmt.Fprintln(w, "\nSettings:")
	var rows [][]string
	for _, choice := range e.Choices {
		rows = append(rows, []string{"  " + choice.Name, choice.Value, choice.Reason})
	}
	if err := table(w, "  as you gave them", []string{"  name", "value", "why"}, rows); err != nil {
		return err
	}
	fmt.Fprintln(w, "\nPrices:")
	rows = nil
	for _, p := range e.Prices {
		rows = append(rows, []string{"  " + p.Name, price(p), p.Basis})
	}
	if err := table(w, "  the price table is empty", []string{"  where", "cost", "how"}, rows); err != nil {
		return err
	}
	fmt.Fprintf(w, "The prices are examples; edit them in %s.\n", filepath.Join(s.home, "prices.json"))
	for _, warning := range e.Warnings {
		fmt.Fprintf(w, "warning: %s\n", warning)
	}
	return next(c, s.cloister("tune%s --data %s@%d", origin(c, e.Model), quote(e.Dataset), e.Version))
}

// origin is the flags that say what is trained, and from what.
func origin(c *cli.Context, base string) string {
	var out strings.Builder
	for _, flag := range []string{"model", "from", "init", "teacher", "method"} {
		value := c.String(flag)
		if flag == "model" && (value != "" || c.String("from")+c.String("init") == "") {
			value = cmp.Or(value, base)
		}
		if value != "" {
			fmt.Fprintf(&out, " --%s %s", flag, quote(value))
		}
	}
	return out.String()
}

// price is a cost for people.
func price(p estimate.Cost) string {
	if p.Cost > 0 && p.Cost < 0.0001 {
		return "under 0.0001 " + p.Currency
	}
	return fmt.Sprintf("%.4f %s", p.Cost, p.Currency)
}
