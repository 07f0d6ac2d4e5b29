package api

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
)

// maxJSONLLine bounds one line of an uploaded JSONL file: one conversation.
const maxJSONLLine = 16 << 20

// jsonlReader passes bytes through and checks that they are JSONL: every line
// a JSON object. A byte order mark, CRLF and empty lines at the end are fine.
// What the objects hold is checked when a job is made of the file.
type jsonlReader struct {
	r       io.Reader
	line    []byte // the line so far
	number  int    // of the line, from 1
	empty   int    // the first empty line since the last object, or 0
	objects int
	problem error // the first problem; reading fails with it
}

func newJSONLReader(r io.Reader) *jsonlReader { return &jsonlReader{r: r, number: 1} }

// Read returns bytes only as long as all complete lines are good.
func (j *jsonlReader) Read(p []byte) (int, error) {
	if j.problem != nil {
		return 0, j.problem
	}
	n, err := j.r.Read(p)
	j.take(p[:n])
	if err == io.EOF && j.problem == nil {
		j.close()
	}
	if j.problem != nil {
		return 0, j.problem
	}
	return n, err
}

// take adds bytes and checks the lines that they complete.
func (j *jsonlReader) take(p []byte) {
	for j.problem == nil {
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			break
		}
		j.line = append(j.line, p[:i]...)
		j.check()
		j.line = j.line[:0]
		j.number++
		p = p[i+1:]
	}
	if j.problem != nil {
		return
	}
	j.line = append(j.line, p...)
	if len(j.line) > maxJSONLLine {
		j.fail("Line %d is longer than %d bytes.", j.number, maxJSONLLine)
	}
}

// close checks the last line and that there was any.
func (j *jsonlReader) close() {
	if len(j.line) > 0 {
		j.check()
	}
	if j.problem == nil && j.objects == 0 {
		j.problem = invalid("file", "The file is empty. %s", jsonlExpected)
	}
}

const jsonlExpected = "Expected file to have JSONL format, where every line is a valid JSON dictionary."

// check judges the current line.
func (j *jsonlReader) check() {
	line := j.line
	if j.number == 1 {
		line = bytes.TrimPrefix(line, []byte("\xef\xbb\xbf"))
	}
	line = bytes.TrimSpace(line)
	switch {
	case len(line) == 0:
		if j.empty == 0 {
			j.empty = j.number
		}
	case j.empty > 0:
		j.fail("Line %d is empty.", j.empty)
	case line[0] != '{':
		j.fail("Line %d is not a JSON dictionary.", j.number)
	case !json.Valid(line):
		j.fail("Line %d is not valid JSON.", j.number)
	default:
		j.objects++
	}
}

func (j *jsonlReader) fail(format string, args ...any) {
	f := invalid("file", format, args...)
	f.message = jsonlExpected + " " + strings.TrimSpace(f.message)
	f.code = "invalid_file_format"
	j.problem = f
}

// limitReader fails, where io.LimitReader would end, when there are more than
// n bytes.
type limitReader struct {
	r     io.Reader
	left  int64
	limit int64
}

func newLimitReader(r io.Reader, limit int64) *limitReader {
	return &limitReader{r: r, left: limit, limit: limit}
}

func (l *limitReader) Read(p []byte) (int, error) {
	if int64(len(p)) > l.left+1 {
		p = p[:l.left+1]
	}
	n, err := l.r.Read(p)
	if int64(n) > l.left {
		return 0, &http.MaxBytesError{Limit: l.limit}
	}
	l.left -= int64(n)
	return n, err
}
