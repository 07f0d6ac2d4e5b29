package main

import (
	"fmt"

	"github.com/urfave/cli/v2"

	"cloister/appliance/admin"
)

func deployCommand() *cli.Command {
	return &cli.Command{
		Name:      "deploy",
		Usage:     "let a model answer under an alias",
		UsageText: "cloister deploy MODEL --as ALIAS [--force]",
		Description: `Points the alias to the model, from the next request on and with none lost. The
model must have been evaluated on held-out examples, and the gate looks at the
latest such evaluation:
better than its base, and a bounded gap between training and test. If it
refuses, it says why; --force deploys all the same, and that is recorded.
'cloister gate' shows and changes the bounds.

Examples:
  cloister deploy ft:smollm2:cloister:clinic:x7Kq2a --as support
  cloister rollback support`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "as", Usage: "`ALIAS` that people will use as the model's name"},
			&cli.BoolFlag{Name: "force", Usage: "deploy against the gate; this is recorded"},
		},
		Action: deploy,
	}
}

func deploy(c *cli.Context) error {
	args, err := arguments(c, 1, "MODEL")
	if err != nil {
		return err
	}
	alias, err := required(c, "as")
	if err != nil {
		return err
	}
	return withAppliance(c, func(s *session) error {
		r, err := s.Deploy(c.Context, admin.Deploy{Model: args[0], Alias: alias, Force: c.Bool("force")})
		if err != nil {
			return notFound(err, s.cloister("model list"))
		}
		if c.Bool("json") {
			return printJSON(c, r)
		}
		fmt.Fprintf(c.App.Writer, "Release %d of %s: %s answers from now on.\n", r.Number, r.Alias, r.Model)
		if r.Reason != "" {
			fmt.Fprintln(c.App.Writer, r.Reason)
		}
		return next(c, s.cloister("chat --model %s \"Your question\"", quote(r.Alias)), s.cloister("rollback %s", quote(r.Alias)))
	})
}
