package main

import (
	"fmt"

	"github.com/urfave/cli/v2"
)

func unmaskCommand() *cli.Command {
	return &cli.Command{
		Name:      "unmask",
		Usage:     "put the values back into masked texts: standard input to standard output",
		UsageText: "cloister unmask [--jsonl] < masked.txt > text.txt",
		Description: `Reads lines that were masked with the vault of your datasets ('cloister dataset
export', 'cloister mask --project', answers of a tuned model) and writes them
with the values of their tokens and stand-ins, byte for byte. Parts, labels,
shifted dates, generalised values and HMACs cannot be undone; tokens that the
vault does not know stay as they are.

What it prints is personal data. It needs the control socket of the appliance or
an admin key, and every use is in 'cloister audit' with who, when and how many
values.

With --jsonl each line is an object {"id": …, "text": "…"}.

Examples:
  cloister unmask < answer.txt
  cloister dataset export clinic | jq -c '{text: .messages[1].content}' | cloister unmask --jsonl`,
		Flags:  []cli.Flag{&cli.BoolFlag{Name: "jsonl", Usage: `lines are objects {"id", "text"}`}},
		Action: unmask,
	}
}

func unmask(c *cli.Context) error {
	if _, err := arguments(c, 0); err != nil {
		return err
	}
	return withAppliance(c, func(s *session) error {
		return newLineFilter(c, func(f *lineFilter, batch []line) error {
			out, err := s.Unmask(c.Context, textsOf(batch))
			if err == nil && len(out.Texts) != len(batch) {
				err = fmt.Errorf("the appliance returned %d of %d texts", len(out.Texts), len(batch))
			}
			if err != nil {
				return fmt.Errorf("lines %d to %d: %w", batch[0].n, batch[len(batch)-1].n, err)
			}
			for i, l := range batch {
				if err := f.write(l, out.Texts[i]); err != nil {
					return err
				}
			}
			return nil
		}).run(c.App.Reader)
	})
}
