package main

import (
	"os"

	"github.com/urfave/cli/v2"

	"cloister/appliance/engine"
)

// workerCommand is what the appliance runs its native code in: a child process
// of the same file, which speaks a protocol on its standard input and output.
func workerCommand() *cli.Command {
	return &cli.Command{
		Name:   "worker",
		Usage:  "child processes of the appliance; not for people",
		Hidden: true,
		Subcommands: []*cli.Command{
			{
				Name: "infer", Usage: "serve one model", UsageText: "cloister worker infer",
				Action: func(*cli.Context) error { return engine.ServeInfer(os.Stdin, os.Stdout) },
			},
			{
				Name: "train", Usage: "train one adapter", UsageText: "cloister worker train",
				Action: func(*cli.Context) error { return engine.ServeTrain(os.Stdin, os.Stdout) },
			},
		},
	}
}
