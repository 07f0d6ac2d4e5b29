package main

import (
	"io"
	"os"

	"github.com/urfave/cli/v2"

	"cloister/appliance/airgap"
	"cloister/appliance/engine"
)

// workerCommand is what the appliance runs its native code in: a child process
// of the same file, which speaks a protocol on its standard input and output.
func workerCommand() *cli.Command {
	return &cli.Command{
		Name:   "worker",
		Usage:  "child processes of the appliance; not for people",
		Hidden: true,
		Subcommands: append(airgapWorkers(),
			&cli.Command{
				Name: "infer", Usage: "serve one model", UsageText: "cloister worker infer",
				Action: func(*cli.Context) error { return sealed(engine.ServeInfer) },
			},
			&cli.Command{
				Name: "devices", Usage: "list what models can run on", UsageText: "cloister worker devices",
				Action: func(*cli.Context) error {
					return sealed(func(_ io.Reader, out io.Writer) error { return engine.ServeDevices(out) })
				},
			},
			&cli.Command{
				Name: "train", Usage: "train one adapter", UsageText: "cloister worker train",
				Action: func(*cli.Context) error { return sealed(engine.ServeTrain) },
			},
		),
	}
}

// sealed serves a worker without a network. The appliance's fence holds for it
// already, unless it was started by something else.
func sealed(serve func(io.Reader, io.Writer) error) error {
	_ = airgap.Seal() // the appliance has said, or refused, what the kernel cannot
	// Started by way of /proc/self/exe, a process is called "exe".
	_ = os.WriteFile("/proc/self/comm", []byte("cloister"), 0)
	return serve(os.Stdin, os.Stdout)
}
