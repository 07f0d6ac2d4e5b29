package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/urfave/cli/v2"

	"cloister/appliance/engine"
	"cloister/appliance/service"
)

func installCommand() *cli.Command {
	d := service.Defaults()
	return &cli.Command{
		Name:      "install",
		Usage:     "make a service of systemd of this file",
		UsageText: "cloister install --systemd [--listen IP:PORT] [--user NAME] [--allow NETWORK …] [--print]",
		Description: `Copies this file to its place, makes a user and a master key, and writes the unit,
which has no way out, sees no home directories and may write to its data only.
Nothing is started. What is there and right already stays, so it can be run again.

To upgrade, run it from the new file and restart the service: data of an older
version are brought up to date at its start. Before, stop it and keep a copy of
the data: an older version refuses data of a newer one.

Beyond this machine it wants an API key first. The key file is read by systemd
and handed over as a credential; the service's user cannot read it.

Examples:
  cloister install --systemd --print
  sudo ./cloister install --systemd && sudo systemctl restart cloister
  sudo ./cloister install --systemd --listen 0.0.0.0:8080 --allow 192.168.1.0/24
  sudo cloister status --home /var/lib/cloister
  sudo systemd-run --pipe --uid=cloister -p LoadCredential=master.key:/etc/cloister/master.key \
    cloister check --home /var/lib/cloister`,
		Flags: append(serviceFlags(),
			&cli.StringFlag{Name: "user", Usage: "`NAME` of the service's own user", Value: d.User},
			&cli.StringFlag{Name: "listen", Usage: "`IP:PORT` of the API", Value: d.Listen},
			&cli.StringSliceFlag{Name: "allow", Usage: "`NETWORK` that may use the API, such as 192.168.1.0/24; may be repeated", DefaultText: "this machine, and the private networks when --listen is for others"},
			&cli.StringFlag{Name: "cuda", Usage: "`yes` or no: let the service use NVIDIA's cards", DefaultText: "yes where there is a driver"},
			&cli.BoolFlag{Name: "print", Usage: "show what would be written, and write nothing"},
		),
		Action: install,
	}
}

func uninstallCommand() *cli.Command {
	return &cli.Command{
		Name:      "uninstall",
		Usage:     "remove the service; data and master key stay",
		UsageText: "cloister uninstall --systemd",
		Description: `Stops the service and removes what 'cloister install' wrote, but for the data, the
master key and the user.

Examples:
  sudo cloister uninstall --systemd`,
		Flags: serviceFlags(),
		Action: func(c *cli.Context) error {
			o, err := serviceOptions(c)
			if err != nil {
				return err
			}
			if err := needsRoot(c, service.Uninstall(o, sayer(c))); err != nil {
				return err
			}
			_, err = fmt.Fprintf(c.App.Writer, "Left: the data in %s, the master key %s, the user.\n", o.Root+o.Home, o.Root+o.Key)
			return err
		},
	}
}

// serviceFlags are those of both commands.
func serviceFlags() []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{Name: "systemd", Usage: "for systemd, the only one there is so far"},
		&cli.StringFlag{Name: "binary", Usage: "where the program goes: `FILE`", Value: service.Defaults().Binary},
		&cli.StringFlag{Name: "root", Usage: "work below this `DIR`, as for an image, and call nothing"},
	}
}

func serviceOptions(c *cli.Context) (service.Options, error) {
	o := service.Defaults()
	if _, err := arguments(c, 0); err != nil {
		return o, err
	}
	if !c.Bool("systemd") {
		return o, misused(c, "--systemd is missing: it says which kind of service to make")
	}
	if c.IsSet("home") { // or else not that of a person
		o.Home = cmp.Or(c.String("home"), o.Home)
	}
	o.Key = cmp.Or(c.String("master-key"), o.Key)
	o.Binary = c.String("binary")
	if root := c.String("root"); root != "" {
		abs, err := filepath.Abs(root)
		if err != nil {
			return o, err
		}
		o.Root = abs
	}
	return o, nil
}

func install(c *cli.Context) error {
	o, err := serviceOptions(c)
	if err != nil {
		return err
	}
	o.User, o.Listen, o.Allow = c.String("user"), c.String("listen"), c.StringSlice("allow")
	switch cuda := c.String("cuda"); cuda {
	case "":
		_, err := os.Stat("/proc/driver/nvidia/version")
		o.CUDA = err == nil
	case "yes", "no":
		o.CUDA = cuda == "yes"
	default:
		return misused(c, "--cuda is %q; it must be yes or no", cuda)
	}
	text, err := o.Print()
	if err != nil {
		return misused(c, "%s", err.Error())
	}
	if c.Bool("print") {
		_, err := fmt.Fprint(c.App.Writer, text)
		return err
	}
	if err := needsRoot(c, service.Install(o, engine.Self, sayer(c))); err != nil {
		return err
	}
	if o.Root == "" {
		_, err = fmt.Fprintln(c.App.Writer, "next: systemctl restart cloister && systemctl status cloister")
	}
	return err
}

func sayer(c *cli.Context) func(string, ...any) {
	return func(format string, args ...any) { fmt.Fprintf(c.App.Writer, format+"\n", args...) }
}

func needsRoot(c *cli.Context, err error) error {
	if errors.Is(err, service.ErrNeedsRoot) {
		return withHint(err, "sudo cloister %s --systemd", c.Command.Name)
	}
	return err
}
