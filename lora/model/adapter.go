package model

import "cloister/lora/internal/native"

// The kinds of matrices of the same shape that belong to a trained one.
const (
	values = iota
	grads
	means // of gradients, and of their squares: the optimiser's moments
	squares
	kinds
)

// matrices of one shape, of each kind.
type matrices [kinds]native.Mat

func (x matrices) slab(from, to int) (out matrices) {
	for i := range x {
		out[i] = x[i].Slab(from, to)
	}
	return out
}

// adapter is the memory of all trained matrices: one block of each kind, in
// which a matrix has the same place. So what is done to all of them, clearing,
// measuring and updating, is one call on a card, where calls cost more than
// small matrices. Between matrices there are zeros, which stay zeros.
type adapter struct {
	on    remote // nil: the host
	n     int    // values of a block, once they are counted
	used  int    // values handed out
	whole [kinds]native.Mat
}

// lineUp is the multiple of values at which matrices begin: 64 bytes.
const lineUp = 16

// begin takes the blocks from the arena and clears them, if it is known how large they are.
func (a *adapter) begin(from *native.Arena) error {
	a.used = 0
	for i := range a.whole {
		if a.n == 0 {
			break
		}
		a.whole[i] = from.Mat(1, a.n)
		if a.on == nil || a.whole[i].Data == nil { // the host's memory is zero from the start
			continue
		}
		if err := a.on.Zero(a.whole[i]); err != nil {
			return err
		}
	}
	return nil
}

// end counts the blocks, when begin did not know.
func (a *adapter) end(from *native.Arena) {
	if a.n > 0 || a.used == 0 {
		return
	}
	a.n = a.used
	for range a.whole {
		from.Mat(1, a.n)
	}
}

// matrices hands out one of each kind; without data while it counts.
func (a *adapter) matrices(rows, cols int) (out matrices) {
	at := a.used
	a.used += (rows*cols + lineUp - 1) / lineUp * lineUp
	for i := range out {
		out[i] = native.Mat{Rows: rows, Cols: cols, Stride: cols}
		if a.n > 0 {
			out[i].Data = a.whole[i].Columns(at, at+rows*cols).Data
		}
	}
	return out
}

// norm2 is the sum of the squares of all gradients, on a card.
func (a *adapter) norm2() (float64, error) { return a.on.SumSquares(a.whole[grads]) }

// update makes the same step on all of them, on a card.
func (a *adapter) update(s Step) error {
	return a.on.Update(s, a.whole[values], a.whole[grads], a.whole[means], a.whole[squares])
}
