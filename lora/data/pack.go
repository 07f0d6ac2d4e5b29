package data

import (
	"math/rand/v2"
)

// Packed is several rows one after another. Segments do not see each other:
// positions start anew in each, attention stays inside, and no target crosses
// a border.
type Packed struct {
	Tokens []int32
	Pos    []int32 // position within the segment
	Seq    []int32 // number of the segment, from 0
	// Targets[i] is the token to predict at i, or -1 for none. It is the next
	// token of the segment, so the last position of each has none.
	Targets []int32
}

// TargetCount is the number of positions with a target.
func (p *Packed) TargetCount() int {
	n := 0
	for _, t := range p.Targets {
		if t >= 0 {
			n++
		}
	}
	return n
}

func (p *Packed) add(r *Row) {
	seq := int32(0)
	if len(p.Seq) > 0 {
		seq = p.Seq[len(p.Seq)-1] + 1
	}
	for i, t := range r.Tokens {
		target := int32(-1)
		if i+1 < len(r.Tokens) && r.Mask[i+1] {
			target = r.Tokens[i+1]
		}
		p.Tokens = append(p.Tokens, t)
		p.Pos = append(p.Pos, int32(i))
		p.Seq = append(p.Seq, seq)
		p.Targets = append(p.Targets, target)
	}
}

// Pack puts rows into as few packed rows of at most maxLen tokens as first-fit
// finds: each row goes into the first one with room, in the order given. A row
// longer than maxLen gets a packed row of its own.
func Pack(rows []Row, maxLen int) []Packed {
	var out []Packed
	for i := range rows {
		r := &rows[i]
		fit := -1
		for j := range out {
			if len(out[j].Tokens)+len(r.Tokens) <= maxLen {
				fit = j
				break
			}
		}
		if fit < 0 {
			out = append(out, Packed{})
			fit = len(out) - 1
		}
		out[fit].add(r)
	}
	return out
}

// Order returns the numbers 0 to n-1 shuffled for one epoch. The same seed and
// epoch give the same order, so a resumed run sees what an unbroken one does.
func Order(n int, seed int64, epoch int) []int {
	return rand.New(rand.NewPCG(uint64(seed), uint64(epoch))).Perm(n)
}
