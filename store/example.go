package store

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"iter"

	"cloister/store/pii"
)

// Example is a stored conversation; every text in it was masked.
type Example struct {
	ID       string    `json:"id"`    // "ex-…", derived from the content: the same in every version
	Row      int       `json:"row"`   // row or line of the original file, from 1; 0 when none
	Group    string    `json:"group"` // hash of the normalised question; one group, one split
	Split    Split     `json:"split"`
	Messages []Message `json:"messages"` // of a pair: with the preferred answer at the end
	Judgement
}

// Judgement is what people think of an example's last answer.
type Judgement struct {
	// Rejected is the answer of a pair that is not preferred, in place of the
	// last message; empty: the example is no pair.
	Rejected string `json:"rejected,omitempty"`
	// Desirable says whether the last answer is as it should be; nil: not judged.
	Desirable *bool `json:"desirable,omitempty"`
}

// Kind of a version: what its examples are, all of one kind.
type Kind string

// Kinds.
const (
	Answers Kind = ""       // answers to learn
	Pairs   Kind = "pairs"  // of answers, the first preferred
	Judged  Kind = "judged" // single answers, desirable or not
)

// Kind of the example.
func (j Judgement) Kind() Kind {
	switch {
	case j.Rejected != "":
		return Pairs
	case j.Desirable != nil:
		return Judged
	}
	return Answers
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
	// Rejected and Desirable are as in Judgement.
	Rejected  pii.Masked
	Desirable *bool
}

// judgement is what was said about the example.
func (n *NewExample) judgement() Judgement {
	return Judgement{Rejected: n.Rejected.String(), Desirable: n.Desirable}
}

var examples = kind[Example]{noun: "example", at: exampleSpace}

// exampleID is the SHA-256 of the messages in JSON, and of the judgement if
// there is one, cut to 128 bits.
func exampleID(messages []Message, j Judgement) string {
	var content any = messages
	if j.Kind() != Answers {
		content = []any{messages, j}
	}
	b, err := json.Marshal(content)
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
