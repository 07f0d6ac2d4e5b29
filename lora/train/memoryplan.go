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
	Device string `json:"device"` // that trains
	Total  int64  `json:"total"`  // the sum of the host's parts: the peak of resident memory
	Free   int64  `json:"free"`   // what the job may take of it; 0: unknown
	// CardTotal and CardFree are the same of the memory of a card; 0 on the CPU.
	CardTotal int64 `json:"card_total,omitempty"`
	CardFree  int64 `json:"card_free,omitempty"`
	Fits      bool  `json:"fits"`
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
	Device    string   // empty: the CPU
	// DeviceMemory is the bytes of a card, which then need not be there; 0: those
	// that are free on the card here.
	DeviceMemory int64
	Offload      bool // inputs of layers wait on the host
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
	if b.card, err = c.device(); err != nil {
		return Memory{}, err
	}
	b.cfg = model.Config{Rank: cmp.Or(c.Rank, defaultRank), Targets: c.Targets, Threads: c.Threads, Precision: model.Precision(c.Precision), Device: c.Device, Offload: c.Offload}
	m, _, err := b.memory(ctx)
	return m, err
}

// device settles what is planned for, and returns the bytes that may be taken on a card.
func (c *PlanConfig) device() (int64, error) {
	if c.DeviceMemory == 0 {
		w, err := settle(&Request{Device: c.Device})
		c.Device = w.device
		return w.free, err
	}
	if err := model.CheckDevice(c.Device); err != nil {
		return 0, err
	}
	if c.Device == "" || c.Device == model.OnCPU {
		return 0, fmt.Errorf("memory of a card is given, and the device is the CPU; name the device %s", model.OnCUDA)
	}
	c.Device = model.OnCUDA
	return c.DeviceMemory, nil
}

// budget is a job to be planned.
type budget struct {
	pl       *model.Planner
	cfg      model.Config
	rows     model.Rows
	free     int64 // 0: unknown
	card     int64 // bytes that may be taken on a card; 0: unknown, or the device is the CPU
	examples int64 // bytes of their texts and tokens
	start    int64 // of the adapter that training continues from
	asking   int64 // of the teacher while it is asked
	onCard   int64 // the same on a card
	// fewer returns the longest rows in batches of n examples; nil where batches are not known.
	batch int
	fewer func(n int) model.Rows
}

// sparePart of the free memory is left to others when layers are chosen to be kept.
const sparePart = 10

// spareCard of a card's free memory is left to others and to the gaps between blocks.
const spareCard = 20

// plan keeps as many layers as fit beside all else, and leaves a tenth of the
// free memory to others if recomputing layers is enough for that. On a card that
// is not enough for it the table of embeddings stays on the host, and inputs of
// layers wait there. The settings returned say so to model.Open.
func (b *budget) plan() (p model.MemoryPlan, cfg model.Config, err error) {
	cfg = b.cfg
	if b.card == 0 {
		p, err = b.keep(&cfg, b.free-b.free/sparePart)
		return p, cfg, err
	}
	most := b.card - b.card/spareCard
	for _, save := range []func(){func() {}, func() { cfg.HostEmbedding = true }, func() { cfg.Offload = true }} {
		save()
		if p, err = b.keep(&cfg, most); err != nil || p.Card.Total() <= most {
			break
		}
	}
	return p, cfg, err
}

// scarce are the bytes that compete with activations for memory, and those of activations.
func (b *budget) scarce(p *model.MemoryPlan) (total, activations int64) {
	if b.card > 0 {
		return p.Card.Total(), p.Card.Activations + p.Card.Work
	}
	return p.Total(), p.Activations + p.Work
}

// keep lets as many layers keep their activations as most bytes allow, 0 being no bound.
func (b *budget) keep(cfg *model.Config, most int64) (model.MemoryPlan, error) {
	cfg.MemoryLimit = 0
	p, err := b.planned(*cfg)
	total, activations := b.scarce(&p)
	if err != nil || most == 0 || total <= most || cfg.Recompute {
		return b.ask(p), err
	}
	bare := *cfg
	bare.Recompute = true
	least, err := b.planned(bare)
	if err != nil {
		return b.ask(p), err
	}
	_, floor := b.scarce(&least)
	cfg.MemoryLimit = max(most-(total-activations), floor)
	p, err = b.planned(*cfg)
	return b.ask(p), err
}

// planned is the plan for the settings, with what the job adds.
func (b *budget) planned(cfg model.Config) (model.MemoryPlan, error) {
	p, err := b.pl.Plan(cfg, b.rows)
	p.Examples, p.Start = b.examples, b.start
	return p, err
}

// ask adds what the teacher takes beyond all that training takes later. While it
// is asked the student is open, but only its adapter, and on a card its weights,
// have been touched.
func (b *budget) ask(p model.MemoryPlan) model.MemoryPlan {
	if b.asking > 0 {
		now := b.asking + p.Adapter + p.Start + p.Runtime + p.Vocabulary + p.Examples
		p.Teacher = max(0, now-p.Total())
	}
	if c := &p.Card; b.onCard > 0 {
		now := b.onCard + c.Weights + c.Adapter + c.Gradients + c.Optimiser + c.Context
		c.Teacher = max(0, now-c.Total())
	}
	return p
}

// memory is the plan, with proposals if it does not fit.
func (b *budget) memory(ctx context.Context) (Memory, model.Config, error) {
	p, cfg, err := b.plan()
	if err != nil {
		return Memory{}, cfg, err
	}
	m := Memory{MemoryPlan: p, Device: cmp.Or(b.cfg.Device, model.OnCPU), Total: p.Total(), Free: b.free, CardTotal: p.Card.Total(), CardFree: b.card}
	if m.Fits = b.within(&p); !m.Fits {
		m.Proposals, err = b.propose(ctx)
	}
	return m, cfg, err
}

// within says whether a plan fits into the memory of the host and of the card.
func (b *budget) within(p *model.MemoryPlan) bool {
	return (b.free == 0 || p.Total() <= b.free) && (b.card == 0 || p.Card.Total() <= b.card)
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
	need := fmt.Sprintf("%s%s, and %s are free (%s)", size(m.Total), least, size(m.Free), m.parts(false))
	if m.CardFree > 0 && m.CardTotal > m.CardFree {
		need = fmt.Sprintf("%s%s of the memory of %s, and %s are free there (%s)", size(m.CardTotal), least, m.Device, size(m.CardFree), m.parts(true))
	}
	return fmt.Errorf("%w: rows of %d tokens need %s; %s", ErrMemory, m.RowTokens, need, text)
}

// String is the plan in words.
func (m *Memory) String() string {
	one := func(total, free int64, card bool) string {
		of := ""
		if free > 0 {
			of = fmt.Sprintf(" of %s that are free", size(free))
		}
		return fmt.Sprintf("%s%s: %s", size(total), of, m.parts(card))
	}
	text := "Memory: " + one(m.Total, m.Free, false)
	if m.CardTotal > 0 {
		text = fmt.Sprintf("Memory of %s: %s; of the host: %s", m.Device, one(m.CardTotal, m.CardFree, true), one(m.Total, m.Free, false))
	}
	return fmt.Sprintf("%s; %d of %d layers keep their activations", text, m.KeptLayers, m.Layers)
}

// Part is one line of the table.
type Part struct {
	Name  string
	Bytes int64
	What  string
	Card  bool // the bytes are on the card
}

// Parts are the lines of the table, without those of 0 bytes.
func (m *Memory) Parts() []Part {
	kept := fmt.Sprintf("rows of %d tokens, all layers kept", m.RowTokens)
	if m.KeptLayers < m.Layers {
		kept = fmt.Sprintf("rows of %d tokens, %d of %d layers kept, the others computed twice", m.RowTokens, m.KeptLayers, m.Layers)
	}
	values, two := fmt.Sprintf("%d values, rank %d", m.Trainable, m.Rank), "two moments for each"
	weights, adapter, work := "the model file, mapped", values, "of the output matrix or of one layer"
	if m.CardTotal > 0 {
		weights, adapter = "embeddings, in the mapped file", "a copy while it is written"
	}
	c := &m.Card
	all := []Part{
		{"weights", c.Weights, "the model, as quantised as its file", true},
		{"adapter", c.Adapter, values, true},
		{"gradients", c.Gradients, "one for each", true},
		{"optimiser", c.Optimiser, two, true},
		{"activations", c.Activations, kept, true},
		{"logits and work", c.Work, work, true},
		{"scratch", c.Scratch, "dequantised rows and packed operands", true},
		{"context", c.Context, "of the driver, guessed", true},
		{"teacher", c.Teacher, "while it is asked, beyond what training takes later", true},
		{"weights", m.Weights, weights, false},
		{"adapter", m.Adapter, adapter, false},
		{"gradients", m.Gradients, "one for each", false},
		{"optimiser", m.Optimiser, two, false},
		{"best adapter", m.BestAdapter, "a copy of the adapter", false},
		{"activations", m.Activations, kept, false},
		{"inputs of layers", m.Offloaded, "which wait here, not on the card", false},
		{"logits and work", m.Work, work, false},
		{"threads", m.Scratch, fmt.Sprintf("scratch of %d", m.Threads), false},
		{"program", m.Runtime, "and the model's metadata", false},
		{"vocabulary", m.Vocabulary, "the tokenizer, while it is read", false},
		{"examples", m.Examples, "texts and tokens", false},
		{"first adapter", m.Start, "what training continues from", false},
		{"teacher", m.Teacher, "while it is asked, beyond what training takes later", false},
	}
	var out []Part
	for _, p := range all {
		if p.Bytes > 0 {
			out = append(out, p)
		}
	}
	return out
}

// parts names those on the card, or the others.
func (m *Memory) parts(card bool) string {
	var list []string
	for _, p := range m.Parts() {
		if p.Card == card {
			list = append(list, p.Name+" "+size(p.Bytes))
		}
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
	b := &budget{pl: pl, cfg: cfg, free: req.Memory, card: p.where.free, batch: p.h.BatchSize, examples: p.exampleBytes(req)}
	if b.free == 0 {
		b.free = availableMemory()
	}
	if p.init != nil {
		b.start = p.init.bytes()
		if p.h.prefers() { // the reference swaps it in for the one that learns, which waits meanwhile
			b.start *= 2
		}
	}
	if b.asking, b.onCard, err = p.asking(); err != nil {
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
