package store

import (
	"encoding/json"
	"time"
)

// Evaluation is the comparison of a model with a baseline on held-out data.
type Evaluation struct {
	ID       string `json:"id"` // "eval-…"
	Model    string `json:"model"`
	Baseline string `json:"baseline,omitempty"`
	Dataset  string `json:"dataset,omitempty"` // empty when a file was used
	Version  int    `json:"version,omitempty"`
	Split    Split  `json:"split,omitempty"`
	Examples int    `json:"examples"`
	// Report is lora/eval.Report in JSON.
	Report    json.RawMessage `json:"report"`
	CreatedAt time.Time       `json:"created_at"`
}

var evaluations = kind[Evaluation]{
	noun:  "evaluation",
	at:    evaluationSpace,
	parts: func(e *Evaluation) []string { return []string{e.ID} },
	indexes: []index[Evaluation]{
		byTime(evaluationTimeSpace, func(e *Evaluation) time.Time { return e.CreatedAt }, func(e *Evaluation) string { return e.ID }),
		{evaluationModelSpace, func(e *Evaluation) []string { return []string{e.Model, moment(e.CreatedAt), e.ID} }},
	},
}

func (e *Evaluation) refs(l *links) {
	l.model(l.strict, e.Model)
	l.model(l.strict, e.Baseline)
	l.version(e.Dataset, e.Version)
}

func (e *Evaluation) valid() error {
	if e.Model == "" {
		return invalid("evaluation", "it names no model")
	}
	return e.Split.valid()
}

// PutEvaluation writes a new evaluation. It gets an id and a time.
func (s *Store) PutEvaluation(e Evaluation) (Evaluation, error) {
	identify(&e.ID, "eval-")
	stamp(&e.CreatedAt)
	return e, s.update(func(x tx) error { return evaluations.create(x, &e) })
}

// Evaluation returns the evaluation with an id.
func (s *Store) Evaluation(id string) (Evaluation, error) {
	return viewing(s, func(x tx) (Evaluation, error) { return evaluations.get(x, id) })
}

// Evaluations returns the evaluations of a model, or all when it is empty, newest first.
func (s *Store) Evaluations(model string) ([]Evaluation, error) {
	prefix := evaluationTimeSpace.under()
	if model != "" {
		prefix = evaluationModelSpace.under(model)
	}
	return evaluations.list(s, span{prefix: prefix, reverse: true})
}
