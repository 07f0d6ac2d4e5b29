package api

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"cloister/appliance/jobs"
	"cloister/appliance/models"
	"cloister/appliance/openai"
	"cloister/lora/train"
	"cloister/store"
)

// createJob serves POST /v1/fine_tuning/jobs. A request that is repeated with
// the same Idempotency-Key gets the job that the first one made.
func (s *Server) createJob(w http.ResponseWriter, r *http.Request) error {
	var in openai.JobRequest
	if err := readJSON(w, r, &in); err != nil {
		return err
	}
	req, err := parseJob(&in)
	if err != nil {
		return err
	}
	id, err := s.idempotent.do(callOf(r.Context()).who.actor, r.Header.Get("Idempotency-Key"), func() (string, error) {
		job, err := s.Jobs.Create(r.Context(), req)
		if err != nil {
			return "", err
		}
		s.audit(r, "job.create", job.ID, job.Model)
		return job.ID, nil
	})
	if errors.Is(err, models.ErrUnknownModel) {
		f := *asFailure(err)
		f.status = http.StatusBadRequest // OpenAI's status here; a 404 would be about the route
		return &f
	}
	if err != nil {
		return err
	}
	return s.respondJob(w, id)
}

func (s *Server) respondJob(w http.ResponseWriter, id string) error {
	job, err := s.job(id)
	if err != nil {
		return err
	}
	out, err := s.wireJob(job)
	if err != nil {
		return err
	}
	return respond(w, http.StatusOK, out)
}

// job finds a job.
func (s *Server) job(id string) (store.Job, error) {
	job, err := s.Store.Job(id)
	if errors.Is(err, store.ErrNotFound) {
		return job, notFound("fine-tuning job", id)
	}
	return job, err
}

// parseJob turns a request into the job manager's, which checks its values.
func parseJob(in *openai.JobRequest) (jobs.CreateRequest, error) {
	out := jobs.CreateRequest{Model: in.Model, TrainingFile: in.TrainingFile, Metadata: in.Metadata, Seed: in.Seed}
	if in.Model == "" {
		return out, missing("model")
	}
	if in.TrainingFile == "" {
		return out, missing("training_file")
	}
	if in.ValidationFile != nil {
		out.ValidationFile = *in.ValidationFile
	}
	if in.Suffix != nil {
		if out.Suffix = *in.Suffix; out.Suffix == "" {
			return out, invalid("suffix", "Invalid 'suffix': expected a text of 1 to 64 characters.")
		}
	}
	if len(in.Integrations) > 0 {
		out.Notes = append(out.Notes, "Integrations are ignored: the appliance has no connection to the outside. Its events and result file hold the metrics.")
	}
	hyper, path, err := chooseHyper(in)
	if err == nil && hyper != nil {
		out.Hyper, err = parseHyper(hyper, path)
	}
	if in.Method != nil && in.Method.Type != "supervised" {
		out.Hyper.Method = in.Method.Type
	}
	return out, err
}

// chooseHyper picks the block that counts: that of the method, or else the
// deprecated one.
func chooseHyper(in *openai.JobRequest) (*openai.Hyperparameters, string, error) {
	if m := in.Method; m != nil {
		switch m.Type {
		case "":
			return nil, "", missing("method.type")
		case "supervised":
		case "dpo":
			if m.DPO != nil && m.DPO.Hyperparameters != nil {
				return m.DPO.Hyperparameters, "method.dpo.hyperparameters.", nil
			}
		case "kto":
			if m.KTO != nil && m.KTO.Hyperparameters != nil {
				return m.KTO.Hyperparameters, "method.kto.hyperparameters.", nil
			}
		case "reinforcement":
			return nil, "", unsupported("method.type", "The method '%s' is not supported; use 'supervised', 'dpo' or 'kto'.", m.Type)
		default:
			return nil, "", invalid("method.type", "Invalid value for 'method.type': supported values are 'supervised', 'dpo' and 'kto'.")
		}
		if m.Type == "supervised" && m.Supervised != nil && m.Supervised.Hyperparameters != nil {
			return m.Supervised.Hyperparameters, "method.supervised.hyperparameters.", nil
		}
	}
	return in.Hyperparameters, "hyperparameters.", nil
}

// parseHyper maps "auto" to 0, which the trainer takes as "choose for me", and
// so refuses a 0 that was given.
func parseHyper(h *openai.Hyperparameters, path string) (train.Hyperparameters, error) {
	for _, f := range []struct {
		name  string
		set   bool
		value float64
	}{
		{"n_epochs", h.NEpochs.Set, float64(h.NEpochs.Value)},
		{"batch_size", h.BatchSize.Set, float64(h.BatchSize.Value)},
		{"learning_rate_multiplier", h.LearningRateMultiplier.Set, h.LearningRateMultiplier.Value},
		{"learning_rate", h.LearningRate.Set, h.LearningRate.Value},
		{"rank", h.Rank.Set, float64(h.Rank.Value)},
		{"alpha", h.Alpha.Set, h.Alpha.Value},
		{"beta", h.Beta.Set, h.Beta.Value},
		{"desirable_weight", h.DesirableWeight.Set, h.DesirableWeight.Value},
		{"undesirable_weight", h.UndesirableWeight.Set, h.UndesirableWeight.Value},
	} {
		if f.set && f.value <= 0 {
			return train.Hyperparameters{}, invalid(path+f.name, "Invalid '%s': expected \"auto\" or a number above 0, but got %v instead.", path+f.name, f.value)
		}
	}
	return train.Hyperparameters{
		Epochs: h.NEpochs.Value, BatchSize: h.BatchSize.Value, LearningRateMultiplier: h.LearningRateMultiplier.Value,
		LearningRate: h.LearningRate.Value, Rank: h.Rank.Value, Alpha: h.Alpha.Value, Beta: h.Beta.Value,
		DesirableWeight: h.DesirableWeight.Value, UndesirableWeight: h.UndesirableWeight.Value,
	}, nil
}

// listJobs serves GET /v1/fine_tuning/jobs: newest first, by metadata if asked.
func (s *Server) listJobs(w http.ResponseWriter, r *http.Request) error {
	p, err := readPage(r, 20, 100)
	if err != nil {
		return err
	}
	all, more, err := s.findJobs(r.URL.Query(), p)
	if errors.Is(err, store.ErrNotFound) {
		return unknownCursor(p.After)
	}
	if err != nil {
		return err
	}
	out := openai.Page[openai.Job]{Object: "list", Data: make([]openai.Job, len(all)), HasMore: more}
	for i, job := range all {
		if out.Data[i], err = s.wireJob(job); err != nil {
			return err
		}
	}
	return respond(w, http.StatusOK, out)
}

// findJobs returns a page of the jobs that fit ?metadata[key]=value (all of
// them) or ?metadata=null (jobs without metadata).
func (s *Server) findJobs(q url.Values, p store.Page) ([]store.Job, bool, error) {
	want := map[string]string{}
	for key, values := range q {
		if name, ok := strings.CutPrefix(key, "metadata["); ok && strings.HasSuffix(name, "]") {
			want[strings.TrimSuffix(name, "]")] = values[0]
		}
	}
	if q.Get("metadata") != "null" {
		return s.Store.Jobs(want, p)
	}
	all, _, err := s.Store.Jobs(nil, store.Page{After: p.After, Ascending: p.Ascending})
	all = slices.DeleteFunc(all, func(j store.Job) bool { return len(j.Metadata) > 0 })
	if len(all) > p.Limit {
		return all[:p.Limit], true, err
	}
	return all, false, err
}

// getJob serves GET /v1/fine_tuning/jobs/{id}.
func (s *Server) getJob(w http.ResponseWriter, r *http.Request) error {
	return s.respondJob(w, r.PathValue("id"))
}

// cancelJob serves POST /v1/fine_tuning/jobs/{id}/cancel.
func (s *Server) cancelJob(w http.ResponseWriter, r *http.Request) error {
	job, err := s.job(r.PathValue("id"))
	if err != nil {
		return err
	}
	if _, err := s.Jobs.Cancel(r.Context(), job.ID); err != nil {
		return err
	}
	s.audit(r, "job.cancel", job.ID, "")
	return s.respondJob(w, job.ID)
}

// listEvents serves GET /v1/fine_tuning/jobs/{id}/events, newest first.
func (s *Server) listEvents(w http.ResponseWriter, r *http.Request) error {
	p, err := readPage(r, 20, 1000)
	if err != nil {
		return err
	}
	job, err := s.job(r.PathValue("id"))
	if err != nil {
		return err
	}
	all, more, err := s.Store.Events(job.ID, p)
	if errors.Is(err, store.ErrNotFound) {
		return unknownCursor(p.After)
	}
	if err != nil {
		return err
	}
	out := openai.Page[openai.Event]{Object: "list", Data: make([]openai.Event, len(all)), HasMore: more}
	for i, e := range all {
		out.Data[i] = wireEvent(e)
	}
	return respond(w, http.StatusOK, out)
}

// listCheckpoints serves GET /v1/fine_tuning/jobs/{id}/checkpoints, newest
// first; the first one of a finished job is the tuned model itself.
func (s *Server) listCheckpoints(w http.ResponseWriter, r *http.Request) error {
	p, err := readPage(r, 10, 100)
	if err != nil {
		return err
	}
	job, err := s.job(r.PathValue("id"))
	if err != nil {
		return err
	}
	all, err := s.Store.JobAdapters(job.ID)
	if err != nil {
		return err
	}
	sortCheckpoints(all)
	data, more, err := cut(all, p, checkpointID)
	if err != nil {
		return err
	}
	out := openai.CheckpointPage{Object: "list", Data: make([]openai.Checkpoint, len(data)), HasMore: more}
	for i, a := range data {
		out.Data[i] = wireCheckpoint(a)
	}
	if len(data) > 0 {
		out.FirstID, out.LastID = &out.Data[0].ID, &out.Data[len(data)-1].ID
	}
	return respond(w, http.StatusOK, out)
}
