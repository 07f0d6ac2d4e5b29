package pii

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// Unmask puts the values of the vault back into a masked text; see [Unmasker].
func Unmask(v Vault, masked string) (string, error) {
	u, err := NewUnmasker(v)
	if err != nil {
		return "", err
	}
	text, _, err := u.Unmask(masked)
	return text, err
}

// Unmasker puts the values of a vault back in the place of its tokens and
// surrogates. It knows the surrogates that there were when it was made. It is
// safe for concurrent use when its vault is.
type Unmasker struct {
	vault   Vault
	known   map[string]bool  // surrogates
	lengths map[string][]int // of them in bytes, the longest first, by their first bytes
}

// lead is the number of bytes by which surrogates are looked up first.
const lead = 3

// NewUnmasker reads the surrogates of a vault.
func NewUnmasker(v Vault) (*Unmasker, error) {
	u := &Unmasker{vault: v, known: map[string]bool{}, lengths: map[string][]int{}}
	names, ok := v.(Pseudonyms)
	if !ok {
		return u, nil
	}
	err := names.Surrogates(func(s string) error {
		if len(s) < lead {
			return nil
		}
		u.known[s] = true
		if key := s[:lead]; !slices.Contains(u.lengths[key], len(s)) {
			u.lengths[key] = append(u.lengths[key], len(s))
		}
		return nil
	})
	for _, list := range u.lengths {
		slices.Sort(list)
		slices.Reverse(list)
	}
	return u, err
}

// Unmask returns the text with its values, and their number. Tokens that the
// vault does not know stay as they are. A particle behind a surrogate becomes
// the one that stood behind the value. What was masked by tokens and surrogates
// alone, and held none before, comes back byte for byte.
func (u *Unmasker) Unmask(masked string) (text string, restored int, err error) {
	var b strings.Builder
	last := 0
	for i := 0; i < len(masked); i++ {
		n := u.at(masked, i)
		if n == 0 {
			continue
		}
		key := masked[i : i+n]
		value, err := u.vault.Reveal(key)
		if errors.Is(err, ErrUnknownToken) {
			i += n - 1
			continue
		}
		if err != nil {
			return "", 0, fmt.Errorf("cannot reveal a mask token at byte %d: %w", i, err)
		}
		restored++
		b.WriteString(masked[last:i])
		b.WriteString(value)
		last = i + n
		if masked[i] != '<' {
			run := hangulRun(masked[last:])
			if p, ok := swapParticle(masked[last:last+run], key, value); ok {
				b.WriteString(p)
				last += run
			}
		}
		i = last - 1
	}
	b.WriteString(masked[last:])
	return b.String(), restored, nil
}

// at returns the length of the token or surrogate that begins at s[i:], or 0.
func (u *Unmasker) at(s string, i int) int {
	if s[i] == '<' {
		return tokenLen(s[i:])
	}
	if len(u.known) == 0 || i+lead > len(s) {
		return 0
	}
	for _, n := range u.lengths[s[i:i+lead]] {
		if i+n <= len(s) && u.known[s[i:i+n]] && surrogateStands(s, i, i+n) {
			return n
		}
	}
	return 0
}

// surrogateStands says whether s[start:end] can be a surrogate: it is a word by
// itself, but for Korean particles or titles behind it.
func surrogateStands(s string, start, end int) bool {
	before, _ := utf8.DecodeLastRuneInString(s[:start])
	first, _ := utf8.DecodeRuneInString(s[start:])
	if start > 0 && joins(classOf(before), classOf(first)) {
		return false
	}
	last, _ := utf8.DecodeLastRuneInString(s[:end])
	run := hangulRun(s[end:min(len(s), end+30)])
	if classOf(last) == cHangul {
		return tailOf([]rune(s[end:end+run]), hasCoda(last)).ok
	}
	after, _ := utf8.DecodeRuneInString(s[end:])
	return end == len(s) || !joins(classOf(last), classOf(after))
}
