// Package ingest reads files of questions and answers: CSV, TSV, XLSX, JSON
// and JSONL, as spreadsheets, help desks and other trainers write them.
//
// [Read] calls a function once for each record, in the order of the file. CSV
// and JSONL are streamed: however large the file, one record at a time is in
// memory, and a record above [Options].MaxRecord is refused. XLSX and JSON
// documents that hold whole columns are read into memory, up to a limit.
// Nothing is ever written to disk.
//
// Reading stops at the first thing that is wrong, with an [*Error] that says
// what, where, and what to do. Errors name files, rows and columns; they never
// hold texts of the data.
//
// All functions are safe for concurrent use; the package keeps no state.
package ingest

import (
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Format names of [Options].Format.
const (
	CSV   = "csv" // any delimiter
	XLSX  = "xlsx"
	JSON  = "json"
	JSONL = "jsonl"
)

// Roles of a [Message].
const (
	RoleSystem    = "system"
	RoleUser      = "user"
	RoleAssistant = "assistant"
)

// Message is one turn of a conversation.
type Message struct {
	Role    string // RoleSystem, RoleUser or RoleAssistant
	Content string
	Weight  *int // 0 keeps an assistant turn out of the loss; nil means 1
}

// Record is one example of a file: either a question and its answer, or a
// conversation, never both. A conversation of one unweighted question and
// answer (with or without a system message before it) arrives as the former.
type Record struct {
	// Row is the number of the record as its reader counts: the row of a
	// spreadsheet (in CSV and XLSX the header is row 1), the line of JSONL, the
	// element of a JSON array, from 1.
	Row int
	// Line is the line of a text file on which the record begins, from 1; it
	// differs from Row where texts hold line breaks. 0 in XLSX and JSON.
	Line int

	System   string // system prompt of this record, often empty
	Question string
	Answer   string
	// Messages is set for conversations only; System, Question and Answer are
	// then empty.
	Messages []Message

	// Rejected is the answer that is not preferred, of a pair whose preferred
	// answer is the last of the conversation; empty: the record is no pair.
	Rejected string
	// Desirable says whether the last answer is as it should be; nil: nobody said.
	Desirable *bool

	// Extra holds the columns or fields named by Options.Extra and
	// Options.Optional, by those names; nil when there are none.
	Extra map[string]string

	// Group is empty until clean.Clean sets it: near-duplicate questions share
	// it, and so share a split.
	Group string
}

// Turns returns the record as a conversation: the messages themselves, or
// system prompt (if any), question and answer.
func (r Record) Turns() []Message {
	if r.Messages != nil {
		return r.Messages
	}
	turns := make([]Message, 0, 3)
	if r.System != "" {
		turns = append(turns, Message{Role: RoleSystem, Content: r.System})
	}
	return append(turns,
		Message{Role: RoleUser, Content: r.Question},
		Message{Role: RoleAssistant, Content: r.Answer})
}

// Prompt returns what was asked: the question, or the user's turns of a
// conversation, one a line.
func (r Record) Prompt() string {
	if r.Messages == nil {
		return r.Question
	}
	var asked []string
	for _, m := range r.Messages {
		if m.Role == RoleUser {
			asked = append(asked, m.Content)
		}
	}
	return strings.Join(asked, "\n")
}

// Options say how a file is to be read. The zero value detects everything.
type Options struct {
	// Format is CSV, XLSX, JSON or JSONL; empty: by content and name.
	Format string
	// QuestionColumn, AnswerColumn and SystemColumn name columns (CSV, XLSX) or
	// fields (JSON, JSONL); empty: the common names in English and Korean,
	// such as question, prompt, 질문 and answer, completion, 답변.
	QuestionColumn string
	AnswerColumn   string
	SystemColumn   string
	// Extra names further columns or fields that Record.Extra is to hold; one
	// that the file lacks is an error.
	Extra []string
	// Optional is as Extra, but what the file lacks is left out.
	Optional []string
	// FixedColumns means that the user cannot choose other columns, so that
	// errors about missing ones advise no flags.
	FixedColumns bool
	// Encoding is "utf-8", "utf-16" (with byte order mark), "utf-16le",
	// "utf-16be", "cp949" (also "euc-kr") or "windows-1252"; empty: by byte
	// order mark, else UTF-8 if the text is valid UTF-8, else CP949.
	Encoding string
	// Delimiter of CSV, one character; 0: detected among , ; and tab.
	Delimiter rune
	// Sheet of an XLSX file; empty: the first one that has rows.
	Sheet string
	// MaxRecord is the largest record accepted, in bytes of UTF-8 text; 0 means
	// DefaultMaxRecord.
	MaxRecord int

	unordered bool // the fields of JSON: the first need not be the question
}

// extras names all further columns: those that must be there first.
func (o Options) extras() []string {
	return append(slices.Clip(o.Extra), o.Optional...)
}

// DefaultMaxRecord is the largest record that is read unless Options say
// otherwise, in bytes: far above what a model can learn in one piece.
const DefaultMaxRecord = 1 << 20

// Error says what is wrong with a file, where, and what to do about it.
type Error struct {
	File   string // base name of the file
	Row    int    // as in Record.Row; 0: not about one row
	Line   int    // line of a text file, 0: unknown
	Column string // name of a column or field, or empty
	Msg    string // a sentence without a full stop
	Err    error  // cause, or nil; not part of the text
}

// Error returns the file, the place and the message.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.File)
	switch {
	case e.Row > 0 && e.Line > 0 && e.Row != e.Line:
		fmt.Fprintf(&b, ", row %d (line %d)", e.Row, e.Line)
	case e.Row > 0:
		fmt.Fprintf(&b, ", row %d", e.Row)
	case e.Line > 0:
		fmt.Fprintf(&b, ", line %d", e.Line)
	}
	if e.Column != "" {
		b.WriteString(", column " + strconv.Quote(e.Column))
	}
	b.WriteString(": " + e.Msg)
	return b.String()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Read reads the records of a file and hands them to each, in order. name is
// the file's name, for its extension and for errors. It stops at the first
// error of the file (an [*Error]), of r, or of each, and returns it; an error
// of each comes back unchanged. A file without records is an error.
//
// Records handed to each are the callee's to keep.
func Read(r io.Reader, name string, o Options, each func(Record) error) error {
	file := path.Base(strings.ReplaceAll(name, `\`, "/"))
	if name == "" {
		file = "input"
	}
	if o.MaxRecord <= 0 {
		o.MaxRecord = DefaultMaxRecord
	}
	rd := &reader{file: file, o: o, each: each}
	err := rd.read(r)
	var own *Error
	switch {
	case err == nil && rd.records == 0:
		return &Error{File: file, Msg: "there are no records in it"}
	case errors.As(err, &own) && own.File == "":
		own.File = file
	}
	return err
}

// reader is one call of Read.
type reader struct {
	file    string
	o       Options
	each    func(Record) error
	records int
	depth   int // of documents within a JSON document
}

func (rd *reader) read(r io.Reader) error {
	in, format, err := rd.open(r)
	if err != nil {
		return err
	}
	switch format {
	case CSV:
		return rd.readCSV(in)
	case JSONL:
		return rd.readJSONL(in)
	case JSON:
		return rd.readJSON(in)
	default:
		return rd.readXLSX(in)
	}
}

// emit checks the size of a record and hands it on.
func (rd *reader) emit(rec Record) error {
	size := len(rec.System) + len(rec.Question) + len(rec.Answer) + len(rec.Rejected)
	for _, m := range rec.Messages {
		size += len(m.Content)
	}
	if size > rd.o.MaxRecord {
		return rd.tooLarge(rec.Row, rec.Line)
	}
	rd.records++
	return rd.each(rec)
}

// fail makes an Error of this file.
func (rd *reader) fail(row, line int, column, format string, args ...any) error {
	return &Error{File: rd.file, Row: row, Line: line, Column: column, Msg: fmt.Sprintf(format, args...)}
}

func (rd *reader) tooLarge(row, line int) error {
	return rd.fail(row, line, "", "the record is larger than %d bytes; split it, or look for a quote that is never closed", rd.o.MaxRecord)
}
