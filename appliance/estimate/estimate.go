package estimate

import (
	"context"
	"errors"
	"fmt"

	"cloister/appliance/jobs"
	"cloister/lora/train"
	"cloister/store"
)

// Jobs makes of a request what a job would be given; *jobs.Manager is one.
type Jobs interface {
	Prepare(req jobs.CreateRequest) (store.Job, train.Request, error)
}

var _ Jobs = (*jobs.Manager)(nil)

// Calibrate prepares a job and runs a few of its steps, as train.Estimate
// does, here or in a worker.
type Calibrate func(ctx context.Context, req train.Request) (train.Estimation, error)

// Service estimates jobs.
type Service struct {
	jobs      Jobs
	calibrate Calibrate
	home      string
}

// New returns a Service; home is the data directory, where prices.json is.
func New(j Jobs, calibrate Calibrate, home string) *Service {
	return &Service{jobs: j, calibrate: calibrate, home: home}
}

// Estimate says what a job would take. It trains a few steps to measure the
// machine, and asks the teacher if there is one, which takes some seconds. What
// Create refuses is refused. A job that would not fit into memory gets a warning
// and no time.
func (s *Service) Estimate(ctx context.Context, req Request) (Estimate, error) {
	planned, job, err := s.jobs.Prepare(req.CreateRequest)
	if err != nil {
		return Estimate{}, err
	}
	job.JobID, job.Memory = "estimate", req.Memory
	prices, err := LoadPrices(s.home)
	if err != nil {
		return Estimate{}, err
	}
	measured, err := s.calibrate(ctx, job)
	if tooLarge := errors.Is(err, train.ErrMemory); tooLarge {
		measured.Warnings = append(measured.Warnings, fmt.Sprintf("The job would not run here: %s.", err))
	} else if err != nil {
		return Estimate{}, err
	}
	out := Estimate{Model: planned.Base, Dataset: planned.Dataset, Version: planned.Version, Estimation: measured, OpenAITokens: map[string]int64{}}
	for _, encoding := range Encodings {
		if out.OpenAITokens[encoding], err = CountOpenAI(encoding, job.Train); err != nil {
			return Estimate{}, err
		}
	}
	out.Prices = prices.costs(out.OpenAITokens, measured.Resolved.Epochs, measured.Seconds)
	return out, nil
}
