package train

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"cloister/lora/data"
	"cloister/lora/model"
)

// Memory is what a job takes, in bytes, and whether there is as much.
type Memory struct {
	model.MemoryPlan
	Total int64 `json:"total"` // the sum of the parts: the peak of resident memory
	Free  int64 `json:"free"`  // what the job may take; 0: unknown
	Fits  bool  `json:"fits"`
	// Proposals are changes with each of which the job would fit; planned, when
	// it does not.
	Proposals []Proposal `json:"proposals,omitempty"`
}

// PlanConfig says what PlanMemory plans for.
type PlanConfig struct {
	BasePath  string   // a GGUF file; its first megabytes, up to the end of its header, are enough
	MaxLength int      // tokens of the longest row; 0: 2048 or the model's context if that is less
	Rank      int      // 0: 16
	Targets   []string // empty: all
	Threads   int      // 0: one for each core
	Precision string   // of products; empty: the fastest here
	Free      int64    // bytes that training may take; 0: those that are free here
}

// PlanMemory plans the memory of training on rows of MaxLength tokens, without
// data and without weights.
func PlanMemory(ctx context.Context, c PlanConfig) (Memory, error) {
	pl, err := model.OpenPlanner(c.BasePath)
	if err != nil {
		return Memory{}, err
	}
	if c.MaxLength == 0 {
		c.MaxLength = min(pl.Context(), usualMaxLength)
	}
	if c.Free == 0 {
		c.Free = availableMemory()
	}
	b := budget{pl: pl, free: c.Free, rows: model.Full(c.MaxLength)}
	b.cfg = model.Config{Rank: cmp.Or(c.Rank, defaultRank), Targets: c.Targets, Threads: c.Threads, Precision: model.Precision(c.Precision)}
	m, _, err := b.memory(ctx)
	return m, err
}

// budget is a job to be planned.
type budget struct {
	pl       *model.Planner
	cfg      model.Config
	rows     model.Rows
	free     int64 // 0: unknown
	examples int64 // bytes of their texts and tokens
	start    int64 // of the adapter that training continues from
	asking   int64 // of the teacher while it is asked
	// fewer returns the longest rows in batches of n examples; nil where batches are not known.
	batch int
	fewer func(n int) model.Rows
}

// sparePart of the free memory is left to others when layers are chosen to be kept.
const sparePart = 10

// plan keeps as many layers as fit beside all else, and leaves a tenth of the
// free memory to others if recomputing layers is enough for that. The limit is
// that of activations, for model.Config.
func (b *budget) plan() (p model.MemoryPlan, limit int64, err error) {
	defer func() { b.ask(&p) }()
	b.cfg.MemoryLimit = 0
	if p, err = b.pl.Plan(b.cfg, b.rows); err != nil {
		return p, 0, err
	}
	p.Examples, p.Start = b.examples, b.start
	most := b.free - b.free/sparePart
	if b.free == 0 || p.Total() <= most || b.cfg.Recompute {
		return p, 0, nil
	}
	bare := b.cfg
	bare.Recompute = true
	least, err := b.pl.Plan(bare, b.rows)
	if err != nil {
		return p, 0, err
	}
	cfg := b.cfg
	cfg.MemoryLimit = max(most-(p.Total()-p.Activations-p.Work), least.Activations+least.Work)
	p, err = b.pl.Plan(cfg, b.rows)
	p.Examples, p.Start = b.examples, b.start
	return p, cfg.MemoryLimit, err
}

// ask adds what the teacher takes beyond all that training takes later. While it
// is asked the student is open, but only its adapter has been touched.
func (b *budget) ask(p *model.MemoryPlan) {
	if b.asking > 0 {
		now := b.asking + p.Adapter + p.Start + p.Runtime + p.Vocabulary + p.Examples
		p.Teacher = max(0, now-p.Total())
	}
}

// memory is the plan, with proposals if it does not fit.
func (b *budget) memory(ctx context.Context) (Memory, int64, error) {
	p, limit, err := b.plan()
	if err != nil {
		return Memory{}, 0, err
	}
	m := Memory{MemoryPlan: p, Total: p.Total(), Free: b.free}
	m.Fits = b.free == 0 || m.Total <= b.free
	if !m.Fits {
		m.Proposals, err = b.propose(ctx)
	}
	return m, limit, err
}

// Refusal is the error of a job that does not fit; it wraps ErrMemory.
func (m *Memory) Refusal() error {
	least := ""
	if m.KeptLayers == 0 {
		least = " even if every layer is computed twice"
	}
	text := "no setting makes it fit; take a smaller model"
	if m.Teacher > 0 {
		text = "no setting makes it fit; take a smaller teacher, or let it write answers first (cloister dataset answer)"
	}
	if len(m.Proposals) > 0 {
		var list []string
		for _, p := range m.Proposals {
			list = append(list, p.Text)
		}
		text = "what would fit: " + strings.Join(list, "; ")
	}
	return fmt.Errorf("%w: rows of %d tokens need %s%s, and %s are free (%s); %s",
		ErrMemory, m.RowTokens, size(m.Total), least, size(m.Free), m.parts(), text)
}

// String is the plan in words.
func (m *Memory) String() string {
	free := ""
	if m.Free > 0 {
		free = fmt.Sprintf(" of %s that are free", size(m.Free))
	}
	return fmt.Sprintf("Memory: %s%s: %s; %d of %d layers keep their activations", size(m.Total), free, m.parts(), m.KeptLayers, m.Layers)
}

// Part is one line of the table.
type Part struct {
	Name  string
	Bytes int64
	What  string
}

// Parts are the lines of the table, without those of 0 bytes.
func (m *Memory) Parts() []Part {
	kept := fmt.Sprintf("rows of %d tokens, all layers kept", m.RowTokens)
	if m.KeptLayers < m.Layers {
		kept = fmt.Sprintf("rows of %d tokens, %d of %d layers kept, the others computed twice", m.RowTokens, m.KeptLayers, m.Layers)
	}
	all := []Part{
		{"weights", m.Weights, "the model file, mapped"},
		{"adapter", m.Adapter, fmt.Sprintf("%d values, rank %d", m.Trainable, m.Rank)},
		{"gradients", m.Gradients, "one for each"},
		{"optimiser", m.Optimiser, "two moments for each"},
		{"best adapter", m.BestAdapter, "a copy of the adapter"},
		{"activations", m.Activations, kept},
		{"logits and work", m.Work, "of the output matrix or of one layer"},
		{"threads", m.Scratch, fmt.Sprintf("scratch of %d", m.Threads)},
		{"program", m.Runtime, "and the model's metadata"},
		{"vocabulary", m.Vocabulary, "the tokenizer, while it is read"},
		{"examples", m.Examples, "texts and tokens"},
		{"first adapter", m.Start, "what training continues from"},
		{"teacher", m.Teacher, "while it is asked, beyond what training takes later"},
	}
	var out []Part
	for _, p := range all {
		if p.Bytes > 0 {
			out = append(out, p)
		}
	}
	return out
}

func (m *Memory) parts() string {
	var list []string
	for _, p := range m.Parts() {
		list = append(list, p.Name+" "+size(p.Bytes))
	}
	return strings.Join(list, ", ")
}

// size is a number of bytes for people.
func size(n int64) string {
	switch f := float64(n); {
	case n >= 1e10:
		return fmt.Sprintf("%.0f GB", f/1e9)
	case n >= 1e9:
		return fmt.Sprintf("%.1f GB", f/1e9)
	case n >= 1e7:
		return fmt.Sprintf("%.0f MB", f/1e6)
	default:
		return fmt.Sprintf("%.1f MB", f/1e6)
	}
}

// scanned is the most tokens of which the real packed rows are looked at;
// beyond, rows are taken to be full.
const scanned = 20e6

// longestRows is the extent of the packed rows of the job with batches of n
// examples: those of all epochs, in the order in which they will come.
func (p *prepared) longestRows(ctx context.Context, pl *model.Planner, cfg model.Config, n int) model.Rows {
	var rows model.Rows
	for _, packed := range p.pack(p.valid) {
		pl.Valid(&rows, cfg, (*model.Batch)(&packed))
	}
	if float64(tokens(p.train))*float64(p.h.Epochs) > scanned {
		rows.Tokens, rows.Targets = p.rowLen, p.rowLen
		return rows
	}
	h := p.h
	h.BatchSize = n
	steps := newPlan(p.train, &h)
	for epoch := range h.Epochs {
		for _, numbers := range steps.steps(epoch) {
			if ctx.Err() != nil {
				return rows
			}
			batch := make([]data.Row, len(numbers))
			for i, n := range numbers {
				batch[i] = p.train[n]
			}
			for _, packed := range p.pack(batch) {
				pl.Train(&rows, cfg, (*model.Batch)(&packed))
			}
		}
	}
	return rows
}

// budget is that of the job on this machine.
func (p *prepared) budget(ctx context.Context, req Request, cfg model.Config) (*budget, error) {
	pl, err := model.OpenPlanner(req.BasePath)
	if err != nil {
		return nil, err
	}
	b := &budget{pl: pl, cfg: cfg, free: req.Memory, batch: p.h.BatchSize, examples: p.exampleBytes(req)}
	if b.free == 0 {
		b.free = availableMemory()
	}
	if p.init != nil {
		b.start = p.init.bytes()
		if p.h.prefers() { // the reference swaps it in for the one that learns, which waits meanwhile
			b.start *= 2
		}
	}
	if b.asking, err = p.asking(); err != nil {
		return nil, err
	}
	if p.h.BatchTokens > 0 {
		b.batch = 1 // batches are not cut by examples
	}
	b.fewer = func(n int) model.Rows { return p.longestRows(ctx, pl, cfg, n) }
	b.rows = b.fewer(b.batch)
	return b, ctx.Err()
}

// exampleBytes is what texts and tokens take, twice for what the collector lets pile up.
func (p *prepared) exampleBytes(req Request) int64 {
	n := 5*(tokens(p.train)+tokens(p.valid)) + 16*tokens(p.valid)
	for _, list := range [][]Example{req.Train, req.Valid} {
		for i := range list {
			n += 200
			for _, m := range list[i].Messages {
				n += int64(len(m.Content)) + 100
			}
			n += int64(len(list[i].Rejected))
		}
	}
	if p.teacher != nil {
		n += p.taughtBytes()
	}
	return 2 * n
}
