package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/urfave/cli/v2"
)

const (
	bom = "\ufeff"
	// maxMaskLine bounds one line: masking takes some 20 bytes for each character.
	maxMaskLine = 16 << 20
	// A batch of lines is handed on together when it holds so many bytes or lines,
	// or when there is nothing more to read at once.
	batchBytes = 256 << 10
	batchLines = 512
)

// line is a line of the input, a record of its own.
type line struct {
	n         int // from 1
	id        any
	text, end string
}

// lineFilter reads lines, plain or JSON objects with id and text, and hands them
// on in batches. What work writes for a batch goes to out.
type lineFilter struct {
	jsonl   bool
	command string // for hints, such as "cloister mask"
	out     *bufio.Writer
	work    func(batch []line) error

	batch []line
	bytes int
}

func newLineFilter(c *cli.Context, work func(f *lineFilter, batch []line) error) *lineFilter {
	f := &lineFilter{jsonl: c.Bool("jsonl"), command: "cloister " + c.Command.Name, out: bufio.NewWriterSize(c.App.Writer, 64<<10)}
	f.work = func(batch []line) error { return work(f, batch) }
	return f
}

// run reads to the end. Lines before a wrong one have been written.
func (f *lineFilter) run(in io.Reader) error {
	r := bufio.NewReaderSize(in, 64<<10)
	for n := 1; ; n++ {
		raw, err := readLine(r, n)
		if len(raw) > 0 {
			if err := f.line(n, raw); err != nil {
				return errors.Join(f.flush(), err)
			}
		}
		if err != nil && err != io.EOF {
			return errors.Join(f.flush(), err)
		}
		if r.Buffered() == 0 || err == io.EOF || f.bytes >= batchBytes || len(f.batch) >= batchLines { // whoever reads us need not wait
			if err := f.flush(); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		}
	}
}

// flush hands the batch on and writes what came of it.
func (f *lineFilter) flush() error {
	batch := f.batch
	f.batch, f.bytes = nil, 0
	if len(batch) > 0 {
		if err := f.work(batch); err != nil {
			return errors.Join(f.out.Flush(), err)
		}
	}
	return f.out.Flush()
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

// line takes up a line.
func (f *lineFilter) line(n int, raw []byte) error {
	if n == 1 {
		raw = bytes.TrimPrefix(raw, []byte(bom))
	}
	text := strings.TrimRight(string(raw), "\r\n")
	l := line{n: n, id: n, text: text, end: string(raw[len(text):])}
	if !utf8.ValidString(text) {
		return withHint(fmt.Errorf("line %d is not UTF-8", n), "iconv -f CP949 -t UTF-8 FILE | %s", f.command)
	}
	if f.jsonl {
		if strings.TrimSpace(text) == "" {
			return nil
		}
		if err := l.object(); err != nil {
			return err
		}
	}
	f.batch, f.bytes = append(f.batch, l), f.bytes+len(raw)
	return nil
}

// object reads a line of JSON. Errors do not hold its text.
func (l *line) object() error {
	var record struct {
		ID   any     `json:"id"`
		Text *string `json:"text"`
	}
	dec := json.NewDecoder(strings.NewReader(l.text))
	dec.UseNumber() // an id of many digits stays as it is
	if err := dec.Decode(&record); err != nil {
		return fmt.Errorf("line %d is not a JSON object with id and text: %w", l.n, jsonReason(err))
	}
	if record.Text == nil {
		return fmt.Errorf("line %d has no field \"text\"; write {\"id\": …, \"text\": \"…\"}", l.n)
	}
	l.id, l.text = record.ID, *record.Text
	return nil
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

// write writes a line with another text.
func (f *lineFilter) write(l line, text string) error {
	if !f.jsonl {
		_, err := f.out.WriteString(text + l.end)
		return err
	}
	return f.object(struct {
		ID   any    `json:"id"`
		Text string `json:"text"`
	}{l.id, text})
}

// object writes a line of JSON.
func (f *lineFilter) object(v any) error {
	enc := json.NewEncoder(f.out)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// textsOf returns the texts of lines.
func textsOf(batch []line) []string {
	texts := make([]string, len(batch))
	for i, l := range batch {
		texts[i] = l.text
	}
	return texts
}
