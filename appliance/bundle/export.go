package bundle

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"time"

	"cloister/appliance/bundle/archive"
	"cloister/appliance/ctxio"
	"cloister/appliance/fault"
	"cloister/appliance/models"
	"cloister/appliance/site"
	"cloister/llama/gguf"
	"cloister/lora/atomicfile"
	"cloister/store"
)

// Models leads names to models and files; *models.Registry is one.
type Models interface {
	Resolve(name string) (models.Resolved, error)
	Path(p string) string
	ContentName(base, suffix, checksum string) string
}

var _ Models = (*models.Registry)(nil)

// Service makes and takes bundles.
type Service struct {
	st      *store.Store
	models  Models
	site    *site.Service
	home    string // data directory
	program string // version
	free    func(dir string) (uint64, error)
	// importing is held by one import at a time.
	importing chan struct{}
}

// New returns a Service over the data directory home, after it has swept what a
// crash during an import left there. program is the version of this program.
func New(st *store.Store, m Models, who *site.Service, home, program string) (*Service, error) {
	s := &Service{st: st, models: m, site: who, home: home, program: program, free: atomicfile.Free, importing: make(chan struct{}, 1)}
	return s, s.sweep()
}

// Export is a bundle that is ready to be written.
type Export struct {
	s        *Service
	manifest archive.Manifest
	content  map[string][]byte // records, by the name of the part
	files    map[string]string // adapters' paths, by the name of the part
	// Models are the adapters in it.
	Models []string
}

// Export gathers what goes into a bundle, and reads every adapter's file once
// to see that it is what its record says.
func (s *Service) Export(ctx context.Context, req ExportRequest) (*Export, error) {
	id, err := s.site.Identity()
	if err != nil {
		return nil, err
	}
	adapters, err := s.chosen(req)
	if err != nil {
		return nil, err
	}
	now := time.Now().UTC().Truncate(time.Second)
	e := &Export{s: s, content: map[string][]byte{}, files: map[string]string{}, manifest: archive.Manifest{
		Program: s.program, CreatedAt: now, Site: archive.Site{Name: id.Name, Key: id.Key}, Bases: []archive.Base{},
	}}
	hop := Hop{Name: id.Name, Fingerprint: id.Fingerprint, ExportedAt: now}
	var files []archive.Part
	for i, a := range adapters {
		part, err := s.adapterFile(ctx, a, i+1)
		if err != nil {
			return nil, err
		}
		files = append(files, part)
		if err := e.adapter(a, part.Name, i+1, hop); err != nil {
			return nil, err
		}
	}
	if err := e.evaluations(req.Samples); err != nil {
		return nil, err
	}
	if err := e.releases(); err != nil {
		return nil, err
	}
	e.manifest.Parts = append(e.manifest.Parts, files...)
	return e, nil
}

// chosen are the adapters that a request names, each once, in its order.
func (s *Service) chosen(req ExportRequest) ([]store.Adapter, error) {
	var out []store.Adapter
	add := func(a store.Adapter) {
		if !slices.ContainsFunc(out, func(o store.Adapter) bool { return o.Name == a.Name }) {
			out = append(out, a)
		}
	}
	for _, name := range req.Models {
		m, err := s.models.Resolve(name)
		if err != nil {
			return nil, err
		}
		if m.Adapter == nil {
			return nil, fault.New(fault.Invalid, "", "models", "%q is a base model, and a bundle carries tuned models; it tells which base models they need.", name).
				WithHint("cloister model list")
		}
		add(*m.Adapter)
	}
	if req.All {
		all, err := s.st.Adapters()
		if err != nil {
			return nil, err
		}
		for _, a := range all {
			if !a.Checkpoint {
				add(a)
			}
		}
	}
	if len(out) == 0 {
		return nil, fault.New(fault.Invalid, "", "models", "There is no tuned model to export.").WithHint("cloister model list")
	}
	return out, nil
}

// adapterFile is the part with an adapter's GGUF.
func (s *Service) adapterFile(ctx context.Context, a store.Adapter, n int) (archive.Part, error) {
	p := archive.Part{Name: fmt.Sprintf("adapters/%d.gguf", n), SHA256: a.SHA256}
	f, err := gguf.OpenSection(s.models.Path(a.Path))
	if errors.Is(err, fs.ErrNotExist) {
		return p, fault.New(fault.Conflict, "", "models", "The file of %s is not where it was: %s.", a.Name, s.models.Path(a.Path)).Wrap(err)
	}
	if err != nil {
		return p, err
	}
	defer f.Close()
	sum := sha256.New()
	if p.Bytes, err = io.Copy(sum, ctxio.Reader(ctx, f)); err != nil {
		return p, err
	}
	if hex.EncodeToString(sum.Sum(nil)) != a.SHA256 {
		return p, fault.New(fault.Conflict, "", "models", "The file of %s is damaged: its SHA-256 is not the one on record. Nothing was exported.", a.Name).
			WithHint("cloister check")
	}
	return p, nil
}

// record adds a JSON part.
func (e *Export) record(kind string, n int, v any) error {
	raw, err := json.Marshal(v)
	if err == nil {
		raw, err = archive.Calm(raw) // a model's answer may hold anything
	}
	if err != nil {
		return err
	}
	sum := sha256.Sum256(raw)
	p := archive.Part{Name: fmt.Sprintf("%s/%d.json", kind, n), Bytes: int64(len(raw)), SHA256: hex.EncodeToString(sum[:])}
	e.manifest.Parts = append(e.manifest.Parts, p)
	e.content[p.Name] = raw
	return nil
}

// adapter adds the record of an adapter, and its base model.
func (e *Export) adapter(a store.Adapter, file string, n int, hop Hop) error {
	lineage, system, err := e.s.lineage(a, 0)
	if err != nil {
		return err
	}
	lineage.Sites = append(slices.Clip(lineage.Sites), hop)
	// By this site's record, as the lineage may name it as another site does.
	base, err := e.s.st.BaseModel(a.Base)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(e.manifest.Bases, func(b archive.Base) bool { return b.SHA256 == base.SHA256 }) {
		e.manifest.Bases = append(e.manifest.Bases, described(base))
	}
	e.files[file] = e.s.models.Path(a.Path)
	e.Models = append(e.Models, a.Name)
	return e.record("adapters", n, Adapter{
		Name: a.Name, Base: base.SHA256, File: file, SHA256: a.SHA256, Step: a.Step, Checkpoint: a.Checkpoint,
		Metrics: a.Metrics, System: system, CreatedAt: a.CreatedAt, Lineage: lineage,
	})
}

// evaluations adds those of all adapters, oldest first.
func (e *Export) evaluations(samples bool) error {
	n := 0
	for _, model := range e.Models {
		all, err := e.s.st.Evaluations(model)
		if err != nil {
			return err
		}
		for _, v := range slices.Backward(all) {
			report, err := stripped(&v, samples)
			if err != nil {
				return err
			}
			n++
			if err := e.record("evaluations", n, Evaluation{
				ID: v.ID, Model: v.Model, Baseline: v.Baseline, Split: v.Split, Examples: v.Examples, Report: report, CreatedAt: v.CreatedAt,
			}); err != nil {
				return err
			}
		}
	}
	return nil
}

// releases adds the aliases that the adapters serve under, or have served.
func (e *Export) releases() error {
	aliases, err := e.s.st.Aliases()
	if err != nil {
		return err
	}
	n := 0
	for _, a := range aliases {
		history, err := e.s.st.Releases(a.Name)
		if err != nil {
			return err
		}
		out := Release{Alias: a.Name}
		for _, r := range history {
			if !slices.Contains(e.Models, r.Model) {
				continue
			}
			if r.Number == a.Current {
				out.Current = r.Model
			}
			out.History = append(out.History, Deployed{Number: r.Number, Model: r.Model, Evaluation: r.EvaluationID, Forced: r.Forced, Reason: r.Reason, CreatedAt: r.CreatedAt})
		}
		if len(out.History) == 0 {
			continue
		}
		n++
		if err := e.record("releases", n, out); err != nil {
			return err
		}
	}
	return nil
}

// Write writes the bundle and returns the SHA-256 of its manifest, which stands
// for it.
func (e *Export) Write(ctx context.Context, w io.Writer) (string, error) {
	sign := func(purpose string, message []byte) ([]byte, error) {
		signature, _, err := e.s.site.Sign(purpose, message)
		return signature, err
	}
	return archive.Write(w, e.manifest, sign, func(p archive.Part) (io.ReadCloser, error) {
		if raw, ok := e.content[p.Name]; ok {
			return io.NopCloser(bytes.NewReader(raw)), nil
		}
		f, err := gguf.OpenSection(e.files[p.Name])
		if err != nil {
			return nil, err
		}
		return readCloser{ctxio.Reader(ctx, f), f}, nil
	})
}

type readCloser struct {
	io.Reader
	io.Closer
}
