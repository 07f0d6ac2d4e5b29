package vault

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"cloister/store/pii"
)

// KV is the little of a transactional key-value store that Tokens need.
type KV interface {
	// View runs fn on one state of the store.
	View(fn func(Txn) error) error
	// Update runs fn and makes its changes durable together, or none of them
	// when fn returns an error. fn may run several times.
	Update(fn func(Txn) error) error
}

// Txn is a transaction of a KV. Byte slices are valid until it ends.
type Txn interface {
	// Get returns nil for a key that is not there.
	Get(key []byte) ([]byte, error)
	Set(key, value []byte) error
	// Scan calls fn for each key with the prefix, in order.
	Scan(prefix []byte, fn func(key, value []byte) error) error
}

// Tokens is the token vault of one project: it implements pii.Vault and keeps
// the values sealed. In its KV it uses
//
//	l<HMAC of entity and value>  the token
//	v<token>                     the value, sealed
//	n<entity>                    the number of tokens given out, 8 bytes
//
// A lookup key tells nothing without the vault's key, and a value opens only
// under its own token.
type Tokens struct {
	kv     KV
	lookup Key
	seal   Key
	mu     sync.Mutex // one new token at a time
}

var _ pii.Vault = (*Tokens)(nil)

// NewTokens returns the vault over kv. Projects must have keys of their own.
func NewTokens(kv KV, key Key) *Tokens {
	return &Tokens{kv: kv, lookup: key.Derive("lookup"), seal: key.Derive("value")}
}

// Token implements pii.Vault. A new token is durable when it returns.
func (t *Tokens) Token(entity, value string) (string, error) {
	mac := t.lookup.MAC(entity, value)
	at := append([]byte("l"), mac[:]...)
	token, err := t.find(at)
	if err != nil || token != "" {
		return token, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	err = t.kv.Update(func(tx Txn) error {
		old, err := tx.Get(at)
		if err != nil || old != nil {
			token = string(old)
			return err
		}
		token, err = t.add(tx, at, entity, value)
		return err
	})
	if err != nil {
		return "", err
	}
	return token, nil
}

// find returns the token at a lookup key, or "".
func (t *Tokens) find(at []byte) (token string, err error) {
	err = t.kv.View(func(tx Txn) error {
		b, err := tx.Get(at)
		token = string(b)
		return err
	})
	return token, err
}

// add gives out the next number of the entity.
func (t *Tokens) add(tx Txn, at []byte, entity, value string) (string, error) {
	if !validEntity(entity) {
		return "", fmt.Errorf("%q is no entity: use capital letters and underscores", entity)
	}
	n, err := count(tx, entity)
	if err != nil {
		return "", err
	}
	n++
	token := "<" + entity + "_" + strconv.FormatUint(n, 10) + ">"
	return token, errors.Join(
		tx.Set([]byte("n"+entity), binary.BigEndian.AppendUint64(nil, n)),
		tx.Set(at, []byte(token)),
		tx.Set([]byte("v"+token), t.seal.Seal([]byte(value), token)),
	)
}

func count(tx Txn, entity string) (uint64, error) {
	b, err := tx.Get([]byte("n" + entity))
	if err != nil || b == nil {
		return 0, err
	}
	if len(b) != 8 {
		return 0, fmt.Errorf("the counter of %s: %w", entity, ErrDamaged)
	}
	return binary.BigEndian.Uint64(b), nil
}

func validEntity(s string) bool {
	return s != "" && s[0] != '_' && s[len(s)-1] != '_' && len(s) <= 32 &&
		strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_") == ""
}

// Reveal implements pii.Vault.
func (t *Tokens) Reveal(token string) (string, error) {
	var sealed []byte
	err := t.kv.View(func(tx Txn) error {
		b, err := tx.Get([]byte("v" + token))
		sealed = append(sealed, b...)
		return err
	})
	if err != nil {
		return "", err
	}
	if sealed == nil {
		return "", pii.ErrUnknownToken
	}
	value, err := t.seal.Open(sealed, token)
	if err != nil {
		return "", fmt.Errorf("the value of a mask token: %w", err)
	}
	return string(value), nil
}

// Count returns how many tokens the vault has given out for each entity.
func (t *Tokens) Count() (map[string]uint64, error) {
	counts := map[string]uint64{}
	err := t.kv.View(func(tx Txn) error {
		return tx.Scan([]byte("n"), func(key, value []byte) error {
			entity := string(key[1:])
			n, err := count(tx, entity)
			counts[entity] = n
			return err
		})
	})
	return counts, err
}

// Check calls problem for each entry that does not fit the others: a value that
// does not open, a token that its value does not lead back to, a number beyond
// its counter. Problems never hold values.
func (t *Tokens) Check(problem func(error)) error {
	return t.kv.View(func(tx Txn) error {
		values := 0
		err := tx.Scan([]byte("v"), func(key, sealed []byte) error {
			values++
			if err := t.checkValue(tx, string(key[1:]), sealed); err != nil {
				problem(err)
			}
			return nil
		})
		if err != nil {
			return err
		}
		err = tx.Scan([]byte("l"), func(_, token []byte) error {
			values--
			return nil
		})
		if values != 0 {
			problem(fmt.Errorf("the vault has %d more values than lookup keys: %w", values, ErrDamaged))
		}
		return err
	})
}

// checkValue follows a token to its value and back.
func (t *Tokens) checkValue(tx Txn, token string, sealed []byte) error {
	value, err := t.seal.Open(sealed, token)
	if err != nil {
		return fmt.Errorf("the value of mask token %s: %w", token, err)
	}
	entity, number, ok := splitToken(token)
	if !ok {
		return fmt.Errorf("the vault has a token of no known form: %w", ErrDamaged)
	}
	mac := t.lookup.MAC(entity, string(value))
	back, err := tx.Get(append([]byte("l"), mac[:]...))
	if err != nil {
		return err
	}
	if string(back) != token {
		return fmt.Errorf("the value of mask token %s does not lead back to it: %w", token, ErrDamaged)
	}
	n, err := count(tx, entity)
	if err == nil && number > n {
		err = fmt.Errorf("mask token %s is beyond the counter, %d: %w", token, n, ErrDamaged)
	}
	return err
}

// splitToken reads "<ENTITY_N>".
func splitToken(token string) (entity string, n uint64, ok bool) {
	inner, a := strings.CutPrefix(token, "<")
	inner, b := strings.CutSuffix(inner, ">")
	i := strings.LastIndexByte(inner, '_')
	if !a || !b || i < 0 {
		return "", 0, false
	}
	n, err := strconv.ParseUint(inner[i+1:], 10, 64)
	return inner[:i], n, err == nil && n > 0 && validEntity(inner[:i])
}
