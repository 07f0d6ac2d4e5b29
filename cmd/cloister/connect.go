package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"

	"cloister/appliance"
	"cloister/appliance/admin"
	"cloister/appliance/client"
	"cloister/lora/train"
	"cloister/store"
)

// session is a connection to the appliance of the data directory.
type session struct {
	*client.Client
	home   string
	status admin.Status // when the session began
	// own is the appliance that runs inside this command and ends with it, nil
	// when another process runs one.
	own *appliance.Appliance
}

// withAppliance calls f with a connection to the appliance. One that this
// command has to start itself leaves jobs where they are.
func withAppliance(c *cli.Context, f func(*session) error) error {
	return within(c, appliance.Config{Idle: true, TrainDevice: c.String("device")}, f)
}

// withWorkingAppliance is withAppliance for commands that wait for a job: an
// appliance that this command starts works on it, on the device that the command names.
func withWorkingAppliance(c *cli.Context, f func(*session) error) error {
	return within(c, appliance.Config{TrainDevice: c.String("device")}, f)
}

// within calls f with a connection to the appliance, or to one of its own that
// has the configuration.
func within(c *cli.Context, config appliance.Config, f func(*session) error) (err error) {
	home, err := homeDir(c)
	if err != nil {
		return err
	}
	ctx, stop := interruptible(c.Context)
	defer stop()
	c.Context = ctx
	config.Home, config.Version, config.Seal = home, version(), true
	if err := keyConfig(c, &config); err != nil {
		return err
	}
	if config.Pack, err = carried(c, home); err != nil {
		return err
	}
	if err := train.CheckDevice(config.TrainDevice); err != nil {
		return misused(c, "--device: %v", err)
	}
	s, err := connect(ctx, config)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.end()) }()
	if s.own == nil && config.TrainDevice != "" {
		return withHint(errors.New("an appliance runs on this data directory, and jobs train where it says; leave --device out, or start it with another one"), "cloister serve --train-device %s", config.TrainDevice)
	}
	return f(s)
}

// homeDir is the data directory, absolute.
func homeDir(c *cli.Context) (string, error) {
	home := c.String("home")
	if home == "" {
		return "", wrong("cloister COMMAND --home DIR", "there is no home directory to keep data in; name one with --home")
	}
	return filepath.Abs(home)
}

// startPatience is how long connect waits for a process that has the data
// directory and does not answer: it begins or ends.
const startPatience = 30 * time.Second

// connect finds the appliance of the data directory, or starts one.
func connect(ctx context.Context, config appliance.Config) (_ *session, err error) {
	s := &session{Client: client.Unix(appliance.ControlSocket(config.Home)), home: config.Home}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.end())
		}
	}()
	for begin := time.Now(); ; {
		status, err := s.Status(ctx)
		if err == nil {
			s.status = status
			return s, nil
		}
		if !errors.Is(err, client.ErrUnreachable) {
			return nil, err
		}
		if s.own, err = appliance.New(config); err == nil {
			s.Client.Close()
			s.Client = client.Over(s.own.Dial)
			continue
		}
		if !errors.Is(err, store.ErrInUse) {
			return nil, err
		}
		if time.Since(begin) > startPatience {
			return nil, withHint(fmt.Errorf("another process has the data directory %s and does not answer: %w", config.Home, err), "fuser -v %s", quote(filepath.Join(config.Home, "store")))
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// end closes the session; an appliance of its own stops first, its job at a
// checkpoint. It can be called again.
func (s *session) end() error {
	defer s.Close()
	if s.own == nil {
		return nil
	}
	own := s.own
	s.own = nil
	return own.Close()
}

// cloister is a command line that reaches this data directory, for hints that
// can be typed.
func (s *session) cloister(format string, args ...any) string {
	line := "cloister " + fmt.Sprintf(format, args...)
	if s.home != defaultHome() && os.Getenv("CLOISTER_HOME") == "" {
		line += " --home " + quote(s.home)
	}
	return line
}

// interruptible returns a context that ends at the first SIGINT or SIGTERM;
// the second one ends the program at once.
func interruptible(parent context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancel(parent)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		select {
		case <-signals:
			signal.Stop(signals)
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		cancel()
	}
}

// running says who serves the data directory, for doctor, with its status if
// there is one. It starts nothing.
func running(ctx context.Context, home string) (finding, *admin.Status) {
	f := finding{Check: "appliance", Status: "ok", Detail: "none runs; commands start one for themselves"}
	socket := client.Unix(appliance.ControlSocket(home))
	defer socket.Close()
	status, err := socket.Status(ctx)
	switch {
	case err == nil && status.Listen != "":
		f.Detail = fmt.Sprintf("process %d listens on http://%s", status.PID, status.Listen)
	case err == nil:
		f.Detail = fmt.Sprintf("process %d, a command, works on the data directory", status.PID)
	case !errors.Is(err, client.ErrUnreachable):
		f.Status, f.Detail = "fail", err.Error()
	}
	if err != nil {
		return f, nil
	}
	return f, &status
}
