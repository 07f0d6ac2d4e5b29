package jobs

import (
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
	if err := check(req); err != nil {
		return store.Job{}, err
	}
	resolved, err := m.models.Resolve(req.Model)
	if err != nil {
		return store.Job{}, err
	}
	job := store.Job{
		Model: req.Model, Base: resolved.Base.Name, Suffix: req.Suffix, Metadata: req.Metadata,
		TrainingFile: req.TrainingFile, ValidationFile: req.ValidationFile,
	}
	notes := req.Notes
	if resolved.Adapter != nil {
		notes = append(notes, fmt.Sprintf("Training starts from the base model %s; what %s has learnt is not carried over, so the data should hold all that the new model must know.", resolved.Base.Name, resolved.Adapter.Name))
	}
	if r := req.Hyper.LearningRateMultiplier; r > 0 && r <= maxMultiplierTypo && !m.config.LiteralMultiplier {
		notes = append(notes, fmt.Sprintf("learning_rate_multiplier is %g, which looks like a learning rate: it scales the automatic rate, and so small a factor would train nothing. The automatic rate is used instead; set learning_rate to give a rate itself, or start the appliance with --literal-lr-multiplier.", r))
		req.Hyper.LearningRateMultiplier = 0
	}
	job.Seed = rand.Int64N(math.MaxInt32)
	if req.Seed != nil {
		job.Seed = *req.Seed
	}
	req.Hyper.Seed = job.Seed
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
	if job.Status == store.JobQueued {
		m.poke(runner)
	} else {
		m.poke(validator)
	}
	return job, nil
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
	job.Dataset, job.Version = v.Dataset, v.Number
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
	return checkHyper(req.Hyper)
}

// checkHyper refuses values that make no sense; 0 means automatic.
func checkHyper(h train.Hyperparameters) error {
	for _, b := range []struct {
		name     string
		value    float64
		low, top float64
	}{
		{"n_epochs", float64(h.Epochs), 1, 50},
		{"batch_size", float64(h.BatchSize), 1, 256},
		{"learning_rate_multiplier", h.LearningRateMultiplier, math.SmallestNonzeroFloat64, 1000},
		{"learning_rate", h.LearningRate, 1e-8, 1},
		{"rank", float64(h.Rank), 1, 512},
		{"alpha", h.Alpha, 1e-3, 4096},
		{"weight_decay", h.WeightDecay, 0, 10},
		{"max_grad_norm", h.MaxGradNorm, 1e-6, 1e6},
		{"max_length", float64(h.MaxLength), 16, 1 << 20},
		{"patience", float64(h.Patience), -1, 50},
		{"warmup_steps", float64(h.WarmupSteps), -1, 1 << 20},
	} {
		if b.value != 0 && !(b.value >= b.low && b.value <= b.top) { // a NaN is refused as well
			return fault.New(fault.Invalid, "", "hyperparameters."+b.name, "%s is %g; it must be %g to %g, or left out to be chosen automatically.", b.name, b.value, b.low, b.top)
		}
	}
	switch h.Schedule {
	case "", "cosine", "linear", "constant":
	default:
		return fault.New(fault.Invalid, "", "hyperparameters.lr_scheduler_type", "lr_scheduler_type is %q; it must be cosine, linear or constant.", h.Schedule)
	}
	return nil
}
