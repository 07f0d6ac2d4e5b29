package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/urfave/cli/v2"

	"cloister/store/pii"
	"cloister/store/pii/policy"
)

func maskCommand() *cli.Command {
	return &cli.Command{
		Name:      "mask",
		Usage:     "replace personal data in a text: standard input to standard output",
		UsageText: "cloister mask [--policy FILE | --project] [--jsonl] [--spans] [--allow FILE] < in.txt > out.txt",
		Description: `Reads lines and writes them with personal data replaced by mask tokens such as
<PERSON_1>; the same value always gets the same token. Every line is a record
of its own: a name that is certain in one place of it is masked in all. Lines
are written as they come, so it works in the middle of a pipe, and nothing is
kept afterwards.

With --policy a file says how each kind of data is masked (tokens, labels, parts,
stand-ins, shifted dates, …), what patterns and lists of names are yours, and
what stays; --print-policy prints one to begin with. Stand-ins, shifts and HMACs
depend on a key: the one of --key-file, or a random one for this run.

With --project the policy and the vault of your datasets are used, so that a
value has the token that it has there, and 'cloister unmask' gives it back.

With --jsonl each line is an object {"id": …, "text": "…"} and comes out with
its text masked; other fields are left out, as they could hold personal data.
With --spans the text stays at home and only places are written: {"id": …,
"spans": [{"start": 3, "end": 6, "type": "PERSON"}]}, in characters from 0; the
id of a plain line is its number.

Examples:
  echo 'Call Dr. Alice Monroe at 010-1234-5678' | cloister mask
  cloister mask --print-policy > policy.yaml
  cloister mask --policy policy.yaml --explain < letters.txt
  cloister mask --spans --jsonl < texts.jsonl > spans.jsonl
  cloister mask --allow our-own-names.txt < letters.txt`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "policy", Usage: "`FILE` that says how each kind of data is masked (YAML or JSON)"},
			&cli.BoolFlag{Name: "print-policy", Usage: "print a policy with comments that does what is done without one"},
			&cli.StringFlag{Name: "key-file", Usage: "`FILE` of 32 bytes or more: stand-ins, shifts and HMACs are the same in every run with it", DefaultText: "a random key"},
			&cli.BoolFlag{Name: "project", Usage: "use the policy and the vault of your datasets"},
			&cli.BoolFlag{Name: "jsonl", Usage: `lines are objects {"id", "text"}`},
			&cli.BoolFlag{Name: "spans", Usage: "write where personal data is, not the text"},
			&cli.BoolFlag{Name: "explain", Usage: "say for each place why: in the spans, or on standard error"},
			&cli.StringFlag{Name: "allow", Usage: "`FILE` of values that stay, one a line: names and numbers of your own"},
			&cli.StringSliceFlag{Name: "entity", Usage: "mask only this `KIND`, such as PERSON; may be repeated"},
		},
		Action: mask,
	}
}

func mask(c *cli.Context) error {
	if _, err := arguments(c, 0); err != nil {
		return err
	}
	if c.Bool("print-policy") {
		_, err := io.WriteString(c.App.Writer, policy.Default)
		return err
	}
	if !c.Bool("project") {
		masker, err := localMasker(c)
		if err != nil {
			return err
		}
		return maskLines(c, func(texts []string) ([]string, [][]pii.Finding, error) { return maskEach(masker, texts) })
	}
	for _, flag := range []string{"policy", "key-file", "allow", "entity"} {
		if c.IsSet(flag) {
			return misused(c, "--%s and --project exclude each other; the policy of the project is changed with 'cloister dataset import --policy'", flag)
		}
	}
	return withAppliance(c, func(s *session) error {
		return maskLines(c, func(texts []string) ([]string, [][]pii.Finding, error) {
			out, err := s.Mask(c.Context, texts)
			if err == nil && (len(out.Texts) != len(texts) || len(out.Findings) != len(texts)) {
				err = fmt.Errorf("the appliance masked %d of %d texts", len(out.Texts), len(texts))
			}
			return out.Texts, out.Findings, err
		})
	})
}

// localMasker returns the masker that the flags describe, which keeps nothing.
func localMasker(c *cli.Context) (*pii.Masker, error) {
	o := pii.Options{Entities: c.StringSlice("entity")}
	if path := c.String("policy"); path != "" {
		p, err := readPolicy(path)
		if err != nil {
			return nil, err
		}
		o = p.Options()
		if only := c.StringSlice("entity"); len(only) > 0 {
			o.Entities = only
		}
	}
	allow, err := allowList(c.String("allow"))
	if err != nil {
		return nil, err
	}
	o.Allow = slices.Concat(o.Allow, allow)
	v := pii.MemoryVault()
	if path := c.String("key-file"); path != "" {
		key, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("--key-file: %w", err)
		}
		if len(key) < 32 {
			return nil, withHint(fmt.Errorf("--key-file: %s holds %d bytes; a key has 32 or more", path, len(key)), "head -c 32 /dev/urandom > %s", path)
		}
		v = pii.KeyedVault(key)
	}
	m, err := pii.New(v, o)
	if err != nil {
		return nil, misused(c, "%v", err)
	}
	return m, nil
}

// readPolicy reads a policy file; the files that it names are beside it.
func readPolicy(path string) (*policy.Policy, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("--policy: %w", err)
	}
	return policy.Parse(path, data, func(name string) ([]byte, error) {
		if !filepath.IsAbs(name) {
			name = filepath.Join(filepath.Dir(path), name)
		}
		return os.ReadFile(name)
	})
}

// allowList reads the values of a file, one a line; a line that begins with
// "#" is a comment. No file, no values.
func allowList(path string) ([]string, error) {
	if path == "" {
		return nil, nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("--allow: %w", err)
	}
	values, _, err := policy.Lines(data)
	if err != nil {
		return nil, withHint(fmt.Errorf("--allow: %s is not UTF-8", path), "iconv -f CP949 -t UTF-8 %s", path)
	}
	return values, nil
}

// maskEach masks texts, each a record of its own.
func maskEach(m *pii.Masker, texts []string) (masked []string, findings [][]pii.Finding, err error) {
	for _, text := range texts {
		one, found, err := m.Mask(text)
		if err != nil {
			return nil, nil, err
		}
		masked, findings = append(masked, one.String()), append(findings, found)
	}
	return masked, findings, nil
}

// maskLines writes what the input says, masked, or where personal data is in it.
func maskLines(c *cli.Context, mask func(texts []string) ([]string, [][]pii.Finding, error)) error {
	spans, why := c.Bool("spans"), c.Bool("explain")
	return newLineFilter(c, func(f *lineFilter, batch []line) error {
		masked, findings, err := mask(textsOf(batch))
		if err != nil {
			return fmt.Errorf("lines %d to %d: %w", batch[0].n, batch[len(batch)-1].n, err)
		}
		for i, l := range batch {
			if spans {
				err = writeSpans(f, l, findings[i], why)
			} else {
				if why {
					explainLine(c.App.ErrWriter, l, findings[i])
				}
				err = f.write(l, masked[i])
			}
			if err != nil {
				return err
			}
		}
		return nil
	}).run(c.App.Reader)
}

// writeSpans writes where personal data is in a line, and why.
func writeSpans(f *lineFilter, l line, findings []pii.Finding, why bool) error {
	if !why {
		return f.object(struct {
			ID    any        `json:"id"`
			Spans []pii.Span `json:"spans"`
		}{l.id, pii.RuneSpans(l.text, findings)})
	}
	return f.object(struct {
		ID    any         `json:"id"`
		Spans []explained `json:"spans"`
	}{l.id, explain(l.text, findings)})
}

// explainLine says why each place of a line was masked.
func explainLine(w io.Writer, l line, findings []pii.Finding) {
	for i, e := range explain(l.text, findings) {
		what := findings[i].Token
		if findings[i].Mode != pii.ModeToken {
			what = fmt.Sprintf("%s, %s", e.Type, findings[i].Mode)
		}
		fmt.Fprintf(w, "line %d, characters %d to %d: %s (%s, score %.2f): %s\n", l.n, e.Start, e.End, what, e.Recogniser, e.Score, e.Evidence)
	}
}

// explained is a span with what spoke for it.
type explained struct {
	pii.Span
	Score      float64 `json:"score"`
	Recogniser string  `json:"recogniser"`
	Evidence   string  `json:"evidence"`
}

func explain(text string, findings []pii.Finding) []explained {
	out := make([]explained, len(findings))
	for i, s := range pii.RuneSpans(text, findings) {
		f := findings[i]
		out[i] = explained{s, f.Score, f.Recogniser, f.Evidence}
	}
	return out
}
