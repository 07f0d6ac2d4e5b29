package main

import (
	"fmt"

	"github.com/urfave/cli/v2"
)

func rollbackCommand() *cli.Command {
	return &cli.Command{
		Name:      "rollback",
		Usage:     "go back to the release before the current one",
		UsageText: "cloister rollback ALIAS",
		Description: `Takes effect on the next request. Doing it again goes back one release more.

Examples:
  cloister rollback support`,
		Action: rollback,
	}
}

func rollback(c *cli.Context) error {
	args, err := arguments(c, 1, "ALIAS")
	if err != nil {
		return err
	}
	return withAppliance(c, func(s *session) error {
		r, err := s.Rollback(c.Context, args[0])
		if err != nil {
			return notFound(err, s.cloister("status"))
		}
		if c.Bool("json") {
			return printJSON(c, r)
		}
		_, err = fmt.Fprintf(c.App.Writer, "%s is back at release %d: %s answers from now on.\n", r.Alias, r.Number, r.Model)
		return err
	})
}
