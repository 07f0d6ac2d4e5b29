package bundle

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"cloister/appliance/bundle/archive"
	"cloister/appliance/datasets"
	"cloister/lora/train"
	"cloister/store"
)

// maxParents bounds how far a lineage is followed.
const maxParents = 32

// maxMetrics is about how many lines of a job's log a lineage takes.
const maxMetrics = 2000

// lineage says how an adapter came to be, by this site's records or, if it was
// imported, by what came along. It returns the system prompt as well.
func (s *Service) lineage(a store.Adapter, depth int) (Lineage, string, error) {
	origin, err := s.st.Origin(a.Name)
	if err == nil && len(origin.Lineage) > 0 {
		var l Lineage
		if err := json.Unmarshal(origin.Lineage, &l); err != nil {
			return Lineage{}, "", fmt.Errorf("the lineage of %s: %w", a.Name, err)
		}
		return l, origin.System, nil
	}
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return Lineage{}, "", err
	}
	base, err := s.st.BaseModel(a.Base)
	if err != nil {
		return Lineage{}, "", err
	}
	l := Lineage{Adapter: a.Name, SHA256: a.SHA256, Base: described(base)}
	if a.JobID == "" {
		return l, origin.System, nil // of a packed program
	}
	job, err := s.st.Job(a.JobID)
	if err != nil {
		return Lineage{}, "", err
	}
	training, system, err := s.training(job)
	if err != nil {
		return Lineage{}, "", err
	}
	l.Training = &training
	switch {
	case job.InitPath != "":
		l.Parent = &Lineage{Adapter: "a file"}
	case job.From != "":
		l.Parent, err = s.parent(job.From, depth)
	}
	return l, system, err
}

func (s *Service) parent(name string, depth int) (*Lineage, error) {
	parent, err := s.st.Adapter(name)
	if errors.Is(err, store.ErrNotFound) || depth == maxParents {
		return &Lineage{Adapter: name}, nil
	}
	if err != nil {
		return nil, err
	}
	l, _, err := s.lineage(parent, depth+1)
	return &l, err
}

func described(b store.BaseModel) archive.Base {
	return archive.Base{Name: b.Name, Architecture: b.Architecture, Parameters: b.Parameters, Bytes: b.Bytes, SHA256: b.SHA256}
}

// training describes a job, and returns the system prompt of its dataset. Its
// metadata, the texts of its log and paths stay.
func (s *Service) training(job store.Job) (Training, string, error) {
	t := Training{Job: job.ID, Seed: job.Seed, TrainedTokens: job.TrainedTokens, CreatedAt: job.CreatedAt, FinishedAt: job.FinishedAt}
	switch {
	case job.TeacherAdapter != "":
		t.Teacher = job.TeacherAdapter
	case job.Teacher != "":
		t.Teacher = job.Teacher
	case job.TeacherPath != "":
		t.Teacher = "a file"
	}
	for _, c := range job.Canaries {
		if c.Times > 0 {
			t.Canaries++
		}
	}
	var result train.Result
	for _, f := range []struct {
		raw json.RawMessage
		to  any
	}{{job.Requested, &t.Requested}, {job.Resolved, &t.Resolved}, {job.Result, &result}} {
		if len(f.raw) > 0 {
			if err := json.Unmarshal(f.raw, f.to); err != nil {
				return Training{}, "", fmt.Errorf("the record of %s: %w", job.ID, err)
			}
		}
	}
	t.Steps, t.BestEpoch, t.StoppedEarly = result.Steps, result.BestEpoch, result.StoppedEarly
	t.Seconds, t.PeakBytes, t.Curve = result.Seconds, result.PeakBytes, result.Curve
	var err error
	if t.Metrics, err = s.metrics(job.ID); err != nil {
		return Training{}, "", err
	}
	var system string
	t.Dataset, system, err = s.dataset(job.Dataset, job.Version)
	return t, system, err
}

// metrics takes the figures out of a job's log, every second, third, … line of
// a long one; those with a validation loss always.
func (s *Service) metrics(job string) ([]map[string]float64, error) {
	events, err := s.st.EventsSince(job, 0)
	if err != nil {
		return nil, err
	}
	var all []map[string]float64
	for _, e := range events {
		var fields map[string]any
		if e.Type != "metrics" || json.Unmarshal(e.Data, &fields) != nil {
			continue
		}
		figures := map[string]float64{}
		for name, v := range fields {
			if n, ok := v.(float64); ok {
				figures[name] = n
			}
		}
		all = append(all, figures)
	}
	stride := len(all)/maxMetrics + 1
	var out []map[string]float64
	for i, figures := range all {
		if _, valid := figures["valid_loss"]; valid || i%stride == 0 {
			out = append(out, figures)
		}
	}
	return out, nil
}

// dataset describes a dataset version, and returns its system prompt.
func (s *Service) dataset(name string, number int) (Dataset, string, error) {
	d := Dataset{Name: name, Version: number}
	v, err := s.st.Version(name, number)
	if errors.Is(err, store.ErrNotFound) {
		return d, "", nil // it was removed after the training
	}
	if err != nil {
		return d, "", err
	}
	d.Origin, d.Kind, d.Counts, d.CreatedAt = v.Origin, v.Kind, v.Counts, &v.CreatedAt
	var report datasets.Report
	if len(v.Report) > 0 {
		if err := json.Unmarshal(v.Report, &report); err != nil {
			return d, "", fmt.Errorf("the report of %s@%d: %w", name, number, err)
		}
		d.Masked, d.Entities = report.Mask.Used, report.Mask.Entities
	}
	sum := sha256.New()
	for e, err := range s.st.Examples(name, v.Number, "") {
		if err != nil {
			return d, "", err
		}
		_, _ = io.WriteString(sum, e.ID+" "+string(e.Split)+"\n") // a hash does not fail
	}
	d.Fingerprint = hex.EncodeToString(sum.Sum(nil))
	return d, v.System, nil
}
