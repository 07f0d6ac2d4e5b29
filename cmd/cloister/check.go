package main

import (
	"fmt"

	"github.com/urfave/cli/v2"
)

func checkCommand() *cli.Command {
	return &cli.Command{
		Name:      "check",
		Usage:     "verify every record and reference in the data directory",
		UsageText: "cloister check",
		Description: `Reads everything that is stored and says what is wrong, a line each. It changes
nothing. The exit status is 1 when something is wrong.

Examples:
  cloister check`,
		Action: check,
	}
}

func check(c *cli.Context) error {
	if _, err := arguments(c, 0); err != nil {
		return err
	}
	return withAppliance(c, func(s *session) error {
		result, err := s.Check(c.Context)
		if err != nil {
			return err
		}
		switch {
		case c.Bool("json"):
			err = printJSON(c, result)
		case result.OK:
			_, err = fmt.Fprintln(c.App.Writer, "The data directory is sound.")
		default:
			for _, p := range result.Problems {
				fmt.Fprintln(c.App.Writer, p)
			}
			return fmt.Errorf("%s found in %s", plural(len(result.Problems), "problem"), s.home)
		}
		if err == nil && !result.OK {
			err = errSaid
		}
		return err
	})
}
