package train

import (
	"context"
	"fmt"
	"time"

	"cloister/lora/data"
	"cloister/lora/model"
)

// Estimation is what a job would take on this machine.
type Estimation struct {
	Examples      int   `json:"examples"`
	ValidExamples int   `json:"valid_examples"`
	Tokens        int64 `json:"tokens"`      // of one epoch, by the model's tokenizer and template
	LossTokens    int64 `json:"loss_tokens"` // those of them with loss
	Longest       int   `json:"longest"`     // tokens of the longest example

	Resolved Hyperparameters `json:"resolved"`
	Choices  []Choice        `json:"choices,omitempty"`
	Warnings []string        `json:"warnings,omitempty"`
	Steps    int             `json:"steps"`

	TokensPerSecond float64 `json:"tokens_per_second"`         // useful ones, in training
	Seconds         float64 `json:"seconds"`                   // if no epoch is left out by an early stop
	TeacherSeconds  float64 `json:"teacher_seconds,omitempty"` // those of them in which the teacher is asked
	// MemoryBytes is the peak of the training process, the mapped weights
	// included: the total of Memory.
	MemoryBytes int64   `json:"memory_bytes"`
	Memory      *Memory `json:"memory,omitempty"`
}

// calibration is how long Estimate measures at most once it is warm.
const calibration = 15 * time.Second

// Estimate prepares the job as Run would, and runs a few real steps without
// updating anything. WorkDir and OutPath are not used. A job that would not fit
// into memory gets a warning and no time.
func Estimate(ctx context.Context, req Request) (Estimation, error) {
	return estimate(ctx, req, openModel)
}

func estimate(ctx context.Context, req Request, open opener) (Estimation, error) {
	p, cfg, memory, err := ready(ctx, req)
	if p == nil {
		return Estimation{}, err
	}
	e := p.count()
	if err != nil {
		return e, err
	}
	e.Memory, e.MemoryBytes = &memory, memory.Total
	if !memory.Fits {
		e.Warnings = append(e.Warnings, fmt.Sprintf("The job would not run here: %s.", memory.Refusal()))
		return e, nil
	}
	if here := availableMemory(); here > 0 && memory.Total > here {
		e.Warnings = append(e.Warnings, fmt.Sprintf("The speed is not measured: the job needs %s, and only %s are free here.", size(memory.Total), size(here)))
		return e, nil
	}
	if p.teacher != nil {
		speed, err := p.measureTeacher(ctx)
		if err != nil {
			return e, err
		}
		e.TeacherSeconds = float64(e.Tokens+tokens(p.valid)) / speed
	}
	m, err := p.open(req, cfg, open)
	if err != nil {
		return e, err
	}
	defer m.Close()
	train, valid, err := p.measure(ctx, m)
	if err != nil {
		return e, err
	}
	e.TokensPerSecond = train
	learn, check := p.passes()
	e.Seconds = e.TeacherSeconds + float64(e.Resolved.Epochs)*(float64(e.Tokens)/train*learn+float64(tokens(p.valid))/valid*check)
	return e, nil
}

// measureTeacher returns the tokens a second at which the teacher is asked.
func (p *prepared) measureTeacher(ctx context.Context) (float64, error) {
	m, err := p.teacher.open()
	if err != nil {
		return 0, err
	}
	defer m.Close()
	batches := data.Pack(p.train, p.rowLen)
	ask := func(b *data.Packed) error {
		_, err := m.TopK((*model.Batch)(b), p.h.TopK, p.h.Temperature, p.teacher.vocab)
		return err
	}
	if err := ask(&batches[0]); err != nil {
		return 0, fmt.Errorf("calibration: the teacher: %w", err)
	}
	return speed(ctx, batches[:min(len(batches), 8)], ask)
}

// count fills in what needs no measuring.
func (p *prepared) count() Estimation {
	e := Estimation{
		Examples: len(p.train), ValidExamples: len(p.valid), Tokens: tokens(p.train),
		Longest: max(longest(p.train), longest(p.valid)), Resolved: p.h,
		Steps: newPlan(p.train, &p.h).total(),
	}
	for i := range p.train {
		e.LossTokens += int64(p.train[i].Targets())
		if r := p.train[i].Rejected; r != nil {
			e.LossTokens += int64(r.Targets())
		}
	}
	for _, n := range p.notes {
		switch {
		case n.Choice != nil:
			e.Choices = append(e.Choices, *n.Choice)
		case n.Kind == "warning":
			e.Warnings = append(e.Warnings, n.Message)
		}
	}
	return e
}

func tokens(rows []data.Row) int64 {
	n := int64(0)
	for i := range rows {
		n += int64(rows[i].Size())
	}
	return n
}

// measure returns the tokens a second of training and of validation, on the
// batches that training would begin with. The first one warms up the caches.
func (p *prepared) measure(ctx context.Context, m trainable) (train, valid float64, err error) {
	var batches []data.Packed
	for _, numbers := range newPlan(p.train, &p.h).steps(0) {
		if len(batches) >= 8 {
			break
		}
		var rows []data.Row
		for _, n := range numbers {
			rows = append(rows, p.train[n])
		}
		batches = append(batches, p.pack(rows)...)
	}
	learn := func(b *data.Packed) error {
		_, err := m.Backward((*model.Batch)(b), 1)
		return err
	}
	if err := learn(&batches[0]); err != nil {
		return 0, 0, fmt.Errorf("calibration: %w", err)
	}
	if train, err = speed(ctx, batches, learn); err != nil {
		return 0, 0, err
	}
	valid, err = speed(ctx, batches[:1], func(b *data.Packed) error {
		_, err := m.Loss((*model.Batch)(b))
		return err
	})
	return train, valid, err
}

// speed runs do on the batches until time is up and returns tokens a second.
func speed(ctx context.Context, batches []data.Packed, do func(*data.Packed) error) (float64, error) {
	begin, n := time.Now(), 0
	for i := range batches {
		if ctx.Err() != nil {
			return 0, ErrStopped
		}
		if err := do(&batches[i]); err != nil {
			return 0, fmt.Errorf("calibration: %w", err)
		}
		n += len(batches[i].Tokens)
		if time.Since(begin) > calibration {
			break
		}
	}
	return float64(n) / max(time.Since(begin).Seconds(), 1e-9), nil
}
