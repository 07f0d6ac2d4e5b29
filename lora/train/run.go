package train

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"

	"cloister/lora/model"
)

// trainable is what the loop needs of a model.
type trainable interface {
	// Params are the adapter's matrices in an order that never changes.
	Params() []*model.Param
	ZeroGrad() error
	// Loss is the forward pass; Backward adds scale·d(Sum)/d(param) to Grad.
	Loss(b *model.Batch) (model.Loss, error)
	Backward(b *model.Batch, scale float64) (model.Loss, error)
	// LogProbs is ln p of every target, with the adapter or without it;
	// BackwardWeighted adds the gradient of a function of them.
	LogProbs(b *model.Batch, base bool) ([]float64, error)
	BackwardWeighted(b *model.Batch, weigh model.Weigh) (model.Loss, error)
	// LossDistilled and BackwardDistilled learn from a teacher.
	LossDistilled(b *model.Batch, s *model.Soft) (model.Distilled, error)
	BackwardDistilled(b *model.Batch, s *model.Soft, alpha, scale float64) (model.Distilled, error)
	// Draw chooses the noise of the calls of Backward that follow.
	Draw(key uint64)
	Close() error
}

var _ trainable = (*model.Model)(nil)

// opener opens the model of a job.
type opener func(path string, cfg model.Config) (trainable, error)

func openModel(path string, cfg model.Config) (trainable, error) {
	m, err := model.Open(path, cfg)
	if err != nil {
		return nil, err
	}
	return m, nil
}

const (
	usualCheckpointSteps = 25
	adapterPrefix        = "adapter-step-"
)

// Run does the whole job and calls emit for each event; emit may be nil.
// Cancelling ctx stops it with ErrStopped after a checkpoint. With ErrStopped
// and ErrDiverged the Result says how far it came.
func Run(ctx context.Context, req Request, emit func(Event)) (Result, error) {
	return run(ctx, req, emit, openModel)
}

func run(ctx context.Context, req Request, emit func(Event), open opener) (Result, error) {
	if emit == nil {
		emit = func(Event) {}
	}
	if req.CheckpointSteps <= 0 {
		req.CheckpointSteps = usualCheckpointSteps
	}
	if err := os.MkdirAll(req.WorkDir, 0o700); err != nil {
		return Result{}, err
	}
	emit(Event{Kind: "info", Message: fmt.Sprintf("Reading %d training and %d validation examples", len(req.Train), len(req.Valid))})
	p, cfg, memory, err := ready(ctx, req)
	if err == nil && !memory.Fits {
		err = memory.Refusal()
	}
	if err != nil {
		return Result{}, err
	}
	emit(Event{Kind: "info", Message: memory.String()})
	m, err := p.open(req, cfg, open)
	if err != nil {
		return Result{}, p.where.failed(err)
	}
	defer m.Close()
	emit(Event{Kind: "info", Message: fmt.Sprintf("Training on %s", p.where), Device: p.where.device})
	j := newJob(req, p, m, emit)
	r, err := j.run(ctx)
	return r, p.where.failed(err)
}

// run takes up a checkpoint if there is one and does what is left.
func (j *job) run(ctx context.Context) (Result, error) {
	if err := j.resume(); err != nil {
		return Result{}, err
	}
	err := j.goal.begin(ctx, j.emit)
	if ctx.Err() != nil {
		return Result{}, ErrStopped // nothing has changed that a checkpoint would have to keep
	}
	if err == nil {
		err = j.loop(ctx)
	}
	if err == nil {
		err = j.finish()
	}
	return j.result(), err
}

// fit plans the memory of the job and says how the model is to be opened.
func (p *prepared) fit(ctx context.Context, req Request) (model.Config, Memory, error) {
	cfg := model.Config{
		Rank: p.h.Rank, Alpha: float32(p.h.fileAlpha()), Targets: p.h.Targets, Threads: req.Threads, Seed: p.h.Seed,
		Dropout: p.h.Dropout, EmbeddingNoise: p.h.NoiseAlpha, Precision: model.Precision(p.h.Precision),
		Device: p.where.device, Offload: req.Offload && p.where.card != nil,
	}
	b, err := p.budget(ctx, req, cfg)
	if err != nil {
		return cfg, Memory{}, err
	}
	memory, cfg, err := b.memory(ctx)
	return cfg, memory, err
}

// open opens the model.
func (p *prepared) open(req Request, cfg model.Config, open opener) (trainable, error) {
	m, err := open(req.BasePath, cfg)
	if err != nil {
		return nil, err
	}
	if p.init != nil {
		err = p.init.into(m.Params())
	}
	if err != nil {
		_ = m.Close()
		return nil, err
	}
	return m, nil
}

// job is a running job.
type job struct {
	req   Request
	p     *prepared
	h     Hyperparameters
	m     trainable
	emit  func(Event)
	opt   *adamW
	goal  objective
	clock *clock

	plan    *plan
	total   int // steps
	state   state
	best    [][]float32 // the best adapter so far
	earlier float64     // seconds of the runs before this one
}

func newJob(req Request, p *prepared, m trainable, emit func(Event)) *job {
	j := &job{req: req, p: p, h: p.h, m: m, emit: emit, clock: newClock()}
	j.opt = newAdamW(m.Params(), &j.h, req.Threads)
	j.goal = newObjective(p, m)
	j.plan = newPlan(p.train, &j.h)
	j.total = j.plan.total()
	return j
}

// resume takes up the checkpoint of the work folder if there is one of this
// very job, and otherwise begins.
func (j *job) resume() error {
	var lengths []int
	for _, p := range j.m.Params() {
		lengths = append(lengths, p.Len())
	}
	s, err := loadCheckpoint(j.req.WorkDir, j.p.identity, lengths)
	if err == nil && s != nil {
		err = s.State.check(j.plan.ends)
	}
	if pathError := (*os.PathError)(nil); errors.As(err, &pathError) {
		return err
	}
	if err != nil || s == nil {
		for _, e := range j.p.notes {
			j.emit(e)
		}
		if err != nil {
			j.emit(Event{Kind: "warning", Message: fmt.Sprintf("The checkpoint in the work folder is not used, training starts anew: %v", err)})
		}
		return nil
	}
	if err := j.restore(s); err != nil {
		return fmt.Errorf("cannot take up the checkpoint: %w", err)
	}
	j.opt.t, j.state, j.earlier = s.State.Updates, s.State, s.State.Seconds
	if now := j.p.arithmetic(); s.Arithmetic != "" && s.Arithmetic != now {
		j.emit(Event{Kind: "warning", Message: fmt.Sprintf("The steps so far were computed by %s, the others are by %s: results differ in their last digits from those of a run on one of them", s.Arithmetic, now)})
	}
	j.emit(Event{Kind: "info", Message: fmt.Sprintf("Resuming after step %d of %d", j.state.Step, j.total), Step: j.state.Step, TotalSteps: j.total})
	return nil
}

// check refuses a position that cannot be; ends are the steps at the ends of epochs.
func (s *state) check(ends []int) error {
	bad := s.Epoch < 0 || s.Epoch > len(ends) || s.Updates < 0 || s.Updates > s.Step || len(s.Curve) != s.Epoch || s.Eval.Step < 0 || s.Eval.Step > s.Step || s.Since < 0
	bad = bad || s.Best != nil && (s.Best.Epoch < 1 || s.Best.Epoch > s.Epoch+1 || s.Best.Step > s.Step)
	if !bad && s.Epoch > 0 && !s.Stopped {
		bad = s.Step < ends[s.Epoch-1]
	}
	if !bad {
		bad = s.Step < 0 || s.Step > ends[min(s.Epoch, len(ends)-1)]
	}
	if bad {
		return fmt.Errorf("%w: impossible position", errCheckpoint)
	}
	for _, k := range s.Kept {
		if filepath.Base(k.Path) != k.Path || !strings.HasPrefix(k.Path, adapterPrefix) {
			return fmt.Errorf("%w: it names the file %q", errCheckpoint, k.Path)
		}
	}
	return nil
}

// save writes a checkpoint of the present state.
func (j *job) save() error {
	j.state.Seconds = j.earlier + j.clock.seconds()
	params := j.m.Params()
	s := &snapshot{position{j.p.identity, j.state, j.best != nil, j.p.arithmetic()}, dataOf(params), meansOf(params), squaresOf(params), hostMatrices(j.best)}
	path, err := saveCheckpoint(j.req.WorkDir, s)
	if err != nil {
		return fmt.Errorf("cannot write a checkpoint: %w", err)
	}
	j.emit(Event{Kind: "checkpoint", Step: j.state.Step, TotalSteps: j.total, Path: path, Message: fmt.Sprintf("Checkpoint after step %d", j.state.Step)})
	return nil
}

// finish writes the adapter that is kept.
func (j *job) finish() error {
	if j.best == nil {
		return fmt.Errorf("%w: no epoch ended with a finite validation loss", ErrDiverged)
	}
	a, err := newAdapter(j.p.architecture, j.h.fileAlpha(), j.m.Params(), hostMatrices(j.best))
	if err != nil {
		return err
	}
	if err := a.WriteFile(j.req.OutPath); err != nil {
		return fmt.Errorf("cannot write the adapter: %w", err)
	}
	return nil
}

func (j *job) result() Result {
	s := &j.state
	r := Result{
		OutPath: j.req.OutPath, Steps: s.Step, TrainedTokens: s.Tokens, StoppedEarly: s.Stopped,
		Curve: s.Curve, Resolved: j.h, Seconds: j.earlier + j.clock.seconds(), PeakBytes: peakMemory(),
	}
	if s.Best != nil {
		r.Best, r.BestEpoch = *s.Best, s.Best.Epoch
	}
	for _, k := range s.Kept {
		k.Path = filepath.Join(j.req.WorkDir, k.Path)
		r.Checkpoints = append(r.Checkpoints, k)
	}
	return r
}

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }
