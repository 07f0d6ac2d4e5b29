package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"
)

// newApp returns the table of commands.
func newApp(stdin io.Reader, stdout, stderr io.Writer) *cli.App {
	app := &cli.App{
		Name:      "cloister",
		Usage:     "a language model of your own: tuned on your data, on your machine, with no way out",
		Version:   version(),
		Reader:    stdin,
		Writer:    stdout,
		ErrWriter: stderr,
		HideHelp:  true, // help.go writes it
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "home", Usage: "data directory `DIR`", Value: defaultHome(), DefaultText: "$XDG_DATA_HOME/cloister"},
			&cli.StringFlag{Name: "master-key", Usage: "master key `FILE` of the data", DefaultText: "systemd's credential master.key, or DIR/master.key"},
			&cli.BoolFlag{Name: "ask-passphrase", Usage: "begin a data directory whose key is made of a passphrase, and of no file"},
			&cli.StringFlag{Name: "passphrase-file", Usage: "`FILE` that holds this passphrase, for programs that cannot be asked"},
			&cli.BoolFlag{Name: "json", Usage: "print results as JSON"},
			&cli.BoolFlag{Name: "verify", Usage: "first read and check all that a packed program carries ('cloister pack')"},
		},
		Commands: []*cli.Command{
			serveCommand(),
			modelCommand(),
			datasetCommand(),
			maskCommand(),
			unmaskCommand(),
			estimateCommand(),
			tuneCommand(),
			jobCommand(),
			evalCommand(),
			gateCommand(),
			deployCommand(),
			rollbackCommand(),
			statusCommand(),
			chatCommand(),
			feedbackCommand(),
			bundleCommand(),
			packCommand(),
			keyCommand(),
			auditCommand(),
			checkCommand(),
			benchCommand(),
			doctorCommand(),
			installCommand(),
			uninstallCommand(),
			versionCommand(),
			workerCommand(),
		},
		HideVersion:               true,
		DisableSliceFlagSeparator: true,                             // --system "Be short, and kind."
		ExitErrHandler:            func(_ *cli.Context, _ error) {}, // run returns the status
		OnUsageError:              func(_ *cli.Context, err error, _ bool) error { return err },
	}
	nameVariables("CLOISTER", app.Flags)
	for _, c := range app.Commands {
		prepare("CLOISTER", c)
		c.Before = fence
	}
	return app
}

// prepare gives every flag of a command its environment variable, named by one
// rule: CLOISTER, the words of the command and the flag, joined by "_".
func prepare(prefix string, c *cli.Command) {
	prefix += "_" + variable(c.Name)
	c.HideHelp = true
	nameVariables(prefix, c.Flags)
	for _, s := range c.Subcommands {
		prepare(prefix, s)
	}
}

func variable(name string) string {
	return strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
}

func nameVariables(prefix string, flags []cli.Flag) {
	for _, f := range flags {
		env := []string{prefix + "_" + variable(f.Names()[0])}
		switch f := f.(type) {
		case *cli.StringFlag:
			f.EnvVars = env
		case *cli.BoolFlag:
			f.EnvVars = env
		case *cli.IntFlag:
			f.EnvVars = env
		case *cli.Int64Flag:
			f.EnvVars = env
		case *cli.Float64Flag:
			f.EnvVars = env
		case *cli.StringSliceFlag:
			f.EnvVars = env
		default:
			panic("nameVariables: a kind of flag that parse does not know: " + f.Names()[0])
		}
	}
}

// defaultHome is $XDG_DATA_HOME/cloister, or ~/.local/share/cloister.
func defaultHome() string {
	if dir := os.Getenv("XDG_DATA_HOME"); filepath.IsAbs(dir) { // relative ones are to be ignored, says the specification
		return filepath.Join(dir, "cloister")
	}
	if dir, err := os.UserHomeDir(); err == nil {
		return filepath.Join(dir, ".local", "share", "cloister")
	}
	return ""
}
