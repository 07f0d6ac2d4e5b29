package model

import (
	"fmt"
	"slices"
)

// check says what is wrong with a batch, by position.
func (b *Batch) check(vocab int) error {
	t := len(b.Tokens)
	if t == 0 || len(b.Pos) != t || len(b.Seq) != t || len(b.Targets) != t {
		return fmt.Errorf("batch of %d tokens, %d positions, %d segments and %d targets; they must be as many, and at least one",
			t, len(b.Pos), len(b.Seq), len(b.Targets))
	}
	seen := map[int32]bool{}
	for i := range b.Tokens {
		switch {
		case b.Tokens[i] < 0 || int(b.Tokens[i]) >= vocab:
			return fmt.Errorf("batch: token %d at %d; the vocabulary has %d", b.Tokens[i], i, vocab)
		case b.Targets[i] < -1 || int(b.Targets[i]) >= vocab:
			return fmt.Errorf("batch: target %d at %d; the vocabulary has %d", b.Targets[i], i, vocab)
		case b.Pos[i] < 0:
			return fmt.Errorf("batch: position %d at %d", b.Pos[i], i)
		}
		if i == 0 || b.Seq[i] != b.Seq[i-1] {
			if seen[b.Seq[i]] {
				return fmt.Errorf("batch: segment %d is in two places, the second at %d", b.Seq[i], i)
			}
			seen[b.Seq[i]] = true
		}
	}
	return nil
}

// leastShared is the shortest beginning that is worth computing once.
const leastShared = 4

// share returns an equal batch in which the tokens that all segments begin
// with, a system prompt say, stand once at the front, and their number. Attention
// is causal, so they do not depend on what follows: every segment sees the same
// keys and values there, and the gradients of all segments flow into them.
// Nothing from the first target on is shared.
func (b *Batch) share() (*Batch, int) {
	var from []int // where the segments begin
	for i := range b.Seq {
		if i == 0 || b.Seq[i] != b.Seq[i-1] {
			from = append(from, i)
		}
	}
	n := 0
	for ; len(from) > 1; n++ {
		for s, at := range from {
			end := len(b.Seq)
			if s+1 < len(from) {
				end = from[s+1]
			}
			i, j := at+n, from[0]+n
			if i >= end || b.Tokens[i] != b.Tokens[j] || b.Pos[i] != b.Pos[j] || b.Targets[i] >= 0 {
				return b.fold(from, n)
			}
		}
	}
	return b, 0
}

// fold keeps the first n tokens of the first segment only.
func (b *Batch) fold(from []int, n int) (*Batch, int) {
	if n < leastShared {
		return b, 0
	}
	out := new(Batch)
	take := func(i, j int) {
		out.Tokens = append(out.Tokens, b.Tokens[i:j]...)
		out.Pos = append(out.Pos, b.Pos[i:j]...)
		out.Seq = append(out.Seq, b.Seq[i:j]...)
		out.Targets = append(out.Targets, b.Targets[i:j]...)
	}
	take(0, n)
	for s, at := range from {
		end := len(b.Seq)
		if s+1 < len(from) {
			end = from[s+1]
		}
		take(at+n, end)
	}
	return out, n
}

// shares says whether what segments begin with may be computed once: not when
// a token sees less than all of it because of a window, nor when segments turn
// it differently because some are long.
func (s *shape) shares(b *Batch) bool {
	reach := int(slices.Max(b.Pos))
	return (s.windowSize == 0 || reach < s.windowSize) && (s.rope.long == nil || reach < s.rope.original)
}

// starts writes where the segment of each token begins, or the window that it
// sees of it; the shared beginning is a segment of its own. Window 0 is none.
func (b *Batch) starts(shared, window int, out []int32) {
	for i := range out {
		switch {
		case i > 0 && i != shared && b.Seq[i] == b.Seq[i-1]:
			out[i] = out[i-1]
		default:
			out[i] = int32(i)
		}
		for window > 0 && int(b.Pos[i]-b.Pos[out[i]]) >= window {
			out[i]++
		}
	}
}

// targets lists the positions with a target, and the targets.
func (b *Batch) targets() (at, token []int32) {
	for i, t := range b.Targets {
		if t >= 0 {
			at, token = append(at, int32(i)), append(token, t)
		}
	}
	return at, token
}
