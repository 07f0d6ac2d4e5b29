package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"github.com/urfave/cli/v2"

	"cloister/store/pii"
)

func maskCommand() *cli.Command {
	return &cli.Command{
		Name:      "mask",
		Usage:     "replace personal data in a text: standard input to standard output",
		UsageText: "cloister mask [--jsonl] [--spans] [--allow FILE] < in.txt > out.txt",
		Description: `Reads lines and writes them with personal data replaced by mask tokens such as
<PERSON_1>; the same value always gets the same token. Every line is a record
of its own: a name that is certain in one place of it is masked in all. Lines
are written as they come, so it works in the middle of a pipe, and nothing is
kept afterwards.

With --jsonl each line is an object {"id": …, "text": "…"} and comes out with
its text masked; other fields are left out, as they could hold personal data.
With --spans the text stays at home and only places are written: {"id": …,
"spans": [{"start": 3, "end": 6, "type": "PERSON"}]}, in characters from 0; the
id of a plain line is its number.

Examples:
  echo 'Call Dr. Alice Monroe at 010-1234-5678' | cloister mask
  cloister mask --spans --jsonl < texts.jsonl > spans.jsonl
  cloister mask --allow our-own-names.txt --explain < letters.txt`,
		Flags: []cli.Flag{
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
	allow, err := allowList(c.String("allow"))
	if err != nil {
		return err
	}
	masker, err := pii.New(pii.MemoryVault(), pii.Options{Allow: allow, Entities: c.StringSlice("entity")})
	if err != nil {
		return misused(c, "%v", err)
	}
	f := filter{
		masker: masker,
		jsonl:  c.Bool("jsonl"), spans: c.Bool("spans"), explain: c.Bool("explain"),
		out: bufio.NewWriterSize(c.App.Writer, 64<<10), notes: c.App.ErrWriter,
	}
	return f.run(c.App.Reader)
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
	if !utf8.Valid(data) {
		return nil, withHint(fmt.Errorf("--allow: %s is not UTF-8", path), "iconv -f CP949 -t UTF-8 %s", path)
	}
	var values []string
	for line := range strings.Lines(strings.TrimPrefix(string(data), bom)) {
		if v := strings.TrimSpace(line); v != "" && !strings.HasPrefix(v, "#") {
			values = append(values, v)
		}
	}
	return values, nil
}

const (
	bom = "\ufeff"
	// maxMaskLine bounds one line: masking takes some 20 bytes for each character.
	maxMaskLine = 16 << 20
)

// filter masks lines, one after the other.
type filter struct {
	masker                *pii.Masker
	jsonl, spans, explain bool
	out                   *bufio.Writer
	notes                 io.Writer
}

// run reads to the end. Lines before a wrong one have been written.
func (f *filter) run(in io.Reader) error {
	r := bufio.NewReaderSize(in, 64<<10)
	for n := 1; ; n++ {
		line, err := readLine(r, n)
		if len(line) > 0 {
			if err := f.line(n, line); err != nil {
				return errors.Join(f.out.Flush(), err)
			}
		}
		if err != nil && err != io.EOF {
			return errors.Join(f.out.Flush(), err)
		}
		if r.Buffered() == 0 || err == io.EOF { // whoever reads us need not wait
			if err := f.out.Flush(); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		}
	}
}

// readLine returns a line with its end. Errors do not hold its text.
func readLine(r *bufio.Reader, n int) ([]byte, error) {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		line = append(line, part...)
		if len(line) > maxMaskLine {
			return nil, fmt.Errorf("line %d is longer than %d MiB; break it into several", n, maxMaskLine>>20)
		}
		if err != bufio.ErrBufferFull {
			return line, err
		}
	}
}

func (f *filter) line(n int, line []byte) error {
	if n == 1 {
		line = bytes.TrimPrefix(line, []byte(bom))
	}
	text := strings.TrimRight(string(line), "\r\n")
	end := string(line[len(text):])
	if !utf8.ValidString(text) {
		return withHint(fmt.Errorf("line %d is not UTF-8", n), "iconv -f CP949 -t UTF-8 FILE | cloister mask")
	}
	if !f.jsonl {
		return f.record(n, n, text, func(masked string) error {
			_, err := f.out.WriteString(masked + end)
			return err
		})
	}
	if strings.TrimSpace(text) == "" {
		return nil
	}
	var record struct {
		ID   any     `json:"id"`
		Text *string `json:"text"`
	}
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber() // an id of many digits stays as it is
	if err := dec.Decode(&record); err != nil {
		return fmt.Errorf("line %d is not a JSON object with id and text: %w", n, jsonReason(err))
	}
	if record.Text == nil {
		return fmt.Errorf("line %d has no field \"text\"; write {\"id\": …, \"text\": \"…\"}", n)
	}
	return f.record(n, record.ID, *record.Text, func(masked string) error {
		return f.object(struct {
			ID   any    `json:"id"`
			Text string `json:"text"`
		}{record.ID, masked})
	})
}

// jsonReason is what is wrong with a line of JSON, without any of its text.
func jsonReason(err error) error {
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fmt.Errorf("syntax error at byte %d", syntax.Offset)
	}
	if field, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return fmt.Errorf("%q has the wrong type", field.Field)
	}
	return errors.New("it ends too early")
}

// record masks one text, and writes its spans or hands it on masked.
func (f *filter) record(n int, id any, text string, write func(masked string) error) error {
	if f.spans {
		findings := f.masker.Find(text)
		if f.explain {
			return f.object(struct {
				ID    any         `json:"id"`
				Spans []explained `json:"spans"`
			}{id, explain(text, findings)})
		}
		return f.object(struct {
			ID    any        `json:"id"`
			Spans []pii.Span `json:"spans"`
		}{id, pii.RuneSpans(text, findings)})
	}
	masked, findings, err := f.masker.Mask(text)
	if err != nil {
		return fmt.Errorf("line %d: %w", n, err)
	}
	if f.explain {
		for i, e := range explain(text, findings) {
			fmt.Fprintf(f.notes, "line %d, characters %d to %d: %s (%s, score %.2f): %s\n",
				n, e.Start, e.End, findings[i].Token, e.Recogniser, e.Score, e.Evidence)
		}
	}
	return write(masked.String())
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

func (f *filter) object(v any) error {
	enc := json.NewEncoder(f.out)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}
