package train

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"cloister/lora/data"
	"cloister/lora/model"
)

// BenchConfig says what Bench measures.
type BenchConfig struct {
	BasePath string
	Rank     int    // 0: 16
	Batch    int    // examples of one step; 0: 4
	Row      int    // tokens of a packed row, at most; 0: 1024
	Steps    int    // measured, after one that warms up; 0: 8
	Threads  int    // 0: one for each core
	Device   string // as Request has it; empty: the CPU
	// Offload lets the inputs of layers wait on the host, with Recompute.
	Offload bool
	// Recompute computes every layer twice, which takes less memory.
	Recompute bool
	// Precision of products, one of model.Precisions; empty for the fastest.
	Precision string
	Profile   bool
}

// BenchResult is a training speed.
type BenchResult struct {
	Device          string  `json:"device"`  // "cpu" or the name of a card
	Kernels         string  `json:"kernels"` // such as "amx"
	Steps           int     `json:"steps"`
	Tokens          int64   `json:"tokens"`      // of the examples; there is no padding
	LossTokens      int64   `json:"loss_tokens"` // those with loss
	Seconds         float64 `json:"seconds"`
	TokensPerSecond float64 `json:"tokens_per_second"`
	PlannedBytes    int64   `json:"planned_bytes"` // what the plan says, the mapped weights included, without what only a job takes
	PeakBytes       int64   `json:"peak_bytes"`    // resident memory of this process at its highest
	// CardPlanned is what the plan says of the card's memory, and CardBytes what
	// the card has less of than before; others may have taken some of it meanwhile.
	CardPlanned int64 `json:"card_planned_bytes,omitempty"`
	CardBytes   int64 `json:"card_bytes,omitempty"`
	// Profile is the seconds that each kind of work took, with BenchConfig.Profile.
	Profile map[string]float64 `json:"profile,omitempty"`
}

// benchLengths are the tokens of examples as they vary in question-answer
// data: 64 draws of a log-normal distribution with median 134 (Python's
// random.lognormvariate(4.9, 0.6), seed 0, cut to 24 … 512).
var benchLengths = []int{
	120, 136, 204, 126, 313, 53, 157, 65, 130, 112, 112, 37, 141, 195, 367, 221, 33, 64, 236, 71, 151, 54, 214, 271, 157, 157, 149, 90, 188, 130, 143, 179,
	361, 404, 115, 186, 168, 318, 50, 81, 211, 192, 40, 44, 332, 162, 191, 152, 82, 57, 77, 59, 111, 134, 82, 512, 230, 71, 124, 127, 155, 99, 213, 143,
}

// Bench measures whole steps (pack, forward, backward, clip, update) on random
// tokens, rank 16 on all linear layers, with a loss on the last two thirds of
// each example.
func Bench(ctx context.Context, c BenchConfig) (BenchResult, error) {
	c.Rank, c.Batch, c.Row, c.Steps = cmp.Or(c.Rank, 16), cmp.Or(c.Batch, 4), cmp.Or(c.Row, 1024), cmp.Or(c.Steps, 8)
	device, card, err := model.FindDevice(c.Device)
	if err != nil {
		return BenchResult{}, err
	}
	m, err := model.Open(c.BasePath, model.Config{Device: device, Offload: c.Offload, Rank: c.Rank, Alpha: float32(2 * c.Rank), Threads: c.Threads, Profile: c.Profile, Precision: model.Precision(c.Precision), Recompute: c.Recompute})
	if err != nil {
		return BenchResult{}, err
	}
	defer m.Close()
	b := &bench{c: c, m: m, opt: newAdamW(m.Params(), &Hyperparameters{Beta1: defaultBeta1, Beta2: defaultBeta2, Epsilon: defaultEpsilon}, c.Threads), rng: rand.New(rand.NewPCG(1, 1))}
	r := BenchResult{Device: device, Kernels: m.Kernels(), Steps: c.Steps}
	var begin time.Time
	for step := range c.Steps + 1 {
		if ctx.Err() != nil {
			return r, ErrStopped
		}
		if step == 1 { // the first one warms up
			begin, r.Tokens, r.LossTokens = time.Now(), 0, 0
			b.before, b.optimiser = m.Profile(), 0
		}
		if err := b.step(&r); err != nil {
			return r, fmt.Errorf("step %d: %w", step, err)
		}
	}
	if _, err := model.GradNorm(m.Params(), 1); err != nil { // a card has done all before it answers
		return r, err
	}
	r.Seconds = time.Since(begin).Seconds()
	r.TokensPerSecond = float64(r.Tokens) / r.Seconds
	r.PeakBytes = peakMemory()
	plan, err := m.Plan(b.rows)
	if err != nil {
		return r, err
	}
	r.PlannedBytes, r.CardPlanned = plan.Total()-plan.BestAdapter-plan.Vocabulary, plan.Card.Total()
	if card != nil {
		if _, now, err := model.FindDevice(device); err == nil && now != nil {
			r.CardBytes = card.Free - now.Free
		}
	}
	for name, d := range m.Profile() {
		if r.Profile == nil {
			r.Profile = map[string]float64{}
		}
		r.Profile[name] = (d - b.before[name]).Seconds()
	}
	if r.Profile != nil {
		r.Profile["optimiser"] = b.optimiser.Seconds()
	}
	return r, nil
}

type bench struct {
	c         BenchConfig
	m         *model.Model
	opt       *adamW
	rng       *rand.Rand
	next      int // example
	rows      model.Rows
	optimiser time.Duration
	before    map[string]time.Duration
}

func (b *bench) step(r *BenchResult) error {
	rows := make([]data.Row, b.c.Batch)
	for i := range rows {
		n := benchLengths[b.next%len(benchLengths)]
		b.next++
		rows[i] = data.Row{Tokens: make([]int32, n), Mask: make([]bool, n)}
		for j := range n {
			rows[i].Tokens[j] = int32(b.rng.IntN(b.m.Info().Vocab))
			rows[i].Mask[j] = j >= n/3
		}
		r.Tokens += int64(n)
	}
	packed := data.Pack(rows, b.c.Row)
	targets := 0
	for i := range packed {
		targets += packed[i].TargetCount()
		// Random tokens share nothing.
		b.rows.Tokens, b.rows.Targets = max(b.rows.Tokens, len(packed[i].Tokens)), max(b.rows.Targets, packed[i].TargetCount())
	}
	r.LossTokens += int64(targets)
	if err := b.m.ZeroGrad(); err != nil {
		return err
	}
	for i := range packed {
		if _, err := b.m.Backward((*model.Batch)(&packed[i]), 1/float64(targets)); err != nil {
			return err
		}
	}
	begin := time.Now()
	norm, err := model.GradNorm(b.m.Params(), b.c.Threads)
	if err == nil {
		err = b.opt.update(2e-4, clip(norm, 1))
	}
	b.optimiser += time.Since(begin)
	return err
}
