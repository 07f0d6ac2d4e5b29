package appliance

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"slices"

	"cloister/appliance/engine"
	"cloister/appliance/models"
	"cloister/appliance/pack"
	"cloister/llama"
	"cloister/lora/train"
)

// Config of an Appliance. Home is needed; the zero value of the rest is right
// for a command that works on the data directory and ends.
type Config struct {
	Home    string // data directory; made if it is not there
	KeyFile string // of the master key; empty: systemd's credential master.key, or else master.key in Home
	// Passphrase is asked for what the master key is made of, in place of a key
	// file, where the data directory was begun so; first says that it is begun
	// now. nil: nobody can be asked.
	Passphrase func(first bool) ([]byte, error)
	// NewPassphrase begins a data directory with a passphrase. One that has data
	// under a key file is refused.
	NewPassphrase bool

	Listen  string // HOST:PORT of the API; empty: the control socket only
	Version string // of the program, for status and logs

	Map     map[string]string // OpenAI names → local ones
	Default string            // local name that other OpenAI names mean; empty: the only base model
	Org     string            // in the names of tuned models; empty: "cloister"
	Origins []string          // web origins that may use the API, beside those of this machine

	// MaskAnswers masks what models say before anybody sees it.
	MaskAnswers bool
	// Engine sizes the engines of base models.
	Engine engine.Options
	// WhileTraining is what becomes of models that answer while a job trains;
	// empty: models.Choose.
	WhileTraining models.WhileTraining
	// Threads of the trainer; 0: all cores.
	Threads int
	// TrainDevice is where jobs train: "cpu", "cuda", "cuda:N", or "auto", a card
	// if there is one and it is large enough. Empty: auto.
	TrainDevice string
	// Idle leaves jobs where they are: for commands that end soon. They can be
	// looked at, created and cancelled.
	Idle bool
	// LiteralMultiplier takes a learning_rate_multiplier of 2e-5 at its word;
	// otherwise it is taken for a learning rate, and replaced with a warning.
	LiteralMultiplier bool

	// Seal gives up every new connection of this process, and so of the workers,
	// as soon as it listens (package airgap). It is for processes that are the
	// appliance and nothing else: there is no way back. A kernel that cannot is
	// warned of in the log.
	Seal bool
	// Ready is called when it listens, the last moment with a network; nil: not.
	Ready func() error
	// RequireAirgap refuses to start where Seal is not possible.
	RequireAirgap bool

	// Pack is what the program's own file carries; nil: nothing. It is brought
	// into the data directory, and OpenAI names lead to it without a Default.
	Pack *pack.Pack

	// Command is the command line of this program, to which "worker infer" and
	// "worker train" are added; empty: the file that this process runs.
	Command []string
	// Log gets what is worth knowing, never texts; nil: nothing is logged.
	Log *slog.Logger
}

// ErrNoKeys says that an API beyond this machine needs keys.
var ErrNoKeys = errors.New("an address that other machines can reach needs an API key first")

// validate fills in the defaults.
func (c *Config) validate() error {
	if c.Home == "" {
		return errors.New("the data directory has no name; give one with --home")
	}
	home, err := filepath.Abs(c.Home)
	if err != nil {
		return err
	}
	c.Home = home
	if c.Listen != "" {
		if _, _, err := net.SplitHostPort(c.Listen); err != nil {
			return fmt.Errorf("--listen %q is no HOST:PORT, such as 127.0.0.1:8080: %w", c.Listen, err)
		}
	}
	if c.Default == "" && c.Pack != nil {
		c.Default = c.Pack.Manifest.Name
	}
	if c.TrainDevice == "" {
		c.TrainDevice = train.AnyDevice
	}
	if err := train.CheckDevice(c.TrainDevice); err != nil {
		return fmt.Errorf("training: %w", err)
	}
	if c.Org == "" {
		c.Org = "cloister"
	}
	if len(c.Command) == 0 {
		c.Command = []string{engine.Self}
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return nil
}

// worker is the command line of a worker.
func (c *Config) worker(kind string) []string {
	return append(slices.Clone(c.Command), "worker", kind)
}

// self is the packed file that this process and its workers run, if it is one.
func (c *Config) self() string {
	if c.Pack == nil || c.Command[0] != engine.Self {
		return ""
	}
	return c.Pack.Path
}

// Devices lists what models can run on, by a process of its own.
func (c *Config) Devices(ctx context.Context) ([]llama.Device, error) {
	if err := c.validate(); err != nil {
		return nil, err
	}
	return engine.ChildDevices(ctx, c.worker("devices"))
}

// loopback reports whether only this machine can reach a listening address.
func loopback(a net.Addr) bool {
	t, ok := a.(*net.TCPAddr)
	return ok && t.IP.IsLoopback()
}
