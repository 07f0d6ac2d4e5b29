package main

import (
	"fmt"
	"strconv"

	"github.com/urfave/cli/v2"

	"cloister/appliance/admin"
)

func gateCommand() *cli.Command {
	return &cli.Command{
		Name:      "gate",
		Usage:     "show and change what a model must reach before it is deployed",
		UsageText: "cloister gate [--max-gap X] [--max-score-drop X] [--min-loss-gain X] [--min-examples N] [--max-leaks N] [--reset]",
		Description: `Without flags it shows the bounds. 'deploy' holds the latest evaluation of a model
against them: a loss below the base's, no score much worse than the base's, a
train-test gap that is no sign of memorising, and no value of the vault found by
the leak test, which each evaluation makes. A flag changes its bound for later
deployments and leaves the others; what is deployed stays. Changes are recorded.

Examples:
  cloister gate
  cloister gate --max-gap 0.5 --min-loss-gain 0.2
  cloister gate --reset`,
		Flags: []cli.Flag{
			&cli.Float64Flag{Name: "min-loss-gain", Usage: "the loss must be `X` nats per token below the base's, and below it in any case"},
			&cli.Float64Flag{Name: "max-score-drop", Usage: "token F1, key facts and accuracy may be `X` worse than the base's: 0.02 is two points"},
			&cli.Float64Flag{Name: "max-gap", Usage: "the loss on test examples may be `X` above that on training examples; 0 turns this off"},
			&cli.IntFlag{Name: "min-examples", Usage: "fewer than `N` test examples give a warning"},
			&cli.IntFlag{Name: "max-leaks", Usage: "the leak test may find `N` values of the vault"},
			&cli.BoolFlag{Name: "reset", Usage: "go back to the bounds that Cloister came with, before other flags count"},
		},
		Action: gate,
	}
}

func gate(c *cli.Context) error {
	if _, err := arguments(c, 0); err != nil {
		return err
	}
	in, changed, err := gateChange(c)
	if err != nil {
		return err
	}
	return withAppliance(c, func(s *session) error {
		bounds, err := s.Gate(c.Context)
		if err == nil && changed {
			bounds, err = s.ChangeGate(c.Context, in)
		}
		if err != nil {
			return err
		}
		if c.Bool("json") {
			return printJSON(c, bounds)
		}
		gap := "off"
		if bounds.MaxGap > 0 {
			gap = number(bounds.MaxGap)
		}
		return facts(c.App.Writer,
			"min-loss-gain", number(bounds.MinLossGain),
			"max-score-drop", number(bounds.MaxScoreDrop),
			"max-gap", gap,
			"min-examples", strconv.Itoa(bounds.MinExamples),
			"max-leaks", strconv.Itoa(bounds.MaxLeaks))
	})
}

// gateChange reads the flags that were given.
func gateChange(c *cli.Context) (in admin.ChangeGate, changed bool, err error) {
	in.Reset = c.Bool("reset")
	changed = in.Reset
	for flag, to := range map[string]**float64{"min-loss-gain": &in.MinLossGain, "max-score-drop": &in.MaxScoreDrop, "max-gap": &in.MaxGap} {
		if c.IsSet(flag) {
			v := c.Float64(flag)
			if !(v >= 0) { // NaN as well
				return in, false, misused(c, "--%s is %g; it must be 0 or more", flag, v)
			}
			*to, changed = &v, true
		}
	}
	for flag, to := range map[string]**int{"min-examples": &in.MinExamples, "max-leaks": &in.MaxLeaks} {
		if c.IsSet(flag) {
			n := c.Int(flag)
			if n < 0 {
				return in, false, misused(c, "--%s is %d; it must be 0 or more", flag, n)
			}
			*to, changed = &n, true
		}
	}
	return in, changed, nil
}

// number is a bound as people write it.
func number(v float64) string { return fmt.Sprintf("%g", v) }
