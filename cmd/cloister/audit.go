package main

import (
	"github.com/urfave/cli/v2"
)

func auditCommand() *cli.Command {
	return &cli.Command{
		Name:      "audit",
		Usage:     "show who did what",
		UsageText: "cloister audit [--limit N]",
		Description: `Lists imports, jobs, deployments, keys and the like, the newest first. The actor
is the id of an API key, or "local" for this command line.

Examples:
  cloister audit --limit 20
  cloister audit --json`,
		Flags:  []cli.Flag{&cli.IntFlag{Name: "limit", Usage: "at most `N` entries", Value: 50}},
		Action: audit,
	}
}

func audit(c *cli.Context) error {
	if _, err := arguments(c, 0); err != nil {
		return err
	}
	limit, err := positive(c, "limit")
	if err != nil {
		return err
	}
	return withAppliance(c, func(s *session) error {
		entries, err := s.Audit(c.Context, limit)
		if err != nil {
			return err
		}
		if c.Bool("json") {
			return printJSON(c, entries)
		}
		var rows [][]string
		for _, e := range entries {
			rows = append(rows, []string{clock(e.At), e.Actor, e.Action, e.Object, e.Detail})
		}
		return table(c.App.Writer, "Nothing has been done yet.", []string{"time", "actor", "action", "object", "detail"}, rows)
	})
}
