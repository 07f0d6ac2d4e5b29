package store

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"strings"
)

// Split is the part of a dataset version that an example belongs to.
type Split string

// The three splits. Membership is derived by hash from the group of
// near-duplicate questions, and frozen with the version: adding data keeps old
// test questions in the test set.
const (
	Train Split = "train"
	Valid Split = "valid"
	Test  Split = "test"
)

func (s Split) valid() error {
	switch s {
	case "", Train, Valid, Test:
		return nil
	}
	return invalid("split", "there is no split %q: use train, valid or test", string(s))
}

// groupPrefix begins a group as it is stored.
const groupPrefix = "g-"

// groupID returns how a group is stored: its SHA-256, cut to 128 bits. What is
// stored already stays as it is, so that examples can be copied to a new version.
func groupID(group string) string {
	if raw, err := hex.DecodeString(strings.TrimPrefix(group, groupPrefix)); err == nil &&
		len(raw) == 16 && strings.HasPrefix(group, groupPrefix) {
		return group
	}
	sum := sha256.Sum256([]byte(group))
	return groupPrefix + hex.EncodeToString(sum[:16])
}

// splitOf derives the split of a stored group: 80 in 100 train, 10 valid, 10
// test, the same in every dataset and on every machine.
func splitOf(group string) Split {
	sum := sha256.Sum256([]byte("split\x00" + group))
	switch n := binary.BigEndian.Uint64(sum[:8]) % 100; {
	case n < 80:
		return Train
	case n < 90:
		return Valid
	default:
		return Test
	}
}
