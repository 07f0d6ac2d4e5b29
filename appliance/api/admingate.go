package api

import (
	"fmt"
	"net/http"

	"cloister/appliance/admin"
)

// adminGate serves GET /admin/gate.
func (s *Server) adminGate(w http.ResponseWriter, _ *http.Request) error {
	gate, err := s.Releases.Gate()
	if err != nil {
		return err
	}
	return respond(w, http.StatusOK, gate)
}

// adminChangeGate serves POST /admin/gate.
func (s *Server) adminChangeGate(w http.ResponseWriter, r *http.Request) error {
	var in admin.ChangeGate
	if err := readJSON(w, r, &in); err != nil {
		return err
	}
	gate, err := s.Releases.Gate()
	if err != nil {
		return err
	}
	gate = in.Of(gate)
	if err := s.Releases.SetGate(gate); err != nil {
		return err
	}
	s.audit(r, "gate.change", "gate", fmt.Sprintf("min_loss_gain %g, max_score_drop %g, max_gap %g, min_examples %d, max_leaks %d",
		gate.MinLossGain, gate.MaxScoreDrop, gate.MaxGap, gate.MinExamples, gate.MaxLeaks))
	return respond(w, http.StatusOK, gate)
}
