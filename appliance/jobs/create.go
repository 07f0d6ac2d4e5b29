package jobs

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"unicode/utf8"

	"cloister/appliance/datasets"
	"cloister/appliance/fault"
	"cloister/lora/train"
	"cloister/store"
)

// ErrClosed ends Follow when the Manager closes.
var ErrClosed = errors.New("the appliance is shutting down")

// maxMultiplierTypo is the highest learning_rate_multiplier that is taken for
// a learning rate: rates for fine-tuning are 1e-5 to 1e-3, and a multiplier
// that small would train nothing.
const maxMultiplierTypo = 1e-3

// Create checks a request, stores the job and returns it: "validating_files"
// when it names files, "queued" when it names a dataset. What is wrong with
// the request is a *fault.Error with Param.
func (m *Manager) Create(_ context.Context, req CreateRequest) (store.Job, error) {
	job, err := m.describe(req)
	if err != nil {
		return store.Job{}, err
	}
	notes := req.Notes
	if r := req.Hyper.LearningRateMultiplier; r > 0 && r <= maxMultiplierTypo && !m.config.LiteralMultiplier {
		notes = append(notes, fmt.Sprintf("learning_rate_multiplier is %g, which looks like a learning rate: it scales the automatic rate, and so small a factor would train nothing. The automatic rate is used instead; set learning_rate to give a rate itself, or start the appliance with --literal-lr-multiplier.", r))
		req.Hyper.LearningRateMultiplier = 0
	}
	job.Seed = rand.Int64N(math.MaxInt32)
	if req.Seed != nil {
		job.Seed = *req.Seed
	}
	req.Hyper.Seed = job.Seed
	if job.Canaries = canaries(req.Canaries, job.Seed); len(job.Canaries) > 0 {
		notes = append(notes, canaryNote(job.Canaries))
	}
	if job.Requested, err = json.Marshal(req.Hyper); err != nil {
		return store.Job{}, err
	}
	if req.Dataset != "" {
		job.Status = store.JobQueued
		err = m.fromDataset(&job, req)
	} else {
		job.Status = store.JobValidating
		err = m.fromFiles(req)
	}
	if err != nil {
		return store.Job{}, err
	}
	if job, err = m.st.CreateJob(job); err != nil {
		return store.Job{}, err
	}
	m.event(job.ID, info, "Created fine-tuning job: "+job.ID, nil)
	for _, note := range notes {
		m.event(job.ID, warn, note, nil)
	}
	if from := cmp.Or(job.From, job.InitPath); from != "" {
		m.event(job.ID, info, "Training continues from the adapter "+from, nil)
	}
	if job.Status == store.JobQueued {
		m.poke(runner)
	} else {
		m.poke(validator)
	}
	return job, nil
}

// describe checks a request and makes the job that it asks for, without its data
// and its hyper-parameters.
func (m *Manager) describe(req CreateRequest) (store.Job, error) {
	if err := check(req); err != nil {
		return store.Job{}, err
	}
	origin, err := m.origin(req)
	if err != nil {
		return store.Job{}, err
	}
	job := store.Job{
		Model: origin.model, Base: origin.base, From: origin.adapter, InitPath: req.InitPath, DumpPath: req.DumpPath,
		Suffix: req.Suffix, Metadata: req.Metadata, TrainingFile: req.TrainingFile, ValidationFile: req.ValidationFile,
	}
	return job, m.teacher(&job, req)
}

// Prepare is the job that Create would make of a request for a dataset, and what
// its trainer would get, without work folders. Nothing is stored.
func (m *Manager) Prepare(req CreateRequest) (store.Job, train.Request, error) {
	job, err := m.describe(req)
	if err != nil {
		return job, train.Request{}, err
	}
	if err := m.fromDataset(&job, req); err != nil {
		return job, train.Request{}, err
	}
	if job.Requested, err = json.Marshal(req.Hyper); err != nil {
		return job, train.Request{}, err
	}
	in, failed, err := m.inputs(job)
	if failed != nil {
		err = fault.New(fault.Invalid, failed.Code, failed.Param, "%s", failed.Message)
	}
	return job, in, err
}

// fromDataset finds the version that the job trains on.
func (m *Manager) fromDataset(job *store.Job, req CreateRequest) error {
	v, err := m.st.Version(req.Dataset, req.Version)
	if errors.Is(err, store.ErrNotFound) {
		return datasets.NotFound(req.Dataset, req.Version).Wrap(err)
	}
	if err != nil {
		return err
	}
	if v.Counts[store.Train] == 0 {
		return fault.New(fault.Invalid, "invalid_n_examples", "dataset", "%s@%d has no training examples.", v.Dataset, v.Number)
	}
	if err := suits(req.Hyper.Method, v, "dataset"); err != nil {
		return err
	}
	job.Dataset, job.Version = v.Dataset, v.Number
	return nil
}

// suits says whether a method can learn from a version's kind of examples.
// Supervised training takes every kind, and learns the answers that are
// preferred or desirable.
func suits(method string, v store.Version, param string) error {
	switch {
	case method == "dpo" && v.Kind != store.Pairs:
		return fault.New(fault.Invalid, "invalid_file_format", param, "The method dpo learns from preference pairs, and %s@%d has none: each line needs input, preferred_output and non_preferred_output.", v.Dataset, v.Number)
	case method == "kto" && v.Kind == store.Answers:
		return fault.New(fault.Invalid, "invalid_file_format", param, "The method kto learns from judged answers, and %s@%d has none: each line needs messages and a label (true or false), or is a preference pair.", v.Dataset, v.Number)
	}
	return nil
}

// fromFiles checks that the files are there; what is in them is checked later.
func (m *Manager) fromFiles(req CreateRequest) error {
	for _, f := range []struct{ param, id string }{{"training_file", req.TrainingFile}, {"validation_file", req.ValidationFile}} {
		if f.id == "" {
			continue
		}
		file, err := m.st.File(f.id)
		if errors.Is(err, store.ErrNotFound) {
			return fault.New(fault.Invalid, "file_not_found", f.param, "File '%s' does not exist.", f.id).Wrap(err)
		}
		if err != nil {
			return err
		}
		if file.Purpose != "fine-tune" {
			return fault.New(fault.Invalid, "invalid_file_purpose", f.param, "File '%s' has the purpose '%s'; it must be 'fine-tune'.", f.id, file.Purpose)
		}
	}
	return nil
}

// Bounds of a request, which are OpenAI's where it has them.
const (
	maxSuffix        = 64
	maxMetadata      = 16
	maxMetadataKey   = 64
	maxMetadataValue = 512
)

func check(req CreateRequest) error {
	switch {
	case req.Dataset == "" && req.TrainingFile == "":
		return fault.New(fault.Invalid, "", "training_file", "The request names no data: give a training file or a dataset.")
	case req.Dataset != "" && req.TrainingFile != "":
		return fault.New(fault.Invalid, "", "training_file", "The request names a dataset and a training file; give one of them.")
	case req.Dataset != "" && req.ValidationFile != "":
		return fault.New(fault.Invalid, "", "validation_file", "A dataset brings its own validation split; a validation file goes with a training file only.")
	case utf8.RuneCountInString(req.Suffix) > maxSuffix:
		return fault.New(fault.Invalid, "", "suffix", "The suffix has %d characters; at most %d are allowed.", utf8.RuneCountInString(req.Suffix), maxSuffix)
	case len(req.Metadata) > maxMetadata:
		return fault.New(fault.Invalid, "", "metadata", "There are %d metadata pairs; at most %d are allowed.", len(req.Metadata), maxMetadata)
	case req.Seed != nil && (*req.Seed < 0 || *req.Seed > math.MaxInt32):
		return fault.New(fault.Invalid, "", "seed", "The seed is %d; it must be 0 to %d.", *req.Seed, math.MaxInt32)
	}
	for k, v := range req.Metadata {
		if k == "" || utf8.RuneCountInString(k) > maxMetadataKey || utf8.RuneCountInString(v) > maxMetadataValue {
			return fault.New(fault.Invalid, "", "metadata", "Metadata keys may have 1 to %d characters and values up to %d.", maxMetadataKey, maxMetadataValue)
		}
	}
	if err := checkCanaries(req); err != nil {
		return err
	}
	return checkHyper(req.Hyper)
}

// checkHyper refuses values that make no sense; 0 means automatic. Two bounds
// are OpenAI's and narrower than the trainer's.
func checkHyper(h train.Hyperparameters) error {
	refuse := func(field, message string) error {
		return fault.New(fault.Invalid, "", "hyperparameters."+field, "%s %s.", field, message)
	}
	if wrong, ok := errors.AsType[*train.FieldError](h.Validate()); ok {
		return refuse(wrong.Field, wrong.Message)
	}
	for _, b := range []struct {
		name       string
		value, top int
	}{{"n_epochs", h.Epochs, 50}, {"batch_size", h.BatchSize, 256}} {
		if b.value > b.top {
			return refuse(b.name, fmt.Sprintf("is %d; it must be 1 to %d, or left out to be chosen automatically", b.value, b.top))
		}
	}
	return nil
}
