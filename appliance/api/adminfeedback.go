package api

import (
	"net/http"

	"cloister/appliance/admin"
)

// adminFeedback serves GET /admin/feedback?since=&limit=, newest first.
func (s *Server) adminFeedback(w http.ResponseWriter, r *http.Request) error {
	since, err := readTime(r, "since")
	if err != nil {
		return err
	}
	limit, err := readLimit(r, 100)
	if err != nil {
		return err
	}
	items, err := s.Feedback.List(since)
	if err != nil {
		return err
	}
	return respondList(w, items[:min(limit, len(items))])
}

// adminFeedbackReport serves GET /admin/feedback/report?since=&worst=.
func (s *Server) adminFeedbackReport(w http.ResponseWriter, r *http.Request) error {
	since, err := readTime(r, "since")
	if err != nil {
		return err
	}
	worst, err := readInt(r, "worst", 20)
	if err != nil {
		return err
	}
	report, err := s.Feedback.Report(since, worst)
	if err != nil {
		return err
	}
	return respond(w, http.StatusOK, report)
}

// adminImportFeedback serves POST /admin/feedback/import: a file of ratings.
func (s *Server) adminImportFeedback(w http.ResponseWriter, r *http.Request) error {
	file, err := s.readForm(w, r, &struct{}{})
	if err != nil {
		return err
	}
	if file == nil {
		return missing("file")
	}
	result, err := s.Feedback.Import(r.Context(), file.name, file, callOf(r.Context()).who.actor)
	if err != nil {
		drain(r.Body)
		return err
	}
	s.audit(r, "feedback.import", file.name, "")
	return respond(w, http.StatusOK, result)
}

// adminApplyFeedback serves POST /admin/feedback/apply.
func (s *Server) adminApplyFeedback(w http.ResponseWriter, r *http.Request) error {
	var in admin.ApplyFeedback
	if err := readJSON(w, r, &in); err != nil {
		return err
	}
	if in.Dataset == "" {
		return missing("dataset")
	}
	v, n, err := s.Datasets.ApplyCorrections(r.Context(), in.Dataset)
	if err != nil {
		return err
	}
	s.audit(r, "feedback.apply", versionName(v), "")
	return respond(w, http.StatusOK, admin.FeedbackApplied{Version: v, Corrections: n})
}
