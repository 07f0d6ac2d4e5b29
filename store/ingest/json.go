package ingest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"
)

// maxDocument is the largest JSON object that is read as columns, in bytes.
// Arrays of records in a document may be of any length.
const maxDocument = 16 << 20

// maxDepth is how many objects such as {"data": …} may lie in each other.
const maxDepth = 4

// Keys of an object that hold the array of records.
var listNames = []string{"data", "examples", "rows", "records", "train", "items"}

// readJSONL reads one object a line.
func (rd *reader) readJSONL(in *bufio.Reader) error {
	for row := 1; ; row++ {
		line, err := rd.line(in, row)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		if line[0] != '{' {
			return rd.fail(row, row, "", "the line is not a JSON object; a .jsonl file holds one object a line")
		}
		var obj map[string]json.RawMessage
		if err := json.Unmarshal(line, &obj); err != nil {
			hint := "; a .jsonl file holds one whole object a line (for one long document use --format json)"
			return rd.jsonError(err, row, row, 0, hint)
		}
		if err := rd.object(obj, row, row); err != nil {
			return err
		}
	}
}

// line returns the next line, at most MaxRecord and what JSON adds to it.
func (rd *reader) line(in *bufio.Reader, row int) ([]byte, error) {
	var line []byte
	for {
		part, err := in.ReadSlice('\n')
		line = append(line, part...)
		if len(line) > 2*rd.o.MaxRecord+window {
			return nil, rd.tooLarge(row, row)
		}
		switch {
		case err == nil:
			return line, nil
		case err == io.EOF && len(line) > 0:
			return line, nil
		case err != bufio.ErrBufferFull:
			return nil, err
		}
	}
}

// readJSON reads a document: an array of records, an object that holds one or
// holds columns, or one object after another.
func (rd *reader) readJSON(in *bufio.Reader) error {
	limit := &limited{r: in}
	dec := json.NewDecoder(limit)
	row := 0
	for {
		// Tight, as the decoder takes quadratic time over white space.
		limit.allowed = dec.InputOffset() + window
		tok, err := dec.Token()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return rd.jsonError(err, row+1, 0, dec.InputOffset(), "")
		}
		switch tok {
		case json.Delim('['):
			row, err = rd.array(dec, limit, row)
		case json.Delim('{'):
			row, err = rd.document(dec, limit, row)
		default:
			err = rd.fail(0, 0, "", "the document is neither an array nor an object")
		}
		if err != nil {
			return err
		}
	}
}

// array reads the rest of an array of records; it returns the last row.
func (rd *reader) array(dec *json.Decoder, limit *limited, row int) (int, error) {
	for {
		limit.allowed = dec.InputOffset() + 4*int64(rd.o.MaxRecord) + window
		if !dec.More() {
			break
		}
		row++
		var obj map[string]json.RawMessage
		if err := dec.Decode(&obj); err != nil {
			return row, rd.jsonError(err, row, 0, dec.InputOffset(), "")
		}
		if err := rd.object(obj, row, 0); err != nil {
			return row, err
		}
	}
	if _, err := dec.Token(); err != nil { // ']'
		return row, rd.jsonError(err, row, 0, dec.InputOffset(), "")
	}
	return row, nil
}

// document reads the rest of an object at the top.
func (rd *reader) document(dec *json.Decoder, limit *limited, row int) (int, error) {
	obj := map[string]json.RawMessage{}
	lists := 0
	limit.allowed = dec.InputOffset() + maxDocument
	for dec.More() {
		tok, err := dec.Token()
		if err != nil {
			return row, rd.jsonError(err, row+1, 0, dec.InputOffset(), "")
		}
		key, _ := tok.(string)
		if slices.Contains(listNames, canonical(key)) {
			var wrapped bool
			if row, wrapped, err = rd.wrapped(dec, limit, row, key, obj); err != nil {
				return row, err
			}
			if wrapped {
				lists++
			}
			continue
		}
		var raw json.RawMessage
		if err := dec.Decode(&raw); err != nil {
			return row, rd.jsonError(err, row+1, 0, dec.InputOffset(), "")
		}
		obj[key] = raw
	}
	if _, err := dec.Token(); err != nil { // '}'
		return row, rd.jsonError(err, row+1, 0, dec.InputOffset(), "")
	}
	if lists > 0 {
		return row, nil
	}
	if n, ok, err := rd.columnar(obj); ok || err != nil {
		return row + n, err
	}
	return row + 1, rd.object(obj, row+1, 0)
}

// wrapped reads the value of a key such as "data": records, or a document of
// its own; any other value goes into obj.
func (rd *reader) wrapped(dec *json.Decoder, limit *limited, row int, key string, obj map[string]json.RawMessage) (int, bool, error) {
	tok, err := dec.Token()
	if err != nil {
		return row, false, rd.jsonError(err, row+1, 0, dec.InputOffset(), "")
	}
	switch tok {
	case json.Delim('['):
		row, err = rd.array(dec, limit, row)
	case json.Delim('{'):
		if rd.depth++; rd.depth > maxDepth {
			return row, false, rd.fail(0, 0, "", "the records lie too deep in the document; give them as an array")
		}
		row, err = rd.document(dec, limit, row)
		rd.depth--
	default:
		obj[key], err = json.Marshal(tok)
		return row, false, err
	}
	limit.allowed = dec.InputOffset() + maxDocument // of what else is in the object
	return row, true, err
}

// columnar reads an object of columns, {"question": […], "answer": […]}.
func (rd *reader) columnar(obj map[string]json.RawMessage) (int, bool, error) {
	names := sortedKeys(obj)
	cols, msg := resolve(names, rd.o)
	if msg != "" || kind(obj[names[cols.question]]) != '[' || kind(obj[names[cols.answer]]) != '[' {
		return 0, false, nil
	}
	lists := map[string][]json.RawMessage{}
	n := -1
	for _, name := range names {
		if kind(obj[name]) != '[' {
			continue
		}
		var list []json.RawMessage
		if err := json.Unmarshal(obj[name], &list); err != nil {
			return 0, true, rd.jsonError(err, 0, 0, 0, "")
		}
		if n >= 0 && len(list) != n {
			return 0, true, &Error{File: rd.file, Column: visible(name), Msg: "the columns are not of one length"}
		}
		n = len(list)
		lists[name] = list
	}
	for i := range n {
		row := make(map[string]json.RawMessage, len(lists))
		for name, list := range lists {
			row[name] = list[i]
		}
		if err := rd.object(row, i+1, 0); err != nil {
			return i, true, err
		}
	}
	return n, true, nil
}

// object makes a record of a JSON object.
func (rd *reader) object(obj map[string]json.RawMessage, row, line int) error {
	if rd.o.QuestionColumn == "" && rd.o.AnswerColumn == "" {
		if _, ok := obj["preferred_output"]; ok {
			return rd.pair(obj, row, line)
		}
		for _, key := range []string{"messages", "conversations"} {
			if raw, ok := obj[key]; ok && kind(raw) == '[' {
				return rd.conversation(key, raw, obj, row, line)
			}
		}
	}
	names := sortedKeys(obj)
	o := rd.o
	o.unordered = true
	cols, msg := resolve(names, o)
	if msg != "" {
		return rd.fail(row, line, "", "%s", strings.ReplaceAll(msg, "column", "field"))
	}
	rec := Record{Row: row, Line: line}
	var context string
	fields := []struct {
		at int
		to *string
	}{{cols.system, &rec.System}, {cols.question, &rec.Question}, {cols.context, &context}, {cols.answer, &rec.Answer}}
	for _, f := range fields {
		if f.at < 0 {
			continue
		}
		text, ok := scalar(obj[names[f.at]])
		if !ok {
			return rd.fail(row, line, visible(names[f.at]), "the value is not a text")
		}
		*f.to = text
	}
	rec.Question = withContext(rec.Question, context)
	extra, err := rd.extra(obj, names, cols.extra, row, line)
	if err != nil {
		return err
	}
	rec.Extra = extra
	return rd.emit(rec)
}

func (rd *reader) extra(obj map[string]json.RawMessage, names []string, at []int, row, line int) (map[string]string, error) {
	var out map[string]string
	extras := rd.o.extras()
	for i, place := range at {
		if place < 0 {
			continue
		}
		if out == nil {
			out = make(map[string]string, len(at))
		}
		text, ok := scalar(obj[names[place]])
		if !ok {
			return nil, rd.fail(row, line, visible(names[place]), "the value is not a text")
		}
		out[extras[i]] = text
	}
	return out, nil
}

// scalar returns a string as it is, null as nothing, and numbers and booleans
// as they are written; objects and arrays are no texts.
func scalar(raw json.RawMessage) (string, bool) {
	switch kind(raw) {
	case '"':
		var s string
		return s, json.Unmarshal(raw, &s) == nil
	case 'n', 0:
		return "", true
	case '{', '[':
		return "", false
	}
	return string(bytes.TrimSpace(raw)), true
}

// kind returns the first character of a JSON value.
func kind(raw json.RawMessage) byte {
	raw = bytes.TrimLeft(raw, " \t\r\n")
	if len(raw) == 0 {
		return 0
	}
	return raw[0]
}

func sortedKeys(obj map[string]json.RawMessage) []string {
	names := make([]string, 0, len(obj))
	for k := range obj {
		names = append(names, k)
	}
	slices.Sort(names)
	return names
}

// visible returns a field's name for a message, or nothing if it might be data.
func visible(name string) string {
	if shown(name) {
		return name
	}
	return ""
}

// jsonError words an error of encoding/json, whose own text may quote the data.
func (rd *reader) jsonError(err error, row, line int, offset int64, hint string) error {
	var syntax *json.SyntaxError
	var kindErr *json.UnmarshalTypeError
	var own *Error
	switch {
	case errors.As(err, &own):
		return err
	case errors.Is(err, errLimit):
		return rd.fail(row, line, "", "an element is larger than %d bytes, or not closed; give the records one a line, as .jsonl", rd.o.MaxRecord)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return rd.fail(row, line, "", "the JSON ends too early; the file may be cut off%s", hint)
	case errors.As(err, &kindErr):
		return rd.fail(row, line, "", "the element is not an object with fields such as question and answer")
	case errors.As(err, &syntax):
		if line == 0 {
			return rd.fail(row, 0, "", "not valid JSON near byte %d of the file%s", max(offset, syntax.Offset), hint)
		}
		return rd.fail(row, line, "", "not valid JSON at character %s of the line%s", strconv.FormatInt(syntax.Offset, 10), hint)
	}
	return err
}
