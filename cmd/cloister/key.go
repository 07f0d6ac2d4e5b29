package main

import (
	"fmt"

	"github.com/urfave/cli/v2"

	"cloister/appliance/admin"
)

func keyCommand() *cli.Command {
	return &cli.Command{
		Name:  "key",
		Usage: "API keys: add, list, rm",
		Description: `Whoever calls the API from another machine needs a key. A "user" may chat and
rate answers, a "trainer" may also upload files and train, an "admin" may do
everything. 'cloister serve' refuses to listen beyond this machine before there
is a key. The secret of a key is shown once and only its hash is kept.`,
		Subcommands: []*cli.Command{
			{
				Name: "add", Usage: "make a key and print it, once", UsageText: "cloister key add --role admin|trainer|user [--label TEXT]",
				Description: `Prints the secret on a line of its own, so that it can be read into a variable.

Examples:
  cloister key add --role user --label "front desk"
  export OPENAI_API_KEY=$(cloister key add --role trainer)`,
				Flags: []cli.Flag{
					&cli.StringFlag{Name: "role", Usage: "`ROLE`: admin, trainer or user"},
					&cli.StringFlag{Name: "label", Usage: "`TEXT` that says whose key it is"},
				},
				Action: keyAdd,
			},
			{
				Name: "list", Usage: "list the keys, without their secrets", UsageText: "cloister key list",
				Action: keyList,
			},
			{
				Name: "rm", Usage: "make a key invalid, at once", UsageText: "cloister key rm KEY-ID",
				Description: "Examples:\n  cloister key list\n  cloister key rm key-Xq3…",
				Action:      keyRemove,
			},
		},
	}
}

func keyAdd(c *cli.Context) error {
	if _, err := arguments(c, 0); err != nil {
		return err
	}
	role, err := required(c, "role")
	if err != nil {
		return err
	}
	switch role {
	case "admin", "trainer", "user":
	default:
		return misused(c, "--role is %q; it must be admin, trainer or user", role)
	}
	return withAppliance(c, func(s *session) error {
		key, err := s.AddKey(c.Context, admin.NewKey{Role: role, Label: c.String("label")})
		if err != nil {
			return err
		}
		if c.Bool("json") {
			return printJSON(c, key)
		}
		fmt.Fprintf(c.App.ErrWriter, "Key %s with role %s. This is its only showing:\n", key.ID, key.Role)
		_, err = fmt.Fprintln(c.App.Writer, key.Secret)
		return err
	})
}

func keyList(c *cli.Context) error {
	if _, err := arguments(c, 0); err != nil {
		return err
	}
	return withAppliance(c, func(s *session) error {
		keys, err := s.Keys(c.Context)
		if err != nil {
			return err
		}
		if c.Bool("json") {
			return printJSON(c, keys)
		}
		var rows [][]string
		for _, k := range keys {
			rows = append(rows, []string{k.ID, k.Role, clock(k.CreatedAt), k.Label})
		}
		return table(c.App.Writer, "There are no keys. Make one: cloister key add --role user", []string{"id", "role", "created", "label"}, rows)
	})
}

func keyRemove(c *cli.Context) error {
	args, err := arguments(c, 1, "KEY-ID")
	if err != nil {
		return err
	}
	return withAppliance(c, func(s *session) error {
		if err := s.RemoveKey(c.Context, args[0]); err != nil {
			return notFound(err, s.cloister("key list"))
		}
		if c.Bool("json") {
			return printJSON(c, map[string]any{"id": args[0], "deleted": true})
		}
		_, err := fmt.Fprintf(c.App.Writer, "Key %s is no longer valid.\n", args[0])
		return err
	})
}
