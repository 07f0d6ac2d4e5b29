package main

import (
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"
	"github.com/xrash/smetrics"
)

// commandLine is what the user typed, in the order that package cli reads:
// global flags, command, its flags, "--", arguments.
type commandLine struct {
	args []string
	path []*cli.Command // the command and its subcommand
	help bool
}

// parse puts a command line in order: flags may stand before and after
// arguments, and global flags anywhere. It checks the names and the values of
// flags, those from the environment included, so that every mistake has one
// form of message and nothing is left for package cli to complain about.
func parse(app *cli.App, args []string) (commandLine, error) {
	p := parser{app: app, left: args, commands: app.Commands}
	if len(args) > 0 && args[0] == "help" {
		p.help, p.left = true, args[1:]
	}
	for len(p.left) > 0 {
		if err := p.word(); err != nil {
			return commandLine{}, err
		}
	}
	if len(p.path) == 0 && !p.help && slices.Contains(p.global, "--verify=true") {
		if err := p.command("pack"); err != nil { // ./clinic --verify
			return commandLine{}, err
		}
	}
	if len(p.commands) > 0 {
		p.help = true // a group of commands explains itself
	}
	line := commandLine{path: p.path, help: p.help}
	line.args = append([]string{app.Name}, p.global...)
	for _, c := range p.path {
		line.args = append(line.args, c.Name)
	}
	line.args = slices.Concat(line.args, p.local, []string{"--"}, p.rest)
	if line.help {
		return line, nil
	}
	return line, p.environment()
}

// parser holds a command line that has been read in part.
type parser struct {
	app           *cli.App
	left          []string       // not read yet
	path          []*cli.Command // the command and its subcommand, as far as named
	commands      []*cli.Command // what may be named next
	global, local []string       // flags with their values, "--name=value"
	rest          []string       // arguments
	help          bool
}

// word reads the next word, and the value that belongs to it.
func (p *parser) word() error {
	arg := p.left[0]
	p.left = p.left[1:]
	switch {
	case arg == "--":
		p.rest, p.left = append(p.rest, p.left...), nil
	case arg == "--help", arg == "-h":
		p.help = true
	case arg == "--version" && len(p.path) == 0:
		p.left = append([]string{"version"}, p.left...)
	case len(arg) > 1 && arg[0] == '-':
		return p.flag(arg)
	case len(p.commands) > 0:
		return p.command(arg)
	default:
		p.rest = append(p.rest, arg)
	}
	return nil
}

// full is the command as named so far, such as "cloister dataset import".
func (p *parser) full() string {
	words := []string{p.app.Name}
	for _, c := range p.path {
		words = append(words, c.Name)
	}
	return strings.Join(words, " ")
}

func (p *parser) command(name string) error {
	names := make([]string, len(p.commands))
	for i, c := range p.commands {
		if c.HasName(name) {
			p.path, p.commands = append(p.path, c), c.Subcommands
			return nil
		}
		names[i] = c.Name
	}
	if s := nearest(name, names); s != "" {
		return wrong(p.full()+" "+s, "there is no command '%s %s'; do you mean '%s'?", p.full(), name, s)
	}
	return wrong(p.full()+" --help", "there is no command '%s %s'", p.full(), name)
}

// flag reads a flag with its value.
func (p *parser) flag(arg string) error {
	name, value, hasValue := strings.Cut(strings.TrimLeft(arg, "-"), "=")
	f := flagNamed(p.app.Flags, name)
	list := &p.global
	if f == nil && len(p.path) > 0 {
		f, list = flagNamed(p.path[len(p.path)-1].Flags, name), &p.local
	}
	if f == nil {
		return p.unknownFlag(name)
	}
	if _, isBool := f.(*cli.BoolFlag); isBool && !hasValue {
		value = "true"
	} else if !hasValue {
		if len(p.left) == 0 || strings.HasPrefix(p.left[0], "--") {
			return wrong(p.form(), "--%s needs a value", name)
		}
		value, p.left = p.left[0], p.left[1:]
	}
	if want := refuse(f, value); want != "" {
		return wrong(p.form(), "--%s is %q; it must be %s", name, value, want)
	}
	*list = append(*list, "--"+name+"="+value)
	return nil
}

func (p *parser) unknownFlag(name string) error {
	var names []string
	flags := p.app.Flags
	if len(p.path) > 0 {
		flags = slices.Concat(p.path[len(p.path)-1].Flags, flags)
	}
	for _, f := range flags {
		names = append(names, f.Names()...)
	}
	if s := nearest(name, names); s != "" {
		return wrong(p.form(), "'%s' has no flag --%s; do you mean --%s?", p.full(), name, s)
	}
	return wrong(p.form(), "'%s' has no flag --%s; '%s --help' lists those it has", p.full(), name, p.full())
}

// form is the correct form of the command that was named.
func (p *parser) form() string {
	if len(p.path) == 0 {
		return p.app.Name + " COMMAND [flags]"
	}
	if form := p.path[len(p.path)-1].UsageText; form != "" {
		return form
	}
	return p.full() + " --help"
}

// environment checks the variables of the flags that were not typed.
func (p *parser) environment() error {
	flags := p.app.Flags
	for _, c := range p.path {
		flags = slices.Concat(flags, c.Flags)
	}
	for _, f := range flags {
		for _, name := range f.(cli.DocGenerationFlag).GetEnvVars() {
			value := os.Getenv(name)
			if want := refuse(f, value); want != "" && value != "" {
				return wrong(p.form(), "the environment variable %s is %q; it must be %s", name, value, want)
			}
		}
	}
	return nil
}

func flagNamed(flags []cli.Flag, name string) cli.Flag {
	for _, f := range flags {
		if slices.Contains(f.Names(), name) {
			return f
		}
	}
	return nil
}

// refuse says what a value of the flag must be, or "" when this one is right.
func refuse(f cli.Flag, value string) string {
	switch f.(type) {
	case *cli.IntFlag, *cli.Int64Flag:
		if _, err := strconv.ParseInt(value, 10, 64); err != nil {
			return "a whole number"
		}
	case *cli.Float64Flag:
		if _, err := strconv.ParseFloat(value, 64); err != nil {
			return "a number"
		}
	case *cli.BoolFlag:
		if _, err := strconv.ParseBool(value); err != nil {
			return "true or false"
		}
	}
	return ""
}

// nearest returns the name that is most like what was typed, "" when none is
// much like it.
func nearest(typed string, names []string) string {
	best, likeness := "", 0.84
	for _, n := range names {
		if l := smetrics.JaroWinkler(n, typed, 0.7, 4); l > likeness {
			best, likeness = n, l
		}
	}
	return best
}
