package model

import "fmt"

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

// starts writes the first position that each token may attend to.
func (b *Batch) starts(out []int32) {
	for i := range out {
		switch {
		case i > 0 && b.Seq[i] == b.Seq[i-1]:
			out[i] = out[i-1]
		default:
			out[i] = int32(i)
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
