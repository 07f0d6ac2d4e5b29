package store

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"iter"
)

// Example is a stored conversation; every text in it was masked.
type Example struct {
	ID       string    `json:"id"`    // "ex-…", derived from the content: the same in every version
	Row      int       `json:"row"`   // row or line of the original file, from 1; 0 when none
	Group    string    `json:"group"` // hash of the normalised question; one group, one split
	Split    Split     `json:"split"`
	Messages []Message `json:"messages"`
}

// NewExample is a conversation to be stored. Only a masker makes its texts.
type NewExample struct {
	Row int
	// Group is the same for near-duplicate questions; any text, of which a hash
	// is kept. The Group of a stored Example stays as it is. Empty: the example
	// is a group of its own.
	Group string
	// Split is derived when it is empty: that which the group has in an older
	// version of the dataset, or else by hash.
	Split    Split
	Messages []NewMessage
}

var examples = kind[Example]{noun: "example", at: exampleSpace}

// exampleID is the SHA-256 of the messages in JSON, cut to 128 bits.
func exampleID(messages []Message) string {
	b, err := json.Marshal(messages)
	if err != nil {
		panic(err) // only for types that JSON does not know
	}
	sum := sha256.Sum256(b)
	return "ex-" + hex.EncodeToString(sum[:16])
}

// Examples visits the examples of a version (0: the newest) that are in a split
// (empty: all), in the order of their rows, those without a row last. It reads
// them one by one. An error ends it.
func (s *Store) Examples(dataset string, n int, split Split) iter.Seq2[Example, error] {
	return func(yield func(Example, error) bool) {
		stopped := false
		err := s.view(func(x tx) error {
			v, err := version(x, dataset, n)
			if err != nil {
				return err
			}
			for e, err := range examples.all(x, span{prefix: exampleSpace.under(v.Set)}) {
				if err != nil {
					return err
				}
				if (split == "" || e.Split == split) && !yield(e, nil) {
					stopped = true
					return nil
				}
			}
			return nil
		})
		if err != nil && !stopped {
			yield(Example{}, err)
		}
	}
}
