package evaluate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"cloister/appliance/engine"
	"cloister/appliance/fault"
	"cloister/appliance/jobs"
	"cloister/appliance/leaks"
	"cloister/appliance/masking"
	"cloister/appliance/models"
	"cloister/llama/chat"
	"cloister/lora/eval"
	"cloister/lora/train"
	"cloister/store"
)

// NoBaseline as Request.Baseline measures the model alone.
const NoBaseline = "none"

// Bounds of a run.
const (
	defaultMaxTokens = 256
	trainSample      = 64  // training examples whose loss gives the train-test gap
	maxSamples       = 500 // examples that a report shows with their answers
)

// Models leads names to engines; *models.Registry is one.
type Models interface {
	Resolve(name string) (models.Resolved, error)
	Engine(ctx context.Context, m models.Resolved) (engine.Engine, error)
}

var _ Models = (*models.Registry)(nil)

// Service evaluates models.
type Service struct {
	st     *store.Store
	models Models
	mask   *masking.Service
	leaks  *leaks.Service
}

// New returns a Service over the data directory home.
func New(st *store.Store, m Models, mask *masking.Service, home string) *Service {
	return &Service{st: st, models: m, mask: mask, leaks: leaks.New(st, mask, home)}
}

// Run evaluates a model and stores the result. file, which Request.FileName
// describes, may be nil with a dataset. progress, which may be nil, is called with the number of requests that
// are done and that there are, from several goroutines but one at a time. Texts
// of a file, and all answers that are kept in the report, are masked.
func (s *Service) Run(ctx context.Context, req Request, file io.Reader, progress func(done, total int)) (store.Evaluation, error) {
	start := time.Now()
	r := run{Service: s, req: req, progress: progress}
	if r.req.MaxTokens <= 0 {
		r.req.MaxTokens = defaultMaxTokens
	}
	if err := r.resolve(); err != nil {
		return store.Evaluation{}, err
	}
	record := store.Evaluation{Model: r.model.Name(), Split: req.Split}
	if r.baseline != nil {
		record.Baseline = r.baseline.Name()
	}
	source, err := r.load(ctx, file, &record)
	if err != nil {
		return store.Evaluation{}, err
	}
	test, err := r.plan(ctx)
	if err != nil {
		return store.Evaluation{}, err
	}
	report, err := r.measure(ctx, test.requests())
	if err != nil {
		return store.Evaluation{}, err
	}
	if report.Leak, err = test.do(ctx); err != nil {
		return store.Evaluation{}, err
	}
	report.Model, report.Baseline, report.Source = record.Model, record.Baseline, source
	report.Overfitting = r.verdict
	report.Seconds = time.Since(start).Seconds()
	if err := s.maskSamples(report.Samples); err != nil {
		return store.Evaluation{}, err
	}
	record.Examples = report.Examples
	if record.Report, err = json.Marshal(report); err != nil {
		return store.Evaluation{}, err
	}
	return s.st.PutEvaluation(record)
}

// maskSamples masks the models' answers: a model may say what nobody asked.
func (s *Service) maskSamples(samples []eval.Sample) error {
	for i := range samples {
		sample := &samples[i]
		masked, _, err := s.mask.MaskRecord([]string{sample.Question, sample.Expected, sample.Answer, sample.BaseAnswer})
		if err != nil {
			return err
		}
		sample.Question, sample.Expected = masked[0].String(), masked[1].String()
		sample.Answer, sample.BaseAnswer = masked[2].String(), masked[3].String()
	}
	return nil
}

// run is one evaluation.
type run struct {
	*Service
	req      Request
	model    models.Resolved
	baseline *models.Resolved
	progress func(done, total int)

	cases   []example  // held-out
	keyless int        // of them, though a file of keys came along
	sample  []example  // of what the model was trained on
	job     *store.Job // that made the model; nil: it was not tuned here
	system  string     // for questions of a file
	verdict *eval.Verdict

	skipped atomic.Int64 // requests that did not fit into the context
	mu      sync.Mutex   // of done and progress
	done    int
	total   int
}

// example is a conversation whose last turn is the expected answer.
type example struct {
	item     eval.Item
	messages []chat.Message
}

// resolve finds the models and what is known of the training.
func (r *run) resolve() error {
	var err error
	if r.model, err = r.models.Resolve(r.req.Model); err != nil {
		return err
	}
	switch base := r.model.Base; {
	case r.req.Baseline == NoBaseline:
	case r.req.Baseline != "":
		b, err := r.models.Resolve(r.req.Baseline)
		if err != nil {
			return err
		}
		r.baseline = &b
	case r.model.Adapter != nil:
		r.baseline = &models.Resolved{Base: base}
	}
	if r.baseline != nil && r.baseline.Name() == r.model.Name() {
		return fault.New(fault.Invalid, "", "baseline", "The baseline %q is the model itself; there is nothing to compare.", r.baseline.Name()).
			WithHint("cloister eval --model %s --baseline none", r.model.Name())
	}
	return r.training()
}

// training reads the job that made the model, if it was tuned here: its
// verdict, its system prompt and a sample of its training examples.
func (r *run) training() error {
	if r.model.Adapter == nil {
		return nil
	}
	if r.model.Adapter.JobID == "" {
		origin, err := r.st.Origin(r.model.Adapter.Name)
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		r.system = origin.System
		return err
	}
	job, err := r.st.Job(r.model.Adapter.JobID)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	r.job = &job
	if len(job.Result) > 0 {
		var result train.Result
		if err := json.Unmarshal(job.Result, &result); err != nil {
			return fmt.Errorf("the result of %s: %w", job.ID, err)
		}
		v := jobs.Verdict(result)
		r.verdict = &v
	}
	version, err := r.st.Version(job.Dataset, job.Version)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	r.system = version.System
	r.sample, err = r.split(job.Dataset, job.Version, store.Train, trainSample)
	return err
}

// measure asks the models and computes the report; later requests will follow.
func (r *run) measure(ctx context.Context, later int) (eval.Report, error) {
	r.total = 2*len(r.cases) + len(r.sample) + later
	if r.baseline != nil {
		r.total += 2 * len(r.cases)
	}
	r.tick(0)
	err := r.ask(ctx, r.model, func(it *eval.Item) side { return side{&it.Answer, &it.Truncated, &it.Tokens, &it.Loss} })
	if err == nil && r.baseline != nil {
		err = r.ask(ctx, *r.baseline, func(it *eval.Item) side {
			return side{&it.BaseAnswer, &it.BaseTruncated, &it.BaseTokens, &it.BaseLoss}
		})
	}
	if err != nil {
		return eval.Report{}, err
	}
	items := make([]eval.Item, len(r.cases))
	for i, c := range r.cases {
		items[i] = c.item
	}
	report := eval.Measure(items, r.baseline != nil, maxSamples)
	if err := r.trainLoss(ctx, &report); err != nil {
		return eval.Report{}, err
	}
	if r.keyless > 0 {
		report.Warnings = append(report.Warnings, fmt.Sprintf("%d of %d questions have no key in the file.", r.keyless, report.Examples))
	}
	if r.req.Split == store.Train {
		report.Warnings = append(report.Warnings, "These are training examples: the figures say what was memorised, not what was learnt.")
	}
	if n := r.skipped.Load(); n > 0 {
		report.Warnings = append(report.Warnings, fmt.Sprintf("%d requests did not fit into the context of the model and count as empty answers without a loss.", n))
	}
	return report, nil
}

// trainLoss measures the loss on the sample of training examples.
func (r *run) trainLoss(ctx context.Context, report *eval.Report) error {
	if len(r.sample) == 0 {
		return nil
	}
	e, slots, err := r.engine(ctx, r.model)
	if err != nil {
		return err
	}
	losses := make([]eval.Loss, len(r.sample))
	err = engine.Each(ctx, slots, len(r.sample), func(ctx context.Context, i int) error {
		defer r.tick(1)
		return r.score(ctx, e, r.model.AdapterName(), r.sample[i].messages, &losses[i])
	})
	if err != nil {
		return err
	}
	var sum eval.Loss
	for _, l := range losses {
		sum.Add(l.Sum, l.Tokens)
	}
	if mean, ok := sum.Mean(); ok {
		report.TrainLoss, report.TrainExamples = &mean, len(r.sample)
	}
	return nil
}

// tick counts requests that are done.
func (r *run) tick(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.done += n
	if r.progress != nil {
		r.progress(r.done, r.total)
	}
}
