package eval

import (
	"math"
	"strings"
)

// ExactMatch reports whether two answers are equal but for case, punctuation,
// white space, articles and the Unicode form. Two texts without any word are
// equal.
func ExactMatch(expected, answer string) bool {
	return normalise(expected) == normalise(answer)
}

// TokenF1 is the F1 score of the answer's units against the expected ones as
// bags, in 0 to 1: SQuAD's F1 (Rajpurkar et al. 2016, evaluate-v1.1.py), by
// syllables for Korean (KorQuAD 1.0). Two empty texts score 1, one empty text
// scores 0.
func TokenF1(expected, answer string) float64 {
	want, got := Words(expected), Words(answer)
	counts := make(map[string]int, len(want))
	for _, w := range want {
		counts[w]++
	}
	common := 0
	for _, w := range got {
		if counts[w] > 0 {
			counts[w]--
			common++
		}
	}
	return f1(common, len(want), len(got))
}

// RougeL is the ROUGE-L F-measure with beta 1 (Lin 2004): the longest common
// subsequence of units in the place of the common bag of TokenF1, so order
// counts. It takes len(expected)·len(answer) steps.
func RougeL(expected, answer string) float64 {
	want, got := Words(expected), Words(answer)
	return f1(lcs(want, got), len(want), len(got))
}

// f1 is the harmonic mean of common/want and common/got.
func f1(common, want, got int) float64 {
	if want == 0 && got == 0 {
		return 1
	}
	if common == 0 {
		return 0
	}
	return 2 * float64(common) / float64(want+got)
}

// lcs is the length of the longest common subsequence, by dynamic programming
// over one row.
func lcs(a, b []string) int {
	row := make([]int, len(b)+1)
	for _, x := range a {
		diagonal := 0
		for j, y := range b {
			above := row[j+1]
			if x == y {
				row[j+1] = diagonal + 1
			} else {
				row[j+1] = max(above, row[j])
			}
			diagonal = above
		}
	}
	return row[len(b)]
}

// KeyHit reports whether the answer holds the key fact. key lists alternatives
// separated by "|"; one of them must stand in the answer as an unbroken
// sequence of units, so "Room 4" is not found in "Room 41". A key without any
// word is never hit.
func KeyHit(key, answer string) bool {
	words := Words(answer)
	for alternative := range strings.SplitSeq(key, "|") {
		if contains(words, Words(alternative)) {
			return true
		}
	}
	return false
}

// Loss adds up the losses of examples. The mean is over tokens, not over
// examples, as in training: a long answer weighs more.
type Loss struct {
	Sum    float64 // of -ln p
	Tokens int     // number of tokens that were counted
}

// Add adds one example's loss. A loss that is not a number counts as infinite,
// so that it is seen.
func (l *Loss) Add(sum float64, tokens int) {
	if math.IsNaN(sum) {
		sum = math.Inf(1)
	}
	l.Sum += sum
	l.Tokens += tokens
}

// Mean is the loss in nats per token. ok is false when there is none to give:
// no token was counted or the sum is not finite.
func (l Loss) Mean() (mean float64, ok bool) {
	if l.Tokens == 0 || math.IsInf(l.Sum, 0) || math.IsNaN(l.Sum) {
		return 0, false
	}
	return l.Sum / float64(l.Tokens), true
}
