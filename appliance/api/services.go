package api

import (
	"context"
	"io"
	"iter"
	"time"

	"cloister/appliance/bundle"
	"cloister/appliance/datasets"
	"cloister/appliance/engine"
	"cloister/appliance/estimate"
	"cloister/appliance/evaluate"
	"cloister/appliance/feedback"
	"cloister/appliance/jobs"
	"cloister/appliance/masking"
	"cloister/appliance/models"
	"cloister/appliance/release"
	"cloister/appliance/site"
	"cloister/lora/eval"
	"cloister/store"
	"cloister/store/pii"
	"cloister/store/risk"
	"cloister/store/signing"
)

// The services that the routes call, as this package needs them. Package
// appliance puts the real ones in.

// Models leads names to engines: *models.Registry.
type Models interface {
	Resolve(name string) (models.Resolved, error)
	Engine(ctx context.Context, m models.Resolved) (engine.Engine, error)
	List() ([]models.Entry, error)
	Import(ctx context.Context, path, name string, keep bool) (store.BaseModel, error)
	ImportAdapter(ctx context.Context, path, base, suffix string) (store.Adapter, error)
	Remove(ctx context.Context, name string) error
	Loaded() []string
	Status() []models.Status
	Org() string
}

// Datasets makes dataset versions: *datasets.Service.
type Datasets interface {
	ImportWatched(ctx context.Context, req datasets.ImportRequest, r io.Reader, progress func(done, total int)) (store.Version, error)
	ApplyCorrections(ctx context.Context, name string) (store.Version, int, error)
	Reveal(dataset string, number int) ([]datasets.Proposal, error)
	Used(dataset string, number int) (masking.Used, error)
	Remove(name string) error
	Risk(ctx context.Context, dataset string, number, k int) (risk.Report, error)
	Review(ctx context.Context, dataset string, number int, req datasets.ReviewRequest) (datasets.Review, error)
	Decide(ctx context.Context, dataset string, number int, verdicts map[string]masking.Verdict, apply bool) (datasets.Decided, error)
}

// Masking masks with the project's policy and vault, and undoes it, and masks
// answers on their way out: *masking.Service.
type Masking interface {
	MaskLines(texts []string) (masked []string, findings [][]pii.Finding, err error)
	Unmask(masked []string) (texts []string, restored int, err error)
	Answer(question string) *masking.Answer
	Whole(question, text string) (string, error)
}

// Jobs runs fine-tuning jobs: *jobs.Manager.
type Jobs interface {
	Create(ctx context.Context, req jobs.CreateRequest) (store.Job, error)
	Cancel(ctx context.Context, id string) (store.Job, error)
	// Follow calls each for the events after a sequence number, those to come
	// included, until the job has ended.
	Follow(ctx context.Context, id string, afterSeq uint64, each func(store.Event) error) error
}

// Estimator says what a job would take: *estimate.Service.
type Estimator interface {
	Estimate(ctx context.Context, req estimate.Request) (estimate.Estimate, error)
}

// Answerer has a model answer a dataset: *answer.Service.
type Answerer interface {
	Run(ctx context.Context, req datasets.AnswerRequest, progress func(done, total int)) (store.Version, error)
}

// Evaluator compares models on held-out data: *evaluate.Service.
type Evaluator interface {
	Run(ctx context.Context, req evaluate.Request, file io.Reader, progress func(done, total int)) (store.Evaluation, error)
}

// Releases puts models behind aliases: *release.Service.
type Releases interface {
	Deploy(ctx context.Context, model, alias string, force bool, by string) (store.Release, error)
	Rollback(ctx context.Context, alias, by string) (store.Release, error)
	Status() ([]release.Status, error)
	Gate() (eval.GateConfig, error)
	SetGate(c eval.GateConfig) error
}

// Recorder keeps served answers, masked, so that they can be rated:
// *feedback.Service.
type Recorder interface {
	Keep(ctx context.Context, a feedback.Served) error
}

// Feedback keeps judgements, masked: *feedback.Service.
type Feedback interface {
	Record(ctx context.Context, req feedback.Request) (store.Feedback, error)
	List(since time.Time) ([]feedback.Item, error)
	Report(since time.Time, worst int) (feedback.Report, error)
	Import(ctx context.Context, fileName string, r io.Reader, by string) (feedback.ImportResult, error)
}

// Bundles carries tuned models between sites: *bundle.Service.
type Bundles interface {
	Export(ctx context.Context, req bundle.ExportRequest) (*bundle.Export, error)
	Import(ctx context.Context, r io.Reader, req bundle.ImportRequest) (bundle.Imported, error)
	Verify(ctx context.Context, r io.Reader) (bundle.Contents, error)
}

// Site is who this site is to others, and whom it believes: *site.Service.
type Site interface {
	Identity() (site.Identity, error)
	Make(name string, renew bool) (site.Identity, error)
	Sign(purpose string, message []byte) ([]byte, site.Identity, error)
	Trusted() ([]site.Trusted, error)
	Trust(name string, key signing.PublicKey) (site.Trusted, error)
	Distrust(name string) (site.Trusted, error)
}

// Store is what the routes read and write without a service: *store.Store.
type Store interface {
	PutFile(ctx context.Context, f store.File, r io.Reader) (store.File, error)
	OpenFile(id string) (io.ReadCloser, error)
	File(id string) (store.File, error)
	Files(purpose string, p store.Page) ([]store.File, bool, error)
	DeleteFile(id string) error

	Datasets() ([]store.Dataset, error)
	Dataset(name string) (store.Dataset, error)
	Version(dataset string, number int) (store.Version, error)
	Versions(dataset string) ([]store.Version, error)
	Examples(dataset string, number int, split store.Split) iter.Seq2[store.Example, error]

	Job(id string) (store.Job, error)
	Jobs(metadata map[string]string, p store.Page) ([]store.Job, bool, error)
	Events(jobID string, p store.Page) ([]store.Event, bool, error)
	JobAdapters(jobID string) ([]store.Adapter, error)

	BaseModels() ([]store.BaseModel, error)
	Evaluations(model string) ([]store.Evaluation, error)
	Origin(adapter string) (store.Origin, error)

	Keys() ([]store.Key, error)
	PutKey(k store.Key) (store.Key, error)
	DeleteKey(id string) error

	AppendAudit(a store.Audit) (store.Audit, error)
	Audits(below uint64, limit int) ([]store.Audit, error)
	Check(ctx context.Context) error
}

var (
	_ Models    = (*models.Registry)(nil)
	_ Datasets  = (*datasets.Service)(nil)
	_ Masking   = (*masking.Service)(nil)
	_ Jobs      = (*jobs.Manager)(nil)
	_ Estimator = (*estimate.Service)(nil)
	_ Evaluator = (*evaluate.Service)(nil)
	_ Releases  = (*release.Service)(nil)
	_ Recorder  = (*feedback.Service)(nil)
	_ Feedback  = (*feedback.Service)(nil)
	_ Bundles   = (*bundle.Service)(nil)
	_ Site      = (*site.Service)(nil)
	_ Store     = (*store.Store)(nil)
)
