package api

import (
	"fmt"
	"net/http"
	"time"

	"cloister/appliance/admin"
	"cloister/store"
)

// adminPolicy serves GET …/policy: what a version was masked with, names and
// numbers in the clear, so it is audited.
func (s *Server) adminPolicy(w http.ResponseWriter, r *http.Request) error {
	v, err := s.version(r)
	if err != nil {
		return err
	}
	used, err := s.Datasets.Used(v.Dataset, v.Number)
	if err != nil {
		return err
	}
	if err := s.auditFirst(r, "dataset.policy", versionName(v), fmt.Sprintf("%d allowed values", len(used.Allow))); err != nil {
		return err
	}
	return respond(w, http.StatusOK, used)
}

// adminMask serves POST /admin/mask.
func (s *Server) adminMask(w http.ResponseWriter, r *http.Request) error {
	var in admin.Texts
	if err := readJSON(w, r, &in); err != nil {
		return err
	}
	texts, findings, err := s.Masking.MaskLines(in.Texts)
	if err != nil {
		return err
	}
	return respond(w, http.StatusOK, admin.MaskedTexts{Texts: texts, Findings: findings})
}

// adminUnmask serves POST /admin/unmask: values out of the vault. It is written
// to the audit log before they are sent, and not sent if that fails.
func (s *Server) adminUnmask(w http.ResponseWriter, r *http.Request) error {
	var in admin.Texts
	if err := readJSON(w, r, &in); err != nil {
		return err
	}
	texts, restored, err := s.Masking.Unmask(in.Texts)
	if err != nil {
		return err
	}
	if err := s.auditFirst(r, "unmask", "vault", fmt.Sprintf("%d values in %d texts", restored, len(texts))); err != nil {
		return err
	}
	return respond(w, http.StatusOK, admin.UnmaskedTexts{Texts: texts, Restored: restored})
}

// auditFirst writes an entry of the log of who did what, and fails with it: for
// what must not happen unseen.
func (s *Server) auditFirst(r *http.Request, action, object, detail string) error {
	_, err := s.Store.AppendAudit(store.Audit{At: time.Now().UTC(), Actor: callOf(r.Context()).who.actor, Action: action, Object: object, Detail: detail})
	return err
}
