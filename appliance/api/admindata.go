package api

import (
	"encoding/json"
	"errors"
	"io"
	"mime/multipart"
	"net/http"
	"strconv"

	"cloister/appliance/admin"
	"cloister/appliance/openai"
	"cloister/store"
)

// adminModels serves GET /admin/models: the base models.
func (s *Server) adminModels(w http.ResponseWriter, _ *http.Request) error {
	all, err := s.Store.BaseModels()
	if err != nil {
		return err
	}
	return respondList(w, all)
}

// adminImportModel serves POST /admin/models.
func (s *Server) adminImportModel(w http.ResponseWriter, r *http.Request) error {
	var in admin.ImportModel
	if err := readJSON(w, r, &in); err != nil {
		return err
	}
	if in.Path == "" {
		return missing("path")
	}
	base, err := s.Models.Import(r.Context(), in.Path, in.Name, in.Copy)
	if err != nil {
		return err
	}
	s.audit(r, "model.import", base.Name, base.SHA256)
	return respond(w, http.StatusOK, base)
}

// adminRemoveModel serves DELETE /admin/models/{name}: bases and adapters.
func (s *Server) adminRemoveModel(w http.ResponseWriter, r *http.Request) error {
	name := r.PathValue("name")
	if err := s.Models.Remove(r.Context(), name); err != nil {
		return err
	}
	s.audit(r, "model.remove", name, "")
	return respondRemoved(w, name)
}

// adminDatasets serves GET /admin/datasets.
func (s *Server) adminDatasets(w http.ResponseWriter, _ *http.Request) error {
	all, err := s.Store.Datasets()
	if err != nil {
		return err
	}
	return respondList(w, all)
}

// adminDataset serves GET /admin/datasets/{name}.
func (s *Server) adminDataset(w http.ResponseWriter, r *http.Request) error {
	d, err := s.dataset(r)
	if err != nil {
		return err
	}
	versions, err := s.Store.Versions(d.Name)
	if err != nil {
		return err
	}
	return respond(w, http.StatusOK, admin.Dataset{Dataset: d, Versions: versions})
}

func (s *Server) dataset(r *http.Request) (store.Dataset, error) {
	name := r.PathValue("name")
	d, err := s.Store.Dataset(name)
	if errors.Is(err, store.ErrNotFound) {
		return d, notFound("dataset", name)
	}
	return d, err
}

// version finds the version in the path; 0 means the newest.
func (s *Server) version(r *http.Request) (store.Version, error) {
	n, err := strconv.Atoi(r.PathValue("version"))
	if err != nil || n < 0 {
		return store.Version{}, invalid("version", "Invalid version: expected a number, or 0 for the newest.")
	}
	d, err := s.dataset(r)
	if err != nil {
		return store.Version{}, err
	}
	v, err := s.Store.Version(d.Name, n)
	if errors.Is(err, store.ErrNotFound) {
		return v, notFound("version of "+d.Name, strconv.Itoa(n))
	}
	return v, err
}

// adminVersion serves GET /admin/datasets/{name}/versions/{version}.
func (s *Server) adminVersion(w http.ResponseWriter, r *http.Request) error {
	v, err := s.version(r)
	if err != nil {
		return err
	}
	return respond(w, http.StatusOK, v)
}

// adminProposals serves GET …/proposals: values out of the vault, so it is audited.
func (s *Server) adminProposals(w http.ResponseWriter, r *http.Request) error {
	v, err := s.version(r)
	if err != nil {
		return err
	}
	all, err := s.Datasets.Reveal(v.Dataset, v.Number)
	if err != nil {
		return err
	}
	s.audit(r, "dataset.reveal", versionName(v), strconv.Itoa(len(all))+" values")
	return respondList(w, all)
}

// adminRisk serves GET …/risk?k=5: how well the examples hide among each other.
func (s *Server) adminRisk(w http.ResponseWriter, r *http.Request) error {
	v, err := s.version(r)
	if err != nil {
		return err
	}
	k, err := readInt(r, "k", 5)
	if err != nil {
		return err
	}
	report, err := s.Datasets.Risk(r.Context(), v.Dataset, v.Number, k)
	if err != nil {
		return err
	}
	return respond(w, http.StatusOK, report)
}

// adminExport serves GET …/export: the masked examples as chat JSONL.
func (s *Server) adminExport(w http.ResponseWriter, r *http.Request) error {
	v, err := s.version(r)
	if err != nil {
		return err
	}
	split := store.Split(r.URL.Query().Get("split"))
	switch split {
	case "", store.Train, store.Valid, store.Test:
	default:
		return invalid("split", "Invalid value for 'split': supported values are 'train', 'valid' and 'test'.")
	}
	s.audit(r, "dataset.export", versionName(v), string(split))
	out := newLines(w)
	defer out.end()
	for ex, err := range s.Store.Examples(v.Dataset, v.Number, split) {
		if err != nil {
			return out.fail(r.Context(), err)
		}
		if err := out.send(exported(ex)); err != nil {
			return err
		}
	}
	if !out.begun() {
		w.WriteHeader(http.StatusOK)
	}
	return nil
}

// exported is an example as a line of a file: in OpenAI's chat format, or in its
// format of preferences, or with the label of a judged answer.
func exported(ex store.Example) map[string]any {
	last := len(ex.Messages) - 1
	switch ex.Kind() {
	case store.Pairs:
		input := make([]store.Message, last)
		for i, m := range ex.Messages[:last] {
			input[i] = store.Message{Role: m.Role, Content: m.Content} // answers in the input are never learnt
		}
		return map[string]any{"input": map[string]any{"messages": input}, "preferred_output": ex.Messages[last:],
			"non_preferred_output": []store.Message{{Role: "assistant", Content: ex.Rejected}}}
	case store.Judged:
		return map[string]any{"messages": ex.Messages, "label": *ex.Desirable}
	}
	return map[string]any{"messages": ex.Messages}
}

// adminImportDataset serves POST /admin/datasets: progress as JSON lines, and at
// last the version.
func (s *Server) adminImportDataset(w http.ResponseWriter, r *http.Request) error {
	var in admin.ImportDataset
	file, err := s.readForm(w, r, &in)
	if err != nil {
		return err
	}
	if file == nil {
		return missing("file")
	}
	if in.FileName == "" {
		in.FileName = file.name
	}
	out := newLines(w)
	defer out.end()
	v, err := s.Datasets.ImportWatched(r.Context(), in, file, func(done, total int) {
		_ = out.send(admin.VersionLine{Done: done, Total: total}) // a client that has gone ends the context
	})
	if err != nil {
		drain(r.Body)
		return out.fail(r.Context(), err)
	}
	if len(in.Policy) > 0 {
		s.audit(r, "masking.policy", "project", "with "+versionName(v))
	}
	s.audit(r, "dataset.import", versionName(v), v.FileID)
	return out.send(admin.VersionLine{Version: &v})
}

// adminRemoveDataset serves DELETE /admin/datasets/{name}.
func (s *Server) adminRemoveDataset(w http.ResponseWriter, r *http.Request) error {
	d, err := s.dataset(r)
	if err != nil {
		return err
	}
	if err := s.Datasets.Remove(d.Name); err != nil {
		return err
	}
	s.audit(r, "dataset.remove", d.Name, "")
	return respondRemoved(w, d.Name)
}

func versionName(v store.Version) string { return v.Dataset + "@" + strconv.Itoa(v.Number) }

// formFile is the file of a form while it streams in.
type formFile struct {
	io.Reader
	name string
}

// readForm reads a form of the part "options", JSON, and then, perhaps, the
// part "file", which is returned to be read on; nil when there is none.
func (s *Server) readForm(w http.ResponseWriter, r *http.Request, options any) (*formFile, error) {
	return readFormUpTo(w, r, options, s.config.MaxFile)
}

// readFormUpTo is readForm for files of at most so many bytes.
func readFormUpTo(w http.ResponseWriter, r *http.Request, options any, most int64) (*formFile, error) {
	r.Body = http.MaxBytesReader(w, r.Body, most+maxJSON)
	form, err := r.MultipartReader()
	if err != nil {
		return nil, invalid("file", "Send multipart/form-data with the parts 'options' and then 'file'.")
	}
	part, err := form.NextPart()
	if err == nil && part.FormName() == "options" {
		if err := decodeOptions(part, options); err != nil {
			return nil, err
		}
		part, err = form.NextPart()
	}
	switch {
	case err == io.EOF:
		return nil, nil
	case err != nil:
		return nil, badForm(err)
	case part.FormName() != "file":
		return nil, invalid("file", "Unexpected part: send 'options' and then 'file'.")
	}
	// More than the store takes at a time: its error names the file and what to do.
	return &formFile{Reader: newLimitReader(partReader{part}, most+1<<20), name: part.FileName()}, nil
}

func decodeOptions(part *multipart.Part, into any) error {
	data, err := io.ReadAll(io.LimitReader(part, maxJSON+1))
	if err != nil {
		return badForm(err)
	}
	if len(data) > maxJSON {
		return &http.MaxBytesError{Limit: maxJSON}
	}
	if !json.Valid(data) {
		return invalid("options", "The part 'options' is not valid JSON.")
	}
	return openai.Unmarshal(data, into)
}
