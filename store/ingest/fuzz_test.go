package ingest_test

import (
	"archive/zip"
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"unicode/utf8"

	"cloister/store/ingest"
)

// checkRead reads hostile bytes: there must be no panic, every record must be
// valid and in order, and every failure an *ingest.Error in whose text nothing
// of the data stands.
func checkRead(t *testing.T, name string, data []byte, o ingest.Options) {
	t.Helper()
	o.MaxRecord = 1 << 12
	row := 0
	err := ingest.Read(bytes.NewReader(data), name, o, func(r ingest.Record) error {
		if r.Row <= row {
			t.Fatalf("row %d after row %d", r.Row, row)
		}
		row = r.Row
		size := 0
		for _, m := range r.Turns() {
			if !utf8.ValidString(m.Content) {
				t.Fatalf("row %d is not valid UTF-8", row)
			}
			size += len(m.Content)
		}
		if size > o.MaxRecord {
			t.Fatalf("row %d has %d bytes", row, size)
		}
		return nil
	})
	var own *ingest.Error
	if err != nil && !errors.As(err, &own) {
		t.Fatalf("got %v (%T), want an *ingest.Error", err, err)
	}
	if err == nil && row == 0 {
		t.Fatal("no records and no error")
	}
	if err != nil && strings.Contains(err.Error(), "sesame!") {
		t.Fatalf("the error quotes the data: %v", err)
	}
}

func FuzzCSV(f *testing.F) {
	for _, s := range []string{
		"question,answer\nsesame!,a\n", "\uFEFFquestion;answer\r\n\"a\"\"b\r\nc\";d\r\n", "question\tanswer\n\tx\n",
		"q,sesame!\n", "question,answer\nq,a,sesame!\n", "question,answer\n\"sesame!\nx", "\xc1\xfa\xb9\xae,\xb4\xe4\xba\xaf\n\xb0\xa1,\xb3\xaa\n",
		"\xff\xfeq\x00,\x00", "question,answer\rq,a\r", "question,answer\n\n\n,,,\n", "PK\x03\x04", "\"\"\"", "question,answer\n\xff,\xe0\n",
	} {
		f.Add([]byte(s), "")
	}
	f.Add([]byte("question,answer\nq,\xb0\xa1\n"), "cp949")
	f.Add([]byte("q\x00u\x00"), "utf-16le")
	f.Fuzz(func(t *testing.T, data []byte, encoding string) {
		checkRead(t, "a.csv", data, ingest.Options{Encoding: encoding})
	})
}

func FuzzJSONL(f *testing.F) {
	for _, s := range []string{
		`{"question":"sesame!","answer":"a"}`, "{\"messages\":[{\"role\":\"user\",\"content\":\"sesame!\"},{\"role\":\"assistant\",\"content\":\"x\"}]}\n",
		`{"messages":[{"role":"sesame!","content":"x"}]}`, `{"question":{"sesame!":1},"answer":"\ud800"}`, "{\"question\":\"sesame!\n", "[]", "{}", "null\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) { checkRead(t, "a.jsonl", data, ingest.Options{}) })
}

func FuzzJSON(f *testing.F) {
	for _, s := range []string{
		`[{"question":"sesame!","answer":"a"}]`, `{"data":[{"question":"q","answer":"a"}]}`, `{"question":["q"],"answer":["a"]}`,
		`{"data":{"data":{"data":[]}}}`, `[[[[`, `{"data":`, `{"data":null}`, `{"question":"q","answer":"a"}{"question":"q","answer":"a"}`, `{"a":sesame!}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) { checkRead(t, "a.json", data, ingest.Options{}) })
}

// FuzzXLSX puts hostile XML into a sheet and the shared strings of an otherwise
// good workbook, past the checksums of the archive.
func FuzzXLSX(f *testing.F) {
	whole := workbook(f, map[string][][]any{"faq": {{"question", "answer"}, {"q", "a"}, {}, {"r", 1}}}, "faq")
	parts := unzip(f, whole)
	f.Add(parts["xl/worksheets/sheet1.xml"], parts["xl/sharedStrings.xml"])
	f.Add([]byte("<worksheet><sheetData><row r=\"9999999999\"><c r=\"ZZZZZ1\" t=\"s\"><v>-1</v></c></row>"), []byte("<sst><si>"))
	f.Fuzz(func(t *testing.T, sheet, shared []byte) {
		var b bytes.Buffer
		w := zip.NewWriter(&b)
		for name, content := range parts {
			switch name {
			case "xl/worksheets/sheet1.xml":
				content = sheet
			case "xl/sharedStrings.xml":
				content = shared
			}
			p, err := w.Create(name)
			if err == nil {
				_, err = p.Write(content)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		checkRead(t, "a.xlsx", b.Bytes(), ingest.Options{})
	})
}

func unzip(f *testing.F, data []byte) map[string][]byte {
	f.Helper()
	r, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		f.Fatal(err)
	}
	parts := map[string][]byte{}
	for _, p := range r.File {
		in, err := p.Open()
		if err != nil {
			f.Fatal(err)
		}
		if parts[p.Name], err = io.ReadAll(in); err != nil {
			f.Fatal(err)
		}
		if err := in.Close(); err != nil {
			f.Fatal(err)
		}
	}
	return parts
}
