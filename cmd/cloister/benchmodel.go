package main

import (
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"cloister/lora/bench"
	"cloister/lora/merge"
)

func benchModelCommand() *cli.Command {
	return &cli.Command{
		Name: "make-model", Usage: "write a model of random weights to measure on", UsageText: "cloister bench make-model --shape SHAPE --to FILE.gguf [--type TYPE]",
		Description: `A GGUF file of the right shape and type where real weights cannot be had: it loads,
answers noise and trains, and takes as long and as much memory as a real one.

Shapes: ` + strings.Join(bench.ShapeNames(), ", ") + `.
Types: ` + strings.Join(merge.Types(), ", ") + `.

Examples:
  cloister bench make-model --shape llama-8b --type q4_k -o llama-8b.gguf
  cloister bench make-model --shape smollm2-135m --type q8_0 -o tiny.gguf --tokenizer SmolLM2-135M-Instruct.Q4_1.gguf`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "shape", Usage: "`SHAPE` of the model"},
			&cli.StringFlag{Name: "type", Usage: "`TYPE` of the matrices", Value: "q4_k"},
			&cli.StringFlag{Name: "to", Aliases: []string{"o"}, Usage: "`FILE` to write, which must not exist"},
			&cli.StringFlag{Name: "tokenizer", Usage: "take tokenizer and chat template of a GGUF `FILE`", DefaultText: "single bytes and ChatML"},
			&cli.IntFlag{Name: "layers", Usage: "`N` layers in place of the shape's"},
			&cli.BoolFlag{Name: "pure", Usage: "also give the output matrix the type, where it would get q6_k"},
			&cli.Int64Flag{Name: "seed", Usage: "`N`: the same number gives the same file"},
		},
		Action: benchModel,
	}
}

func benchModel(c *cli.Context) error {
	if _, err := arguments(c, 0); err != nil {
		return err
	}
	cfg := bench.ModelConfig{Type: c.String("type"), Tokenizer: c.String("tokenizer"), Pure: c.Bool("pure"), Seed: c.Int64("seed")}
	var err error
	if cfg.Shape, err = required(c, "shape"); err != nil {
		return err
	}
	to, err := required(c, "to")
	if err != nil {
		return err
	}
	if cfg.Layers, err = positive(c, "layers"); err != nil {
		return err
	}
	if _, err := merge.ParseType(cfg.Type); err != nil {
		return misused(c, "--type: %v", err)
	}
	p := newProgress(c.App.ErrWriter)
	cfg.Progress = func(done, total int64) {
		p.show(float64(done)/float64(total), fmt.Sprintf("%s of %s", byteSize(done), byteSize(total)))
	}
	r, err := bench.WriteModel(c.Context, to, cfg)
	p.clear()
	if err != nil {
		return err
	}
	if c.Bool("json") {
		return printJSON(c, r)
	}
	fmt.Fprintf(c.App.Writer, "%s: %s, %d layers, %d parameters.\n", r.Path, byteSize(r.Bytes), r.Layers, r.Parameters)
	if n := len(r.Fallbacks); n > 0 {
		fmt.Fprintf(c.App.Writer, "%d have rows that are no whole blocks of %s and became: %s.\n", n, strings.ToLower(cfg.Type), fallbacks(r.Fallbacks))
	}
	return nil
}
