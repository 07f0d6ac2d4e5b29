package api

import (
	"fmt"
	"net/http"
	"strconv"

	"cloister/appliance/admin"
	"cloister/appliance/datasets"
	"cloister/appliance/masking"
)

// adminReview serves GET …/review: texts of the original, so it is audited.
func (s *Server) adminReview(w http.ResponseWriter, r *http.Request) error {
	v, err := s.version(r)
	if err != nil {
		return err
	}
	req := datasets.ReviewRequest{From: datasets.DefaultFrom, To: datasets.DefaultTo}
	for name, to := range map[string]*float64{"from": &req.From, "to": &req.To} {
		if text := r.URL.Query().Get(name); text != "" {
			if *to, err = strconv.ParseFloat(text, 64); err != nil {
				return invalid(name, "Invalid value for '%s': expected a score from 0 to 1.", name)
			}
		}
	}
	if req.Limit, err = readLimit(r, 0); err != nil {
		return err
	}
	out, err := s.Datasets.Review(r.Context(), v.Dataset, v.Number, req)
	if err != nil {
		return err
	}
	s.audit(r, "dataset.review", versionName(v), fmt.Sprintf("%d of %d items", len(out.Items), out.Total))
	return respond(w, http.StatusOK, out)
}

// adminDecide serves POST …/decisions.
func (s *Server) adminDecide(w http.ResponseWriter, r *http.Request) error {
	v, err := s.version(r)
	if err != nil {
		return err
	}
	var in admin.Decide
	if err := readJSON(w, r, &in); err != nil {
		return err
	}
	if len(in.Decisions) == 0 && !in.Apply {
		return missing("decisions")
	}
	out, err := s.Datasets.Decide(r.Context(), v.Dataset, v.Number, in.Decisions, in.Apply)
	if err != nil {
		return err
	}
	detail := ""
	for _, verdict := range masking.Verdicts {
		detail += fmt.Sprintf("%s %d, ", verdict, out.Counts[verdict])
	}
	if detail += "not applied"; out.Version != nil {
		detail = detail[:len(detail)-len("not applied")] + "applied in " + versionName(*out.Version)
	}
	s.audit(r, "dataset.decide", versionName(v), detail)
	return respond(w, http.StatusOK, out)
}
