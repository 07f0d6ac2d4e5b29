package estimate

import (
	"context"
	"errors"
	"fmt"

	"cloister/appliance/datasets"
	"cloister/appliance/models"
	"cloister/lora/train"
	"cloister/store"
)

// Models leads a name to the base model that would be trained on;
// *models.Registry is one.
type Models interface {
	Resolve(name string) (models.Resolved, error)
	Path(p string) string
}

var _ Models = (*models.Registry)(nil)

// Calibrate prepares a job and runs a few of its steps, as train.Estimate
// does, here or in a worker.
type Calibrate func(ctx context.Context, req train.Request) (train.Estimation, error)

// Config of a Service.
type Config struct {
	Home    string // the data directory, where prices.json is
	Threads int    // of the trainer; 0: all cores
}

// Service estimates jobs.
type Service struct {
	st        *store.Store
	models    Models
	calibrate Calibrate
	config    Config
}

// New returns a Service.
func New(st *store.Store, m Models, calibrate Calibrate, c Config) *Service {
	return &Service{st: st, models: m, calibrate: calibrate, config: c}
}

// Estimate says what a job would take. It trains a few steps to measure the
// machine, which takes some seconds. A job that would not fit into memory gets
// a warning and no time.
func (s *Service) Estimate(ctx context.Context, req Request) (Estimate, error) {
	m, err := s.models.Resolve(req.Model)
	if err != nil {
		return Estimate{}, err
	}
	v, err := s.st.Version(req.Dataset, req.Version)
	if errors.Is(err, store.ErrNotFound) {
		return Estimate{}, datasets.NotFound(req.Dataset, req.Version).Wrap(err)
	}
	if err != nil {
		return Estimate{}, err
	}
	job := train.Request{JobID: "estimate", BasePath: s.models.Path(m.Base.Path), Threads: s.config.Threads, Hyperparameters: req.Hyper, Memory: req.Memory}
	if job.Train, err = datasets.TrainingExamples(s.st, v.Dataset, v.Number, store.Train); err != nil {
		return Estimate{}, err
	}
	if job.Valid, err = datasets.TrainingExamples(s.st, v.Dataset, v.Number, store.Valid); err != nil {
		return Estimate{}, err
	}
	prices, err := LoadPrices(s.config.Home)
	if err != nil {
		return Estimate{}, err
	}
	measured, err := s.calibrate(ctx, job)
	if tooLarge := errors.Is(err, train.ErrMemory); tooLarge {
		measured.Warnings = append(measured.Warnings, fmt.Sprintf("The job would not run here: %s.", err))
	} else if err != nil {
		return Estimate{}, err
	}
	out := Estimate{Model: m.Base.Name, Dataset: v.Dataset, Version: v.Number, Estimation: measured, OpenAITokens: map[string]int64{}}
	for _, encoding := range Encodings {
		if out.OpenAITokens[encoding], err = CountOpenAI(encoding, job.Train); err != nil {
			return Estimate{}, err
		}
	}
	out.Prices = prices.costs(out.OpenAITokens, measured.Resolved.Epochs, measured.Seconds)
	return out, nil
}
