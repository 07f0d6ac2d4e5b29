package bundle

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"cloister/appliance/bundle/archive"
	"cloister/appliance/fault"
	"cloister/appliance/site"
	"cloister/lora/eval"
	"cloister/store"
)

// arriving is a bundle while it is read: its records, and how they meet what is
// here.
type arriving struct {
	*archive.Reader
	trustedAs   string
	adapters    []meeting
	evaluations []Evaluation
	releases    []Release
	bases       []BaseModel
	// pending is the first part that is no record, once the records were read.
	pending *archive.Part
	content io.Reader
}

// meeting is an adapter that arrives, and what it meets.
type meeting struct {
	Adapter
	name  string // here
	base  *store.BaseModel
	state string
	part  archive.Part
}

// open reads the manifest and the records of a bundle, and looks up what of it
// is here. as is ImportRequest.As.
func (s *Service) open(r io.Reader, as string) (*arriving, error) {
	b, err := archive.Open(r)
	if err != nil {
		return nil, unreadable(err)
	}
	a := &arriving{Reader: b}
	m := b.Manifest()
	name, trusted, err := s.site.Signer(m.Site.Key)
	if err != nil {
		return nil, err
	}
	if trusted {
		a.trustedAs = name
	}
	if err := s.lookUpBases(a, m.Bases); err != nil {
		return nil, err
	}
	if err := a.records(); err != nil {
		return nil, unreadable(err)
	}
	if err := a.consistent(); err != nil {
		return nil, unreadable(err)
	}
	for i := range a.adapters {
		if err := s.meet(a, &a.adapters[i], as); err != nil {
			return nil, err
		}
	}
	return a, nil
}

// unreadable turns what is wrong with a bundle into a fault.
func unreadable(err error) error {
	switch {
	case errors.Is(err, archive.ErrDamaged):
		return fault.New(fault.Invalid, "bundle_damaged", "file", "The bundle cannot be trusted: %s.", err).Wrap(err)
	case errors.Is(err, archive.ErrNewer):
		return fault.New(fault.Invalid, "bundle_newer", "file", "The bundle cannot be read: %s.", err).WithHint("cloister version").Wrap(err)
	case errors.Is(err, archive.ErrFormat):
		return fault.New(fault.Invalid, "bundle_invalid", "file", "The file cannot be read as a bundle: %s.", err).Wrap(err)
	}
	return err
}

// lookUpBases says which of the base models are here, by checksum.
func (s *Service) lookUpBases(a *arriving, bases []archive.Base) error {
	here, err := s.st.BaseModels()
	if err != nil {
		return err
	}
	for _, b := range bases {
		out := BaseModel{Base: b}
		for _, h := range here {
			if h.SHA256 == b.SHA256 && (out.Here == "" || h.Name == b.Name) {
				out.Here = h.Name
			}
		}
		a.bases = append(a.bases, out)
	}
	return nil
}

// records reads the parts up to the first that is no record.
func (a *arriving) records() error {
	for {
		p, content, err := a.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if !p.IsRecord() {
			a.pending, a.content = &p, content
			return nil
		}
		kind, _, _ := strings.Cut(p.Name, "/")
		switch kind {
		case "adapters":
			err = readInto(p, content, &a.adapters, func(in Adapter) meeting { return meeting{Adapter: in} })
		case "evaluations":
			err = readInto(p, content, &a.evaluations, func(in Evaluation) Evaluation { return in })
		case "releases":
			err = readInto(p, content, &a.releases, func(in Release) Release { return in })
		default: // of a later version: verified, and left alone
		}
		if err != nil {
			return err
		}
	}
}

func readInto[In, Out any](p archive.Part, r io.Reader, list *[]Out, of func(In) Out) error {
	var in In
	if err := archive.ReadRecord(p, r, &in); err != nil {
		return err
	}
	*list = append(*list, of(in))
	return nil
}

// consistent holds the records to what each other and the manifest say.
func (a *arriving) consistent() error {
	wrong := func(format string, args ...any) error {
		return fmt.Errorf("%w: %s", archive.ErrFormat, fmt.Sprintf(format, args...))
	}
	files := map[string]archive.Part{}
	for _, p := range a.Manifest().Parts {
		if !p.IsRecord() {
			files[p.Name] = p
		}
	}
	names := map[string]bool{}
	for i := range a.adapters {
		m := &a.adapters[i]
		file, ok := files[m.File]
		switch {
		case !archive.Plain(m.Name) || !strings.HasPrefix(m.Name, "ft:") || names[m.Name]:
			return wrong("the name of adapter %d is not one of an adapter, or stands there twice", i+1)
		case !ok || file.SHA256 != m.SHA256:
			return wrong("adapter %d has no file", i+1)
		case !slices.ContainsFunc(a.bases, func(b BaseModel) bool { return b.SHA256 == m.Adapter.Base }):
			return wrong("adapter %d names a base model that the manifest does not", i+1)
		}
		delete(files, m.File) // each belongs to one adapter
		names[m.Name], m.part = true, file
	}
	if len(a.adapters) == 0 || len(files) > 0 {
		return wrong("its files and its records of adapters do not belong together")
	}
	ids := map[string]bool{}
	for i, e := range a.evaluations {
		var r eval.Report
		if !archive.Plain(e.ID) || ids[e.ID] || !names[e.Model] || e.Baseline != "" && !archive.Plain(e.Baseline) || json.Unmarshal(e.Report, &r) != nil {
			return wrong("evaluation %d is not one of an adapter in it", i+1)
		}
		ids[e.ID] = true
	}
	for i, r := range a.releases {
		if !archive.Plain(r.Alias) || r.Current != "" && !archive.Plain(r.Current) || slices.ContainsFunc(r.History, func(d Deployed) bool { return !names[d.Model] }) {
			return wrong("release %d is not one of an adapter in it", i+1)
		}
	}
	return nil
}

// meet looks up what an adapter meets here.
func (s *Service) meet(a *arriving, m *meeting, as string) error {
	m.name = m.Name
	for _, b := range a.bases {
		if b.SHA256 != m.Adapter.Base || b.Here == "" {
			continue
		}
		base, err := s.st.BaseModel(b.Here)
		if err != nil {
			return err
		}
		m.base = &base
	}
	if m.base == nil {
		m.state = StateNoBase
		return nil
	}
	if as != "" {
		m.name = s.models.ContentName(m.base.Name, as, m.SHA256)
	}
	old, err := s.st.Adapter(m.name)
	switch {
	case errors.Is(err, store.ErrNotFound):
		m.state = StateNew
		return nil
	case err != nil:
		return err
	}
	m.state = StateConflict
	if old.SHA256 == m.SHA256 {
		if base, err := s.st.BaseModel(old.Base); err != nil {
			return err
		} else if base.SHA256 == m.Adapter.Base {
			m.state = StateHere
		}
	}
	return nil
}

// contents describes the bundle.
func (a *arriving) contents() Contents {
	m := a.Manifest()
	c := Contents{
		SHA256: a.Sum(), CreatedAt: m.CreatedAt, Program: m.Program, Site: m.Site.Name,
		Key: m.Site.Key.String(), Fingerprint: m.Site.Key.Fingerprint(), TrustedAs: a.trustedAs,
		Bases: a.bases, Adapters: []Item{}, Evaluations: len(a.evaluations), Releases: a.releases,
	}
	if c.Releases == nil {
		c.Releases = []Release{}
	}
	for _, p := range m.Parts {
		c.Bytes += p.Bytes
	}
	for _, x := range a.adapters {
		item := Item{Name: x.name, Was: x.Name, Bytes: x.part.Bytes, SHA256: x.SHA256, Checkpoint: x.Checkpoint, State: x.state}
		for _, b := range a.bases {
			if b.SHA256 == x.Adapter.Base {
				item.Base = b.Name
			}
		}
		if x.base != nil {
			item.Base = x.base.Name
		}
		for _, e := range a.evaluations {
			if e.Model == x.Name {
				item.Evaluations++
			}
		}
		if t := x.Lineage.Training; t != nil && archive.Plain(t.Dataset.Name) {
			item.Trained, item.Fingerprint = fmt.Sprintf("%s@%d", t.Dataset.Name, t.Dataset.Version), t.Dataset.Fingerprint
		}
		if p := x.Lineage.Parent; p != nil && archive.Plain(p.Adapter) {
			item.ParentModel = p.Adapter
		}
		c.Adapters = append(c.Adapters, item)
	}
	return c
}

// refusal says why the bundle is not taken, or nil.
func (a *arriving) refusal(allowUntrusted bool) error {
	m := a.Manifest()
	if a.trustedAs == "" && !allowUntrusted {
		return untrusted(m.Site)
	}
	var missing []string
	for _, b := range a.bases {
		if b.Here == "" {
			missing = append(missing, fmt.Sprintf("%s (%s, %d parameters, %d bytes, SHA-256 %s)", b.Name, b.Architecture, b.Parameters, b.Bytes, b.SHA256))
		}
	}
	if len(missing) > 0 {
		return fault.New(fault.NotFound, "base_missing", "file", "The bundle needs a base model that is not here, and nothing was imported: %s.", strings.Join(missing, "; ")).
			WithHint("cloister model import FILE.gguf")
	}
	for _, x := range a.adapters {
		if x.state == StateConflict {
			return fault.New(fault.Conflict, "name_taken", "file", "There is another model with the name %s, and nothing was imported.", x.name).
				WithHint("cloister bundle import --as SUFFIX FILE")
		}
	}
	return nil
}

func untrusted(who archive.Site) error {
	name := who.Name
	if !site.GoodName(name) { // what it calls itself is not to be typed into a shell
		name = "NAME"
	}
	return fault.New(fault.Forbidden, "untrusted_signer", "file",
		"The bundle is signed by %q with a key that this site does not trust, and nothing was imported. Its fingerprint is %s; ask there whether it is theirs.", who.Name, who.Key.Fingerprint()).
		WithHint("cloister bundle trust add '%s' %s", name, who.Key)
}
