package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"cloister/appliance/datasets"
	"cloister/appliance/engine"
	"cloister/appliance/fault"
	"cloister/lora/train"
	"cloister/store"
)

// validate turns a job's files into a dataset version and queues the job.
func (m *Manager) validate(job store.Job, _ int) error {
	m.event(job.ID, info, "Validating training file: "+job.TrainingFile, nil)
	if job.ValidationFile != "" {
		m.event(job.ID, info, "Validating validation file: "+job.ValidationFile, nil)
	}
	version, err := m.data.FromFiles(m.ctx, job.TrainingFile, job.ValidationFile)
	if err == nil {
		var asked train.Hyperparameters
		if err := json.Unmarshal(job.Requested, &asked); err != nil {
			return fmt.Errorf("hyper-parameters of %s: %w", job.ID, err)
		}
		err = suits(asked.Method, version, "training_file")
	}
	switch {
	case m.ctx.Err() != nil:
		return nil // the next start validates again
	case err != nil:
		return m.fail(job, failure(err))
	}
	m.event(job.ID, info, "Files validated, moving job to queued state", nil)
	_, err = m.st.UpdateJob(job.ID, func(j *store.Job) error {
		if j.Status.Terminal() {
			return errEnded
		}
		j.Status, j.Dataset, j.Version = store.JobQueued, version.Dataset, version.Number
		return nil
	})
	m.news.tell(job.ID)
	m.poke(runner)
	return unlessEnded(err)
}

// unlessEnded drops the error about a job that was cancelled meanwhile.
func unlessEnded(err error) error {
	if errors.Is(err, errEnded) {
		return nil
	}
	return err
}

// run trains one job to its end.
func (m *Manager) run(job store.Job, try int) error {
	ctx, cancel := context.WithCancel(m.ctx)
	defer cancel()
	m.mu.Lock()
	m.current, m.cancel = job.ID, cancel // before the state says "running", so that Cancel finds it
	m.mu.Unlock()
	defer func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.current = ""
	}()

	resumed := job.Status == store.JobRunning
	job, err := m.st.UpdateJob(job.ID, func(j *store.Job) error {
		if j.Status.Terminal() {
			return errEnded
		}
		if j.Status = store.JobRunning; j.StartedAt == nil {
			now := time.Now().UTC()
			j.StartedAt = &now
		}
		return nil
	})
	if err != nil {
		return unlessEnded(err)
	}
	if resumed && try == 1 {
		m.event(job.ID, info, "Fine-tuning job resumed after a restart of the appliance", nil)
	} else if !resumed {
		m.event(job.ID, info, "Fine-tuning job started", nil)
	}
	req, failed, err := m.request(job)
	if err != nil {
		return err
	}
	if failed != nil {
		return m.fail(job, *failed)
	}
	back := m.makeRoom(ctx, job.ID, req)
	result, err := m.train(ctx, job.ID, req)
	back()
	switch {
	case err == nil:
		err := m.finish(job, result)
		if gone(err) {
			err = m.fail(job, store.JobError{Code: "adapter_missing", Message: "The trained adapter cannot be read: " + err.Error()})
		}
		if err != nil {
			return err
		}
	case m.ctx.Err() != nil:
		return nil // still "running": the next start resumes it
	case ctx.Err() != nil: // cancelled, and said so
	default:
		failed := failure(err)
		if failed.Code == diverged {
			if failed.Message, err = m.keepBest(job, result, failed.Message); err != nil {
				return err
			}
		}
		if err := m.fail(job, failed); err != nil {
			return err
		}
	}
	return m.tidy(job.ID)
}

// makeRoom makes room for training, tells what that did to the models that
// answer, and returns the func that undoes it.
func (m *Manager) makeRoom(ctx context.Context, job string, req train.Request) (back func()) {
	if m.config.Room == nil {
		return func() {}
	}
	said, undo, err := m.config.Room(ctx, req)
	switch {
	case ctx.Err() != nil:
	case err != nil: // training finds out for itself whether it fits
		m.event(job, warn, "No room was made for this job among the models that answer: "+err.Error(), nil)
	case said != "":
		m.event(job, info, said, nil)
	}
	return func() {
		if said := undo(); said != "" {
			m.event(job, info, said, nil)
		}
	}
}

// gone reports whether an error is about a file.
func gone(err error) bool {
	_, path := errors.AsType[*fs.PathError](err)
	_, link := errors.AsType[*os.LinkError](err)
	return path || link
}

// workDir is where the trainer keeps its checkpoints.
func (m *Manager) workDir(job string) string { return filepath.Join(m.config.Home, "work", job) }

// sweep tidies up after jobs that ended just before an earlier process did.
func (m *Manager) sweep() error {
	left, err := os.ReadDir(m.workDir(""))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, dir := range left {
		job, missing := m.st.Job(dir.Name())
		switch {
		case errors.Is(missing, store.ErrNotFound):
			err = errors.Join(err, os.RemoveAll(m.workDir(dir.Name())))
		case missing != nil:
			err = errors.Join(err, missing)
		case job.Status.Terminal():
			err = errors.Join(err, m.tidy(job.ID))
		}
	}
	return err
}

// diverged is the code of jobs that stopped because they got worse and worse.
const diverged = "training_diverged"

// tidy removes what a job that has ended leaves behind: its work, and, unless
// it has succeeded or kept its best checkpoint, adapters that it had made
// before it was cancelled.
func (m *Manager) tidy(id string) error {
	job, err := m.st.Job(id)
	if err != nil {
		return err
	}
	if job.Status != store.JobSucceeded && (job.Error == nil || job.Error.Code != diverged) {
		made, err := m.st.JobAdapters(id)
		if err != nil {
			return err
		}
		for _, a := range made {
			if err := m.st.DeleteAdapter(a.Name); err != nil {
				return err
			}
			_ = os.Remove(filepath.Join(m.config.Home, a.Path))
		}
		_ = os.Remove(filepath.Join(m.config.Home, adapterPath(id, 0)))
	}
	return os.RemoveAll(m.workDir(id))
}

// Free space below which a job is not started, and below which it is warned
// about, in bytes.
const (
	tooFull  = 256 << 20
	nearFull = 2 << 30
)

// inputs gathers what a job reads. failed says why it cannot run; err is a
// failure of the appliance.
func (m *Manager) inputs(job store.Job) (req train.Request, failed *store.JobError, err error) {
	base, err := m.st.BaseModel(job.Base)
	if errors.Is(err, store.ErrNotFound) {
		return req, &store.JobError{Code: "model_not_found", Param: "model", Message: fmt.Sprintf("The base model %q has been removed.", job.Base)}, nil
	}
	if err != nil {
		return req, nil, err
	}
	req = train.Request{JobID: job.ID, BasePath: m.models.Path(base.Path), Threads: m.config.Threads, Device: m.config.Device, InitPath: job.InitPath, DumpPath: job.DumpPath}
	if job.From != "" {
		from, err := m.st.Adapter(job.From)
		if errors.Is(err, store.ErrNotFound) {
			return req, &store.JobError{Code: "model_not_found", Param: "model", Message: fmt.Sprintf("The model %q, which training was to continue from, has been removed.", job.From)}, nil
		}
		if err != nil {
			return req, nil, err
		}
		req.InitPath = m.models.Path(from.Path)
	}
	if failed, err = m.teacherFiles(job, &req); failed != nil || err != nil {
		return req, failed, err
	}
	if err := json.Unmarshal(job.Requested, &req.Hyperparameters); err != nil {
		return req, nil, fmt.Errorf("hyper-parameters of %s: %w", job.ID, err)
	}
	if req.Train, err = datasets.TrainingExamples(m.st, job.Dataset, job.Version, store.Train); err != nil {
		return req, nil, err
	}
	req.Train = append(req.Train, planted(job.Canaries)...)
	req.Valid, err = datasets.TrainingExamples(m.st, job.Dataset, job.Version, store.Valid)
	return req, nil, err
}

// request is inputs with the folders that the job writes to, and room in them.
func (m *Manager) request(job store.Job) (req train.Request, failed *store.JobError, err error) {
	if req, failed, err = m.inputs(job); failed != nil || err != nil {
		return req, failed, err
	}
	req.WorkDir, req.OutPath = m.workDir(job.ID), filepath.Join(m.config.Home, adapterPath(job.ID, 0))
	for _, dir := range []string{req.WorkDir, filepath.Dir(req.OutPath)} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return req, nil, err
		}
	}
	switch free, err := m.free(m.config.Home); {
	case err != nil:
		return req, nil, err
	case free < tooFull:
		return req, &store.JobError{Code: "disk_full", Message: fmt.Sprintf("Only %d MiB are free on the disk of the data directory; at least %d MiB are needed.", free>>20, tooFull>>20)}, nil
	case free < nearFull:
		m.event(job.ID, warn, fmt.Sprintf("Only %d MiB are free on the disk of the data directory.", free>>20), nil)
	}
	return req, nil, nil
}

// maxDeaths bounds how often in a row a worker may die without having done a
// step that was not done before.
const maxDeaths = 3

// train runs the trainer, and again from the checkpoint when its worker dies or
// the card fails. When a card gets nowhere twice in a row, the CPU goes on.
func (m *Manager) train(ctx context.Context, job string, req train.Request) (train.Result, error) {
	rec := recorder{m: m, ctx: ctx, job: job}
	deaths, reached := 0, 0
	for {
		result, err := m.trainer.Train(ctx, req, rec.record)
		failed := errors.Is(err, train.ErrDevice)
		died := failed || errors.Is(err, engine.ErrWorkerDied) || errors.Is(err, train.ErrStopped)
		if err == nil || ctx.Err() != nil || !died {
			return result, err
		}
		if deaths++; rec.step > reached {
			deaths, reached = 1, rec.step
		}
		what := "The training worker died"
		if failed {
			what = "The card failed: " + err.Error()
		}
		switch {
		case deaths >= maxDeaths && failed:
			return result, err
		case deaths >= maxDeaths:
			return result, fmt.Errorf("%w (%d times in a row)", engine.ErrWorkerDied, deaths)
		case deaths > 1 && rec.card:
			req.Device = train.CPUDevice
			m.event(job, warn, what+"; as that was the second time without a step in between, training goes on from the last checkpoint on the CPU", nil)
		default:
			m.event(job, warn, what+"; training goes on from the last checkpoint", nil)
		}
	}
}

// failure puts an error into OpenAI's shape. Messages of the trainer and the
// services hold no texts of examples.
func failure(err error) store.JobError {
	if f, ok := errors.AsType[*fault.Error](err); ok {
		return store.JobError{Code: f.Code, Message: f.Error(), Param: f.Param}
	}
	switch {
	case errors.Is(err, train.ErrDiverged):
		return store.JobError{Code: diverged, Message: err.Error()}
	case errors.Is(err, train.ErrMemory):
		return store.JobError{Code: "out_of_memory", Message: err.Error()}
	case errors.Is(err, train.ErrDevice):
		return store.JobError{Code: "device_failed", Message: err.Error()}
	case errors.Is(err, train.ErrNoExamples):
		return store.JobError{Code: "invalid_n_examples", Message: err.Error()}
	case errors.Is(err, engine.ErrWorkerDied):
		return store.JobError{Code: "worker_died", Message: "The training worker died again and again: " + err.Error() + ". Perhaps memory ran out; a smaller batch_size or max_length needs less."}
	}
	return store.JobError{Code: "training_failed", Message: err.Error()}
}

// fail ends a job with an error.
func (m *Manager) fail(job store.Job, e store.JobError) error {
	if e.Code == "" {
		e.Code = "invalid_request"
	}
	_, err := m.end(job.ID, func(j *store.Job) { j.Status, j.Error = store.JobFailed, &e }, line{bad, e.Message})
	return unlessEnded(err)
}
