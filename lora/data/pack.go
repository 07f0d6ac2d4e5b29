package data

import (
	"cmp"
	"math/rand/v2"
	"slices"
)

// Packed is several rows one after another. Segments do not see each other:
// positions start anew in each, attention stays inside, and no target crosses
// a border.
type Packed struct {
	Tokens []int32
	Pos    []int32 // position within the segment
	Seq    []int32 // the segment: the number of its row among those that were packed
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

// Segments are the numbers of the segments, in their order.
func (p *Packed) Segments() []int {
	var out []int
	for i, n := range p.Seq {
		if i == 0 || n != p.Seq[i-1] {
			out = append(out, int(n))
		}
	}
	return out
}

// Join puts these rows, numbered from 0, into one packed row.
func Join(rows ...*Row) Packed {
	var p Packed
	for i, r := range rows {
		p.add(r, i)
	}
	return p
}

func (p *Packed) add(r *Row, number int) {
	for i, t := range r.Tokens {
		target := int32(-1)
		if i+1 < len(r.Tokens) && r.Mask[i+1] {
			target = r.Tokens[i+1]
		}
		p.Tokens = append(p.Tokens, t)
		p.Pos = append(p.Pos, int32(i))
		p.Seq = append(p.Seq, int32(number))
		p.Targets = append(p.Targets, target)
	}
}

// Pack puts rows into as few packed rows of at most maxLen tokens as first-fit
// decreasing finds: the longest first, each into the first one with room. That
// takes at most 11/9 of the fewest possible and six ninths of one (Dósa, 2007),
// and wastes well under 3 % where rows are much shorter than maxLen. A row
// longer than maxLen gets a packed row of its own.
func Pack(rows []Row, maxLen int) []Packed {
	order := make([]int, len(rows))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(len(rows[b].Tokens), len(rows[a].Tokens)) })
	var out []Packed
	for _, i := range order {
		n := len(rows[i].Tokens)
		fit := slices.IndexFunc(out, func(p Packed) bool { return len(p.Tokens)+n <= maxLen })
		if fit < 0 {
			out = append(out, Packed{})
			fit = len(out) - 1
		}
		out[fit].add(&rows[i], i)
	}
	return out
}

// Order returns the numbers 0 to n-1 shuffled for one epoch. The same seed and
// epoch give the same order, so a resumed run sees what an unbroken one does.
func Order(n int, seed int64, epoch int) []int {
	return rand.New(rand.NewPCG(uint64(seed), uint64(epoch))).Perm(n)
}
