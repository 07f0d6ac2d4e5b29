package api

import (
	"net/http"
	"slices"
	"strings"

	"cloister/appliance/models"
	"cloister/appliance/openai"
)

// listModels serves GET /v1/models: every name that can be used as "model".
func (s *Server) listModels(w http.ResponseWriter, _ *http.Request) error {
	entries, err := s.Models.List()
	if err != nil {
		return err
	}
	out := openai.List[openai.Model]{Object: "list", Data: make([]openai.Model, len(entries))}
	for i, e := range entries {
		out.Data[i] = s.wireModel(e)
	}
	return respond(w, http.StatusOK, out)
}

// getModel serves GET /v1/models/{model}.
func (s *Server) getModel(w http.ResponseWriter, r *http.Request) error {
	name := r.PathValue("model")
	if name == "" {
		return s.listModels(w, r)
	}
	entry, err := s.findModel(name)
	if err != nil {
		return err
	}
	return respond(w, http.StatusOK, s.wireModel(entry))
}

// findModel looks for a name in the list or, for names that are mapped, by
// what they lead to.
func (s *Server) findModel(name string) (models.Entry, error) {
	entries, err := s.Models.List()
	if err != nil {
		return models.Entry{}, err
	}
	if i := slices.IndexFunc(entries, func(e models.Entry) bool { return e.Name == name }); i >= 0 {
		return entries[i], nil
	}
	m, err := s.Models.Resolve(name)
	if err != nil {
		return models.Entry{}, err
	}
	return models.Entry{Name: name, Kind: models.KindAlias, Base: m.Base.Name, Target: m.Name(), CreatedAt: m.Base.CreatedAt}, nil
}

// deleteModel serves DELETE /v1/models/{model}: adapters only, as OpenAI has it.
func (s *Server) deleteModel(w http.ResponseWriter, r *http.Request) error {
	name := r.PathValue("model")
	if name == "" {
		return missing("model")
	}
	entry, err := s.findModel(name)
	if err != nil {
		return err
	}
	if entry.Kind != models.KindAdapter && entry.Kind != models.KindCheckpoint {
		return &failure{status: http.StatusForbidden, kind: typeInvalid, param: "model",
			message: "The model '" + name + "' is not a fine-tuned model, so it cannot be deleted here."}
	}
	if err := s.Models.Remove(r.Context(), name); err != nil {
		return err
	}
	s.audit(r, "model.delete", name, "")
	return respond(w, http.StatusOK, openai.Deleted{ID: name, Object: "model", Deleted: true})
}

// wireModel writes an entry in OpenAI's form.
func (s *Server) wireModel(e models.Entry) openai.Model {
	out := openai.Model{ID: e.Name, Object: "model", Created: e.CreatedAt.Unix(), OwnedBy: s.org(), Root: e.Target}
	if e.Base != e.Name {
		out.Parent = &e.Base
	}
	return out
}

// org is the organisation that models and jobs belong to; clients want one.
func (s *Server) org() string {
	if org := strings.TrimSpace(s.Models.Org()); org != "" {
		return org
	}
	return "cloister"
}
