package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"cloister/appliance/admin"
	"cloister/appliance/models"
	"cloister/store"
)

func modelCommand() *cli.Command {
	return &cli.Command{
		Name:  "model",
		Usage: "models: import, export, merge, list, show, rm",
		Description: `A base model is a GGUF file that answers as it is and that adapters are trained
on. A tuned model is a base with an adapter; its name begins with "ft:". An
alias is a name of your own that leads to the model that is deployed under it.
All three can be used wherever a command or the API wants a model.`,
		Subcommands: []*cli.Command{
			{
				Name: "import", Usage: "add a GGUF file as a base model, or an adapter as a tuned one",
				UsageText: "cloister model import FILE.gguf [--name NAME] [--copy], or PATH --base MODEL [--name SUFFIX]",
				Description: `The file stays where it is and must not move, unless --copy takes it into the
data directory. Without --name the model is named by its own metadata.

With --base, PATH is an adapter that was trained on that model: a folder that
Hugging Face's PEFT saved (adapter_config.json, adapter_model.safetensors) or a
GGUF adapter. A copy of it becomes the tuned model "ft:<base>:<org>:<suffix>:<id>".

Examples:
  cloister model import SmolLM2-135M-Instruct.Q4_1.gguf
  cloister model import /models/qwen.gguf --name qwen --copy
  cloister model import ./my-peft-adapter --base qwen --name support`,
				Flags: []cli.Flag{
					&cli.StringFlag{Name: "name", Usage: "`NAME` to use it by; of an adapter, the suffix in its name", DefaultText: "from the file"},
					&cli.StringFlag{Name: "base", Usage: "`MODEL` that the adapter was trained on"},
					&cli.BoolFlag{Name: "copy", Usage: "copy the file into the data directory"},
				},
				Action: modelImport,
			},
			modelExportCommand(),
			modelMergeCommand(),
			{
				Name: "list", Usage: "list everything that can be used as a model", UsageText: "cloister model list",
				Description: "Examples:\n  cloister model list\n  cloister model list --json",
				Action:      modelList,
			},
			{
				Name: "show", Usage: "show a base model, a tuned model or an alias", UsageText: "cloister model show NAME",
				Description: "Examples:\n  cloister model show smollm2-135m-instruct",
				Action:      modelShow,
			},
			{
				Name: "rm", Usage: "remove a base model or a tuned model", UsageText: "cloister model rm NAME",
				Description: `A model that a release, a job or another model still needs is not removed. The
file of a base model is deleted only if it was copied into the data directory.

Examples:
  cloister model rm smollm2-135m-instruct`,
				Action: modelRemove,
			},
		},
	}
}

func modelImport(c *cli.Context) error {
	args, err := arguments(c, 1, "PATH")
	if err != nil {
		return err
	}
	path, err := filepath.Abs(args[0])
	if err != nil {
		return err
	}
	if c.String("base") != "" {
		return adapterImport(c, path)
	}
	return withAppliance(c, func(s *session) error {
		m, err := s.ImportModel(c.Context, admin.ImportModel{Path: path, Name: c.String("name"), Copy: c.Bool("copy")})
		if err != nil {
			return err
		}
		if c.Bool("json") {
			return printJSON(c, m)
		}
		fmt.Fprintf(c.App.Writer, "Model %s: %s architecture, %s parameters, %s.\n", m.Name, m.Architecture, count(m.Parameters), byteSize(m.Bytes))
		return next(c, s.cloister("chat --model %s \"Hello\"", m.Name))
	})
}

// adapterImport is modelImport with --base.
func adapterImport(c *cli.Context, path string) error {
	if c.Bool("copy") {
		return misused(c, "--copy is for base models; an adapter is always copied")
	}
	return withAppliance(c, func(s *session) error {
		a, err := s.ImportAdapter(c.Context, admin.ImportAdapter{Path: path, Base: c.String("base"), Suffix: c.String("name")})
		if err != nil {
			return err
		}
		if c.Bool("json") {
			return printJSON(c, a)
		}
		fmt.Fprintf(c.App.Writer, "Model %s is an adapter on %s.\n", a.Name, a.Base)
		return next(c, s.cloister("chat --model %s \"Hello\"", quote(a.Name)))
	})
}

func modelList(c *cli.Context) error {
	if _, err := arguments(c, 0); err != nil {
		return err
	}
	return withAppliance(c, func(s *session) error {
		all, err := s.Models(c.Context)
		if err != nil {
			return err
		}
		if c.Bool("json") {
			return printJSON(c, all)
		}
		releases, err := s.Releases(c.Context)
		if err != nil {
			return err
		}
		var rows [][]string
		for _, m := range all {
			kind, leadsTo := "base", ""
			for _, r := range releases {
				if r.Alias.Name == m.ID {
					kind, leadsTo = "alias", r.Current.Model
				}
			}
			switch {
			case strings.Contains(m.ID, ":ckpt-step-"):
				kind = "checkpoint"
			case strings.HasPrefix(m.ID, "ft:"):
				kind = "tuned"
			}
			if leadsTo == "" && m.Parent != nil {
				leadsTo = *m.Parent
			}
			rows = append(rows, []string{m.ID, kind, clock(time.Unix(m.Created, 0)), leadsTo})
		}
		return table(c.App.Writer, "There are no models. Import one: cloister model import FILE.gguf", []string{"name", "kind", "created", "of"}, rows)
	})
}

func modelShow(c *cli.Context) error {
	args, err := arguments(c, 1, "NAME")
	if err != nil {
		return err
	}
	return withAppliance(c, func(s *session) error {
		m, err := s.Model(c.Context, args[0])
		if err != nil {
			return err
		}
		switch {
		case m.Kind == models.KindAlias:
			return showAlias(c, s, m.Name)
		case m.Adapter != nil:
			return showTuned(c, s, m)
		default:
			return showBase(c, m.BaseModel)
		}
	})
}

func showBase(c *cli.Context, m store.BaseModel) error {
	if c.Bool("json") {
		return printJSON(c, m)
	}
	return facts(c.App.Writer,
		"name", m.Name, "kind", "base", "file", m.Path, "size", byteSize(m.Bytes), "sha256", m.SHA256,
		"architecture", m.Architecture, "parameters", count(m.Parameters), "imported", clock(m.CreatedAt))
}

func showAlias(c *cli.Context, s *session, alias string) error {
	releases, err := s.Releases(c.Context)
	if err != nil {
		return err
	}
	for _, r := range releases {
		if r.Alias.Name == alias {
			return showRelease(c, r)
		}
	}
	return withHint(fmt.Errorf("there is no alias %q", alias), "%s", s.cloister("status"))
}

// showTuned prints a tuned model with its latest evaluation.
func showTuned(c *cli.Context, s *session, m admin.Model) error {
	evaluations, err := s.Evaluations(c.Context, m.Name)
	if err != nil {
		return err
	}
	if c.Bool("json") {
		return printJSON(c, struct {
			admin.Model
			Evaluations []store.Evaluation `json:"evaluations"`
		}{m, evaluations})
	}
	pairs := []string{"name", m.Name, "kind", m.Kind, "base", m.Base, "file", m.Adapter.Path, "job", m.Adapter.JobID, "created", clock(m.CreatedAt)}
	if m.System != "" {
		pairs = append(pairs, "system prompt", oneLine(m.System))
	}
	if o := m.Origin; o != nil {
		from, err := provenance(o)
		if err != nil {
			return err
		}
		pairs = append(pairs, from...)
	}
	if err := facts(c.App.Writer, pairs...); err != nil {
		return err
	}
	if len(evaluations) == 0 {
		return next(c, s.cloister("eval --model %s --data DATASET", quote(m.Name)))
	}
	fmt.Fprintln(c.App.Writer)
	return printReport(c, evaluations[0])
}

func modelRemove(c *cli.Context) error {
	args, err := arguments(c, 1, "NAME")
	if err != nil {
		return err
	}
	return withAppliance(c, func(s *session) error {
		if err := s.RemoveModel(c.Context, args[0]); err != nil {
			return notFound(err, s.cloister("model list"))
		}
		if c.Bool("json") {
			return printJSON(c, map[string]any{"id": args[0], "deleted": true})
		}
		_, err := fmt.Fprintf(c.App.Writer, "Model %s is removed.\n", args[0])
		return err
	})
}
