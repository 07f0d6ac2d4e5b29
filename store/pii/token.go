package pii

import "iter"

// MaskTokens visits the mask tokens of a text, such as <PERSON_3>, in order,
// with the places where they begin.
func MaskTokens(text string) iter.Seq2[int, string] {
	return func(yield func(int, string) bool) {
		for i := 0; i < len(text); i++ {
			n := tokenLen(text[i:])
			if n == 0 {
				continue
			}
			if !yield(i, text[i:i+n]) {
				return
			}
			i += n - 1
		}
	}
}
