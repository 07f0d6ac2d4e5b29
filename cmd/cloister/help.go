package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/urfave/cli/v2"
)

// writeHelp explains the program, a group of commands or one command.
func writeHelp(w io.Writer, app *cli.App, path []*cli.Command) error {
	var b strings.Builder
	if len(path) == 0 {
		fmt.Fprintf(&b, "cloister - %s\n\n", app.Usage)
		b.WriteString("From a raw file to an answer:\n\n" + firstSteps)
		writeCommands(&b, "Commands:", app.Commands)
		writeFlags(&b, "Flags of every command:", app.Flags)
		b.WriteString("\n'cloister COMMAND --help' explains a command, with examples.\n")
		_, err := io.WriteString(w, b.String())
		return err
	}
	c, full := path[len(path)-1], app.Name
	for _, p := range path {
		full += " " + p.Name
	}
	fmt.Fprintf(&b, "%s - %s\n", full, c.Usage)
	if c.UsageText != "" {
		fmt.Fprintf(&b, "\nUsage:\n  %s\n", strings.ReplaceAll(c.UsageText, "\n", "\n  "))
	}
	if d := strings.TrimSpace(c.Description); d != "" {
		fmt.Fprintf(&b, "\n%s\n", d)
	}
	writeCommands(&b, "Commands:", c.Subcommands)
	writeFlags(&b, "Flags:", c.Flags)
	writeFlags(&b, "Flags of every command:", app.Flags)
	_, err := io.WriteString(w, b.String())
	return err
}

const firstSteps = `  cloister model import model.gguf --name base
  cloister dataset import raw.csv --name support --question Question --answer Answer
  cloister tune --model base --data support
  cloister eval --model MODEL --data support
  cloister deploy MODEL --as support
  cloister chat --model support "When are you open?"
`

func writeCommands(b *strings.Builder, title string, commands []*cli.Command) {
	if len(commands) == 0 {
		return
	}
	fmt.Fprintf(b, "\n%s\n", title)
	tw := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	for _, c := range commands {
		if !c.Hidden {
			fmt.Fprintf(tw, "  %s\t%s\n", c.Name, c.Usage)
		}
	}
	_ = tw.Flush() // a strings.Builder does not fail
}

// writeFlags lists flags with their value, meaning and default, and shows how
// their variables are named.
func writeFlags(b *strings.Builder, title string, flags []cli.Flag) {
	if len(flags) == 0 {
		return
	}
	fmt.Fprintf(b, "\n%s\n", title)
	tw := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	for _, f := range flags {
		d := f.(cli.DocGenerationFlag)
		value, usage := placeholder(d)
		fmt.Fprintf(tw, "  --%s%s\t%s%s\n", f.Names()[0], value, usage, standard(f, d))
	}
	_ = tw.Flush() // a strings.Builder does not fail
	f := flags[len(flags)-1]
	fmt.Fprintf(b, "In the environment, --%s is %s, and so on.\n", f.Names()[0], f.(cli.DocGenerationFlag).GetEnvVars()[0])
}

// placeholder takes the quoted word out of a flag's usage: "`N` passes".
func placeholder(f cli.DocGenerationFlag) (value, usage string) {
	before, rest, ok := strings.Cut(f.GetUsage(), "`")
	if !ok {
		return "", f.GetUsage()
	}
	word, after, _ := strings.Cut(rest, "`")
	return " " + word, strings.Join(strings.Fields(before+word+after), " ")
}

// standard names the value that a flag has when it is not given.
func standard(f cli.Flag, d cli.DocGenerationFlag) string {
	text := d.GetDefaultText()
	if _, isBool := f.(*cli.BoolFlag); isBool || text == "" || text == "0" || text == `""` {
		return ""
	}
	return " (default: " + strings.Trim(text, `"`) + ")"
}
