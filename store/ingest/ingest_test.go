package ingest_test

import (
	"errors"
	"fmt"
	"io"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"

	"cloister/store/ingest"
)

// read returns all records of a file, read in small and odd pieces.
func read(t *testing.T, name, content string, o ingest.Options) ([]ingest.Record, error) {
	t.Helper()
	var recs []ingest.Record
	err := ingest.Read(iotest.OneByteReader(strings.NewReader(content)), name, o, func(r ingest.Record) error {
		recs = append(recs, r)
		return nil
	})
	return recs, err
}

func mustRead(t *testing.T, name, content string, o ingest.Options) []ingest.Record {
	t.Helper()
	recs, err := read(t, name, content, o)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return recs
}

// pairs writes records as "row/line question=answer".
func pairs(recs []ingest.Record) []string {
	var out []string
	for _, r := range recs {
		out = append(out, fmt.Sprintf("%d/%d %s=%s", r.Row, r.Line, r.Question, r.Answer))
	}
	return out
}

func TestCSV(t *testing.T) {
	for _, tt := range []struct {
		name, file, content string
		o                   ingest.Options
		want                []string
	}{
		{"plain", "a.csv", "question,answer\nq1,a1\nq2,a2\n", ingest.Options{}, []string{"2/2 q1=a1", "3/3 q2=a2"}},
		{"no end of line", "a.csv", "question,answer\nq1,a1", ingest.Options{}, []string{"2/2 q1=a1"}},
		{"BOM, CRLF", "a.csv", "\uFEFFquestion,answer\r\nq1,a1\r\n", ingest.Options{}, []string{"2/2 q1=a1"}},
		{"old Macintosh", "a.csv", "question,answer\rq1,a1\rq2,a2\r", ingest.Options{}, []string{"2/2 q1=a1", "3/3 q2=a2"}},
		{"quotes, lines in a field", "a.csv", "question,answer\n\"a \"\"b\"\", c\r\nd\",x\nq,\"1\n\n2\"\nlast,y\n", ingest.Options{},
			[]string{"2/2 a \"b\", c\nd=x", "3/4 q=1\n\n2", "4/7 last=y"}},
		{"empty lines count as rows", "a.csv", "question,answer\n\nq1,a1\n\n\n,\nq2,a2\n", ingest.Options{},
			[]string{"3/3 q1=a1", "6/6 =", "7/7 q2=a2"}},
		{"semicolon", "a.csv", "id;question;answer\n1;how much, then?;ten, or so\n", ingest.Options{}, []string{"2/2 how much, then?=ten, or so"}},
		{"tab, first cell empty", "a.tsv", "question\tanswer\tnote\nq1\ta1\t\n\ta2\tn\n", ingest.Options{}, []string{"2/2 q1=a1", "3/3 =a2"}},
		{"pipe by option", "a.txt", "question|answer\nq|a\n", ingest.Options{Delimiter: '|'}, []string{"2/2 q=a"}},
		{"column names by option", "a.csv", "Kunde,Antwort\nq,a\n", ingest.Options{QuestionColumn: "kunde", AnswerColumn: "ANTWORT"}, []string{"2/2 q=a"}},
		{"Korean names", "a.csv", "번호,질문,답변\n1,몇 시?,열 시\n", ingest.Options{}, []string{"2/2 몇 시?=열 시"}},
		{"Korean name with a space", "a.csv", "문의 내용,답변 내용\nq,a\n", ingest.Options{}, []string{"2/2 q=a"}},
		{"prompt, completion", "a.csv", "Prompt,Completion\nq,a\n", ingest.Options{}, []string{"2/2 q=a"}},
		{"question before prompt", "a.csv", "prompt,question,answer\np,q,a\n", ingest.Options{}, []string{"2/2 q=a"}},
		{"instruction with input", "a.csv", "instruction,input,output\ntranslate,hello,hallo\nsum,,3\n", ingest.Options{}, []string{"2/2 translate\n\nhello=hallo", "3/3 sum=3"}},
		{"input, output", "a.csv", "input,output\nq,a\n", ingest.Options{}, []string{"2/2 q=a"}},
		{"title above the header", "a.csv", "Front desk log,,\n,,\nid,question,answer\n1,q,a\n", ingest.Options{}, []string{"4/4 q=a"}},
		{"short rows", "a.csv", "question,answer,x\nq\n", ingest.Options{}, []string{"2/2 q="}},
		{"empty cells behind the last column", "a.csv", "question,answer\nq,a,, ,\n", ingest.Options{}, []string{"2/2 q=a"}},
		{"space before a quote", "a.csv", "question, answer\nq, \"a, b\"\n", ingest.Options{}, []string{"2/2 q=a, b"}},
		{"no extension", "export", "question,answer\nq,a\n", ingest.Options{}, []string{"2/2 q=a"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := pairs(mustRead(t, tt.file, tt.content, tt.o)); !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
		})
	}
}

func TestSystemAndExtraColumns(t *testing.T) {
	recs := mustRead(t, "a.csv", "system,question,answer,Score\nBe brief.,q,a,4\n", ingest.Options{Extra: []string{"score"}})
	want := []ingest.Record{{Row: 2, Line: 2, System: "Be brief.", Question: "q", Answer: "a", Extra: map[string]string{"score": "4"}}}
	if !reflect.DeepEqual(recs, want) {
		t.Errorf("got %+v", recs)
	}
	turns := recs[0].Turns()
	if len(turns) != 3 || turns[0].Role != ingest.RoleSystem || turns[2].Content != "a" {
		t.Errorf("Turns() = %+v", turns)
	}
}

func TestEncodings(t *testing.T) {
	korean949 := korean.EUCKR.NewEncoder()
	utf16le := unicode.UTF16(unicode.LittleEndian, unicode.UseBOM).NewEncoder()
	utf16be := unicode.UTF16(unicode.BigEndian, unicode.UseBOM).NewEncoder()
	bare := unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM).NewEncoder()
	const text = "질문,답변\n진료 시간이 뷁?,아홉 시\n주차는?,지하 2층\n"
	want := []string{"2/2 진료 시간이 뷁?=아홉 시", "3/3 주차는?=지하 2층"}
	// More ASCII than the reader looks at, before the first other byte.
	long := "question,answer\n" + strings.Repeat("q,a\n", 50_000)
	for _, tt := range []struct {
		name, encoding string
		enc            transform.Transformer
		text           string
		want           []string
	}{
		{"UTF-8", "", transform.Nop, text, want},
		{"CP949", "", korean949, text, want},
		{"CP949 by name", "euc-kr", korean949, text, want},
		{"UTF-16LE", "", utf16le, text, want},
		{"UTF-16BE", "", utf16be, text, want},
		{"UTF-16LE without mark", "utf-16le", bare, text, want},
		{"CP949 late", "", korean949, long + "예약은?,네\n", []string{"50002/50002 예약은?=네"}},
		{"UTF-8 late", "", transform.Nop, long + "예약은?,네\n", []string{"50002/50002 예약은?=네"}},
		{"Windows-1252", "windows-1252", charmap.Windows1252.NewEncoder(), "question,answer\ncafé?,naïve\n", []string{"2/2 café?=naïve"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			content, _, err := transform.String(tt.enc, tt.text)
			if err != nil {
				t.Fatal(err)
			}
			var recs []ingest.Record
			err = ingest.Read(strings.NewReader(content), "a.csv", ingest.Options{Encoding: tt.encoding}, func(r ingest.Record) error {
				recs = append(recs, r)
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if got := pairs(recs[max(0, len(recs)-2):]); !reflect.DeepEqual(got[len(got)-len(tt.want):], tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// TestLongTexts has more of each encoding than the reader looks at, so that its
// view ends within a character.
func TestLongTexts(t *testing.T) {
	for _, pad := range []string{"", "x", "xx"} {
		text := "질문,답변\n" + strings.Repeat("가나"+pad+"다라,마바\n", 20_000)
		cp949, err := korean.EUCKR.NewEncoder().String(text)
		if err != nil {
			t.Fatal(err)
		}
		for name, content := range map[string]string{"UTF-8": text, "CP949": cp949} {
			n := 0
			err := ingest.Read(strings.NewReader(content), "a.csv", ingest.Options{}, func(r ingest.Record) error {
				if n++; r.Question != "가나"+pad+"다라" {
					t.Fatalf("%s, row %d: %q", name, r.Row, r.Question)
				}
				return nil
			})
			if err != nil || n != 20_000 {
				t.Errorf("%s: %d records, %v", name, n, err)
			}
		}
	}
}

// TestBrokenAnywhere puts a byte that CP949 does not know where buffers end.
func TestBrokenAnywhere(t *testing.T) {
	const head = "question,answer\n"
	for at := 65_528; at < 65_545; at++ {
		content := head + strings.Repeat("x", at-len(head)) + "\xff,y\n"
		_, err := read(t, "a.csv", content, ingest.Options{Encoding: "cp949"})
		if err == nil || !strings.Contains(err.Error(), "line 2: the text is not valid CP949") {
			t.Errorf("at byte %d: got %v", at, err)
		}
	}
}

// TestErrors holds the words of every refusal: what, where, what to do.
func TestErrors(t *testing.T) {
	for _, tt := range []struct {
		name, file, content string
		o                   ingest.Options
		want                string
	}{
		{"columns", "home/ana/clinic.csv", "q,a\n1,2\n", ingest.Options{},
			`clinic.csv, row 1: there is no column "question" and no column "answer"; it has: q, a; use --question q --answer a`},
		{"one column", "clinic.csv", "question,reply text\n1,2\n", ingest.Options{},
			`clinic.csv, row 1: there is no column "answer"; it has: question, reply text; use --answer NAME`},
		{"named column", "clinic.csv", "question,answer\n1,2\n", ingest.Options{QuestionColumn: "frage"},
			`clinic.csv, row 1: there is no column "frage"; it has: question, answer; use --question NAME`},
		{"named system", "clinic.csv", "question,answer\n1,2\n", ingest.Options{SystemColumn: "rolle"},
			`clinic.csv, row 1: there is no column "rolle"; it has: question, answer`},
		{"extra", "clinic.csv", "question,answer\n1,2\n", ingest.Options{Extra: []string{"key"}},
			`clinic.csv, row 1: there is no column "key"; it has: question, answer`},
		{"two of a name", "clinic.csv", "Question,question,answer\n1,2,3\n", ingest.Options{},
			`clinic.csv, row 1: there are two columns "question"; rename one`},
		{"one column twice", "clinic.csv", "question,answer\n1,2\n", ingest.Options{QuestionColumn: "answer"},
			`clinic.csv, row 1: question and answer are the same column; use --question and --answer to name two`},
		{"no header", "clinic.csv", "My name is Ada Lovelace,call 010-1234-5678\nx,y\n", ingest.Options{},
			`clinic.csv, row 1: there is no column "question" and no column "answer"; it has: 2 columns whose first row does not look like names (the first row must hold the names); use --question NAME --answer NAME`},
		{"too many fields", "a.csv", "question,answer\nq,a, b\n", ingest.Options{},
			`a.csv, row 2: the row has 3 fields and the header 2; a text that holds the delimiter must stand in quotes`},
		{"bare quote", "a.csv", "question,answer\n\"x\ny\",a\nsay \"hi\",b\n", ingest.Options{},
			`a.csv, row 3 (line 4): a quote stands inside a field without quotes (line 4); put the field in quotes and double the quote`},
		{"open quote", "a.csv", "question,answer\nq,\"never\nclosed,\n", ingest.Options{},
			`a.csv, row 2: a quoted field does not end where it should (line 3); write a quote inside a field as two quotes`},
		{"empty", "a.csv", "", ingest.Options{}, `a.csv: the file is empty`},
		{"only a header", "a.csv", "question,answer\n", ingest.Options{}, `a.csv: there are no records in it`},
		{"only empty rows", "a.csv", "\n\n", ingest.Options{}, `a.csv: there are no rows in it`},
		{"broken UTF-8", "a.csv", "question,answer\n" + strings.Repeat("가나다,라\n", 9) + "x,\x80\xff\n", ingest.Options{},
			`a.csv, line 11: the text is neither UTF-8 nor CP949; save the file as UTF-8, or name its encoding with --encoding`},
		{"not UTF-8", "a.csv", "question,answer\nq,\xb0\xa1\n", ingest.Options{Encoding: "utf-8"},
			`a.csv, line 2: the text is not valid UTF-8; save the file as UTF-8, or name its encoding with --encoding`},
		{"not CP949", "a.csv", "question,answer\nq,\xff\xff\n", ingest.Options{Encoding: "cp949"},
			`a.csv, line 2: the text is not valid CP949; save the file as UTF-8, or name its encoding with --encoding`},
		{"NUL", "a.csv", "q\x00u\x00e\x00", ingest.Options{},
			`a.csv: this is not text, or it is UTF-16 without a byte order mark; then use --encoding utf-16le or utf-16be`},
		{"one NUL", "a.csv", "question,answer\nq,a\x00b\n", ingest.Options{},
			`a.csv, line 2: this is not text: there is a NUL byte; save the table as CSV in UTF-8 (or, if it is UTF-16, use --encoding utf-16le or utf-16be)`},
		{"semicolons, unknown names, commas in the texts", "a.csv", "Frage;Antwort\n" + strings.Repeat("Wo, bitte?;Hier, links.\n", 12), ingest.Options{},
			`a.csv, row 1: there is no column "question" and no column "answer"; it has: Frage, Antwort; use --question Frage --answer Antwort`},
		{"encoding", "a.csv", "question,answer\nq,a\n", ingest.Options{Encoding: "klingon"},
			`a.csv: unknown encoding "klingon"; use utf-8, utf-16, utf-16le, utf-16be, cp949 or windows-1252`},
		{"format", "a.csv", "x", ingest.Options{Format: "yaml"}, `a.csv: unknown format "yaml"; use csv, xlsx, json or jsonl`},
		{"old Excel", "a.xls", "\xD0\xCF\x11\xE0....", ingest.Options{}, `a.xls: this is an old Excel file (.xls); save it as .xlsx or CSV`},
		{"PDF", "a.csv", "%PDF-1.7", ingest.Options{}, `a.csv: this is a PDF; export the table as CSV or .xlsx`},
		{"gzip", "a.csv.gz", "\x1f\x8b\x08", ingest.Options{}, `a.csv.gz: this is compressed with gzip; unpack it first`},
		{"no XLSX", "a.xlsx", "question,answer\n", ingest.Options{}, `a.xlsx: this is not an .xlsx file; if it is text, use --format csv, json or jsonl`},
		{"large", "a.csv", "question,answer\nq," + strings.Repeat("x", 2000) + "\n", ingest.Options{MaxRecord: 1000},
			`a.csv, row 2: the record is larger than 1000 bytes; split it, or look for a quote that is never closed`},

		{"JSONL broken", "a.jsonl", "{\"question\":\"q\",\"answer\":\"a\"}\n\n{\"question\":\"Ada\", Lovelace\n", ingest.Options{},
			`a.jsonl, row 3: not valid JSON at character 20 of the line; a .jsonl file holds one whole object a line (for one long document use --format json)`},
		{"JSONL cut off", "a.jsonl", "{\"question\":\"q\",\n", ingest.Options{},
			`a.jsonl, row 1: not valid JSON at character 16 of the line; a .jsonl file holds one whole object a line (for one long document use --format json)`},
		{"JSONL no object", "a.jsonl", "\"x\"\n", ingest.Options{}, `a.jsonl, row 1: the line is not a JSON object; a .jsonl file holds one object a line`},
		{"field", "a.jsonl", `{"q":"x","a":"y"}`, ingest.Options{},
			`a.jsonl, row 1: there is no field "question" and no field "answer"; it has: a, q; use --question NAME --answer NAME`},
		{"field type", "a.jsonl", `{"question":["x"],"answer":"y"}`, ingest.Options{}, `a.jsonl, row 1, column "question": the value is not a text`},
		{"JSON cut off", "a.json", `[{"question":"q","answer":"a"},`, ingest.Options{}, `a.json, row 2: the JSON ends too early; the file may be cut off`},
		{"JSON element", "a.json", `["x"]`, ingest.Options{}, `a.json, row 1: the element is not an object with fields such as question and answer`},
		{"JSON scalar", "a.json", `12`, ingest.Options{}, `a.json: the document is neither an array nor an object`},
		{"columns differ", "a.json", `{"question":["a","b"],"answer":["c"]}`, ingest.Options{}, `a.json, column "question": the columns are not of one length`},
		{"no role", "a.jsonl", `{"messages":[{"content":"x"}]}`, ingest.Options{}, `a.jsonl, row 1, column "messages": message 1 has no role`},
		{"role", "a.jsonl", `{"messages":[{"role":"Ada","content":"x"}]}`, ingest.Options{},
			`a.jsonl, row 1, column "messages": message 1 has a role that is none of system, developer, user and assistant`},
		{"late system", "a.jsonl", `{"messages":[{"role":"user","content":"x"},{"role":"system","content":"x"}]}`, ingest.Options{},
			`a.jsonl, row 1, column "messages": message 2 has the role system but is not the first`},
		{"tools", "a.jsonl", `{"messages":[{"role":"user","content":"x"},{"role":"assistant","tool_calls":[{}]}]}`, ingest.Options{},
			`a.jsonl, row 1, column "messages": message 2 belongs to a tool call; training on tool calls is not supported, remove the record`},
		{"weight", "a.jsonl", `{"messages":[{"role":"user","content":"x"},{"role":"assistant","content":"y","weight":2}]}`, ingest.Options{},
			`a.jsonl, row 1, column "messages": message 2 has a weight that is neither 0 nor 1`},
		{"user weight", "a.jsonl", `{"messages":[{"role":"user","content":"x","weight":0}]}`, ingest.Options{},
			`a.jsonl, row 1, column "messages": message 1 has a weight, which only assistant messages can have`},
		{"content", "a.jsonl", `{"messages":[{"role":"user","content":[{"type":"image_url"}]}]}`, ingest.Options{},
			`a.jsonl, row 1, column "messages": message 1 has a content that is not a text`},
		{"nothing to learn", "a.jsonl", `{"messages":[{"role":"user","content":"x"}]}`, ingest.Options{},
			`a.jsonl, row 1, column "messages": no message has the role assistant; there is nothing to learn`},
		{"last", "a.jsonl", `{"messages":[{"role":"assistant","content":"x"},{"role":"user","content":"x"}]}`, ingest.Options{},
			`a.jsonl, row 1, column "messages": the last message does not have the role assistant; remove it`},
		{"no messages", "a.jsonl", `{"messages":[]}`, ingest.Options{}, `a.jsonl, row 1, column "messages": there are no messages`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := read(t, tt.file, tt.content, tt.o)
			var own *ingest.Error
			if !errors.As(err, &own) {
				t.Fatalf("got %v (%T), want an *ingest.Error", err, err)
			}
			if err.Error() != tt.want {
				t.Errorf("got  %s\nwant %s", err, tt.want)
			}
		})
	}
}

func TestErrorsOfOthersComeBack(t *testing.T) {
	stop := errors.New("stop")
	n := 0
	err := ingest.Read(strings.NewReader("question,answer\na,b\nc,d\n"), "a.csv", ingest.Options{}, func(ingest.Record) error { n++; return stop })
	if err != stop || n != 1 {
		t.Errorf("got %v after %d records, want the callback's own error after 1", err, n)
	}
	for _, name := range []string{"a.csv", "a.jsonl", "a.json", "a.xlsx"} {
		if err := ingest.Read(iotest.ErrReader(stop), name, ingest.Options{}, nil); !errors.Is(err, stop) {
			t.Errorf("%s: got %v, want the reader's own error", name, err)
		}
	}
}

// endless repeats a text and counts what was taken.
type endless struct {
	row  string
	left int64
	at   int
}

func (e *endless) Read(p []byte) (int, error) {
	if e.left <= 0 {
		return 0, io.EOF
	}
	n := 0
	for n < len(p) {
		c := copy(p[n:], e.row[e.at:])
		e.at = (e.at + c) % len(e.row)
		n += c
	}
	e.left -= int64(n)
	return n, nil
}

func TestHugeFilesAreStreamed(t *testing.T) {
	const size = 32 << 20
	for _, tt := range []struct{ name, head, row string }{
		{"a.csv", "question,answer\n", strings.Repeat("x", 500) + "," + strings.Repeat("y", 500) + "\n"},
		{"a.jsonl", "", `{"question":"` + strings.Repeat("x", 500) + `","answer":"` + strings.Repeat("y", 500) + "\"}\n"},
	} {
		var start, now runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&start)
		n, peak := 0, uint64(0)
		in := io.MultiReader(strings.NewReader(tt.head), &endless{row: tt.row, left: size})
		err := ingest.Read(in, tt.name, ingest.Options{}, func(ingest.Record) error {
			if n++; n%20_000 == 0 {
				runtime.GC()
				runtime.ReadMemStats(&now)
				peak = max(peak, now.HeapAlloc)
			}
			return nil
		})
		if err != nil && !strings.Contains(err.Error(), "JSON") { // the last row is cut off
			t.Fatal(err)
		}
		if n < size/1100 {
			t.Errorf("%s: only %d records", tt.name, n)
		}
		if grown := int64(peak) - int64(start.HeapAlloc); grown > 8<<20 {
			t.Errorf("%s: the heap grew by %d MiB for a file of %d MiB", tt.name, grown>>20, size>>20)
		}
	}
}

// TestEndlessRecord gives each reader a record that never ends.
func TestEndlessRecord(t *testing.T) {
	for _, tt := range []struct{ name, head, row string }{
		{"a.csv", "question,answer\nq,\"", "never closed\n"},
		{"a.csv", "", "never a line end "},
		{"a.jsonl", "{\"question\":\"", "never closed "},
		{"a.json", "[{\"question\":\"", "never closed "},
		{"a.json", "[", "["},
		{"a.json", "{\"question\":\"", "never closed "},
		{"a.json", "", " "},
		{"a.json", "", "{\"data\":"},
	} {
		const huge = 1 << 40
		in := &endless{row: tt.row, left: huge}
		err := ingest.Read(io.MultiReader(strings.NewReader(tt.head), in), tt.name, ingest.Options{MaxRecord: 1 << 16}, func(ingest.Record) error { return nil })
		var own *ingest.Error
		if !errors.As(err, &own) {
			t.Errorf("%s %q…: got %v, want an *ingest.Error", tt.name, tt.head, err)
		}
		if taken := int64(huge) - in.left; taken > 100<<20 {
			t.Errorf("%s %q…: %d MiB were read", tt.name, tt.head, taken>>20)
		}
	}
}
