package train

import (
	"context"
	"fmt"

	"cloister/llama/gguf"
	"cloister/lora/data"
	"cloister/lora/model"
)

// taught learns from the targets and from what a teacher, a larger model with
// the same vocabulary, finds likely in their place: model.BackwardDistilled has
// the loss. The teacher is asked once, before the first step, and closed then;
// its answers are token ids, which are text, so they stay in memory.
type taught struct {
	supervised
	p    *prepared
	req  teaching
	soft map[*data.Row]*model.Soft // by row of training and of validation
}

// teaching says who teaches, and how.
type teaching struct {
	path    string
	adapter *Adapter     // nil: none
	cfg     model.Config // Precision is set once it is known
	vocab   int          // tokens of the student
	// fingerprint tells the teacher's file from others.
	fingerprint string
}

// withTeacher reads who teaches, and checks that the student can understand it.
func (p *prepared) withTeacher(req Request) error {
	h := &p.h
	if req.TeacherPath == "" {
		if req.TeacherAdapter != "" {
			return wrong("teacher_adapter", "is set, which has a meaning only with a teacher")
		}
		if h.Temperature != 0 || h.DistillAlpha != 0 || h.TopK != 0 {
			return wrong("distill_temperature, distill_alpha or distill_top_k", "is set, which has a meaning only with a teacher")
		}
		return nil
	}
	if h.prefers() {
		return wrong("method", "is %s, and a teacher is learnt from with the method %s", h.Method, sft)
	}
	if err := SameVocabulary(req.BasePath, req.TeacherPath); err != nil {
		return err
	}
	f, err := gguf.Open(req.TeacherPath)
	if err != nil {
		return err
	}
	defer f.Close()
	t := &teaching{path: req.TeacherPath, cfg: model.Config{Frozen: true, Threads: req.Threads, Device: p.where.device}, vocab: p.vocab}
	if t.fingerprint, err = fingerprint(req.TeacherPath, f); err != nil {
		return err
	}
	if req.TeacherAdapter != "" {
		arch, _ := f.String("general.architecture")
		var targets []string
		if t.adapter, targets, err = readAdapterFor(req.TeacherAdapter, arch); err != nil {
			return fmt.Errorf("the teacher: %w", err)
		}
		t.cfg.Frozen, t.cfg.Rank, t.cfg.Alpha, t.cfg.Targets = false, t.adapter.Rank, float32(t.adapter.Alpha), targets
		t.fingerprint += t.adapter.fingerprint()
	}
	p.teacher, p.facts.Taught = t, true
	return nil
}

// open opens the teacher.
func (t *teaching) open() (*model.Model, error) {
	m, err := model.Open(t.path, t.cfg)
	if err != nil {
		return nil, fmt.Errorf("the teacher: %w", err)
	}
	if t.adapter != nil {
		if err := t.adapter.into(m.Params()); err != nil {
			_ = m.Close()
			return nil, fmt.Errorf("the teacher: %w", err)
		}
	}
	return m, nil
}

// asking is the memory that the teacher takes while it is asked, on the host and on a card.
func (p *prepared) asking() (host, card int64, err error) {
	if p.teacher == nil {
		return 0, 0, nil
	}
	pl, err := model.OpenPlanner(p.teacher.path)
	if err != nil {
		return 0, 0, fmt.Errorf("the teacher: %w", err)
	}
	var rows model.Rows
	for _, list := range [][]data.Row{p.train, p.valid} {
		for _, b := range data.Pack(list, p.rowLen) {
			pl.Valid(&rows, p.teacher.cfg, (*model.Batch)(&b))
		}
	}
	host, card, err = pl.Asking(p.teacher.cfg, rows)
	if a := p.teacher.adapter; a != nil {
		host += a.bytes() // what was read of its file stays, too
	}
	return host, card, err
}

func newTaught(p *prepared, m trainable) *taught {
	return &taught{supervised: supervised{m: m, rows: p.train, rowLen: p.rowLen}, p: p, req: *p.teacher, soft: map[*data.Row]*model.Soft{}}
}

func (o *taught) begin(ctx context.Context, emit func(Event)) error {
	teacher, err := o.req.open()
	if err != nil {
		return err
	}
	defer teacher.Close()
	emit(Event{Kind: "info", Message: fmt.Sprintf("Asking the teacher about %d tokens", o.p.targets())})
	for _, rows := range [][]data.Row{o.p.train, o.p.valid} {
		if err := o.ask(ctx, teacher, rows); err != nil {
			return err
		}
	}
	return nil
}

// targets is the number of tokens that are learnt or validated with.
func (p *prepared) targets() int64 {
	n := int64(0)
	for _, rows := range [][]data.Row{p.train, p.valid} {
		for i := range rows {
			n += int64(rows[i].Targets())
		}
	}
	return n
}

// taughtBytes is what the teacher's answers take.
func (p *prepared) taughtBytes() int64 { return (&model.Soft{K: p.h.TopK}).Bytes(p.targets()) }

// ask fills in what the teacher says about rows, packed in one order, so that a
// run which goes on after a kill gets the same roundings.
func (o *taught) ask(ctx context.Context, teacher *model.Model, rows []data.Row) error {
	for _, b := range data.Pack(rows, o.rowLen) {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		s, err := teacher.TopK((*model.Batch)(&b), o.p.h.TopK, o.p.h.Temperature, o.req.vocab)
		if err != nil {
			return fmt.Errorf("the teacher: %w", err)
		}
		from := 0
		for _, n := range b.Segments() {
			row := &rows[n]
			to := from + row.Targets()
			o.soft[row] = s.Slice(from, to)
			from = to
		}
	}
	return nil
}

func (o *taught) learn(ctx context.Context, numbers []int) (outcome, error) {
	rows := make([]*data.Row, len(numbers))
	targets := 0
	for i, n := range numbers {
		rows[i] = &o.rows[n]
		targets += rows[i].Targets()
	}
	return o.taughtBy(ctx, rows, func(b *model.Batch, s *model.Soft) (model.Distilled, error) {
		return o.m.BackwardDistilled(b, s, o.alpha(), 1/float64(max(1, targets)))
	})
}

func (o *taught) measure(ctx context.Context) (outcome, error) {
	rows := make([]*data.Row, len(o.p.valid))
	for i := range rows {
		rows[i] = &o.p.valid[i]
	}
	return o.taughtBy(ctx, rows, o.m.LossDistilled)
}

// alpha is the share of the targets in the loss.
func (o *taught) alpha() float64 { return max(0, o.p.h.DistillAlpha) }

// taughtBy adds up what f says about the packed rows.
func (o *taught) taughtBy(ctx context.Context, rows []*data.Row, f func(*model.Batch, *model.Soft) (model.Distilled, error)) (outcome, error) {
	var out outcome
	kl, alpha, t := 0.0, o.alpha(), o.p.h.Temperature
	for _, b := range data.Pack(values(rows), o.rowLen) {
		if ctx.Err() != nil {
			return out, ctx.Err()
		}
		s := &model.Soft{K: o.p.h.TopK, Temperature: t}
		for _, n := range b.Segments() {
			s.Append(o.soft[rows[n]])
		}
		d, err := f((*model.Batch)(&b), s)
		if err != nil {
			return out, err
		}
		kl += d.KL
		d.Sum = alpha*d.Sum + (1-alpha)*t*t*d.KL
		out.add(d.Loss)
	}
	kl /= float64(max(1, out.Tokens))
	out.kl = &kl
	return out, nil
}
