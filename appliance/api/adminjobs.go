package api

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strconv"
	"time"

	"cloister/appliance/admin"
	"cloister/appliance/estimate"
	"cloister/appliance/fault"
	"cloister/appliance/jobs"
	"cloister/lora/eval"
	"cloister/store"
)

// heartbeat is how often a stream without news says that it is alive.
const heartbeat = 15 * time.Second

// adminTune serves POST /admin/jobs.
func (s *Server) adminTune(w http.ResponseWriter, r *http.Request) error {
	var in admin.TrainOn
	if err := readJSON(w, r, &in); err != nil {
		return err
	}
	req := trainOn(&in)
	req.Suffix, req.Metadata, req.DumpPath, req.Canaries = in.Suffix, in.Metadata, in.DumpGradients, in.Canaries
	if in.DumpGradients != "" && callOf(r.Context()).who != local {
		return invalid("dump_gradients", "The file would hold tokens of examples, so only the command line on the appliance's machine can ask for it: cloister tune --dump-gradients FILE.")
	}
	if in.Dataset == "" {
		return missing("dataset")
	}
	if in.Hyperparameters.Seed != 0 {
		req.Seed = &in.Hyperparameters.Seed
	}
	job, err := s.Jobs.Create(r.Context(), req)
	if err != nil {
		return err
	}
	s.audit(r, "job.create", job.ID, job.Model)
	return respond(w, http.StatusOK, job)
}

// trainOn is what a job and an estimate of it have in common.
func trainOn(in *admin.TrainOn) jobs.CreateRequest {
	req := jobs.CreateRequest{Model: in.Model, Dataset: in.Dataset, Version: in.Version, Hyper: in.Hyperparameters, From: in.From, InitPath: in.Init}
	if filepath.IsAbs(in.Teacher) {
		req.TeacherPath = in.Teacher
	} else {
		req.Teacher = in.Teacher
	}
	return req
}

// adminEstimate serves POST /admin/estimate.
func (s *Server) adminEstimate(w http.ResponseWriter, r *http.Request) error {
	var in admin.EstimateOn
	if err := readJSON(w, r, &in); err != nil {
		return err
	}
	if in.Dataset == "" {
		return missing("dataset")
	}
	if in.Memory < 0 {
		return fault.New(fault.Invalid, "", "memory", "memory is %d bytes; it must be 0, for what is free here, or more.", in.Memory)
	}
	out, err := s.Estimator.Estimate(r.Context(), estimate.Request{CreateRequest: trainOn(&in.TrainOn), Memory: in.Memory})
	if err != nil {
		return err
	}
	return respond(w, http.StatusOK, out)
}

// adminJobs serves GET /admin/jobs, newest first.
func (s *Server) adminJobs(w http.ResponseWriter, r *http.Request) error {
	limit, err := readLimit(r, 100)
	if err != nil {
		return err
	}
	all, _, err := s.Store.Jobs(nil, store.Page{Limit: limit})
	if err != nil {
		return err
	}
	return respondList(w, all)
}

// adminJob serves GET /admin/jobs/{id}.
func (s *Server) adminJob(w http.ResponseWriter, r *http.Request) error {
	job, err := s.job(r.PathValue("id"))
	if err != nil {
		return err
	}
	return respond(w, http.StatusOK, job)
}

// adminCancelJob serves POST /admin/jobs/{id}/cancel.
func (s *Server) adminCancelJob(w http.ResponseWriter, r *http.Request) error {
	job, err := s.job(r.PathValue("id"))
	if err != nil {
		return err
	}
	if job, err = s.Jobs.Cancel(r.Context(), job.ID); err != nil {
		return err
	}
	s.audit(r, "job.cancel", job.ID, "")
	return respond(w, http.StatusOK, job)
}

// adminFollowJob serves GET /admin/jobs/{id}/follow: the events after a
// sequence number as JSON lines, those to come included, and at last the job.
func (s *Server) adminFollowJob(w http.ResponseWriter, r *http.Request) error {
	after := uint64(0)
	if text := r.URL.Query().Get("after"); text != "" {
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			return invalid("after", "Invalid value for 'after': expected the sequence number of an event.")
		}
		after = n
	}
	job, err := s.job(r.PathValue("id"))
	if err != nil {
		return err
	}
	out := newLines(w)
	defer out.end()
	if err := out.send(admin.JobLine{}); err != nil { // the header, before the first event
		return err
	}
	stop := out.stayAlive(heartbeat)
	err = s.Jobs.Follow(r.Context(), job.ID, after, func(e store.Event) error {
		return out.send(admin.JobLine{Event: &e})
	})
	stop()
	if err == nil {
		job, err = s.job(job.ID)
	}
	if err != nil {
		return out.fail(r.Context(), err)
	}
	return out.send(admin.JobLine{Job: &job})
}

// adminEvaluate serves POST /admin/evaluations: progress as JSON lines, and at
// last the evaluation.
func (s *Server) adminEvaluate(w http.ResponseWriter, r *http.Request) error {
	var in admin.Evaluate
	file, err := s.readForm(w, r, &in)
	if err != nil {
		return err
	}
	if in.Model == "" {
		return missing("model")
	}
	var content io.Reader
	if file != nil {
		content = file
		if in.FileName == "" {
			in.FileName = file.name
		}
	}
	if in.Dataset == "" && file == nil && !in.Leak {
		return invalid("dataset", "Name a dataset or send a file.")
	}
	if len(in.Search) > 0 && callOf(r.Context()).who != local {
		return invalid("search", "Only the command line on the appliance's machine can name files to search: cloister eval --search PATH.")
	}
	out := newLines(w)
	defer out.end()
	result, err := s.Evaluator.Run(r.Context(), in, content, func(done, total int) {
		_ = out.send(admin.EvaluateLine{Done: done, Total: total}) // a client that has gone ends the context
	})
	if err != nil {
		drain(r.Body)
		return out.fail(r.Context(), err)
	}
	s.audit(r, "evaluate", result.Model, result.ID)
	s.auditLeak(r, result)
	return out.send(admin.EvaluateLine{Evaluation: &result})
}

// auditLeak records what the leak test of an evaluation found.
func (s *Server) auditLeak(r *http.Request, e store.Evaluation) {
	var report struct{ Leak *eval.Leak }
	if err := json.Unmarshal(e.Report, &report); err != nil || report.Leak == nil {
		return // nothing was tested
	}
	kind := "short"
	if report.Leak.Thorough {
		kind = "thorough"
	}
	s.audit(r, "leak.test", e.Model, fmt.Sprintf("%s, %d found", kind, report.Leak.Leaks()))
}

// adminAnswer serves POST /admin/answers: progress as JSON lines, and at last the version.
func (s *Server) adminAnswer(w http.ResponseWriter, r *http.Request) error {
	var in admin.AnswerDataset
	if err := readJSON(w, r, &in); err != nil {
		return err
	}
	for _, f := range []struct{ name, value string }{{"dataset", in.Dataset}, {"model", in.Model}, {"name", in.Name}} {
		if f.value == "" {
			return missing(f.name)
		}
	}
	out := newLines(w)
	defer out.end()
	v, err := s.Answerer.Run(r.Context(), in, func(done, total int) {
		_ = out.send(admin.VersionLine{Done: done, Total: total}) // a client that has gone ends the context
	})
	if err != nil {
		return out.fail(r.Context(), err)
	}
	s.audit(r, "dataset.answer", versionName(v), in.Model)
	return out.send(admin.VersionLine{Version: &v})
}

// adminEvaluations serves GET /admin/evaluations?model=….
func (s *Server) adminEvaluations(w http.ResponseWriter, r *http.Request) error {
	model := r.URL.Query().Get("model")
	if model != "" {
		m, err := s.Models.Resolve(model)
		if err != nil {
			return err
		}
		model = m.Name()
	}
	all, err := s.Store.Evaluations(model)
	if err != nil {
		return err
	}
	return respondList(w, all)
}

// adminDeploy serves POST /admin/deploy.
func (s *Server) adminDeploy(w http.ResponseWriter, r *http.Request) error {
	var in admin.Deploy
	if err := readJSON(w, r, &in); err != nil {
		return err
	}
	if in.Model == "" {
		return missing("model")
	}
	if in.Alias == "" {
		return missing("alias")
	}
	rel, err := s.Releases.Deploy(r.Context(), in.Model, in.Alias, in.Force, callOf(r.Context()).who.actor)
	if err != nil {
		return err
	}
	detail := rel.Model
	if rel.Forced {
		detail += " (against the gate)"
	}
	s.audit(r, "deploy", rel.Alias, detail)
	return respond(w, http.StatusOK, rel)
}

// adminRollback serves POST /admin/rollback.
func (s *Server) adminRollback(w http.ResponseWriter, r *http.Request) error {
	var in admin.Rollback
	if err := readJSON(w, r, &in); err != nil {
		return err
	}
	if in.Alias == "" {
		return missing("alias")
	}
	rel, err := s.Releases.Rollback(r.Context(), in.Alias, callOf(r.Context()).who.actor)
	if err != nil {
		return err
	}
	s.audit(r, "rollback", rel.Alias, rel.Model)
	return respond(w, http.StatusOK, rel)
}

// adminReleases serves GET /admin/releases.
func (s *Server) adminReleases(w http.ResponseWriter, _ *http.Request) error {
	all, err := s.Releases.Status()
	if err != nil {
		return err
	}
	return respondList(w, all)
}
