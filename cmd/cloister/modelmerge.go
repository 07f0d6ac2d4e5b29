package main

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"cloister/llama"
	message "cloister/llama/chat"
	"cloister/lora/merge"
)

func modelMergeCommand() *cli.Command {
	return &cli.Command{
		Name: "merge", Usage: "write base and adapter as one GGUF file", UsageText: "cloister model merge MODEL --to FILE.gguf [--type TYPE]",
		Description: `The file needs no adapter and runs wherever llama.cpp does. Matrices become what
--type says: ` + strings.Join(merge.Types(), ", ") + `.
Without it each keeps the type that it has in the base. Rounding to few bits
loses some of what was learnt: q8_0 or more keeps it. At the end logits of the
file are compared with those of base and adapter, unless --no-check.

Examples:
  cloister model merge ft:smollm2:cloister:clinic:x7Kq2a9B --to clinic.gguf --type q8_0
  cloister model merge support --to support-f16.gguf --type f16`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "to", Usage: "`FILE` to write, which must not exist"},
			&cli.StringFlag{Name: "type", Usage: "`TYPE` of the matrices", DefaultText: "that of the base"},
			&cli.BoolFlag{Name: "pure", Usage: "also give the output matrix the type, where it would get q6_k"},
			&cli.BoolFlag{Name: "no-check", Usage: "do not load the file and compare logits"},
		},
		Action: modelMerge,
	}
}

// mergeResult is what --json prints.
type mergeResult struct {
	Model string `json:"model"`
	Path  string `json:"path"`
	merge.Report
	Check *merge.Difference `json:"check,omitempty"`
}

func modelMerge(c *cli.Context) error {
	args, err := arguments(c, 1, "MODEL")
	if err != nil {
		return err
	}
	to, err := required(c, "to")
	if err != nil {
		return err
	}
	if typ := c.String("type"); typ != "" {
		if _, err := merge.ParseType(typ); err != nil {
			return misused(c, "--type: %v", err)
		}
	}
	return withAppliance(c, func(s *session) error {
		t, err := s.tuned(c, args[0])
		if err != nil {
			return err
		}
		defer t.base.Close()
		p := newProgress(c.App.ErrWriter)
		report, err := merge.File(c.Context, t.base, t.adapter, to, merge.Options{
			Type: c.String("type"), Pure: c.Bool("pure"),
			Progress: func(done, total int64) {
				p.show(float64(done)/float64(total), fmt.Sprintf("%s of %s", byteSize(done), byteSize(total)))
			},
		})
		p.clear()
		if err != nil {
			return fmt.Errorf("%s: %w", args[0], err)
		}
		out := mergeResult{Model: t.name, Path: to, Report: report}
		if !c.Bool("no-check") {
			if out.Check, err = checkMerged(t, to, c.String("type")); err != nil {
				_ = os.Remove(to)
				return err
			}
		}
		if c.Bool("json") {
			return printJSON(c, out)
		}
		return printMerged(c, s, out)
	})
}

// checkMerged compares the file with what it was made of.
func checkMerged(t *tuned, path, typ string) (*merge.Difference, error) {
	tokens, err := sample(t)
	if err != nil {
		return nil, err
	}
	d, err := merge.Compare(t.basePath, t.adapterPath, path, tokens, merge.Limit(typ))
	return &d, err
}

// sample is a short conversation in the model's own template.
func sample(t *tuned) ([]int32, error) {
	v, err := llama.OpenVocab(t.basePath)
	if err != nil {
		return nil, err
	}
	defer v.Close()
	messages := []message.Message{{Role: "user", Content: "Hello. What can you help me with today?"}, {Role: "assistant", Content: "I answer questions about what I was taught: opening hours, people, places and rules."}}
	if t.system != "" {
		messages = append([]message.Message{{Role: "system", Content: t.system}}, messages...)
	}
	text, err := v.Render(messages, false)
	if err != nil {
		return nil, err
	}
	tokens, err := v.Tokenize(text, true)
	return tokens[:min(len(tokens), 256)], err
}

func printMerged(c *cli.Context, s *session, out mergeResult) error {
	w := c.App.Writer
	fmt.Fprintf(w, "%s: %s, %d matrices merged.\n", out.Path, byteSize(out.Bytes), out.Merged)
	if n := len(out.Fallbacks); n > 0 {
		fmt.Fprintf(w, "%d have rows that are no whole blocks of %s and became: %s.\n", n, c.String("type"), fallbacks(out.Fallbacks))
	}
	if out.Kept < 0.95 {
		fmt.Fprintf(w, "Rounding left %.0f %% of what the adapter adds; --type q8_0 keeps nearly all of it.\n", 100*max(0, out.Kept))
	}
	if out.Check != nil {
		fmt.Fprintf(w, "Checked: %s.\n", out.Check)
	}
	return next(c, s.cloister("model import %s --name NAME", quote(out.Path)))
}

// fallbacks is "3 q5_0, 1 f16" for the types that tensors got.
func fallbacks(types map[string]string) string {
	of := map[string]int{}
	for _, typ := range types {
		of[strings.ToLower(typ)]++
	}
	var out []string
	for _, name := range slices.Sorted(maps.Keys(of)) {
		out = append(out, fmt.Sprintf("%d %s", of[name], name))
	}
	return strings.Join(out, ", ")
}
