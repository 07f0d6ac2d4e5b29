package train

import "cloister/lora/data"

// plan says which examples each step learns from: how an epoch is ordered and
// cut. It follows from the examples and the settings alone.
type plan struct {
	rows []data.Row
	h    *Hyperparameters
	ends []int // steps done at the end of each epoch
}

func newPlan(rows []data.Row, h *Hyperparameters) *plan {
	p := &plan{rows: rows, h: h}
	done := 0
	for epoch := range h.Epochs {
		if h.BatchTokens > 0 {
			done += len(p.steps(epoch)) // how batches fill depends on the order
		} else {
			done += stepsPerEpoch(len(rows), h.BatchSize*max(1, h.Accumulation))
		}
		p.ends = append(p.ends, done)
	}
	return p
}

// total is the number of steps of the run.
func (p *plan) total() int { return p.start(len(p.ends)) }

// start is the number of steps before an epoch, which is counted from 0.
func (p *plan) start(epoch int) int {
	if epoch == 0 {
		return 0
	}
	return p.ends[epoch-1]
}

// order is that of the examples in an epoch.
func (p *plan) order(epoch int) []int {
	if !p.h.NoShuffle {
		return data.Order(len(p.rows), p.h.Seed, epoch+1)
	}
	out := make([]int, len(p.rows))
	for i := range out {
		out[i] = i
	}
	return out
}

// steps are the numbers of the examples of each step of an epoch.
func (p *plan) steps(epoch int) [][]int {
	var out [][]int
	order := p.order(epoch)
	for len(order) > 0 {
		n := 0
		for range max(1, p.h.Accumulation) {
			n += p.batch(order[n:])
		}
		out, order = append(out, order[:n]), order[n:]
	}
	return out
}

// batch is the number of examples in the batch that these begin with.
func (p *plan) batch(order []int) int {
	if p.h.BatchTokens == 0 {
		return min(p.h.BatchSize, len(order))
	}
	tokens := 0
	for i, n := range order {
		if tokens += p.rows[n].Size(); tokens > p.h.BatchTokens && i > 0 {
			return i
		}
	}
	return len(order)
}
