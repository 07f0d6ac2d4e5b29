package pii

// FollowsName says whether rest, Hangul that stands behind a name in the same
// word, is what names carry there: a particle, a title or a form of address,
// such as 은, 에게 or 교수님. coda says whether the name ends in a consonant.
// The empty text follows every name.
func FollowsName(rest string, coda bool) bool {
	r := []rune(rest)
	for _, c := range r {
		if classOf(c) != cHangul {
			return false
		}
	}
	return tailOf(r, coda).ok
}
