package api

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"cloister/appliance/admin"
	"cloister/appliance/feedback"
	"cloister/appliance/models"
	"cloister/appliance/openai"
	"cloister/store"
)

// health serves GET /health. It is public: it says no more than that somebody answers.
func health(w http.ResponseWriter, _ *http.Request) error {
	return respond(w, http.StatusOK, map[string]string{"status": "ok"})
}

// oldFineTunes answers the fine-tuning API of 2021, which OpenAI has removed.
func oldFineTunes(http.ResponseWriter, *http.Request) error {
	return &failure{status: http.StatusNotFound, kind: typeInvalid, code: "unknown_url",
		message: "The /fine-tunes API was removed by OpenAI in 2024. Use POST /v1/fine_tuning/jobs: in the Python client client.fine_tuning.jobs.create(...), or openai.FineTuningJob.create(...) before version 1."}
}

// simpleChat serves POST /api/chat: one message, one answer, no dialect. The
// likeliest answer is given, so the same question has the same answer.
func (s *Server) simpleChat(w http.ResponseWriter, r *http.Request) error {
	var in struct {
		Message string `json:"message"`
		Model   string `json:"model"`  // empty: the default
		System  string `json:"system"` // empty: the one that the model was tuned with
	}
	if err := readJSON(w, r, &in); err != nil {
		return err
	}
	if strings.TrimSpace(in.Message) == "" {
		return missing("message")
	}
	model, err := s.Models.Resolve(in.Model)
	if err != nil {
		return err
	}
	if in.System == "" {
		if in.System, err = s.tunedWith(model); err != nil {
			return err
		}
	}
	zero := 0.0
	req := openai.ChatRequest{Model: in.Model, Temperature: &zero}
	if in.System != "" {
		req.Messages = append(req.Messages, openai.Message{Role: "system", Content: openai.NewContent(in.System)})
	}
	req.Messages = append(req.Messages, openai.Message{Role: "user", Content: openai.NewContent(in.Message)})
	call, err := s.prepareChat(r.Context(), &req)
	if err != nil {
		return err
	}
	answer := newCompletion(call)
	if err := s.generate(r.Context(), call, &answer); err != nil {
		return err
	}
	return respond(w, http.StatusOK, map[string]string{
		"id": answer.ID, "model": answer.Model, "response": *answer.Choices[0].Message.Content,
	})
}

// tunedWith is the system prompt of the dataset that a model was tuned on, here
// or at another site: a tuned model expects it. It is empty for others.
func (s *Server) tunedWith(m models.Resolved) (string, error) {
	if m.Adapter == nil {
		return "", nil
	}
	if m.Adapter.JobID == "" {
		origin, err := s.Store.Origin(m.Adapter.Name)
		if errors.Is(err, store.ErrNotFound) {
			return "", nil
		}
		return origin.System, err
	}
	job, err := s.Store.Job(m.Adapter.JobID)
	if err != nil {
		return "", err
	}
	version, err := s.Store.Version(job.Dataset, job.Version)
	if errors.Is(err, store.ErrNotFound) {
		return "", nil // the dataset was removed after the training
	}
	return version.System, err
}

// addFeedback serves POST /v1/feedback: a judgement of an answer by its id.
func (s *Server) addFeedback(w http.ResponseWriter, r *http.Request) error {
	var in struct {
		ID         string          `json:"id"`        // of the answer; a short form of
		AnswerID   string          `json:"answer_id"` // this
		Rating     json.RawMessage `json:"rating"`    // 1 to 5, "up" or "down"
		Correction string          `json:"correction"`
		Comment    string          `json:"comment"`
	}
	if err := readJSON(w, r, &in); err != nil {
		return err
	}
	if in.AnswerID == "" {
		in.AnswerID = in.ID
	}
	if in.AnswerID == "" {
		return missing("answer_id")
	}
	rating, err := parseRating(in.Rating)
	if err != nil {
		return err
	}
	saved, err := s.Feedback.Record(r.Context(), feedback.Request{
		AnswerID: in.AnswerID, Rating: rating, Correction: in.Correction, Comment: in.Comment, By: callOf(r.Context()).who.actor,
	})
	if err != nil {
		return err
	}
	return respond(w, http.StatusOK, admin.FeedbackAdded{
		ID: saved.ID, Object: "feedback", CreatedAt: saved.CreatedAt.Unix(), AnswerID: saved.AnswerID, Rating: saved.Rating,
	})
}

// parseRating reads 1 to 5, "up" (5) or "down" (1); absent is 0.
func parseRating(raw json.RawMessage) (int, error) {
	switch text := strings.TrimSpace(string(raw)); text {
	case "", "null":
		return 0, nil
	case `"up"`:
		return 5, nil
	case `"down"`:
		return 1, nil
	default:
		var n int
		if err := json.Unmarshal(raw, &n); err != nil || n < 1 || n > 5 {
			return 0, invalid("rating", "Invalid value for 'rating': expected a whole number from 1 (bad) to 5 (good), \"up\" or \"down\".")
		}
		return n, nil
	}
}
