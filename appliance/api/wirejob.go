package api

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"slices"

	"cloister/appliance/openai"
	"cloister/lora/train"
	"cloister/store"
)

// wireJob writes a job in OpenAI's form. Strict clients refuse anything but
// null as the error of a job that did not fail.
func (s *Server) wireJob(j store.Job) (openai.Job, error) {
	hyper, method, err := wireHyper(j)
	if err != nil {
		return openai.Job{}, err
	}
	out := openai.Job{
		ID:              j.ID,
		Object:          "fine_tuning.job",
		CreatedAt:       j.CreatedAt.Unix(),
		Hyperparameters: hyper,
		Model:           j.Model,
		OrganizationID:  s.org(),
		ResultFiles:     append([]string{}, j.ResultFiles...),
		Status:          string(j.Status),
		TrainingFile:    j.TrainingFile,
		ValidationFile:  optional(j.ValidationFile),
		Seed:            j.Seed,
		Integrations:    []openai.Integration{},
		Metadata:        j.Metadata,
		Method:          method,
		Suffix:          optional(j.Suffix),
	}
	if j.TrainingFile == "" { // the job trains on a dataset, and clients want a text here
		out.TrainingFile = fmt.Sprintf("%s@%d", j.Dataset, j.Version)
	}
	if j.FinishedAt != nil {
		at := j.FinishedAt.Unix()
		out.FinishedAt = &at
	}
	switch j.Status {
	case store.JobSucceeded:
		out.FineTunedModel, out.TrainedTokens = &j.Adapter, &j.TrainedTokens
	case store.JobFailed:
		out.Error = &openai.JobError{Code: "server_error", Message: "The job failed."}
		if e := j.Error; e != nil {
			out.Error = &openai.JobError{Code: e.Code, Message: e.Message, Param: optional(e.Param)}
		}
	}
	return out, nil
}

// wireHyper shows what was asked for, and what was chosen once it is, by itself
// and as the block of the job's method.
func wireHyper(j store.Job) (openai.Hyperparameters, openai.Method, error) {
	var asked, chosen train.Hyperparameters
	for raw, to := range map[*json.RawMessage]*train.Hyperparameters{&j.Requested: &asked, &j.Resolved: &chosen} {
		if len(*raw) == 0 {
			continue
		}
		if err := json.Unmarshal(*raw, to); err != nil {
			return openai.Hyperparameters{}, openai.Method{}, fmt.Errorf("the hyper-parameters of %s: %w", j.ID, err)
		}
	}
	hyper := openai.Hyperparameters{
		BatchSize:              auto(chosen.BatchSize, asked.BatchSize),
		LearningRateMultiplier: auto(chosen.LearningRateMultiplier, asked.LearningRateMultiplier),
		NEpochs:                auto(chosen.Epochs, asked.Epochs),
		LearningRate:           auto(chosen.LearningRate, asked.LearningRate),
		Rank:                   auto(chosen.Rank, asked.Rank),
		Alpha:                  auto(chosen.Alpha, asked.Alpha),
	}
	if asked.Method == "dpo" || asked.Method == "kto" { // OpenAI has one name for learning preferences
		hyper.Beta = auto(chosen.Beta, asked.Beta)
		method := openai.Method{Type: "dpo", DPO: &openai.DPO{Hyperparameters: &hyper}}
		if asked.Method == "kto" {
			own := hyper
			own.DesirableWeight = auto(chosen.DesirableWeight, asked.DesirableWeight)
			own.UndesirableWeight = auto(chosen.UndesirableWeight, asked.UndesirableWeight)
			method.KTO = &openai.KTO{Hyperparameters: &own}
		}
		return hyper, method, nil
	}
	return hyper, openai.Method{Type: "supervised", Supervised: &openai.Supervised{Hyperparameters: &hyper}}, nil
}

// auto is the first value that is not 0, or "auto".
func auto[T int | float64](values ...T) openai.Auto[T] {
	for _, v := range values {
		if v != 0 {
			return openai.Auto[T]{Set: true, Value: v}
		}
	}
	return openai.Auto[T]{}
}

func wireEvent(e store.Event) openai.Event {
	out := openai.Event{ID: e.ID, Object: "fine_tuning.job.event", CreatedAt: e.CreatedAt.Unix(), Level: e.Level, Message: e.Message, Type: e.Type}
	if e.Type == "" {
		out.Type = "message"
	}
	if len(e.Data) > 0 && e.Data[0] == '{' { // clients want an object or nothing
		out.Data = e.Data
	}
	return out
}

// checkpointID derives the id of a checkpoint from its adapter's name.
func checkpointID(a store.Adapter) string {
	sum := sha256.Sum256([]byte(a.Name))
	return "ftckpt_" + hex.EncodeToString(sum[:12])
}

// sortCheckpoints puts the tuned model first and the others by step, newest first.
func sortCheckpoints(all []store.Adapter) {
	slices.SortFunc(all, func(a, b store.Adapter) int {
		if a.Checkpoint != b.Checkpoint {
			if a.Checkpoint {
				return 1
			}
			return -1
		}
		return cmp.Or(cmp.Compare(b.Step, a.Step), cmp.Compare(a.Name, b.Name))
	})
}

// checkpointMetrics are the ones that OpenAI has; others stay out.
var checkpointMetrics = []string{"step", "train_loss", "train_mean_token_accuracy", "valid_loss", "valid_mean_token_accuracy", "full_valid_loss", "full_valid_mean_token_accuracy"}

func wireCheckpoint(a store.Adapter) openai.Checkpoint {
	out := openai.Checkpoint{
		ID: checkpointID(a), Object: "fine_tuning.job.checkpoint", CreatedAt: a.CreatedAt.Unix(),
		FineTunedModelCheckpoint: a.Name, StepNumber: a.Step, FineTuningJobID: a.JobID, Metrics: map[string]float64{},
	}
	for _, name := range checkpointMetrics {
		if v, ok := a.Metrics[name]; ok && !math.IsNaN(v) && !math.IsInf(v, 0) {
			out.Metrics[name] = v
		}
	}
	return out
}
