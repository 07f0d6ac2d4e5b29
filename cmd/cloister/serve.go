package main

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"cloister/appliance"
	"cloister/appliance/admin"
	"cloister/appliance/client"
	"cloister/appliance/models"
	"cloister/appliance/service"
	"cloister/lora/train"
	"cloister/store"
)

func serveCommand() *cli.Command {
	return &cli.Command{
		Name:      "serve",
		Usage:     "run the appliance: the API that OpenAI's clients speak",
		UsageText: "cloister serve [--listen HOST:PORT] [--model FILE.gguf] [--map gpt-4o=NAME …]",
		Description: `Serves the models of the data directory until Ctrl-C, and then stops cleanly:
running answers are finished, a running job is stopped at a checkpoint and goes on
at the next start. Other commands on the same data directory talk to it.

It listens on this machine only, unless --listen says otherwise, and then it
wants an API key first: cloister key add. Scripts that name one of OpenAI's
models get the model that --map or --default says, or the only base model.

Once it listens it gives up the network: it answers, and neither it nor the
models' and training's processes can connect to anything. 'cloister doctor
--airgap' proves it. Names in --listen are looked up in /etc/hosts only.

Stored answers and feedback are always masked. With --mask-answers so is what
clients see: names, numbers and addresses become labels such as [PERSON], from
which nobody gets a value back. A streamed answer is then held back until its
sentence has ended and some 100 bytes have followed, 30 to 60 tokens behind the
model; logprobs are refused.

On a machine with an NVIDIA card, and with a cloister that was built for it, as
many layers of a model go to the card as fit; cloister status says how many. When
the card fails, the processor answers, and the card is tried again. A job that
needs the memory of loaded models sends them to the processor or to sleep, where
requests get a 503 with Retry-After; --while-training says which.

Examples:
  cloister serve
  cloister serve --model SmolLM2-135M-Instruct.Q4_1.gguf --map gpt-3.5-turbo=support
  cloister serve --listen 0.0.0.0:8080`,
		Flags: append(engineFlags(), []cli.Flag{
			&cli.StringFlag{Name: "listen", Usage: "`HOST:PORT` of the API; port 0 takes a free one", Value: "127.0.0.1:8080"},
			&cli.StringSliceFlag{Name: "model", Usage: "import this `FILE` first, if it is not there; may be repeated"},
			&cli.StringSliceFlag{Name: "map", Usage: "answer requests for another model: `NAME=MODEL`; may be repeated"},
			&cli.StringFlag{Name: "default", Usage: "`MODEL` for OpenAI names that are not mapped", DefaultText: "the only base model"},
			&cli.StringFlag{Name: "org", Usage: "`NAME` of your organisation in the names of tuned models", DefaultText: "cloister"},
			&cli.StringSliceFlag{Name: "origin", Usage: "web pages of this `ORIGIN` may use the API; may be repeated"},
			&cli.IntFlag{Name: "context", Usage: "longest prompt and answer of one request: `N` tokens", DefaultText: "chosen for the model"},
			&cli.IntFlag{Name: "parallel", Usage: "`N` requests at the same time", DefaultText: "chosen for the model"},
			&cli.IntFlag{Name: "threads", Usage: "`N` threads for a model, and for training", DefaultText: "all cores"},
			&cli.StringFlag{Name: "while-training", Usage: "what models do whose memory a job needs: `WAY` auto, cpu (answer on the processor), sleep or keep", Value: "auto"},
			trainDeviceFlag("train-device"),
			&cli.BoolFlag{Name: "mask-answers", Usage: "replace personal data in answers by its kind, such as [PERSON]; they come sentence by sentence then"},
			&cli.BoolFlag{Name: "require-airgap", Usage: "refuse to start where the kernel cannot take the network away"},
			&cli.BoolFlag{Name: "literal-lr-multiplier", Usage: "take a learning_rate_multiplier as small as 2e-5 at its word"},
			&cli.StringFlag{Name: "log", Usage: "how much to log on standard error: `LEVEL` debug, info, warn or error", Value: "warn"},
		}...),
		Action: serve,
	}
}

func serve(c *cli.Context) error {
	config, err := serveConfig(c)
	if err != nil {
		return err
	}
	ctx, stop := interruptible(c.Context)
	defer stop()
	c.Context = ctx
	warnOfCards(c, &config)
	if config.Pack, err = carried(c, config.Home); err != nil {
		return err
	}
	a, err := appliance.New(config)
	switch {
	case errors.Is(err, appliance.ErrNoKeys):
		return withHint(err, "cloister key add --role user")
	case errors.Is(err, store.ErrInUse):
		return withHint(fmt.Errorf("%s is in use by another process: %w", config.Home, err), "cloister status")
	case err != nil:
		return err
	}
	if err := welcome(c, config, a); err != nil {
		return errors.Join(err, a.Close())
	}
	err = a.Run(ctx)
	if err == nil {
		fmt.Fprintln(c.App.ErrWriter, "Stopped.")
	}
	return err
}

// serveConfig reads the command line.
func serveConfig(c *cli.Context) (config appliance.Config, err error) {
	if _, err := arguments(c, 0); err != nil {
		return config, err
	}
	home, err := homeDir(c)
	if err != nil {
		return config, err
	}
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.String("log"))); err != nil {
		return config, misused(c, "--log is %q; it must be debug, info, warn or error", c.String("log"))
	}
	config = appliance.Config{
		Home: home, Listen: c.String("listen"), Version: version(), Map: map[string]string{},
		Default: c.String("default"), Org: c.String("org"), Origins: c.StringSlice("origin"),
		MaskAnswers: c.Bool("mask-answers"), TrainDevice: c.String("train-device"),
		Seal: true, RequireAirgap: c.Bool("require-airgap"),
		Ready:             service.Ready,
		LiteralMultiplier: c.Bool("literal-lr-multiplier"),
		Log:               slog.New(slog.NewTextHandler(c.App.ErrWriter, &slog.HandlerOptions{Level: level})),
	}
	if err := keyConfig(c, &config); err != nil {
		return config, err
	}
	if _, _, err := net.SplitHostPort(config.Listen); err != nil {
		return config, misused(c, "--listen is %q; it must be HOST:PORT, such as 127.0.0.1:8080", config.Listen)
	}
	for _, pair := range c.StringSlice("map") {
		from, to, ok := strings.Cut(pair, "=")
		if !ok || from == "" || to == "" {
			return config, misused(c, "--map is %q; it must be NAME=MODEL, such as gpt-3.5-turbo=support", pair)
		}
		config.Map[from] = to
	}
	if err := train.CheckDevice(config.TrainDevice); err != nil {
		return config, misused(c, "--train-device: %v", err)
	}
	for flag, to := range map[string]*int{"context": &config.Engine.Context, "parallel": &config.Engine.Slots, "threads": &config.Threads} {
		if *to, err = positive(c, flag); err != nil {
			return config, err
		}
	}
	config.Engine.Threads = config.Threads
	if config.WhileTraining, err = models.ParseWhileTraining(c.String("while-training")); err != nil {
		return config, misused(c, "--while-training: %v", err)
	}
	return config, engineOptions(c, &config.Engine)
}

// welcome imports the models of the command line, and says where the appliance
// listens and how to use it.
func welcome(c *cli.Context, config appliance.Config, a *appliance.Appliance) error {
	s, address := client.Over(a.Dial), a.Addr()
	defer s.Close()
	for _, path := range c.StringSlice("model") {
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) && filepath.Ext(path) != ".gguf" {
			return misused(c, "--model is %q, which is not a file; models that are there already need no flag", path)
		}
		path, err := filepath.Abs(path)
		if err != nil {
			return err
		}
		if _, err := s.ImportModel(c.Context, admin.ImportModel{Path: path}); err != nil {
			return err
		}
	}
	keys, err := s.Keys(c.Context)
	if err != nil {
		return err
	}
	if c.Bool("json") {
		return printJSON(c, map[string]any{"listen": address, "base_url": "http://" + address + "/v1", "home": config.Home, "pid": os.Getpid(), "keys": len(keys)})
	}
	secret := "none" // clients insist on some key
	if len(keys) > 0 {
		secret = "sk-…"
	}
	w := c.App.Writer
	fmt.Fprintf(w, "Cloister listens on http://%s (data in %s).\n\n", address, config.Home)
	fmt.Fprintf(w, "OpenAI's clients:  export OPENAI_BASE_URL=http://%s/v1 OPENAI_API_KEY=%s\n", address, secret)
	authorization := ""
	if len(keys) > 0 {
		authorization = "-H 'Authorization: Bearer sk-…' "
	}
	fmt.Fprintf(w, "Anything else:     curl http://%s/api/chat %s-d '{\"message\": \"Hello\"}'\n", address, authorization)
	_, err = fmt.Fprint(w, "\nCtrl-C stops it.\n")
	return err
}
