package api

import (
	"errors"
	"net/http"

	"cloister/appliance/admin"
	"cloister/appliance/models"
	"cloister/store"
)

// adminImportAdapter serves POST /admin/adapters.
func (s *Server) adminImportAdapter(w http.ResponseWriter, r *http.Request) error {
	var in admin.ImportAdapter
	if err := readJSON(w, r, &in); err != nil {
		return err
	}
	if in.Path == "" {
		return missing("path")
	}
	if in.Base == "" {
		return missing("base")
	}
	a, err := s.Models.ImportAdapter(r.Context(), in.Path, in.Base, in.Suffix)
	if err != nil {
		return err
	}
	s.audit(r, "model.import", a.Name, a.SHA256)
	return respond(w, http.StatusOK, a)
}

// adminModel serves GET /admin/models/{name}.
func (s *Server) adminModel(w http.ResponseWriter, r *http.Request) error {
	name := r.PathValue("name")
	m, err := s.Models.Resolve(name)
	if err != nil {
		return err
	}
	out := admin.Model{BaseModel: m.Base, Adapter: m.Adapter, Entry: models.Entry{
		Name: name, Kind: models.KindBase, Base: m.Base.Name, Target: m.Name(), CreatedAt: m.Base.CreatedAt,
	}}
	if a := m.Adapter; a != nil {
		out.Kind, out.CreatedAt = models.KindAdapter, a.CreatedAt
		if a.Checkpoint {
			out.Kind = models.KindCheckpoint
		}
	}
	switch {
	case m.Alias != "":
		out.Name, out.Kind = m.Alias, models.KindAlias // the default may be one
	default: // the default model, or an OpenAI name that is mapped
		out.Name = m.Name()
	}
	if out.System, err = s.tunedWith(m); err != nil {
		return err
	}
	if m.Adapter != nil {
		origin, err := s.Store.Origin(m.Adapter.Name)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		if len(origin.Lineage) > 0 {
			out.Origin = &origin
		}
	}
	return respond(w, http.StatusOK, out)
}
