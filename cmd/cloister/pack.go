package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/urfave/cli/v2"

	"cloister/appliance/engine"
	"cloister/appliance/models"
	"cloister/appliance/pack"
	"cloister/llama/gguf"
	"cloister/store/pii/policy"
)

func packCommand() *cli.Command {
	return &cli.Command{
		Name:  "pack",
		Usage: "write one executable file with program, model and adapters in it",
		UsageText: "cloister pack -o FILE --model FILE.gguf|MODEL [--adapter FILE|DIR|MODEL …] [--sign]\n" +
			"cloister pack --show [FILE]\ncloister pack --verify [FILE] [--key KEY]",
		Description: `The file runs on a bare machine: './clinic chat "When are you open?"' and
'./clinic serve' need nothing beside it. It is this program with the model behind
it, which is used where it lies and never copied out. The first adapter, or else
the model, serves under the alias that --as says and is the default.

--model and --adapter take files, which end in .gguf or have a slash in their
name, or models of the data directory; with a tuned model as --adapter, --model
may be left out. With --policy the file brings a
masking policy. Its word lists and allowed values are in the file in the clear:
give such a file to those only who may read them.

With --sign the file is signed with the key of this site ('cloister bundle key').
At each start it checks the signature over its list of parts, and reads all of
itself when it is new there or has changed since; './clinic --verify' reads all of
it in any case, as '--verify' does before any other command. Who wants to know
that a file comes from whom it should checks it before its first start, with a
program and a key that came another way: cloister pack --verify FILE --key KEY.

Examples:
  cloister pack -o clinic --model SmolLM2-135M-Instruct.Q4_1.gguf --adapter adapter.gguf
  cloister pack -o clinic --adapter support --sign
  cloister pack --verify clinic --key north.pub`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "to", Aliases: []string{"o"}, Usage: "`FILE` to write, which must not exist"},
			&cli.StringFlag{Name: "model", Usage: "base model: a GGUF `FILE`, or one of the data directory"},
			&cli.StringSliceFlag{Name: "adapter", Usage: "adapter: a GGUF `FILE`, a folder of PEFT or a tuned model; may be repeated"},
			&cli.StringFlag{Name: "as", Usage: "`ALIAS` that it serves as", DefaultText: "the name of the file"},
			&cli.StringFlag{Name: "name", Usage: "`NAME` of a base model that is a file", DefaultText: "from the file"},
			&cli.StringFlag{Name: "org", Usage: "`NAME` of your organisation in the names of adapters that are files", DefaultText: "cloister"},
			&cli.StringFlag{Name: "system", Usage: "system prompt `TEXT` of adapters that are files"},
			&cli.StringFlag{Name: "policy", Usage: "masking policy `FILE` that it brings"},
			&cli.BoolFlag{Name: "sign", Usage: "sign it with the key of this site"},
			&cli.BoolFlag{Name: "show", Usage: "print what is in a packed file"},
			&cli.StringFlag{Name: "key", Usage: "with --verify: the `KEY` that must have signed it, or a file that holds it"},
		},
		Action: packAction,
	}
}

func packAction(c *cli.Context) error {
	args, err := arguments(c, 0, "FILE")
	if err != nil {
		return err
	}
	if c.Bool("show") || c.Bool("verify") {
		for _, flag := range []string{"to", "model", "adapter", "as", "name", "system", "policy", "sign"} {
			if c.IsSet(flag) {
				return misused(c, "--%s is for writing a file, and --show and --verify read one", flag)
			}
		}
		return packRead(c, args[0])
	}
	if args[0] != "" {
		return misused(c, "%q is one word too many; -o FILE names the file to write", args[0])
	}
	if c.IsSet("key") {
		return misused(c, "--key is for --verify")
	}
	to, err := required(c, "to")
	if err != nil {
		return err
	}
	w := wantedPack{to: to}
	if err := w.flags(c); err != nil {
		return err
	}
	if !c.Bool("sign") && !w.known(c) {
		ctx, stop := interruptible(c.Context)
		defer stop()
		c.Context = ctx
		return w.write(c, nil)
	}
	return withAppliance(c, func(s *session) error { return w.write(c, s) })
}

// wantedPack is what the flags of pack say.
type wantedPack struct {
	pack.Wanted
	to     string
	policy *policy.Policy
}

func (w *wantedPack) flags(c *cli.Context) (err error) {
	w.Name, w.Org, w.Alias = c.String("name"), c.String("org"), c.String("as")
	if w.Org == "" {
		w.Org = "cloister"
	}
	if w.Alias == "" {
		w.Alias = models.Slug(filepath.Base(w.to))
	}
	if !models.GoodName(w.Alias) {
		return misused(c, "--as: %q is not a good name: use 1 to 64 letters, digits, points, dashes and underscores, a letter or digit first", w.Alias)
	}
	if c.String("model") == "" && len(c.StringSlice("adapter")) == 0 {
		return misused(c, "--model is missing")
	}
	if path := c.String("policy"); path != "" {
		if w.policy, err = readPolicy(path); err != nil {
			return err
		}
	}
	w.Program = engine.Self
	return nil
}

// namesFile tells a file or a folder from the name of a model, by its form.
func namesFile(arg string) bool {
	return strings.ContainsRune(arg, filepath.Separator) || strings.HasSuffix(arg, ".gguf") || !gguf.ParseRegion(arg).Whole()
}

// known reports whether a model or an adapter is named as the data directory
// knows it.
func (w *wantedPack) known(c *cli.Context) bool {
	for _, arg := range append(c.StringSlice("adapter"), c.String("model")) {
		if arg != "" && !namesFile(arg) {
			return true
		}
	}
	return false
}

// write packs; the session is nil when everything is files and nothing is signed.
func (w *wantedPack) write(c *cli.Context, s *session) error {
	if err := w.find(c, s); err != nil {
		return err
	}
	scratch, err := os.MkdirTemp(filepath.Dir(w.to), "."+filepath.Base(w.to)+"-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	spec, err := pack.Collect(c.Context, w.Wanted, scratch)
	if err != nil {
		return err
	}
	spec.Program = pack.Program{Version: version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	if w.policy != nil {
		spec.Policy = w.policy.JSON()
	}
	if c.Bool("sign") {
		spec.Sign = func(sum []byte) (pack.Signature, error) {
			signed, err := s.Sign(c.Context, pack.Purpose, sum)
			return pack.Signature{Site: signed.Site.Name, Key: signed.Site.Key, Bytes: signed.Signature}, err
		}
	}
	bar := newProgress(c.App.ErrWriter)
	spec.Progress = reading(bar)
	p, err := pack.Write(c.Context, w.to, spec)
	bar.clear()
	if err != nil {
		return err
	}
	if c.Bool("json") {
		return printJSON(c, p.Summary())
	}
	if err := printPack(c, p); err != nil {
		return err
	}
	run := w.to
	if !strings.Contains(run, "/") {
		run = "./" + run
	}
	return next(c, quote(run)+` chat "Hello"`, quote(run)+" serve")
}

// reading shows how many bytes are done.
func reading(p *progress) func(done, total int64) {
	return func(done, total int64) {
		p.show(float64(done)/float64(max(total, 1)), fmt.Sprintf("%s of %s", byteSize(done), byteSize(total)))
	}
}

// find looks up the models and adapters.
func (w *wantedPack) find(c *cli.Context, s *session) error {
	for _, arg := range c.StringSlice("adapter") {
		g, err := s.given(c, arg)
		if err != nil {
			return err
		}
		if !namesFile(arg) && g.Adapter == nil {
			return withHint(fmt.Errorf("--adapter %q is a base model; it has no adapter", arg), "%s", s.cloister("model list"))
		}
		if g.Adapter == nil {
			g.System = c.String("system")
		}
		w.Adapters = append(w.Adapters, g.Given)
		if c.String("model") == "" && g.on.Path != "" {
			w.Model = g.on
		}
	}
	if arg := c.String("model"); arg != "" {
		g, err := s.given(c, arg)
		if err != nil {
			return err
		}
		if g.Adapter != nil {
			return misused(c, "--model %q is a tuned model; it is an --adapter, whose base comes along", arg)
		}
		w.Model = g.Given
	}
	if w.Model.Path == "" {
		return misused(c, "--model is missing: an adapter that is a file does not say on which model it was trained")
	}
	return nil
}

// found is what a word of the command line names.
type found struct {
	pack.Given
	on pack.Given // the base of an adapter that the data directory knows
}

// given finds a file, or a model of the data directory.
func (s *session) given(c *cli.Context, arg string) (found, error) {
	if namesFile(arg) {
		path, err := filepath.Abs(arg)
		return found{Given: pack.Given{Path: path}}, err
	}
	m, err := s.Model(c.Context, arg)
	if err != nil {
		return found{}, notFound(err, s.cloister("model list"))
	}
	base := pack.Given{Path: s.path(m.BaseModel.Path), Base: &m.BaseModel}
	if m.Adapter == nil {
		return found{Given: base}, nil
	}
	return found{pack.Given{Path: s.path(m.Adapter.Path), Adapter: m.Adapter, System: m.System}, base}, nil
}

// path is that of a record, which may be below the data directory.
func (s *session) path(p string) string {
	if filepath.IsAbs(p) {
		return p
	}
	return filepath.Join(s.home, p)
}

// packRead shows or verifies a file, or this program itself.
func packRead(c *cli.Context, path string) error {
	open := func() (*pack.Pack, error) { return pack.Open(path) }
	if path == "" {
		open = pack.Self
	}
	p, err := open()
	if err != nil {
		return err
	}
	path = p.Path
	if text := c.String("key"); text != "" {
		if !c.Bool("verify") {
			return misused(c, "--key is for --verify")
		}
		key, err := publicKey(c, text)
		if err != nil {
			return err
		}
		if p.Signature == nil {
			return fmt.Errorf("%s is not signed", path)
		}
		if p.Signature.Key != key {
			return fmt.Errorf("%s is signed with another key, %s", path, p.Signature.Key.Fingerprint())
		}
	}
	if c.Bool("verify") {
		ctx, stop := interruptible(c.Context)
		defer stop()
		bar := newProgress(c.App.ErrWriter)
		err := p.Verify(ctx, reading(bar))
		bar.clear()
		if err != nil {
			return err
		}
	}
	if c.Bool("json") {
		return printJSON(c, p.Summary())
	}
	if err := printPack(c, p); err != nil || !c.Bool("verify") {
		return err
	}
	_, err = fmt.Fprintf(c.App.Writer, "All %d parts are as they were packed.\n", len(p.Manifest.Parts))
	return err
}

func printPack(c *cli.Context, p *pack.Pack) error {
	s := p.Summary()
	signed := "no; anybody could have made it"
	if s.Signed != nil {
		signed = fmt.Sprintf("by %s, key %s", s.Signed.Site, s.Signed.Fingerprint)
	}
	pairs := []string{"file", s.Path, "size", byteSize(s.Bytes), "serves as", s.Name, "which is", s.Target, "packed", clock(s.CreatedAt),
		"program", s.Program.Version + ", " + s.Program.Platform, "signed", signed}
	if s.Policy != "" {
		pairs = append(pairs, "masking policy", s.Policy[:12])
	}
	if err := facts(c.App.Writer, pairs...); err != nil {
		return err
	}
	var rows [][]string
	for _, part := range s.Parts {
		rows = append(rows, []string{string(part.Role), part.Name, fmt.Sprint(part.Offset), byteSize(part.Length), part.SHA256[:16]})
	}
	return table(c.App.Writer, "", []string{"part", "name", "at byte", "size", "sha256"}, rows)
}

// carried is what the file of this program carries, nil for a mere program. It
// has been checked, for use in a data directory.
func carried(c *cli.Context, home string) (*pack.Pack, error) {
	p, err := pack.Self()
	if errors.Is(err, pack.ErrNone) {
		if c.Bool("verify") {
			return nil, misused(c, "--verify reads the models that a packed program carries, and this one carries none")
		}
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	bar := newProgress(c.App.ErrWriter)
	show, said := reading(bar), false
	err = p.Check(c.Context, home, c.Bool("verify"), func(done, total int64) {
		if !said {
			said = true
			bar.print("Checking %s, as at each new or changed file.", filepath.Base(p.Path))
		}
		show(done, total)
	})
	bar.clear()
	return p, err
}
