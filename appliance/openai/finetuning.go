package openai

import "encoding/json"

// Auto is a number or "auto". Its zero value is "auto".
type Auto[T int | float64] struct {
	Set   bool // false: "auto"
	Value T
}

// MarshalJSON writes "auto" or the number.
func (a Auto[T]) MarshalJSON() ([]byte, error) {
	if !a.Set {
		return []byte(`"auto"`), nil
	}
	return json.Marshal(a.Value)
}

// UnmarshalJSON reads "auto", null or a number. Its error is a *FieldError
// without a path.
func (a *Auto[T]) UnmarshalJSON(data []byte) error {
	*a = Auto[T]{}
	if string(data) == `"auto"` || isNull(data) {
		return nil
	}
	if err := json.Unmarshal(data, &a.Value); err != nil {
		return &FieldError{Message: "expected a number or \"auto\", but got " + kind(data) + " instead."}
	}
	a.Set = true
	return nil
}

// Hyperparameters are those that OpenAI has for supervised fine-tuning and for
// DPO, and others that it has not, for clients that send them as extra fields.
type Hyperparameters struct {
	BatchSize              Auto[int]     `json:"batch_size"`
	LearningRateMultiplier Auto[float64] `json:"learning_rate_multiplier"`
	NEpochs                Auto[int]     `json:"n_epochs"`

	LearningRate Auto[float64] `json:"learning_rate,omitzero"` // the rate itself; the multiplier is then ignored
	Rank         Auto[int]     `json:"rank,omitzero"`          // of the LoRA adapter
	Alpha        Auto[float64] `json:"alpha,omitzero"`         // the adapter's scale is alpha/rank
	Beta         Auto[float64] `json:"beta,omitzero"`          // of the methods "dpo" and "kto"

	DesirableWeight   Auto[float64] `json:"desirable_weight,omitzero"` // of the method "kto"
	UndesirableWeight Auto[float64] `json:"undesirable_weight,omitzero"`
}

// UnmarshalJSON decodes the object. Its error is a *FieldError whose path
// starts with "hyperparameters".
func (h *Hyperparameters) UnmarshalJSON(data []byte) error {
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(data, &raw); err != nil {
		return under(err, "hyperparameters")
	}
	for _, f := range []struct {
		name string
		to   json.Unmarshaler
	}{
		{"batch_size", &h.BatchSize},
		{"learning_rate_multiplier", &h.LearningRateMultiplier},
		{"n_epochs", &h.NEpochs},
		{"learning_rate", &h.LearningRate},
		{"rank", &h.Rank},
		{"alpha", &h.Alpha},
		{"beta", &h.Beta},
		{"desirable_weight", &h.DesirableWeight},
		{"undesirable_weight", &h.UndesirableWeight},
	} {
		value, ok := raw[f.name]
		if !ok {
			continue
		}
		if err := f.to.UnmarshalJSON(value); err != nil {
			param := "hyperparameters." + f.name
			return &FieldError{Param: param, Message: "Invalid value for '" + param + "': " + err.Error()}
		}
	}
	return nil
}

// Method names the way of fine-tuning and its hyper-parameters. In a request
// several blocks may be present; Type says which one counts. A request may name
// the method "kto", which OpenAI has not. Its job is shown with the type "dpo",
// because clients know no other type for learning preferences, and has the block
// "kto" besides "dpo".
type Method struct {
	Type       string      `json:"type"` // "supervised", "dpo" or "reinforcement"; in a request also "kto"
	Supervised *Supervised `json:"supervised,omitempty"`
	DPO        *DPO        `json:"dpo,omitempty"`
	KTO        *KTO        `json:"kto,omitempty"`
}

// Supervised is the block of the method "supervised".
type Supervised struct {
	Hyperparameters *Hyperparameters `json:"hyperparameters,omitempty"`
}

// UnmarshalJSON decodes the block and puts its path before errors.
func (s *Supervised) UnmarshalJSON(data []byte) error {
	var err error
	s.Hyperparameters, err = block(data)
	return under(err, "method.supervised")
}

// DPO is the block of the method "dpo".
type DPO struct {
	Hyperparameters *Hyperparameters `json:"hyperparameters,omitempty"`
}

// KTO is the block of the method "kto".
type KTO struct {
	Hyperparameters *Hyperparameters `json:"hyperparameters,omitempty"`
}

// block reads the hyper-parameters of a method's block; nil if it has none.
func block(data []byte) (*Hyperparameters, error) {
	var raw struct {
		Hyperparameters json.RawMessage `json:"hyperparameters"`
	}
	if err := json.Unmarshal(data, &raw); err != nil {
		return nil, err
	}
	if raw.Hyperparameters == nil || isNull(raw.Hyperparameters) {
		return nil, nil
	}
	h := new(Hyperparameters)
	return h, h.UnmarshalJSON(raw.Hyperparameters)
}

// UnmarshalJSON decodes the blocks and puts their paths before errors.
func (m *Method) UnmarshalJSON(data []byte) error {
	var raw struct {
		Type       json.RawMessage `json:"type"`
		Supervised json.RawMessage `json:"supervised"`
		DPO        json.RawMessage `json:"dpo"`
		KTO        json.RawMessage `json:"kto"`
	}
	if err := json.Unmarshal(data, &raw); err != nil {
		return under(err, "method")
	}
	*m = Method{}
	if len(raw.Type) > 0 && json.Unmarshal(raw.Type, &m.Type) != nil {
		return &FieldError{Param: "method.type", Message: "Invalid type for 'method.type': expected a string, but got " + kind(raw.Type) + " instead."}
	}
	if len(raw.Supervised) > 0 && !isNull(raw.Supervised) {
		m.Supervised = new(Supervised)
		if err := m.Supervised.UnmarshalJSON(raw.Supervised); err != nil {
			return err
		}
	}
	if len(raw.DPO) > 0 && !isNull(raw.DPO) {
		h, err := block(raw.DPO)
		if err != nil {
			return under(err, "method.dpo")
		}
		m.DPO = &DPO{h}
	}
	if len(raw.KTO) > 0 && !isNull(raw.KTO) {
		h, err := block(raw.KTO)
		if err != nil {
			return under(err, "method.kto")
		}
		m.KTO = &KTO{h}
	}
	return nil
}

// JobRequest is the body of POST /v1/fine_tuning/jobs.
type JobRequest struct {
	Model           string            `json:"model"`
	TrainingFile    string            `json:"training_file"`
	ValidationFile  *string           `json:"validation_file,omitempty"`
	Suffix          *string           `json:"suffix,omitempty"`
	Seed            *int64            `json:"seed,omitempty"`
	Metadata        map[string]string `json:"metadata,omitempty"`
	Integrations    []Integration     `json:"integrations,omitempty"`
	Method          *Method           `json:"method,omitempty"`
	Hyperparameters *Hyperparameters  `json:"hyperparameters,omitempty"` // deprecated; Method wins
}

// Integration asks for reports to an outside service.
type Integration struct {
	Type string `json:"type"` // "wandb"
}

// Job is a fine-tuning job.
type Job struct {
	ID              string            `json:"id"`     // "ftjob-…"
	Object          string            `json:"object"` // "fine_tuning.job"
	CreatedAt       int64             `json:"created_at"`
	Error           *JobError         `json:"error"` // null unless the job failed
	FineTunedModel  *string           `json:"fine_tuned_model"`
	FinishedAt      *int64            `json:"finished_at"`
	Hyperparameters Hyperparameters   `json:"hyperparameters"`
	Model           string            `json:"model"`
	OrganizationID  string            `json:"organization_id"`
	ResultFiles     []string          `json:"result_files"` // never nil
	Status          string            `json:"status"`
	TrainedTokens   *int64            `json:"trained_tokens"`
	TrainingFile    string            `json:"training_file"`
	ValidationFile  *string           `json:"validation_file"`
	Seed            int64             `json:"seed"`
	EstimatedFinish *int64            `json:"estimated_finish"`
	Integrations    []Integration     `json:"integrations"` // never nil
	Metadata        map[string]string `json:"metadata"`
	Method          Method            `json:"method"`
	Suffix          *string           `json:"user_provided_suffix"`
}

// JobError says why a job failed.
type JobError struct {
	Code    string  `json:"code"`
	Message string  `json:"message"`
	Param   *string `json:"param"`
}

// Event is one line of a job's log.
type Event struct {
	ID        string          `json:"id"`     // "ftevent-…"
	Object    string          `json:"object"` // "fine_tuning.job.event"
	CreatedAt int64           `json:"created_at"`
	Level     string          `json:"level"` // "info", "warn" or "error"
	Message   string          `json:"message"`
	Type      string          `json:"type"` // "message" or "metrics"
	Data      json.RawMessage `json:"data,omitempty"`
}

// Checkpoint is an adapter kept at the end of an epoch; it can be used as a model.
type Checkpoint struct {
	ID                       string             `json:"id"`     // "ftckpt_…"
	Object                   string             `json:"object"` // "fine_tuning.job.checkpoint"
	CreatedAt                int64              `json:"created_at"`
	FineTunedModelCheckpoint string             `json:"fine_tuned_model_checkpoint"`
	StepNumber               int                `json:"step_number"`
	FineTuningJobID          string             `json:"fine_tuning_job_id"`
	Metrics                  map[string]float64 `json:"metrics"` // finite numbers only
}
