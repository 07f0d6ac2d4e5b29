package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/urfave/cli/v2"

	"cloister/appliance/client"
	"cloister/appliance/fault"
)

// usageError is a command line that is wrong: exit status 2.
type usageError struct {
	message string
	form    string // the correct form, which can be typed
}

func (e *usageError) Error() string { return e.message }

// wrong returns a usageError.
func wrong(form, format string, args ...any) error {
	return &usageError{fmt.Sprintf(format, args...), form}
}

// misused returns a usageError with the correct form of the command that runs.
func misused(c *cli.Context, format string, args ...any) error {
	return wrong(c.Command.UsageText, format, args...)
}

// hintError is a failure with what to type next.
type hintError struct {
	err  error
	hint string
}

func (e *hintError) Error() string { return e.err.Error() }
func (e *hintError) Unwrap() error { return e.err }

// withHint adds what to type to an error; nil stays nil.
func withHint(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	return &hintError{err, fmt.Sprintf(format, args...)}
}

// notFound adds where to look to an error about a name that leads to nothing,
// unless the appliance said so itself. Other errors stay as they are.
func notFound(err error, hint string) error {
	if e, ok := errors.AsType[*client.Error](err); !ok || e.Status != http.StatusNotFound {
		return err
	}
	if _, said := fault.Cut(err.Error()); said != "" {
		return err
	}
	return &hintError{err, hint}
}

// errSaid ends a command with status 1 when everything has been said already.
var errSaid = errors.New("failed")

// report prints an error, once, and returns the exit status.
func report(stderr io.Writer, err error) int {
	if err == nil {
		return 0
	}
	if errors.Is(err, errSaid) {
		return 1
	}
	if usage, ok := errors.AsType[*usageError](err); ok {
		fmt.Fprintf(stderr, "cloister: %s\n", usage.message)
		if usage.form != "" {
			fmt.Fprintf(stderr, "usage: %s\n", strings.ReplaceAll(usage.form, "\n", "\n       "))
		}
		return 2
	}
	message, hint := fault.Cut(err.Error())
	if errors.Is(err, context.Canceled) {
		message = "interrupted"
	}
	if h, ok := errors.AsType[*hintError](err); ok {
		hint = h.hint
	}
	fmt.Fprintf(stderr, "cloister: %s\n", message)
	if hint != "" {
		fmt.Fprintf(stderr, "try: %s\n", hint)
	}
	return 1
}

// arguments returns the arguments of a command, of which the first least must
// be there; the others may be "".
func arguments(c *cli.Context, least int, names ...string) ([]string, error) {
	args := c.Args().Slice()
	if len(args) < least {
		return nil, misused(c, "%s is missing", names[len(args)])
	}
	if len(args) > len(names) {
		if len(names) == 0 {
			return nil, misused(c, "%q is one word too many: this command takes no arguments", args[0])
		}
		return nil, misused(c, "%q is one word too many; a value of several words needs quotes", args[len(names)])
	}
	return append(args, make([]string, len(names)-len(args))...), nil
}

// required returns the value of a flag that must be given.
func required(c *cli.Context, flag string) (string, error) {
	v := strings.TrimSpace(c.String(flag))
	if v == "" {
		return "", misused(c, "--%s is missing", flag)
	}
	return v, nil
}
