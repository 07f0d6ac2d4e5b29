package api_test

import (
	"bytes"
	"fmt"
	"io"
	"mime/multipart"
	"strings"
	"testing"

	"cloister/appliance/api"
	"cloister/appliance/openai"
	"cloister/store"
)

// conversation is a line of training data.
func conversation(question, answer string) string {
	return fmt.Sprintf(`{"messages":[{"role":"user","content":%q},{"role":"assistant","content":%q}]}`, question, answer) + "\n"
}

// examples is a training file of n lines.
func examples(n int) string {
	var out strings.Builder
	for i := range n {
		out.WriteString(conversation(fmt.Sprintf("When does room %d open?", i), fmt.Sprintf("Room %d opens at %d.", i, 8+i%3)))
	}
	return out.String()
}

// form builds a multipart form of parts name, value, …; "file" is sent as a file.
func form(t *testing.T, parts ...string) (body, contentType string) {
	t.Helper()
	var out bytes.Buffer
	w := multipart.NewWriter(&out)
	for i := 0; i < len(parts); i += 2 {
		write := w.CreateFormField
		if parts[i] == "file" {
			write = func(name string) (io.Writer, error) { return w.CreateFormFile(name, "data.bin") }
		}
		part, err := write(parts[i])
		if err != nil {
			t.Fatal(err)
		}
		if _, err := part.Write([]byte(parts[i+1])); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.String(), w.FormDataContentType()
}

// upload posts a form.
func (f *fixture) upload(t *testing.T, parts ...string) answer {
	t.Helper()
	body, contentType := form(t, parts...)
	return f.do("POST", "/v1/files", body, "Content-Type", contentType)
}

func TestFilesLife(t *testing.T) {
	f := newFixture(t)
	content := "\ufeff" + strings.ReplaceAll(examples(12), "\n", "\r\n") + "\r\n\r\n"
	var file openai.File
	f.upload(t, "purpose", "fine-tune", "file", content).ok(t, &file)
	if file.Bytes != int64(len(content)) || file.Filename != "data.bin" || file.Purpose != "fine-tune" || file.Status != "processed" || !strings.HasPrefix(file.ID, "file-") {
		t.Errorf("%+v", file)
	}
	var again openai.File
	f.do("GET", "/v1/files/"+file.ID, nil).ok(t, &again)
	if again != file {
		t.Errorf("%+v, want %+v", again, file)
	}
	got := f.do("GET", "/files/"+file.ID+"/content", nil)
	if got.ok(t, nil); string(got.body) != content || got.header.Get("Content-Type") != "application/octet-stream" {
		t.Errorf("content: %d bytes, %s", len(got.body), got.header.Get("Content-Type"))
	}
	f.do("DELETE", "/v1/files/"+file.ID, nil).ok(t, nil)
	for _, path := range []string{"", "/content"} {
		e := f.do("GET", "/v1/files/"+file.ID+path, nil).refused(t, 404, "id", "")
		if e.Message != "No such File object: "+file.ID {
			t.Error(e.Message)
		}
	}
	f.do("DELETE", "/v1/files/"+file.ID, nil).refused(t, 404, "id", "")
}

// The purpose may come after the file, and unknown parts are passed over.
func TestFilesPartOrder(t *testing.T) {
	f := newFixture(t)
	var file openai.File
	f.upload(t, "something", "else", "file", examples(1), "expires_after[anchor]", "created_at", "expires_after[seconds]", "3600", "purpose", "fine-tune").ok(t, &file)
	if file.Purpose != "fine-tune" || file.ExpiresAt < file.CreatedAt+3599 || file.ExpiresAt > file.CreatedAt+3602 {
		t.Errorf("%+v", file)
	}
	f.upload(t, "file", "not JSON", "purpose", "fine-tune").refused(t, 400, "file", "invalid_file_format")
	f.upload(t, "file", "anything", "purpose", "assistants").ok(t, nil)
	var page openai.FilePage
	f.do("GET", "/v1/files", nil).ok(t, &page)
	if len(page.Data) != 2 {
		t.Errorf("%d files; staged ones were left behind: %+v", len(page.Data), page.Data)
	}
}

func TestFilesRefuse(t *testing.T) {
	f := newFixture(t, func(c *api.Config) { c.MaxFile = 4096 })
	const expected = "Expected file to have JSONL format, where every line is a valid JSON dictionary."
	good := conversation("a", "b")
	for _, c := range []struct {
		name, content, message string
	}{
		{"CSV", "question,answer\na,b\n", expected + " Line 1"},
		{"an array", "[1]\n", expected + " Line 1"},
		{"half a line", good + `{"messages": [`, expected + " Line 2"},
		{"empty line in the middle", good + "\n" + good, expected + " Line 2"},
		{"empty", "", expected},
		{"only white space", "\n\r\n", expected},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := f.upload(t, "purpose", "fine-tune", "file", c.content)
			if !strings.Contains(string(got.body), c.message) || got.status != 400 {
				t.Errorf("%d: %s", got.status, got.body)
			}
		})
	}
	long := newFixture(t, func(c *api.Config) { c.MaxFile = 8 << 20 })
	long.upload(t, "purpose", "fine-tune", "file", "no\n"+strings.Repeat("x", 8<<20)).refused(t, 400, "file", "invalid_file_format")
	body, contentType := form(t, "purpose", "fine-tune", "file", good)
	f.do("POST", "/v1/files", body[:len(body)-100], "Content-Type", contentType).refused(t, 400, "file", "")
	f.upload(t, "purpose", "fine-tune").refused(t, 400, "file", "")
	f.upload(t, "file", good).refused(t, 400, "purpose", "")
	f.upload(t, "purpose", "party", "file", good).refused(t, 400, "purpose", "")
	f.upload(t, "purpose", "batch", "file", good, "file", good).refused(t, 400, "file", "")
	f.upload(t, "purpose", "batch", "expires_after[seconds]", "5", "file", good).refused(t, 400, "expires_after[seconds]", "")
	f.do("POST", "/v1/files", `{"purpose":"batch"}`, "Content-Type", "application/json").refused(t, 400, "file", "")
	f.do("POST", "/v1/files", "--x\r\nbroken", "Content-Type", "multipart/form-data; boundary=x").refused(t, 400, "file", "")
	f.upload(t, "purpose", "batch", "file", strings.Repeat("x", 4097)).refused(t, 413, "", "")
	f.upload(t, "purpose", "batch", "file", strings.Repeat("x", 4096)).ok(t, nil)
	// A file that is far too large gets its answer too, not a broken connection.
	long.upload(t, "purpose", "batch", "file", strings.Repeat("x", 24<<20)).refused(t, 413, "", "")
	var page openai.FilePage
	f.do("GET", "/v1/files", nil).ok(t, &page)
	if len(page.Data) != 1 {
		t.Errorf("refused uploads left files: %+v", page.Data)
	}
}

func TestFilesPages(t *testing.T) {
	f := newFixture(t)
	var page openai.FilePage
	f.do("GET", "/v1/files", nil).ok(t, &page)
	if page.HasMore || page.FirstID != "" {
		t.Errorf("%+v", page)
	}
	var ids []string
	for i := range 5 {
		purpose := "assistants"
		if i == 2 {
			purpose = "batch"
		}
		var file openai.File
		f.upload(t, "purpose", purpose, "file", fmt.Sprint(i)).ok(t, &file)
		ids = append([]string{file.ID}, ids...)
	}
	// A sealed original of an import is no file of this API.
	hidden, err := f.store.PutFile(t.Context(), store.File{Name: "raw.csv", Purpose: "import"}, strings.NewReader("x"))
	if err != nil {
		t.Fatal(err)
	}
	f.do("GET", "/v1/files/"+hidden.ID+"/content", nil).refused(t, 404, "id", "")

	var seen []string
	after := ""
	for {
		f.do("GET", "/v1/files?limit=2&after="+after, nil).ok(t, &page)
		for _, file := range page.Data {
			seen = append(seen, file.ID)
		}
		if !page.HasMore {
			break
		}
		if len(page.Data) != 2 || page.LastID != page.Data[1].ID || page.FirstID != page.Data[0].ID {
			t.Fatalf("%+v", page)
		}
		after = page.LastID
	}
	if fmt.Sprint(seen) != fmt.Sprint(ids) {
		t.Errorf("pages %v, want the newest first %v", seen, ids)
	}
	f.do("GET", "/v1/files?order=asc&limit=1", nil).ok(t, &page)
	if page.Data[0].ID != ids[4] || !page.HasMore {
		t.Errorf("%+v", page)
	}
	f.do("GET", "/v1/files?purpose=batch", nil).ok(t, &page)
	if len(page.Data) != 1 || page.Data[0].ID != ids[2] || page.HasMore {
		t.Errorf("%+v", page)
	}
	f.do("GET", "/v1/files?after=file-nobody", nil).refused(t, 404, "after", "")
	f.do("GET", "/v1/files?limit=0", nil).refused(t, 400, "limit", "")
	f.do("GET", "/v1/files?order=up", nil).refused(t, 400, "order", "")
}
