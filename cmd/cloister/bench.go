package main

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/urfave/cli/v2"

	"cloister/lora/bench"
	"cloister/lora/train"
)

func benchCommand() *cli.Command {
	return &cli.Command{
		Name: "bench", Usage: "measure this machine",
		Subcommands: []*cli.Command{benchTrainCommand(), benchGemmCommand(), benchModelCommand()},
	}
}

func benchTrainCommand() *cli.Command {
	return &cli.Command{
		Name: "train", Usage: "how fast it trains", UsageText: "cloister bench train FILE.gguf [--steps N] [--profile]",
		Description: `Whole training steps on random tokens: packed examples of varied lengths (24 to 512
tokens), a loss on the last two thirds of each, an adapter on all linear layers.
Nothing is written. Compare with what Transformers and PEFT do on the same file
within the same hour; a busy machine measures less.

Examples:
  cloister bench train SmolLM2-135M-Instruct.Q4_1.gguf
  cloister bench train SmolLM2-135M-Instruct.Q4_1.gguf --profile --steps 20`,
		Flags: []cli.Flag{
			&cli.IntFlag{Name: "rank", Usage: "rank `N` of the adapter", Value: 16},
			&cli.IntFlag{Name: "batch-size", Usage: "examples in one step: `N`", Value: 4},
			&cli.IntFlag{Name: "row", Usage: "packed rows of at most `N` tokens", Value: 1024},
			&cli.IntFlag{Name: "steps", Usage: "measure `N` steps, after one that warms up", Value: 8},
			&cli.IntFlag{Name: "threads", Usage: "compute on `N` threads", DefaultText: "one for each core"},
			&cli.StringFlag{Name: "device", Usage: "train on `DEVICE`: cpu, cuda, cuda:N or auto", Value: "cpu"},
			&cli.StringFlag{Name: "precision", Usage: "`KIND` of the products: bf16, bf16x3 or float32", DefaultText: "the fastest here"},
			&cli.BoolFlag{Name: "recompute", Usage: "compute every layer twice, which takes less memory"},
			&cli.BoolFlag{Name: "offload-activations", Usage: "with --recompute on a card: inputs of layers wait on the host"},
			&cli.BoolFlag{Name: "profile", Usage: "say where the time goes; on a card it waits after each kernel, which is slower"},
		},
		Action: benchTrain,
	}
}

func benchTrain(c *cli.Context) error {
	args, err := arguments(c, 1, "FILE.gguf")
	if err != nil {
		return err
	}
	cfg := train.BenchConfig{BasePath: args[0], Precision: c.String("precision"), Profile: c.Bool("profile"), Recompute: c.Bool("recompute"), Offload: c.Bool("offload-activations"), Device: c.String("device")}
	if err := train.CheckDevice(cfg.Device); err != nil {
		return misused(c, "--device: %v", err)
	}
	if !slices.Contains([]string{"", "bf16", "bf16x3", "float32"}, cfg.Precision) {
		return misused(c, "--precision is %q; it must be bf16, bf16x3 or float32", cfg.Precision)
	}
	for flag, to := range map[string]*int{"rank": &cfg.Rank, "batch-size": &cfg.Batch, "row": &cfg.Row, "steps": &cfg.Steps, "threads": &cfg.Threads} {
		if *to, err = positive(c, flag); err != nil {
			return err
		}
	}
	r, err := train.Bench(c.Context, cfg)
	if err != nil {
		return err
	}
	if c.Bool("json") {
		return printJSON(c, r)
	}
	fmt.Fprintf(c.App.Writer, "%.0f tokens/s: %d steps with %d tokens (%d with loss) in %.1f s, kernels %s\n", r.TokensPerSecond, r.Steps, r.Tokens, r.LossTokens, r.Seconds, r.Kernels)
	fmt.Fprintf(c.App.Writer, "memory: %d MB planned, %d MB at the peak\n", r.PlannedBytes/1e6, r.PeakBytes/1e6)
	if r.CardPlanned > 0 {
		fmt.Fprintf(c.App.Writer, "memory of %s: %d MB planned, %d MB taken\n", r.Device, r.CardPlanned/1e6, r.CardBytes/1e6)
	}
	names := slices.SortedFunc(maps.Keys(r.Profile), func(a, b string) int { return int((r.Profile[b] - r.Profile[a]) * 1e9) })
	for _, name := range names {
		fmt.Fprintf(c.App.Writer, "%6.2f %%  %s\n", 100*r.Profile[name]/r.Seconds, name)
	}
	return nil
}

func benchGemmCommand() *cli.Command {
	return &cli.Command{
		Name: "gemm", Usage: "how fast it multiplies, kernel by kernel and beside ggml's", UsageText: "cloister bench gemm [--threads N]",
		Description: `GFLOP/s of products with frozen matrices of several types, forward (x·Wᵀ) and
backward (dy·W), dequantising included, for each set of kernels that this CPU
runs. ggml has no backward product for quantised matrices.

Examples:
  cloister bench gemm
  cloister bench gemm --threads 1 --json`,
		Flags:  []cli.Flag{&cli.IntFlag{Name: "threads", Usage: "compute on `N` threads", DefaultText: "one for each core"}},
		Action: benchGemm,
	}
}

func benchGemm(c *cli.Context) error {
	if _, err := arguments(c, 0); err != nil {
		return err
	}
	threads, err := positive(c, "threads")
	if err != nil {
		return err
	}
	list, err := bench.Gemm(c.Context, threads, 500*time.Millisecond)
	if err != nil {
		return err
	}
	if c.Bool("json") {
		return printJSON(c, list)
	}
	var rows [][]string
	for _, p := range list {
		backward := "-"
		if p.Backward > 0 {
			backward = fmt.Sprintf("%.0f", p.Backward)
		}
		rows = append(rows, []string{p.Type, fmt.Sprintf("%d × %d × %d", p.Rows, p.In, p.Out), p.Kernels, fmt.Sprintf("%.0f", p.Forward), backward})
	}
	return table(c.App.Writer, "", []string{"TYPE", "ROWS × IN × OUT", "KERNELS", "FORWARD", "BACKWARD"}, rows)
}
