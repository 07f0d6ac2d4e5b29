package jobs

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"cloister/appliance/datasets"
	"cloister/appliance/engine"
	"cloister/appliance/fault"
	"cloister/appliance/models"
	"cloister/lora/atomicfile"
	"cloister/lora/train"
	"cloister/store"
)

// Models leads a name to the base model that is trained on; *models.Registry
// is one.
type Models interface {
	Resolve(name string) (models.Resolved, error)
	Path(p string) string
	Org() string
}

// Datasets makes dataset versions out of uploaded files; *datasets.Service is
// one.
type Datasets interface {
	FromFiles(ctx context.Context, trainingFile, validationFile string) (store.Version, error)
}

var (
	_ Models   = (*models.Registry)(nil)
	_ Datasets = (*datasets.Service)(nil)
)

// Config of a Manager.
type Config struct {
	// Home is the data directory: adapters are kept in its folder "adapters",
	// and work in progress in "work".
	Home string
	// Threads of the trainer; 0: all cores.
	Threads int
	// Device that trains, as train.Request says; empty: the CPU.
	Device string
	// LiteralMultiplier takes every learning_rate_multiplier as it is given.
	// Otherwise one of at most 0.001 is taken for a learning rate that was
	// written in the wrong place, and replaced by the automatic one.
	LiteralMultiplier bool
	// Room makes room for training among the models that answer, and says what
	// became of them, "" if nothing did; back undoes it. nil: nobody does.
	Room func(ctx context.Context, req train.Request) (said string, back func() (said string), err error)
}

// Manager runs jobs. Start begins, Close ends.
type Manager struct {
	st      *store.Store
	trainer engine.Trainer
	models  Models
	data    Datasets
	config  Config

	wake    [2]chan struct{} // of the validator and the runner: there may be work
	done    sync.WaitGroup
	ctx     context.Context // ends at Close
	stop    context.CancelFunc
	news    news
	mu      sync.Mutex
	current string // id of the running job
	cancel  context.CancelFunc
	ending  sync.Mutex // held while a job comes to its end
	free    func(dir string) (uint64, error)
}

// The two goroutines, as indexes of wake.
const (
	validator = iota
	runner
)

// New returns a Manager that does not run yet: jobs can be created, and wait.
func New(st *store.Store, trainer engine.Trainer, m Models, d Datasets, c Config) *Manager {
	ctx, stop := context.WithCancel(context.Background())
	man := &Manager{st: st, trainer: trainer, models: m, data: d, config: c, ctx: ctx, stop: stop, free: atomicfile.Free}
	man.news.waiting = map[string]chan struct{}{}
	for i := range man.wake {
		man.wake[i] = make(chan struct{}, 1)
	}
	return man
}

// Start begins to work: jobs that an earlier process left running first. The
// error is about what such a process left on the disk.
func (m *Manager) Start() error {
	err := m.sweep()
	m.done.Go(func() { m.loop(validator, store.JobValidating, m.validate) })
	m.done.Go(func() { m.loop(runner, store.JobQueued, m.run) })
	return err
}

// Close stops the running job at its next step, after a checkpoint; the next
// Manager resumes it.
func (m *Manager) Close() error {
	m.stop()
	m.done.Wait()
	return nil
}

// loop works off the jobs in one state, oldest first, until Close. work
// returns an error when the appliance failed and not the job, which is then
// where it was; it is tried again, and given up after maxTries.
func (m *Manager) loop(who int, state store.JobStatus, work func(job store.Job, try int) error) {
	last, try := "", 0
	for m.ctx.Err() == nil {
		job, ok, err := m.next(state)
		if ok && err == nil {
			if try++; job.ID != last {
				last, try = job.ID, 1
			}
			if err = work(job, try); err != nil && try == maxTries {
				err = m.fail(job, store.JobError{Code: "internal_error", Message: fmt.Sprintf("The appliance failed %d times while it worked on this job: %s", try, err)})
			}
		}
		var again <-chan time.Time
		switch {
		case err != nil:
			again = time.After(retryAfter)
		case ok:
			continue
		}
		select {
		case <-m.wake[who]:
		case <-again:
		case <-m.ctx.Done():
		}
	}
}

// After a failure of the appliance itself a job is tried again after a pause,
// and given up after so many tries.
const (
	maxTries   = 3
	retryAfter = 2 * time.Second
)

// next is the oldest job to work on: for the runner, one that was interrupted
// before one that waits.
func (m *Manager) next(state store.JobStatus) (job store.Job, ok bool, err error) {
	jobs, _, err := m.st.Jobs(nil, store.Page{})
	for _, j := range jobs { // newest first
		switch {
		case state == store.JobQueued && j.Status == store.JobRunning:
			return j, true, err
		case j.Status == state:
			job, ok = j, true
		}
	}
	return job, ok, err
}

func (m *Manager) poke(who int) {
	select {
	case m.wake[who] <- struct{}{}:
	default:
	}
}

// Job returns a job.
func (m *Manager) Job(id string) (store.Job, error) {
	job, err := m.st.Job(id)
	if errors.Is(err, store.ErrNotFound) {
		return store.Job{}, fault.New(fault.NotFound, "", "id", "There is no fine-tuning job %q.", id).Wrap(err)
	}
	return job, err
}

// Cancel ends a job that has not ended. A running one stops at its next step.
func (m *Manager) Cancel(_ context.Context, id string) (store.Job, error) {
	if _, err := m.Job(id); err != nil {
		return store.Job{}, err
	}
	job, err := m.end(id, func(j *store.Job) { j.Status = store.JobCancelled },
		line{info, "Fine-tuning job cancelled"})
	if errors.Is(err, errEnded) {
		return store.Job{}, fault.New(fault.Conflict, "", "id", "Job %s has already ended (%s) and cannot be cancelled.", id, job.Status)
	}
	if err != nil {
		return store.Job{}, err
	}
	m.interrupt(id)
	return job, nil
}

// errEnded says that a job has ended already.
var errEnded = errors.New("the job has ended")

// line is a message of the job's log.
type line struct{ level, text string }

// end brings a job to its end: change sets its last state. The last lines of
// the log are written before it, so that whoever follows the job sees them.
// The error is errEnded, with the job, if it has ended already.
func (m *Manager) end(id string, change func(*store.Job), last ...line) (store.Job, error) {
	m.ending.Lock()
	defer m.ending.Unlock()
	job, err := m.st.Job(id)
	if err != nil {
		return store.Job{}, err
	}
	if job.Status.Terminal() {
		return job, errEnded
	}
	for _, l := range last {
		m.event(id, l.level, l.text, nil)
	}
	job, err = m.st.UpdateJob(id, func(j *store.Job) error {
		now := time.Now().UTC()
		j.FinishedAt = &now
		change(j)
		return nil
	})
	m.news.tell(id)
	return job, err
}

// interrupt stops the trainer if it works on this job.
func (m *Manager) interrupt(id string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.current == id {
		m.cancel()
	}
}
