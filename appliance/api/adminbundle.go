package api

import (
	"errors"
	"fmt"
	"net/http"

	"cloister/appliance/admin"
	"cloister/appliance/fault"
)

// maxBundle bounds a bundle that is sent, in bytes. What it may take on the disk
// is another matter, which its manifest and the room there decide.
const maxBundle = 1 << 42

// adminExportBundle serves POST /admin/bundles/export: the bytes of a bundle.
func (s *Server) adminExportBundle(w http.ResponseWriter, r *http.Request) error {
	var in admin.ExportBundle
	if err := readJSON(w, r, &in); err != nil {
		return err
	}
	export, err := s.Bundles.Export(r.Context(), in)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/x-tar")
	w.WriteHeader(http.StatusOK)
	// An error from here on leaves the client with a bundle that has no end, and
	// it sees that.
	sum, err := export.Write(r.Context(), w)
	if err != nil {
		return err
	}
	for _, name := range export.Models {
		s.audit(r, "bundle.export", name, "bundle "+sum)
	}
	return nil
}

// adminImportBundle serves POST /admin/bundles/import.
func (s *Server) adminImportBundle(w http.ResponseWriter, r *http.Request) error {
	var in admin.ImportBundle
	file, err := readFormUpTo(w, r, &in, maxBundle)
	if err != nil {
		return err
	}
	if file == nil {
		return missing("file")
	}
	out, err := s.Bundles.Import(r.Context(), file, in)
	if err != nil {
		if why, ok := errors.AsType[*fault.Error](err); ok {
			s.audit(r, "bundle.refused", "bundle", why.Code)
		}
		drain(r.Body)
		return err
	}
	from := fmt.Sprintf("from %s, key %s, bundle %s", out.TrustedAs, out.Fingerprint, out.SHA256)
	if out.TrustedAs == "" {
		from = fmt.Sprintf("not trusted, key %s, bundle %s", out.Fingerprint, out.SHA256)
	}
	for _, a := range out.Adapters {
		s.audit(r, "bundle.import", a.Name, from)
	}
	return respond(w, http.StatusOK, out)
}

// adminVerifyBundle serves POST /admin/bundles/verify.
func (s *Server) adminVerifyBundle(w http.ResponseWriter, r *http.Request) error {
	var none struct{}
	file, err := readFormUpTo(w, r, &none, maxBundle)
	if err != nil {
		return err
	}
	if file == nil {
		return missing("file")
	}
	out, err := s.Bundles.Verify(r.Context(), file)
	if err != nil {
		drain(r.Body)
		return err
	}
	return respond(w, http.StatusOK, out)
}
