package api

import (
	"net/http"
	"strings"

	"cloister/appliance/admin"
	"cloister/store/signing"
)

// adminSite serves GET /admin/site/key.
func (s *Server) adminSite(w http.ResponseWriter, _ *http.Request) error {
	id, err := s.Site.Identity()
	if err != nil {
		return err
	}
	return respond(w, http.StatusOK, id)
}

// adminMakeKey serves POST /admin/site/key.
func (s *Server) adminMakeKey(w http.ResponseWriter, r *http.Request) error {
	var in admin.MakeKey
	if err := readJSON(w, r, &in); err != nil {
		return err
	}
	id, err := s.Site.Make(in.Name, in.Renew)
	if err != nil {
		return err
	}
	s.audit(r, "site.key", id.Name, id.Fingerprint)
	return respond(w, http.StatusOK, id)
}

// signPurposes begins the purposes that a caller may have something signed for.
const signPurposes = "cloister pack "

// adminSign serves POST /admin/site/sign.
func (s *Server) adminSign(w http.ResponseWriter, r *http.Request) error {
	var in admin.Sign
	if err := readJSON(w, r, &in); err != nil {
		return err
	}
	if callOf(r.Context()).who != local {
		return invalid("purpose", "Only the command line on the appliance's machine can have something signed.")
	}
	if !strings.HasPrefix(in.Purpose, signPurposes) || len(in.Purpose) > 255 {
		return invalid("purpose", "Invalid value for 'purpose': it must begin with %q and have at most 255 bytes.", signPurposes)
	}
	signature, id, err := s.Site.Sign(in.Purpose, in.Message)
	if err != nil {
		return err
	}
	s.audit(r, "site.sign", id.Name, in.Purpose)
	return respond(w, http.StatusOK, admin.Signed{Signature: signature, Site: id})
}

// adminTrusted serves GET /admin/site/trusted.
func (s *Server) adminTrusted(w http.ResponseWriter, _ *http.Request) error {
	all, err := s.Site.Trusted()
	if err != nil {
		return err
	}
	return respondList(w, all)
}

// adminTrust serves POST /admin/site/trusted.
func (s *Server) adminTrust(w http.ResponseWriter, r *http.Request) error {
	var in admin.Trust
	if err := readJSON(w, r, &in); err != nil {
		return err
	}
	if in.Key == (signing.PublicKey{}) {
		return missing("key")
	}
	t, err := s.Site.Trust(in.Name, in.Key)
	if err != nil {
		return err
	}
	s.audit(r, "site.trust", t.Name, t.Fingerprint)
	return respond(w, http.StatusOK, t)
}

// adminDistrust serves DELETE /admin/site/trusted/{name}.
func (s *Server) adminDistrust(w http.ResponseWriter, r *http.Request) error {
	t, err := s.Site.Distrust(r.PathValue("name"))
	if err != nil {
		return err
	}
	s.audit(r, "site.distrust", t.Name, t.Fingerprint)
	return respondRemoved(w, t.Name)
}
