package jobs_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"cloister/appliance/appliancetest"
	"cloister/appliance/jobs"
	"cloister/lora/train"
	"cloister/store"
	"cloister/store/vault"
)

// Room is made before training and given back after it, and the job's log says
// so; a job trains without it as well.
func TestRoom(t *testing.T) {
	var steps []string
	trainer := &appliancetest.Trainer{Epochs: 1, StepsPerEpoch: 1, Step: func(train.Request, int) { steps = append(steps, "train") }}
	fail := errors.New("the driver does not answer")
	k := openKit(t, t.TempDir(), vault.NewMasterKey(), trainer, jobs.Config{Room: func(_ context.Context, req train.Request) (string, func() string, error) {
		steps = append(steps, "make "+req.JobID)
		return "tiny sleeps", func() string {
			steps = append(steps, "back")
			return "tiny is woken"
		}, nil
	}})
	job := k.create(t, jobs.CreateRequest{Model: "tiny", Dataset: k.dataset(t, 30)})
	job, events := k.follow(t, job.ID)
	if want := []string{"make " + job.ID, "train", "back"}; job.Status != store.JobSucceeded || !slices.Equal(steps, want) {
		t.Errorf("%s after %v, want %v", job.Status, steps, want)
	}
	log := messages(events)
	if a, b := slices.Index(log, "info: tiny sleeps"), slices.Index(log, "info: tiny is woken"); a < 0 || b < a {
		t.Errorf("the job's log: %q", log)
	}
	k.close(t)

	k = openKit(t, t.TempDir(), vault.NewMasterKey(), &appliancetest.Trainer{}, jobs.Config{Room: func(context.Context, train.Request) (string, func() string, error) {
		return "", func() string { return "" }, fail
	}})
	job, events = k.follow(t, k.create(t, jobs.CreateRequest{Model: "tiny", Dataset: k.dataset(t, 30)}).ID)
	if want := "warn: No room was made for this job among the models that answer: " + fail.Error(); job.Status != store.JobSucceeded || !slices.Contains(messages(events), want) {
		t.Errorf("%s, %q", job.Status, messages(events))
	}
}
