package api

import (
	"net/http"
	"os"
	"strconv"
	"time"

	"cloister/appliance/admin"
	"cloister/store"
)

// audit writes an entry of the log of who did what. The change is done when it
// is written, so a failure is only logged.
func (s *Server) audit(r *http.Request, action, object, detail string) {
	if err := s.auditFirst(r, action, object, detail); err != nil {
		s.log.Error("audit entry not written", "request", callOf(r.Context()).id, "action", action, "error", err)
	}
}

// refused writes down that a caller with a key, or an anonymous one, tried what only administrators may.
func (s *Server) refused(r *http.Request, pattern string) { s.audit(r, "refused", pattern, "") }

// adminStatus serves GET /admin/status.
func (s *Server) adminStatus(w http.ResponseWriter, _ *http.Request) error {
	jobs, _, err := s.Store.Jobs(nil, store.Page{Ascending: true})
	if err != nil {
		return err
	}
	releases, err := s.Releases.Status()
	if err != nil {
		return err
	}
	out := admin.Status{
		Version: s.config.Version, PID: os.Getpid(), Home: s.config.Home, Listen: s.config.Listen, Sealed: s.config.Sealed,
		StartedAt: s.started, Loaded: s.Models.Loaded(), Models: s.Models.Status(), Running: []string{}, Releases: releases,
	}
	for _, job := range jobs {
		if !job.Status.Terminal() {
			out.Running = append(out.Running, job.ID)
		}
	}
	return respond(w, http.StatusOK, out)
}

// adminCheck serves POST /admin/check.
func (s *Server) adminCheck(w http.ResponseWriter, r *http.Request) error {
	err := s.Store.Check(r.Context())
	if r.Context().Err() != nil {
		return err
	}
	return respond(w, http.StatusOK, admin.Check{OK: err == nil, Problems: problems(err)})
}

// problems takes apart what errors.Join put together.
func problems(err error) []string {
	out := []string{}
	if err == nil {
		return out
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return append(out, sentence(err))
	}
	for _, e := range joined.Unwrap() {
		out = append(out, problems(e)...)
	}
	return out
}

// adminShutdown serves POST /admin/shutdown.
func (s *Server) adminShutdown(w http.ResponseWriter, r *http.Request) error {
	s.audit(r, "shutdown", "appliance", "")
	if err := respond(w, http.StatusAccepted, map[string]string{"status": "stopping"}); err != nil {
		return err
	}
	s.config.Shutdown()
	return nil
}

// adminAudit serves GET /admin/audit, newest first.
func (s *Server) adminAudit(w http.ResponseWriter, r *http.Request) error {
	limit, err := readLimit(r, 100)
	if err != nil {
		return err
	}
	entries, err := s.Store.Audits(0, limit)
	if err != nil {
		return err
	}
	return respondList(w, entries)
}

// adminKeys serves GET /admin/keys.
func (s *Server) adminKeys(w http.ResponseWriter, _ *http.Request) error {
	keys, err := s.Store.Keys()
	if err != nil {
		return err
	}
	out := make([]admin.Key, len(keys))
	for i, k := range keys {
		out[i] = wireKey(k)
	}
	return respondList(w, out)
}

// adminAddKey serves POST /admin/keys. The secret is in its answer only.
func (s *Server) adminAddKey(w http.ResponseWriter, r *http.Request) error {
	var in admin.NewKey
	if err := readJSON(w, r, &in); err != nil {
		return err
	}
	if _, ok := roles[in.Role]; !ok {
		return invalid("role", "Invalid value for 'role': supported values are 'user', 'trainer' and 'admin'.")
	}
	secret := newSecret()
	key, err := s.Store.PutKey(store.Key{Hash: hashSecret(secret), Role: in.Role, Label: in.Label})
	if err != nil {
		return err
	}
	s.audit(r, "key.add", key.ID, key.Role)
	out := wireKey(key)
	out.Secret = secret
	return respond(w, http.StatusOK, out)
}

// adminRemoveKey serves DELETE /admin/keys/{id}.
func (s *Server) adminRemoveKey(w http.ResponseWriter, r *http.Request) error {
	id := r.PathValue("id")
	if err := s.Store.DeleteKey(id); err != nil {
		return err
	}
	s.audit(r, "key.remove", id, "")
	return respondRemoved(w, id)
}

func wireKey(k store.Key) admin.Key {
	return admin.Key{ID: k.ID, Role: k.Role, Label: k.Label, CreatedAt: k.CreatedAt}
}

// respondList answers with a list of records.
func respondList[T any](w http.ResponseWriter, data []T) error {
	if data == nil {
		data = []T{}
	}
	return respond(w, http.StatusOK, admin.List[T]{Data: data})
}

func respondRemoved(w http.ResponseWriter, name string) error {
	return respond(w, http.StatusOK, map[string]any{"id": name, "deleted": true})
}

// readLimit reads ?limit=, 1 to 10000.
func readLimit(r *http.Request, def int) (int, error) {
	p, err := readPage(r, def, 10000)
	return p.Limit, err
}

// readInt reads a whole number of at least 0 out of a query, or def.
func readInt(r *http.Request, name string, def int) (int, error) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return def, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return 0, invalid(name, "Invalid value for '%s': expected a whole number.", name)
	}
	return n, nil
}

// readTime reads a time in the form of RFC 3339 out of a query; the zero time
// if it is not there.
func readTime(r *http.Request, name string) (time.Time, error) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return time.Time{}, nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return at, invalid(name, "Invalid value for '%s': expected a time such as 2026-01-31T09:00:00Z.", name)
	}
	return at, nil
}
