package model

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"cloister/llama/gguf"
	"cloister/lora/internal/native"
)

// MemoryPlan is what training takes, in bytes, by part. The parts are in use at
// the same time, so their sum is the peak.
type MemoryPlan struct {
	RowTokens  int `json:"row_tokens"`  // of the longest packed row
	RowTargets int `json:"row_targets"` // those of them with loss
	Layers     int `json:"layers"`
	// KeptLayers of the Layers keep what the backward pass needs; the others
	// compute it twice.
	KeptLayers int   `json:"kept_layers"`
	Rank       int   `json:"rank"`
	Threads    int   `json:"threads"`
	Trainable  int64 `json:"trainable"` // parameters of the adapter

	// Weights is the mapped file's tensors. They live in the page cache: the
	// system may drop them when memory is short, but then every step reads them
	// from the disk.
	Weights     int64 `json:"weights"`
	Adapter     int64 `json:"adapter"`
	Gradients   int64 `json:"gradients"`
	Optimiser   int64 `json:"optimiser"`    // two moments for each trained value
	BestAdapter int64 `json:"best_adapter"` // the copy that is kept
	// Activations are what the forward pass leaves for the backward one. Work is
	// what comes on top at the highest: the logits of the output matrix, or one
	// layer's intermediate values where these are more.
	Activations int64 `json:"activations"`
	Work        int64 `json:"work"`
	Scratch     int64 `json:"scratch"` // of the threads: blocks of operands, transposed keys and values
	Runtime     int64 `json:"runtime"` // the program itself, and the file's metadata
	// Vocabulary is what llama.cpp takes to read the tokenizer, before training.
	Vocabulary int64 `json:"vocabulary"`
	Examples   int64 `json:"examples"` // texts and tokens of the examples; 0 where none are given
	// Offloaded are the inputs of layers that wait on the host, not on the card.
	Offloaded int64 `json:"offloaded,omitempty"`
	// Start is the adapter that training continues from, in memory beside the one
	// that learns. Teacher is what a teacher takes while it is asked, before the
	// first step, beyond all that training takes later. 0 where there is none.
	Start   int64 `json:"start,omitempty"`
	Teacher int64 `json:"teacher,omitempty"`
	// Card is what is in the memory of a card; zero on the CPU. All of the above
	// is the host's memory then.
	Card CardPlan `json:"card,omitzero"`
}

// CardPlan is what training takes of the memory of a card, in bytes.
type CardPlan struct {
	Weights     int64 `json:"weights"` // as they are in the file, and small vectors in float32
	Adapter     int64 `json:"adapter"`
	Gradients   int64 `json:"gradients"`
	Optimiser   int64 `json:"optimiser"`
	Activations int64 `json:"activations"`
	Work        int64 `json:"work"`
	Scratch     int64 `json:"scratch"` // dequantised rows, packed operands, copies of heads
	Context     int64 `json:"context"` // what the driver takes for a process
	Teacher     int64 `json:"teacher,omitempty"`
}

// Total is the peak of what is taken on the card.
func (p *CardPlan) Total() int64 {
	return p.Weights + p.Adapter + p.Gradients + p.Optimiser + p.Activations + p.Work + p.Scratch + p.Context + p.Teacher
}

// Total is the peak of resident memory.
func (p *MemoryPlan) Total() int64 {
	return p.Offloaded + p.Weights + p.Adapter + p.Gradients + p.Optimiser + p.BestAdapter + p.Activations + p.Work + p.Scratch + p.Runtime + p.Vocabulary + p.Examples + p.Start + p.Teacher
}

// longestRow is the most tokens that a row can have in a plan.
const longestRow = 1 << 24

// What a process takes beside all that a plan counts, measured (DESIGN.md):
// Go's runtime and heap at work, and for each byte of the file's header its
// strings in Go, and their copies in llama.cpp. The program itself is what it
// had when it began.
const (
	runtimeBytes       = 12 << 20
	goPerHeaderByte    = 5
	llamaPerHeaderByte = 8
)

// What CUDA takes of a process, on the card and of the host's memory: its
// context with the kernels' code, and the libraries' own. Not measured yet.
const (
	ContextBytes  = 512 << 20
	cudaHostBytes = 256 << 20
)

var programBytes = residentAtStart()

// residentAtStart is the resident memory of this process, in bytes: most of it
// is pages of the program, which its workers have as well.
func residentAtStart() int64 {
	const usual = 32 << 20
	var size, resident int64
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return usual
	}
	if _, err := fmt.Sscan(string(b), &size, &resident); err != nil {
		return usual
	}
	return resident * int64(os.Getpagesize())
}

// Planner plans the training on one model file, of which the header is enough.
// It reads no weights and runs no kernels.
type Planner struct {
	path  string
	file  *gguf.File
	shape *shape
}

// OpenPlanner reads the header of the GGUF file at path; see gguf.OpenHeader.
func OpenPlanner(path string) (*Planner, error) {
	f, err := gguf.OpenHeader(path)
	if err != nil {
		return nil, err
	}
	l := &loader{f: f, seen: map[string]bool{}}
	s := l.shape()
	if l.err != nil {
		return nil, fmt.Errorf("cannot train on %s: %w", path, l.err)
	}
	return &Planner{path, f, s}, nil
}

// Rows says how long packed rows are at most.
type Rows struct {
	Tokens  int // that are computed: what segments begin with alike counts once
	Targets int // positions with a loss
	Valid   int // tokens of rows that only Loss reads
}

// Full is rows of n tokens with a loss at each: none of that length needs more.
func Full(n int) Rows { return Rows{Tokens: n, Targets: n} }

// Plan is OpenPlanner and Planner.Plan for full rows.
func Plan(path string, cfg Config, rowLen int) (MemoryPlan, error) {
	p, err := OpenPlanner(path)
	if err != nil {
		return MemoryPlan{}, err
	}
	return p.Plan(cfg, Full(rowLen))
}

// Plan is the memory that Open with cfg, Backward on such rows, and the
// optimiser take. What Open refuses, and a row that does not fit into
// cfg.MemoryLimit, is an error.
func (pl *Planner) Plan(cfg Config, rows Rows) (MemoryPlan, error) {
	m, err := newModel(cfg)
	if err != nil {
		return MemoryPlan{}, err
	}
	m.dry, m.file = true, pl.file
	defer func() { m.file = nil; _ = m.Close() }()
	if err = m.use(planDevice(&m.cfg)); err == nil {
		err = m.load()
	}
	if err != nil {
		return MemoryPlan{}, fmt.Errorf("cannot train on %s: %w", pl.path, err)
	}
	return m.plan(rows)
}

// Asking is the memory that Open with cfg and TopK on such rows take, on the
// host and on a card: the weights, the adapter if cfg is not Frozen, and the work.
func (pl *Planner) Asking(cfg Config, rows Rows) (host, card int64, err error) {
	p, err := pl.Plan(cfg, Rows{Tokens: 1, Targets: 1, Valid: max(1, rows.Tokens, rows.Valid)})
	if cfg.Frozen {
		p.Adapter, p.Gradients = 0, 0
	}
	c := &p.Card
	host = p.Weights + p.Adapter + p.Gradients + p.Activations + p.Work + p.Scratch + goPerHeaderByte*pl.file.HeaderBytes
	return host, c.Total() - c.Context, err
}

// Plan is Planner.Plan for this model and its settings.
func (m *Model) Plan(rows Rows) (MemoryPlan, error) {
	if m.w == nil {
		return MemoryPlan{}, ErrClosed
	}
	d, err := planDevice(&m.cfg)
	if err != nil {
		return MemoryPlan{}, err
	}
	defer d.Close()
	dry := *m
	dry.dev = d
	return dry.plan(rows)
}

// row is a row of that length with nothing to fold.
func (r Rows) row() row {
	zeros, targets := make([]int32, r.Tokens), make([]int32, r.Tokens)
	for i := r.Targets; i < r.Tokens; i++ {
		targets[i] = -1
	}
	return row{&Batch{Tokens: zeros, Pos: zeros, Seq: zeros, Targets: targets}, 0}
}

// Valid makes r the extent of a batch that Loss reads as well.
func (pl *Planner) Valid(r *Rows, cfg Config, b *Batch) {
	b, _ = pl.shape.fold(b, !cfg.SeparatePrefixes)
	r.Valid = max(r.Valid, len(b.Tokens))
}

// Train makes r the extent of a batch that Backward reads as well.
func (pl *Planner) Train(r *Rows, cfg Config, b *Batch) {
	b, _ = pl.shape.fold(b, !cfg.separate())
	at, _ := b.targets()
	r.Tokens, r.Targets = max(r.Tokens, len(b.Tokens)), max(r.Targets, len(at))
}

// plan makes the pass of Backward on m.dev, which only counts.
func (m *Model) plan(rows Rows) (MemoryPlan, error) {
	if rows.Tokens < 1 || max(rows.Tokens, rows.Valid) > longestRow || rows.Targets < 0 || rows.Targets > rows.Tokens {
		return MemoryPlan{}, fmt.Errorf("a row of %d tokens, %d of them with loss; 1 to %d tokens can be planned", rows.Tokens, rows.Targets, longestRow)
	}
	r := rows.row()
	kept, err := m.keep(r)
	if err != nil {
		return MemoryPlan{}, err
	}
	c := &counter{dev: m.dev, far: m.remote(), seen: map[product]bool{}}
	if err := c.start.Reserve(4*int64(rows.Tokens) + 64); err != nil {
		return MemoryPlan{}, err
	}
	defer c.start.Free()
	var arena native.Arena
	p := &pass{m: m, k: c, a: &arena, plan: true, batch: r.Batch, t: rows.Tokens}
	p.begin()
	p.train(kept, sumOf(1))
	if p.err != nil {
		return MemoryPlan{}, p.err
	}
	peak := arena.Peak()
	if rows.Valid > 0 {
		peak = max(peak, m.planned(Full(rows.Valid).row(), func(p *pass) {
			p.crossEntropy(p.forwardOnly(), 0, nil, native.Mat{})
		}))
	}
	n := m.trainable()
	out := MemoryPlan{
		RowTokens: rows.Tokens, RowTargets: rows.Targets, Layers: m.shape.layers, KeptLayers: kept, Rank: m.cfg.Rank, Threads: native.Threads(m.cfg.Threads), Trainable: n,
		Adapter: 4 * n, Gradients: 4 * n, Optimiser: 8 * n, BestAdapter: 4 * n,
		Activations: p.held, Work: peak - p.held, Scratch: m.dev.Scratch(),
		Runtime: programBytes + runtimeBytes + goPerHeaderByte*m.file.HeaderBytes, Vocabulary: llamaPerHeaderByte * m.file.HeaderBytes,
	}
	for i := range m.file.Tensors {
		out.Weights += int64(m.file.Tensors[i].Bytes())
	}
	if m.remote() {
		m.onCard(&out, p.away)
	}
	return out, nil
}

// onCard turns the plan for the host into one for a card, with inputs of layers waiting on the host.
func (m *Model) onCard(p *MemoryPlan, away int64) {
	p.Card = CardPlan{
		Weights: m.frozen.Peak() + m.fixed.Peak() - p.Adapter - p.Gradients - p.Optimiser,
		Adapter: p.Adapter, Gradients: p.Gradients, Optimiser: p.Optimiser,
		Activations: p.Activations, Work: p.Work, Scratch: p.Scratch, Context: ContextBytes,
	}
	p.Weights, p.Gradients, p.Optimiser, p.Activations, p.Work, p.Scratch = 0, 0, 0, 0, 0, 0
	if m.w.hostEmbedding {
		p.Weights = int64(m.w.embedding.Rows) * int64(m.w.embedding.RowBytes)
	}
	// The adapter is copied from the card while it is written.
	p.Offloaded, p.Runtime = away, p.Runtime+cudaHostBytes+pieceBytes
}

// trainable is the number of the adapter's parameters.
func (m *Model) trainable() int64 {
	n := int64(0)
	for i := range m.w.layers {
		for s := range m.w.layers[i].linear {
			if lin := &m.w.layers[i].linear[s]; lin.adapted {
				n += int64(lin.a.Rows)*int64(lin.a.Cols) + int64(lin.b.Rows)*int64(lin.b.Cols)
			}
		}
	}
	return n
}

// counter is a planner whose products and attention also count the scratch of the threads.
type counter struct {
	planner
	dev   device
	far   bool         // the device has memory of its own
	start native.Arena // room for Attention.Start, which nobody reads
	seen  map[product]bool
}

// product is what the scratch of a Gemm depends on; layers repeat them.
type product struct {
	rows, cols int
	terms      [16]struct {
		inner    int
		packed   bool
		ggmlType uint32
		trans    bool
	}
}

func (c *counter) Gemm(dst native.Mat, add bool, terms ...native.Term) error {
	p := product{rows: dst.Rows, cols: dst.Cols}
	for i := range min(len(terms), len(p.terms)) {
		x, y := &p.terms[i], &terms[i]
		x.inner, x.packed, x.ggmlType, x.trans = y.A.Cols, y.A.Stride == 0, y.B.Type, y.Trans
	}
	if c.seen[p] {
		return nil
	}
	c.seen[p] = true
	return c.dev.Gemm(dst, add, terms...)
}

func (c *counter) Embed(dst native.Mat, table native.Weight, ids []int32) error {
	if !c.far {
		return nil
	}
	return c.dev.Embed(dst, table, ids)
}

func (c *counter) GemmTN(g, u, x native.Mat, trans bool) error { return c.dev.GemmTN(g, u, x, trans) }

func (c *counter) begin(a *native.Attention) {
	c.start.Release(0)
	a.Start = c.start.Int32(a.Q.Rows)
}

func (c *counter) Attention(a native.Attention, o, lse native.Mat) error {
	c.begin(&a)
	return c.dev.Attention(a, o, lse)
}

func (c *counter) AttentionBack(a native.Attention, o, lse, dO, dq, dk, dv native.Mat) error {
	c.begin(&a)
	return c.dev.AttentionBack(a, o, lse, dO, dq, dk, dv)
}

// ErrLarger says that a copy in another type would not be smaller.
var ErrLarger = errors.New("no smaller than the model is now")

// As is a planner for a copy of the model whose matrices are of type t where
// rows are whole blocks of it and t is smaller than what they are now.
func (pl *Planner) As(t gguf.Type) (*Planner, error) {
	if !t.Known() {
		return nil, fmt.Errorf("no such type: %s", t)
	}
	f := *pl.file
	f.Tensors = slices.Clone(f.Tensors)
	smaller := false
	for i := range f.Tensors {
		x := &f.Tensors[i]
		if len(x.Dims) < 2 || x.Dims[0]%uint64(t.BlockSize()) != 0 {
			continue
		}
		was := x.Bytes()
		as := *x
		if as.Type = t; as.Bytes() < was {
			*x, smaller = as, true
		}
	}
	if !smaller {
		return nil, ErrLarger
	}
	return &Planner{pl.path, &f, pl.shape}, nil
}

// Context is the number of tokens that the model was trained for.
func (pl *Planner) Context() int { return pl.shape.context }
