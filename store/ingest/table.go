package ingest

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"io"
	"strings"
)

// headerRows is how many rows at the start are searched for the header: tables
// often have a title above it.
const headerRows = 10

// cells is one row of a table.
type cells struct {
	values    []string
	row, line int
}

func (c cells) empty() bool {
	for _, v := range c.values {
		if strings.TrimSpace(v) != "" {
			return false
		}
	}
	return true
}

// readTable makes records of rows; next returns io.EOF after the last.
func (rd *reader) readTable(next func() (cells, error)) error {
	cols, width, err := rd.header(next)
	if err != nil {
		return err
	}
	for {
		c, err := next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		for len(c.values) > width && strings.TrimSpace(c.values[len(c.values)-1]) == "" {
			c.values = c.values[:len(c.values)-1]
		}
		if len(c.values) > width {
			return rd.fail(c.row, c.line, "", "the row has %d fields and the header %d; a text that holds the delimiter must stand in quotes", len(c.values), width)
		}
		if err := rd.emit(rd.record(c, cols)); err != nil {
			return err
		}
	}
}

// header reads up to the header and returns the columns and their number.
func (rd *reader) header(next func() (cells, error)) (columns, int, error) {
	var first cells
	complaint := ""
	for range headerRows {
		c, err := next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return columns{}, 0, err
		}
		if c.empty() {
			continue
		}
		cols, msg := resolve(c.values, rd.o)
		if msg == "" {
			return cols, len(c.values), nil
		}
		if complaint == "" {
			first, complaint = c, msg
		}
	}
	if complaint == "" {
		return columns{}, 0, rd.fail(0, 0, "", "there are no rows in it")
	}
	return columns{}, 0, rd.fail(first.row, first.line, "", "%s", complaint)
}

func (rd *reader) record(c cells, cols columns) Record {
	at := func(i int) string {
		if i < 0 || i >= len(c.values) {
			return ""
		}
		return c.values[i]
	}
	rec := Record{
		Row: c.row, Line: c.line,
		System: at(cols.system), Question: withContext(at(cols.question), at(cols.context)), Answer: at(cols.answer),
	}
	for i, name := range rd.o.extras() {
		if cols.extra[i] < 0 {
			continue
		}
		if rec.Extra == nil {
			rec.Extra = make(map[string]string, len(cols.extra))
		}
		rec.Extra[name] = at(cols.extra[i])
	}
	return rec
}

// withContext joins an instruction and its input, as Alpaca's files have them.
func withContext(question, context string) string {
	if strings.TrimSpace(context) == "" {
		return question
	}
	return question + "\n\n" + context
}

// readCSV reads delimited text.
func (rd *reader) readCSV(in *bufio.Reader) error {
	head, err := in.Peek(window)
	if err != nil && err != io.EOF {
		return err
	}
	limit := &limited{r: in, allowed: int64(rd.o.MaxRecord) + window}
	cr := csv.NewReader(limit)
	cr.FieldsPerRecord = -1
	cr.Comma = rd.o.Delimiter
	if cr.Comma == 0 {
		cr.Comma = delimiter(head, rd.o)
	}
	cr.TrimLeadingSpace = cr.Comma != '\t'
	row, nextLine := 0, 1
	return rd.readTable(func() (cells, error) {
		limit.allowed = cr.InputOffset() + int64(rd.o.MaxRecord) + window
		values, err := cr.Read()
		if err != nil {
			return cells{}, rd.csvError(err, row+1, nextLine)
		}
		line, _ := cr.FieldPos(0)
		row += 1 + line - nextLine // empty lines are rows of a spreadsheet, too
		last := len(values) - 1
		end, _ := cr.FieldPos(last)
		nextLine = end + strings.Count(values[last], "\n") + 1
		return cells{values, row, line}, nil
	})
}

func (rd *reader) csvError(err error, row, line int) error {
	var parse *csv.ParseError
	switch {
	case errors.Is(err, errLimit):
		return rd.tooLarge(row, line)
	case !errors.As(err, &parse):
		return err
	case errors.Is(err, csv.ErrQuote):
		return rd.fail(row, parse.StartLine, "", "a quoted field does not end where it should (line %d); write a quote inside a field as two quotes", parse.Line)
	case errors.Is(err, csv.ErrBareQuote):
		return rd.fail(row, parse.StartLine, "", "a quote stands inside a field without quotes (line %d); put the field in quotes and double the quote", parse.Line)
	default:
		return rd.fail(row, parse.StartLine, "", "the line is not valid CSV")
	}
}

// delimiter chooses among comma, semicolon and tab: the one under which the
// header is understood, else the one that the first row has most of; only where
// it has none of them, as a title may, the rows after it count.
func delimiter(head []byte, o Options) rune {
	best, at, most := ',', headerRows, 1 // the row in which best stands, and its fields
	for _, d := range []rune{',', ';', '\t'} {
		cr := csv.NewReader(bytes.NewReader(head))
		cr.Comma, cr.FieldsPerRecord, cr.LazyQuotes = d, -1, true
		cr.TrimLeadingSpace = d != '\t'
		for row := range headerRows {
			names, err := cr.Read()
			if err != nil {
				break
			}
			if _, msg := resolve(names, o); msg == "" {
				return d
			}
			if n := len(names); n > 1 && (row < at || row == at && n > most) {
				best, at, most = d, row, n
			}
		}
	}
	return best
}

// limited reads up to a moving bound: what stops a quote that is never closed
// from drawing a whole file into memory.
type limited struct {
	r       io.Reader
	allowed int64 // bytes from the start
	read    int64
}

var errLimit = errors.New("record too large")

func (l *limited) Read(p []byte) (int, error) {
	if l.read >= l.allowed {
		return 0, errLimit
	}
	n, err := l.r.Read(p[:min(int64(len(p)), l.allowed-l.read)])
	l.read += int64(n)
	return n, err
}
