package pii

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// ErrUnknownToken is returned by [Vault.Reveal] for a token that the vault never gave out.
var ErrUnknownToken = errors.New("the vault does not know this mask token")

// Vault gives tokens to values and values to tokens. The same entity and value
// always get the same token, of the form <ENTITY_N> with N from 1.
type Vault interface {
	// Token returns the token of a value. The value is the text as it was
	// written, byte for byte, so that unmasking restores it exactly.
	Token(entity, value string) (string, error)
	// Reveal returns the value of a token. For a token that was never given out
	// the error wraps [ErrUnknownToken].
	Reveal(token string) (string, error)
}

// MemoryVault returns a Vault that lives in memory only, for masking a stream
// whose values nobody needs back later. It is safe for concurrent use.
func MemoryVault() Vault {
	return &memoryVault{
		tokens: make(map[[2]string]string),
		values: make(map[string]string),
		count:  make(map[string]int),
	}
}

type memoryVault struct {
	mu     sync.Mutex
	tokens map[[2]string]string
	values map[string]string
	count  map[string]int
}

func (v *memoryVault) Token(entity, value string) (string, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	key := [2]string{entity, value}
	if t, ok := v.tokens[key]; ok {
		return t, nil
	}
	v.count[entity]++
	t := "<" + entity + "_" + strconv.Itoa(v.count[entity]) + ">"
	value = strings.Clone(value)
	v.tokens[[2]string{entity, value}] = t
	v.values[t] = value
	return t, nil
}

func (v *memoryVault) Reveal(token string) (string, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if s, ok := v.values[token]; ok {
		return s, nil
	}
	return "", ErrUnknownToken
}

// Unmask puts the values of the vault back into a masked text. Tokens that the
// vault does not know stay as they are. For a text without tokens of its own,
// Unmask of its masked form is that text, byte for byte.
func Unmask(v Vault, masked string) (string, error) {
	var b strings.Builder
	last := 0
	for i := 0; i < len(masked); i++ {
		if masked[i] != '<' {
			continue
		}
		n := tokenLen(masked[i:])
		if n == 0 {
			continue
		}
		value, err := v.Reveal(masked[i : i+n])
		if errors.Is(err, ErrUnknownToken) {
			i += n - 1
			continue
		}
		if err != nil {
			return "", fmt.Errorf("cannot reveal a mask token at byte %d: %w", i, err)
		}
		b.WriteString(masked[last:i])
		b.WriteString(value)
		last = i + n
		i = last - 1
	}
	b.WriteString(masked[last:])
	return b.String(), nil
}

// tokenLen returns the length of the mask token that s begins with, or 0. A
// token is <ENTITY_N>: capital letters and underscores, then a number.
func tokenLen(s string) int {
	if len(s) < 5 || s[0] != '<' {
		return 0
	}
	i := 1
	for i < len(s) && i < 40 && (s[i] >= 'A' && s[i] <= 'Z' || s[i] == '_') {
		i++
	}
	if i < 3 || s[i-1] != '_' || s[1] == '_' {
		return 0
	}
	digits := i
	for i < len(s) && i < digits+10 && s[i] >= '0' && s[i] <= '9' {
		i++
	}
	if i == digits || i >= len(s) || s[i] != '>' {
		return 0
	}
	return i + 1
}

// markLen returns the length of what Mask writes, <PERSON_3> or [PERSON], at
// the start of s, or 0.
func (d *doc) markLen(s string) int {
	if s[0] == '<' {
		return tokenLen(s)
	}
	end := strings.IndexByte(s[:min(len(s), 36)], ']')
	if end > 1 && (slices.Contains(entities, s[1:end]) || d.own[s[1:end]]) {
		return end + 1
	}
	return 0
}
