// Command cloister turns a raw set of questions and answers into a tuned
// language model that answers on your own machine: it cleans and masks the
// data, trains an adapter, evaluates it beside its base, and serves it through
// the API that OpenAI's clients speak. Nothing leaves the machine.
//
// The command line parses flags, asks the appliance, and prints. A command that
// needs the store talks to the appliance that runs on the data directory, or
// starts one inside itself for as long as it needs; both are reached through
// package client, so there is one code path.
//
// Rules of the terminal:
//   - Results go to standard output, progress and errors to standard error.
//   - An error is printed once, as "cloister: …", with a line "try: …" that can
//     be typed where there is one.
//   - The exit status is 0, 1 (failed) or 2 (the command line is wrong).
//   - --json prints what a program may read, and nothing else, to standard output.
package main

import (
	"context"
	"io"
	"os"
)

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run is the whole program but for the process: it returns the exit status.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	app := newApp(stdin, stdout, stderr)
	line, err := parse(app, args)
	if err == nil && line.help {
		err = writeHelp(stdout, app, line.path)
	} else if err == nil {
		err = app.RunContext(ctx, line.args)
	}
	return report(stderr, err)
}
