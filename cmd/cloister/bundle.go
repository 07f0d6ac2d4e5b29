package main

import (
	"github.com/urfave/cli/v2"
)

func bundleCommand() *cli.Command {
	return &cli.Command{
		Name:  "bundle",
		Usage: "tuned models as one signed file, from site to site: key, trust",
		Subcommands: []*cli.Command{
			bundleKeyCommand(),
			bundleTrustCommand(),
		},
	}
}
