package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"cloister/appliance/admin"
	"cloister/appliance/bundle"
	"cloister/appliance/bundle/archive"
)

func bundleCommand() *cli.Command {
	return &cli.Command{
		Name:  "bundle",
		Usage: "tuned models as one signed file, from site to site: export, import, verify, key, trust",
		Description: `A bundle carries tuned models to another site, on a stick or as it may be: the
adapters, how each was trained (dataset version by name, counts and fingerprint,
hyper-parameters, losses, what it was trained on from), its evaluations and its
releases. It is signed, so that the other site sees who made it and that nothing
was changed. It is a tar file; any tar lists it.

Base models do not travel: a site that lacks one is told its name and checksum.
Nor do examples, answers, values of the vault, or policies.`,
		Subcommands: []*cli.Command{
			{
				Name: "export", Usage: "write tuned models into a signed file", UsageText: "cloister bundle export MODEL… --to FILE [--samples], or --all --to FILE",
				Description: `MODEL is a tuned model, a checkpoint, or an alias of one. The system prompt that
a model was tuned with goes along. --samples keeps the evaluations' questions and
answers, masked with this site's tokens, and the names of labels; the masking is
as good as it is, so leave it out unless the other site may read the data.

Examples:
  cloister bundle export support --to /media/stick/support.bundle
  cloister bundle export --all --to all.bundle`,
				Flags: []cli.Flag{
					&cli.StringFlag{Name: "to", Usage: "`FILE` to write; it must not be there yet"},
					&cli.BoolFlag{Name: "all", Usage: "every tuned model that is no checkpoint"},
					&cli.BoolFlag{Name: "samples", Usage: "keep masked questions and answers, and label names, in the evaluations"},
				},
				Action: bundleExport,
			},
			{
				Name: "import", Usage: "take the models of a bundle, all or none", UsageText: "cloister bundle import FILE [--as SUFFIX] [--deploy ALIAS [--force]] [--allow-untrusted]",
				Description: `Everything is verified before anything is written. The bundle must be signed by
a site that this one trusts ('cloister bundle trust'), its base models must be
here, by checksum, and its models must not have names of others here; --as gives
them names of their own. What is here already stays as it is, so importing the
same bundle again does nothing.

Nothing is deployed by itself. --deploy puts the one model of the bundle behind
an alias if this site's gate accepts the evaluation that came along.

Examples:
  cloister bundle import /media/stick/support.bundle
  cloister bundle import support.bundle --deploy support`,
				Flags: []cli.Flag{
					&cli.StringFlag{Name: "as", Usage: "`SUFFIX` in the names of the models here", DefaultText: "the names they have"},
					&cli.StringFlag{Name: "deploy", Usage: "`ALIAS` to put the model behind, if the gate accepts it"},
					&cli.BoolFlag{Name: "force", Usage: "deploy against the gate; this is recorded"},
					&cli.BoolFlag{Name: "allow-untrusted", Usage: "take a bundle of a site that is not trusted; its evaluations do not count"},
				},
				Action: bundleImport,
			},
			{
				Name: "verify", Usage: "say what is in a bundle, and whether it is as it was signed", UsageText: "cloister bundle verify FILE",
				Description: `Reads every byte and writes nothing. The exit status is 0 for a bundle that is
whole and signed by a site that this one trusts.

Examples:
  cloister bundle verify /media/stick/support.bundle
  cloister bundle verify support.bundle --json`,
				Action: bundleVerify,
			},
			bundleKeyCommand(),
			bundleTrustCommand(),
		},
	}
}

func bundleExport(c *cli.Context) error {
	in := admin.ExportBundle{Models: c.Args().Slice(), All: c.Bool("all"), Samples: c.Bool("samples")}
	if len(in.Models) == 0 && !in.All {
		return misused(c, "MODEL is missing")
	}
	to, err := required(c, "to")
	if err != nil {
		return err
	}
	if _, err := os.Lstat(to); err == nil {
		return fmt.Errorf("%s exists already; name another file", to)
	}
	return withAppliance(c, func(s *session) error {
		var made bundleFile
		err := writeFile(to, func(w io.Writer) error {
			f := w.(*os.File)  // what writeFile writes to
			said := time.Now() // its length is not known before its end, so there is no bar
			counted := &counter{each: func(n int64) {
				if time.Since(said) > lineEvery {
					fmt.Fprintf(c.App.ErrWriter, "%s written\n", byteSize(n))
					said = time.Now()
				}
			}}
			if err := s.ExportBundle(c.Context, in, io.MultiWriter(f, counted)); err != nil {
				return err
			}
			if _, err := f.Seek(0, io.SeekStart); err != nil {
				return err
			}
			var err error
			if made, err = inspect(f); err != nil {
				return errors.Join(errors.New("the bundle did not come whole from the appliance, whose log has the reason; nothing was written"), err)
			}
			return nil
		})
		if err != nil {
			return notFound(err, s.cloister("model list"))
		}
		made.Path = to
		if c.Bool("json") {
			return printJSON(c, made)
		}
		fmt.Fprintf(c.App.Writer, "%s: %s, %s, signed by %s.\n", to, plural(made.Adapters, "adapter"), byteSize(made.Bytes), made.Site)
		_, err = fmt.Fprintf(c.App.Writer, "SHA-256 of its manifest: %s\nfingerprint of the key:  %s\n", made.SHA256, made.Fingerprint)
		return err
	})
}

// bundleFile is what 'bundle export' has made.
type bundleFile struct {
	Path        string         `json:"path"`
	Bytes       int64          `json:"bytes"`
	SHA256      string         `json:"sha256"` // of the manifest
	Site        string         `json:"site"`
	Fingerprint string         `json:"fingerprint"`
	Adapters    int            `json:"adapters"`
	Bases       []archive.Base `json:"bases"`
}

// inspect reads a bundle from its first byte to its last.
func inspect(r io.Reader) (bundleFile, error) {
	b, err := archive.Open(r)
	if err != nil {
		return bundleFile{}, err
	}
	m := b.Manifest()
	out := bundleFile{SHA256: b.Sum(), Site: m.Site.Name, Fingerprint: m.Site.Key.Fingerprint(), Bases: m.Bases}
	for {
		p, _, err := b.Next()
		if err == io.EOF {
			return out, nil
		}
		if err != nil {
			return bundleFile{}, err
		}
		out.Bytes += p.Bytes
		if !p.IsRecord() {
			out.Adapters++
		}
	}
}

// counter counts what is written to it.
type counter struct {
	n    int64
	each func(n int64)
}

func (w *counter) Write(p []byte) (int, error) {
	w.n += int64(len(p))
	w.each(w.n)
	return len(p), nil
}

// sendBundle opens a bundle and has it sent by send, with progress.
func sendBundle(c *cli.Context, path string, send func(io.Reader) error) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not a file", path)
	}
	p := newProgress(c.App.ErrWriter)
	defer p.clear()
	size, begun := info.Size(), time.Now()
	counted := &counter{each: func(n int64) {
		if time.Since(begun) < time.Second {
			return // most bundles are small
		}
		p.show(float64(n)/float64(max(size, 1)), fmt.Sprintf("%s of %s", byteSize(n), byteSize(size)))
	}}
	return send(io.TeeReader(f, counted))
}

func bundleVerify(c *cli.Context) error {
	args, err := arguments(c, 1, "FILE")
	if err != nil {
		return err
	}
	return withAppliance(c, func(s *session) error {
		var out admin.Bundle
		err := sendBundle(c, args[0], func(r io.Reader) (err error) {
			out, err = s.VerifyBundle(c.Context, r)
			return err
		})
		if err != nil {
			return err
		}
		if c.Bool("json") {
			err = printJSON(c, struct {
				admin.Bundle
				Importable bool `json:"importable"`
			}{out, out.Importable()})
		} else {
			err = printBundle(c, out)
		}
		if err == nil && out.TrustedAs == "" {
			err = withHint(fmt.Errorf("it is whole, but this site does not trust the key that signed it; ask %q whether its fingerprint is %s", out.Site, out.Fingerprint),
				"%s", s.cloister("bundle trust add NAME %s", out.Key))
		}
		return err
	})
}

// printBundle prints what is in a bundle.
func printBundle(c *cli.Context, b admin.Bundle) error {
	trusted := "no"
	if b.TrustedAs != "" {
		trusted = "as " + b.TrustedAs
	}
	w := c.App.Writer
	if err := facts(w, "bundle", b.SHA256, "signed by", b.Site, "fingerprint", b.Fingerprint, "trusted", trusted,
		"made", clock(b.CreatedAt), "size", byteSize(b.Bytes)); err != nil {
		return err
	}
	for _, base := range b.Bases {
		here := "here as " + base.Here
		if base.Here == "" {
			here = "not here"
		}
		fmt.Fprintf(w, "base model %s: %s, %s parameters, %s, SHA-256 %s: %s\n", base.Name, base.Architecture, count(base.Parameters), byteSize(base.Bytes), base.SHA256, here)
	}
	var rows [][]string
	for _, a := range b.Adapters {
		rows = append(rows, []string{a.Name, a.State, byteSize(a.Bytes), fmt.Sprint(a.Evaluations), a.Trained, a.ParentModel})
	}
	fmt.Fprintln(w)
	if err := table(w, "It holds no adapter.", []string{"model", "here", "size", "evaluations", "trained on", "from"}, rows); err != nil {
		return err
	}
	for _, r := range b.Releases {
		served := ""
		if r.Current != "" {
			served = "; " + r.Current + " served when it was made"
		}
		fmt.Fprintf(w, "alias %s there: %s%s\n", r.Alias, plural(len(r.History), "release"), served)
	}
	return nil
}

func bundleImport(c *cli.Context) error {
	args, err := arguments(c, 1, "FILE")
	if err != nil {
		return err
	}
	alias := strings.TrimSpace(c.String("deploy"))
	if c.Bool("force") && alias == "" {
		return misused(c, "--force goes with --deploy")
	}
	return withAppliance(c, func(s *session) error {
		var out admin.ImportedBundle
		in := admin.ImportBundle{As: strings.TrimSpace(c.String("as")), AllowUntrusted: c.Bool("allow-untrusted")}
		err := sendBundle(c, args[0], func(r io.Reader) (err error) {
			out, err = s.ImportBundle(c.Context, in, r)
			return err
		})
		if err != nil {
			return err
		}
		if c.Bool("json") {
			err = printJSON(c, out)
		} else {
			err = printImported(c, out)
		}
		if err != nil {
			return err
		}
		if alias != "" {
			return deployImported(c, s, out, alias)
		}
		if c.Bool("json") {
			return nil
		}
		model := out.Adapters[0].Name
		return next(c, s.cloister("chat --model %s \"Hello\"", quote(model)), s.cloister("deploy %s --as ALIAS", quote(model)))
	})
}

func printImported(c *cli.Context, out admin.ImportedBundle) error {
	w := c.App.Writer
	from := fmt.Sprintf("%q, which is not trusted", out.Site)
	if out.TrustedAs != "" {
		from = out.TrustedAs
	}
	for _, a := range out.Adapters {
		what := "is imported"
		if a.State == bundle.StateHere {
			what = "was here already"
		}
		fmt.Fprintf(w, "Model %s, an adapter on %s, %s.\n", a.Name, a.Base, what)
	}
	_, err := fmt.Fprintf(w, "Signed by %s, key %s. %s added.\n", from, out.Fingerprint, plural(out.AddedEvaluations, "evaluation"))
	if out.TrustedAs == "" && err == nil && out.Evaluations > 0 {
		_, err = fmt.Fprintln(w, "The evaluations of a site that is not trusted were left out; evaluate here.")
	}
	return err
}

// deployImported puts the one model of a bundle behind an alias.
func deployImported(c *cli.Context, s *session, out admin.ImportedBundle, alias string) error {
	var models []string
	for _, a := range out.Adapters {
		if !a.Checkpoint {
			models = append(models, a.Name)
		}
	}
	if len(models) != 1 {
		return withHint(fmt.Errorf("the bundle was imported, and nothing was deployed: it holds %s", plural(len(models), "model")), "%s", s.cloister("deploy MODEL --as %s", quote(alias)))
	}
	r, err := s.Deploy(c.Context, admin.Deploy{Model: models[0], Alias: alias, Force: c.Bool("force")})
	if err != nil {
		return fmt.Errorf("the bundle was imported, and nothing was deployed: %w", err)
	}
	if c.Bool("json") {
		return nil
	}
	fmt.Fprintf(c.App.Writer, "Release %d of %s: %s answers from now on.\n%s\n", r.Number, r.Alias, r.Model, r.Reason)
	return next(c, s.cloister("chat --model %s \"Your question\"", quote(r.Alias)), s.cloister("rollback %s", quote(r.Alias)))
}
