package pii

import (
	"cmp"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
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
	// Reveal returns the value of a token, or of a surrogate of [Pseudonyms]. For
	// one that was never given out the error wraps [ErrUnknownToken].
	Reveal(token string) (string, error)
}

// MemoryVault returns a Vault that lives in memory only, for masking a stream
// whose values nobody needs back later, with a random key. It is a [Pseudonyms]
// as well, and safe for concurrent use.
func MemoryVault() Vault {
	key := make([]byte, sha256.Size)
	_, _ = rand.Read(key) // never fails: crypto/rand ends the program instead
	return KeyedVault(key)
}

// KeyedVault is MemoryVault with a key, so that surrogates, shifted dates and
// marks of [ModeHMAC] are the same in every run with it.
func KeyedVault(key []byte) Vault {
	return &memoryVault{
		key:        slices.Clone(key),
		tokens:     make(map[[2]string]string),
		surrogates: make(map[[2]string]string),
		values:     make(map[string]string),
		count:      make(map[string]int),
	}
}

type memoryVault struct {
	key []byte

	mu         sync.Mutex
	tokens     map[[2]string]string // by entity and value
	surrogates map[[2]string]string // the same
	values     map[string]string    // by token and surrogate
	count      map[string]int
}

var _ Pseudonyms = (*memoryVault)(nil)

func (v *memoryVault) Token(entity, value string) (string, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	key := [2]string{entity, value}
	if t, ok := v.tokens[key]; ok {
		return t, nil
	}
	v.count[entity]++
	t := "<" + entity + "_" + strconv.Itoa(v.count[entity]) + ">"
	v.keep(v.tokens, entity, value, t)
	return t, nil
}

// keep enters a token or surrogate. The texts of the caller are not held.
func (v *memoryVault) keep(in map[[2]string]string, entity, value, stands string) {
	value = strings.Clone(value)
	in[[2]string{entity, value}] = stands
	v.values[stands] = value
}

func (v *memoryVault) Surrogate(entity, value string, propose func(try int) (string, bool)) (string, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if s, ok := v.surrogates[[2]string{entity, value}]; ok {
		return s, nil
	}
	for try := 0; ; try++ {
		s, ok := propose(try)
		if !ok {
			return "", nil
		}
		_, stands := v.values[s]
		_, token := v.tokens[[2]string{entity, s}]
		_, surrogate := v.surrogates[[2]string{entity, s}]
		if !stands && (s == value || !token && !surrogate) {
			v.keep(v.surrogates, entity, value, strings.Clone(s))
			return s, nil
		}
	}
}

func (v *memoryVault) Surrogates(each func(surrogate string) error) error {
	v.mu.Lock()
	list := slices.Collect(maps.Values(v.surrogates))
	v.mu.Unlock()
	for _, s := range list {
		if err := each(s); err != nil {
			return err
		}
	}
	return nil
}

func (v *memoryVault) MAC(parts ...string) [sha256.Size]byte { return MAC(v.key, parts...) }

// MAC returns HMAC-SHA-256 of the parts, each with its length in front, so that
// no two lists of parts give the same input.
func MAC(key []byte, parts ...string) [sha256.Size]byte {
	h := hmac.New(sha256.New, key)
	for _, p := range parts {
		_, _ = fmt.Fprintf(h, "%d:%s", len(p), p)
	}
	return [sha256.Size]byte(h.Sum(nil))
}

func (v *memoryVault) Reveal(token string) (string, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if s, ok := v.values[token]; ok {
		return s, nil
	}
	return "", ErrUnknownToken
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

// markLen returns the length of the mark at the start of s, <PERSON_3>,
// [PERSON] or that of ModeHMAC, or 0.
func (d *doc) markLen(s string) int {
	if s[0] == '<' {
		return cmp.Or(tokenLen(s), hmacLen(s))
	}
	end := strings.IndexByte(s[:min(len(s), 36)], ']')
	if end > 1 && (slices.Contains(entities, s[1:end]) || d.own[s[1:end]]) {
		return end + 1
	}
	return 0
}
