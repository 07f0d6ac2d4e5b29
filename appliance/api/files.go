package api

import (
	"context"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"slices"
	"strconv"
	"time"

	"cloister/appliance/openai"
	"cloister/store"
)

// purposeFineTune is the purpose of training data; such files must be JSONL.
const purposeFineTune = "fine-tune"

// purposes that a file can be uploaded for.
var purposes = []string{"assistants", "batch", purposeFineTune, "vision", "user_data", "evals"}

// visible reports whether a file belongs to OpenAI's API: uploads and results.
// Sealed originals of dataset imports do not.
func visible(f store.File) bool {
	return slices.Contains(purposes, f.Purpose) || f.Purpose == "fine-tune-results" || f.Purpose == "batch_output"
}

// upload is the form of POST /v1/files.
type upload struct {
	purpose string
	anchor  string // expires_after[anchor]
	seconds string // expires_after[seconds]
}

// createFile serves POST /v1/files. Parts may come in any order, and the file
// goes straight into the store, whatever its size.
func (s *Server) createFile(w http.ResponseWriter, r *http.Request) error {
	rest := io.LimitReader(r.Body, 4*s.config.MaxFile)              // what is read to the end of, once refused
	r.Body = http.MaxBytesReader(w, r.Body, s.config.MaxFile+1<<20) // the form around the file
	form, err := r.MultipartReader()
	if err != nil {
		return invalid("file", "Send the file as multipart/form-data with the parts 'purpose' and 'file'.")
	}
	saved, err := s.receive(r.Context(), form)
	if err != nil {
		drain(rest)
		return err
	}
	s.audit(r, "file.create", saved.ID, saved.Purpose)
	return respond(w, http.StatusOK, wireFile(saved))
}

// receive reads the form and stores the file.
func (s *Server) receive(ctx context.Context, form *multipart.Reader) (store.File, error) {
	var in upload
	var staged *store.File // stored before the rest of the form was known
	for {
		part, err := form.NextPart()
		if err == io.EOF {
			break
		}
		if err != nil {
			return store.File{}, s.drop(staged, badForm(err))
		}
		if part.FormName() == "file" {
			if staged != nil {
				return store.File{}, s.drop(staged, invalid("file", "Send one file only."))
			}
			saved, err := s.put(ctx, in, part.FileName(), partReader{part})
			if err != nil {
				return store.File{}, err
			}
			staged = &saved
			continue
		}
		if err := in.field(part); err != nil {
			return store.File{}, s.drop(staged, err)
		}
	}
	if staged == nil {
		return store.File{}, missing("file")
	}
	if in.purpose == "" {
		return store.File{}, s.drop(staged, missing("purpose"))
	}
	want, err := in.record(staged.Name)
	if err != nil {
		return store.File{}, s.drop(staged, err)
	}
	if want.Purpose == staged.Purpose && (want.ExpiresAt == nil) == (staged.ExpiresAt == nil) {
		return *staged, nil
	}
	return s.restage(ctx, in, *staged)
}

// restage stores a file again as the fields say that came after it.
func (s *Server) restage(ctx context.Context, in upload, staged store.File) (store.File, error) {
	content, err := s.Store.OpenFile(staged.ID)
	if err != nil {
		return store.File{}, s.drop(&staged, err)
	}
	defer content.Close()
	saved, err := s.put(ctx, in, staged.Name, content)
	return saved, s.drop(&staged, err)
}

// drop deletes a staged file, if there is one, and returns err.
func (s *Server) drop(staged *store.File, err error) error {
	if staged == nil {
		return err
	}
	return errors.Join(err, s.Store.DeleteFile(staged.ID))
}

// put streams content into the store. Training data is checked on the way.
func (s *Server) put(ctx context.Context, in upload, name string, content io.Reader) (store.File, error) {
	record, err := in.record(name)
	if err != nil {
		return store.File{}, err
	}
	content = newLimitReader(content, s.config.MaxFile)
	if record.Purpose == purposeFineTune {
		content = newJSONLReader(content)
	}
	return s.Store.PutFile(ctx, record, content)
}

// field reads a part that is not the file. Unknown ones are passed over.
func (u *upload) field(part *multipart.Part) error {
	to := map[string]*string{"purpose": &u.purpose, "expires_after[anchor]": &u.anchor, "expires_after[seconds]": &u.seconds}[part.FormName()]
	if to == nil {
		return nil
	}
	text, err := io.ReadAll(io.LimitReader(part, 1<<10))
	if err != nil {
		return badForm(err)
	}
	*to = string(text)
	return nil
}

// record checks the fields so far. Before the purpose is known, a file counts
// as "user_data", which allows everything.
func (u upload) record(name string) (store.File, error) {
	if name == "" {
		name = "file"
	}
	out := store.File{Name: name, Purpose: u.purpose}
	if u.purpose == "" {
		out.Purpose = "user_data"
	} else if !slices.Contains(purposes, u.purpose) {
		return out, invalid("purpose", "Invalid value for 'purpose': supported values are 'assistants', 'batch', 'fine-tune', 'vision', 'user_data' and 'evals'.")
	}
	if u.anchor != "" && u.anchor != "created_at" {
		return out, invalid("expires_after[anchor]", "Invalid value for 'expires_after[anchor]': the supported value is 'created_at'.")
	}
	if u.seconds != "" {
		n, err := strconv.Atoi(u.seconds)
		if err != nil || n < 3600 || n > 2592000 {
			return out, invalid("expires_after[seconds]", "Invalid value for 'expires_after[seconds]': expected 3600 (an hour) to 2592000 (30 days).")
		}
		at := time.Now().UTC().Add(time.Duration(n) * time.Second)
		out.ExpiresAt = &at
	}
	return out, nil
}

// drain reads the rest of a body. Clients that are still sending when they are
// refused would see a broken connection instead of the reason, and try again.
func drain(rest io.Reader) {
	_, _ = io.Copy(io.Discard, rest) // what comes does not matter
}

// partReader reads a part of a form. Where the form breaks off, the client is
// to blame and not the store that reads it.
type partReader struct{ part *multipart.Part }

func (p partReader) Read(b []byte) (int, error) {
	n, err := p.part.Read(b)
	if err != nil && err != io.EOF {
		err = badForm(err)
	}
	return n, err
}

// badForm is the failure of a form that cannot be read on.
func badForm(err error) error {
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return err
	}
	return invalid("file", "The multipart form is not valid or ends too early.")
}

// file finds a file that OpenAI's API may show. One that has expired is
// deleted at the latest when somebody asks for it.
func (s *Server) file(id string) (store.File, error) {
	f, err := s.Store.File(id)
	if errors.Is(err, store.ErrNotFound) || (err == nil && !visible(f)) {
		return store.File{}, notFound("File object", id)
	}
	if err != nil {
		return store.File{}, err
	}
	if expired(f) {
		return store.File{}, errors.Join(notFound("File object", id), s.Store.DeleteFile(id))
	}
	return f, nil
}

// getFile serves GET /v1/files/{id}.
func (s *Server) getFile(w http.ResponseWriter, r *http.Request) error {
	f, err := s.file(r.PathValue("id"))
	if err != nil {
		return err
	}
	return respond(w, http.StatusOK, wireFile(f))
}

// getFileContent serves GET /v1/files/{id}/content: the bytes as they came.
func (s *Server) getFileContent(w http.ResponseWriter, r *http.Request) error {
	f, err := s.file(r.PathValue("id"))
	if err != nil {
		return err
	}
	content, err := s.Store.OpenFile(f.ID)
	if err != nil {
		return err
	}
	defer content.Close()
	h := w.Header()
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Content-Length", strconv.FormatInt(f.Bytes, 10))
	h.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": f.Name}))
	s.audit(r, "file.read", f.ID, f.Purpose)
	w.WriteHeader(http.StatusOK)
	source := &watched{Reader: content}
	if _, err = io.Copy(w, source); source.err != nil {
		return source.err // too few bytes for the length above: the client sees that it is not all
	}
	return gone(err)
}

// watched is a reader that remembers its failure, to tell it from one of the writer.
type watched struct {
	io.Reader
	err error
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.Reader.Read(p)
	if err != nil && err != io.EOF {
		w.err = err
	}
	return n, err
}

// deleteFile serves DELETE /v1/files/{id}.
func (s *Server) deleteFile(w http.ResponseWriter, r *http.Request) error {
	f, err := s.file(r.PathValue("id"))
	if err != nil {
		return err
	}
	if err := s.Store.DeleteFile(f.ID); err != nil {
		return err
	}
	s.audit(r, "file.delete", f.ID, f.Purpose)
	return respond(w, http.StatusOK, openai.Deleted{ID: f.ID, Object: "file", Deleted: true})
}

// listFiles serves GET /v1/files, newest first. Old clients look for a file in
// one page, so a page is long by default.
func (s *Server) listFiles(w http.ResponseWriter, r *http.Request) error {
	p, err := readPage(r, 10000, 10000)
	if err != nil {
		return err
	}
	all, _, err := s.Store.Files(r.URL.Query().Get("purpose"), store.Page{After: p.After, Ascending: p.Ascending})
	if errors.Is(err, store.ErrNotFound) {
		return unknownCursor(p.After)
	}
	if err != nil {
		return err
	}
	all = slices.DeleteFunc(all, func(f store.File) bool { return !visible(f) || expired(f) })
	more := len(all) > p.Limit
	all = all[:min(p.Limit, len(all))]
	out := openai.FilePage{Object: "list", Data: make([]openai.File, len(all)), HasMore: more}
	for i, f := range all {
		out.Data[i] = wireFile(f)
	}
	if len(all) > 0 {
		out.FirstID, out.LastID = all[0].ID, all[len(all)-1].ID
	}
	return respond(w, http.StatusOK, out)
}

func expired(f store.File) bool { return f.ExpiresAt != nil && f.ExpiresAt.Before(time.Now()) }

// wireFile writes a file in OpenAI's form.
func wireFile(f store.File) openai.File {
	out := openai.File{ID: f.ID, Object: "file", Bytes: f.Bytes, CreatedAt: f.CreatedAt.Unix(), Filename: f.Name, Purpose: f.Purpose, Status: "processed"}
	if f.ExpiresAt != nil {
		out.ExpiresAt = f.ExpiresAt.Unix()
	}
	return out
}
