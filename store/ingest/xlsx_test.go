package ingest_test

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/xuri/excelize/v2"

	"cloister/store/ingest"
)

// workbook writes sheets of rows as an .xlsx file.
func workbook(t testing.TB, sheets map[string][][]any, order ...string) []byte {
	t.Helper()
	f := excelize.NewFile()
	defer func() { _ = f.Close() }()
	for i, name := range order {
		if i == 0 {
			if err := f.SetSheetName("Sheet1", name); err != nil {
				t.Fatal(err)
			}
		} else if _, err := f.NewSheet(name); err != nil {
			t.Fatal(err)
		}
		for n, row := range sheets[name] {
			cell, err := excelize.CoordinatesToCellName(1, n+1)
			if err != nil {
				t.Fatal(err)
			}
			if err := f.SetSheetRow(name, cell, &row); err != nil {
				t.Fatal(err)
			}
		}
	}
	var b bytes.Buffer
	if err := f.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestXLSX(t *testing.T) {
	sheets := map[string][][]any{
		"notes": {},
		"faq": {
			{"Front desk"}, {},
			{"No", "Question", "Answer"},
			{1, "q1", "line 1\nline 2"}, {}, {2, "질문?", 42}, {3, "q3"},
		},
		"old": {{"question", "answer"}, {"o", "p"}},
	}
	data := string(workbook(t, sheets, "notes", "faq", "old"))
	want := []string{"4/0 q1=line 1\nline 2", "6/0 질문?=42", "7/0 q3="}
	if got := pairs(mustRead(t, "faq.xlsx", data, ingest.Options{})); !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	// Content tells, not the name.
	if got := pairs(mustRead(t, "faq.csv", data, ingest.Options{Sheet: "old"})); !reflect.DeepEqual(got, []string{"2/0 o=p"}) {
		t.Errorf("named sheet: got %q", got)
	}
	for _, tt := range []struct {
		o    ingest.Options
		want string
	}{
		{ingest.Options{Sheet: "new"}, `faq.xlsx: there is no sheet "new"; it has: notes, faq, old`},
		{ingest.Options{Sheet: "notes"}, `faq.xlsx: there are no rows in it`},
		{ingest.Options{Format: "csv"}, `faq.xlsx: this is an .xlsx file, not csv; leave --format out`},
		{ingest.Options{QuestionColumn: "frage"}, `faq.xlsx, row 1: there is no column "frage" and no column "answer"; it has: Front desk; use --question NAME --answer NAME`},
	} {
		if _, err := read(t, "faq.xlsx", data, tt.o); err == nil || err.Error() != tt.want {
			t.Errorf("got  %v\nwant %s", err, tt.want)
		}
	}
}

func TestXLSXBroken(t *testing.T) {
	data := workbook(t, map[string][][]any{"faq": {{"question", "answer"}, {"q", "a"}}}, "faq")
	for n := 4; n < len(data); n += 97 {
		_, err := read(t, "a.xlsx", string(data[:n]), ingest.Options{})
		var own *ingest.Error
		if !errors.As(err, &own) {
			t.Fatalf("cut at %d: got %v, want an *ingest.Error", n, err)
		}
		if !strings.Contains(err.Error(), "save") {
			t.Fatalf("cut at %d: %v does not say what to do", n, err)
		}
	}
}
