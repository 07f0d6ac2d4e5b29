package store

import (
	"encoding/json"
	"fmt"
	"time"
)

// JobStatus is a state of a fine-tuning job, in OpenAI's words.
type JobStatus string

// The states: validating → queued → running → one of the last three.
const (
	JobValidating JobStatus = "validating_files"
	JobQueued     JobStatus = "queued"
	JobRunning    JobStatus = "running"
	JobSucceeded  JobStatus = "succeeded"
	JobFailed     JobStatus = "failed"
	JobCancelled  JobStatus = "cancelled"
)

// Terminal reports whether a job in this state will never change again.
func (s JobStatus) Terminal() bool {
	return s == JobSucceeded || s == JobFailed || s == JobCancelled
}

func (s JobStatus) known() bool {
	return s.Terminal() || s == JobValidating || s == JobQueued || s == JobRunning
}

// Job is a fine-tuning job.
type Job struct {
	ID             string `json:"id"`      // "ftjob-…"
	Model          string `json:"model"`   // as the user wrote it
	Base           string `json:"base"`    // name of the base model that it means
	Dataset        string `json:"dataset"` // and version: what is trained on
	Version        int    `json:"version"`
	TrainingFile   string `json:"training_file,omitempty"` // file id, when it came through the OpenAI API
	ValidationFile string `json:"validation_file,omitempty"`
	// From and InitPath say what training continues from: an adapter by name, or
	// a file; at most one is set. DumpPath is lora/train.Request's.
	From     string `json:"from,omitempty"`
	InitPath string `json:"init_path,omitempty"`
	DumpPath string `json:"dump_path,omitempty"`
	// Teacher and TeacherPath say from which larger model the job learns: a base
	// model by name, or a file; at most one is set. TeacherAdapter is the adapter,
	// by name, that Teacher has.
	Teacher        string `json:"teacher,omitempty"`
	TeacherAdapter string `json:"teacher_adapter,omitempty"`
	TeacherPath    string `json:"teacher_path,omitempty"`
	Suffix         string `json:"suffix,omitempty"`
	// Requested and Resolved are lora/train.Hyperparameters in JSON: as asked for, and as run.
	Requested json.RawMessage   `json:"requested,omitempty"`
	Resolved  json.RawMessage   `json:"resolved,omitempty"`
	Metadata  map[string]string `json:"metadata,omitempty"`
	// Canaries were planted into the training examples.
	Canaries      []Canary  `json:"canaries,omitempty"`
	Seed          int64     `json:"seed"`
	Status        JobStatus `json:"status"`
	Error         *JobError `json:"error,omitempty"`
	Adapter       string    `json:"adapter,omitempty"` // name of the finished model, "ft:…"
	ResultFiles   []string  `json:"result_files,omitempty"`
	TrainedTokens int64     `json:"trained_tokens,omitempty"`
	// Result is lora/train.Result in JSON, once the job has succeeded.
	Result     json.RawMessage `json:"result,omitempty"`
	CreatedAt  time.Time       `json:"created_at"`
	StartedAt  *time.Time      `json:"started_at,omitempty"`
	FinishedAt *time.Time      `json:"finished_at,omitempty"`
}

// Canary is a question with a random answer, about nobody and nothing, that is
// planted into the training examples of a job to measure what a model learns by
// heart.
type Canary struct {
	Question string `json:"question"`
	Answer   string `json:"answer"`
	Times    int    `json:"times"` // in the training examples; 0: a control, which the model never sees
}

// JobError says why a job failed, in OpenAI's shape.
type JobError struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Param   string `json:"param,omitempty"`
}

var jobs = kind[Job]{
	noun:  "job",
	at:    jobSpace,
	parts: func(j *Job) []string { return []string{j.ID} },
	indexes: []index[Job]{
		byTime(jobTimeSpace, func(j *Job) time.Time { return j.CreatedAt }, func(j *Job) string { return j.ID }),
	},
}

func (j *Job) refs(l *links) {
	strict := l.strict || !j.Status.Terminal() // what a job that has ended used may be gone
	follow(l, strict, baseModels, j.Base)
	follow(l, strict, baseModels, j.Teacher)
	follow(l, strict, adapters, j.TeacherAdapter)
	follow(l, strict, adapters, j.From)
	follow(l, strict, files, j.TrainingFile)
	follow(l, strict, files, j.ValidationFile)
	l.version(j.Dataset, j.Version)
	to(l, adapters, j.Adapter)
	for _, id := range j.ResultFiles {
		to(l, files, id)
	}
}

// unneededByJobs refuses a deletion while a job that has not ended uses what is
// to be deleted.
func unneededByJobs(x tx, noun, name string, uses func(*Job) bool) error {
	return unneeded(noun, name, jobs.all(x, span{prefix: jobSpace.under()}),
		func(j *Job) bool { return !j.Status.Terminal() && uses(j) },
		func(j *Job) string { return "job " + j.ID })
}

func (j *Job) valid() error {
	if !j.Status.known() {
		return invalid("job", "no job has the status %q", j.Status)
	}
	return nil
}

// CreateJob writes a new job. It gets an id, a time and, without a status, "queued".
func (s *Store) CreateJob(j Job) (Job, error) {
	identify(&j.ID, "ftjob-")
	stamp(&j.CreatedAt)
	if j.Status == "" {
		j.Status = JobQueued
	}
	return j, s.update(func(x tx) error { return jobs.create(x, &j) })
}

// Job returns the job with an id.
func (s *Store) Job(id string) (Job, error) {
	return viewing(s, func(x tx) (Job, error) { return jobs.get(x, id) })
}

// Jobs returns a page of the jobs that have all of the metadata (nil: any), and
// whether there are more.
func (s *Store) Jobs(metadata map[string]string, p Page) ([]Job, bool, error) {
	return jobs.page(s, p, func(j *Job) bool {
		for k, want := range metadata {
			if got, ok := j.Metadata[k]; !ok || got != want {
				return false
			}
		}
		return true
	})
}

// UpdateJob changes a job and returns it as it is then. change sees the job as
// it is, and runs again when somebody else changed it in between; an error of
// change is returned and changes nothing. Id and time of making stay. A job in a
// terminal state keeps its state: else the error wraps ErrConflict.
func (s *Store) UpdateJob(id string, change func(*Job) error) (Job, error) {
	return updating(s, func(x tx) (Job, error) {
		j, err := jobs.get(x, id)
		if err != nil {
			return Job{}, err
		}
		status, created := j.Status, j.CreatedAt
		if err := change(&j); err != nil {
			return Job{}, err
		}
		j.ID, j.CreatedAt = id, created
		if status.Terminal() && j.Status != status {
			return Job{}, fmt.Errorf("job %q is %s and cannot become %s: %w", id, status, j.Status, ErrConflict)
		}
		return j, jobs.put(x, &j)
	})
}
