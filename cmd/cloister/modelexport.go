package main

import (
	"fmt"

	"github.com/urfave/cli/v2"

	"cloister/llama/gguf"
	"cloister/lora/peft"
	"cloister/lora/train"
)

func modelExportCommand() *cli.Command {
	return &cli.Command{
		Name: "export", Usage: "write a tuned model's adapter for other programs", UsageText: "cloister model export MODEL --to DIR [--format peft|gguf]",
		Description: `peft: adapter_config.json and adapter_model.safetensors, as Hugging Face's PEFT,
Transformers and vLLM load them onto the original model. gguf: adapter.gguf, as
llama.cpp loads it onto the same GGUF base (llama-server --lora).

Examples:
  cloister model export ft:smollm2:cloister:clinic:x7Kq2a9B --to ./clinic-adapter
  cloister model export support --to ./support --format gguf`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "to", Usage: "`DIR` to write into; it is made if need be and must hold no adapter yet"},
			&cli.StringFlag{Name: "format", Usage: "`FORMAT`: peft or gguf", Value: "peft"},
		},
		Action: modelExport,
	}
}

func modelExport(c *cli.Context) error {
	args, err := arguments(c, 1, "MODEL")
	if err != nil {
		return err
	}
	to, err := required(c, "to")
	if err != nil {
		return err
	}
	write := peft.Export
	switch format := c.String("format"); format {
	case "peft":
	case "gguf":
		write = peft.ExportGGUF
	default:
		return misused(c, "--format is %q; it must be peft or gguf", format)
	}
	return withAppliance(c, func(s *session) error {
		t, err := s.tuned(c, args[0])
		if err != nil {
			return err
		}
		defer t.base.Close()
		if err := write(t.adapter, t.base, to); err != nil {
			return fmt.Errorf("%s: %w", args[0], err)
		}
		if c.Bool("json") {
			return printJSON(c, map[string]any{"model": t.name, "format": c.String("format"), "path": to})
		}
		_, err = fmt.Fprintf(c.App.Writer, "The adapter of %s is in %s.\n", t.name, to)
		return err
	})
}

// tuned is a tuned model whose files are open.
type tuned struct {
	name                  string // of the adapter
	system                string // prompt that it was tuned with
	adapterPath, basePath string
	adapter               *train.Adapter
	base                  *gguf.File // to be closed
}

// tuned opens the files of a tuned model, or of the one that an alias leads to.
func (s *session) tuned(c *cli.Context, name string) (*tuned, error) {
	m, err := s.Model(c.Context, name)
	if err != nil {
		return nil, notFound(err, s.cloister("model list"))
	}
	if m.Adapter == nil {
		return nil, withHint(fmt.Errorf("%q is a base model; it has no adapter", name), "%s", s.cloister("model list"))
	}
	t := &tuned{name: m.Adapter.Name, system: m.System, adapterPath: s.path(m.Adapter.Path), basePath: s.path(m.BaseModel.Path)}
	if t.adapter, err = train.ReadAdapter(t.adapterPath); err != nil {
		return nil, err
	}
	t.base, err = gguf.Open(t.basePath)
	return t, err
}
