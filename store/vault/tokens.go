package vault

import (
	"encoding/binary"
	"encoding/hex"
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
//	n<entity>                    the highest number reserved, 8 bytes, big endian
//	p<HMAC of entity and value>  the surrogate
//	s<surrogate>                 the entity, a zero byte and the value, sealed
//
// A lookup key tells nothing without the vault's key, and a value opens only
// under its own token.
//
// New tokens wait in memory until Flush makes them durable together: one
// transaction each would make an import wait for the disk most of its time. Who
// stores a text with tokens flushes first; package store does so before each of
// its own writes. Numbers are reserved durably before they are given out, so a
// crash loses at most tokens that nothing stored has, and never gives a number
// to two values.
type Tokens struct {
	kv        KV
	lookup    Key
	seal      Key
	pseudonym Key

	mu       sync.RWMutex
	waiting  map[string]*newToken // by lookup key
	byToken  map[string]*newToken // the same
	counters map[string]*counter  // by entity, of those used since the start
}

// newToken is a token that is not yet in the KV.
type newToken struct {
	lookup string // key in the KV of the token
	at     string // and of the value
	token  string // or surrogate
	sealed []byte
}

// counter gives out the numbers of an entity, from n+1 to reserved.
type counter struct{ n, reserved uint64 }

const (
	reserve    = 64  // numbers that are reserved at a time
	maxWaiting = 500 // tokens that wait at most: they fit into one transaction
)

var _ pii.Vault = (*Tokens)(nil)

// NewTokens returns the vault over kv. Projects must have keys of their own.
func NewTokens(kv KV, key Key) *Tokens {
	return &Tokens{
		kv: kv, lookup: key.Derive("lookup"), seal: key.Derive("value"), pseudonym: key.Derive("pseudonym"),
		waiting: map[string]*newToken{}, byToken: map[string]*newToken{}, counters: map[string]*counter{},
	}
}

// Token implements pii.Vault.
func (t *Tokens) Token(entity, value string) (string, error) {
	if !validEntity(entity) {
		return "", fmt.Errorf("%q is no entity: use capital letters and underscores", entity)
	}
	at := t.tokenAt(entity, value)
	t.mu.RLock()
	token, err := t.find(at)
	t.mu.RUnlock()
	if err != nil || token != "" {
		return token, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if token, err := t.find(at); err != nil || token != "" {
		return token, err // another caller was first
	}
	if err := t.room(); err != nil {
		return "", err
	}
	n, err := t.number(entity)
	if err != nil {
		return "", err
	}
	nt := &newToken{lookup: at, token: "<" + entity + "_" + strconv.FormatUint(n, 10) + ">"}
	nt.at = "v" + nt.token
	nt.sealed = t.seal.Seal([]byte(value), nt.token)
	t.waiting[at], t.byToken[nt.token] = nt, nt
	return nt.token, nil
}

// tokenAt returns where the token of a value stands in the KV.
func (t *Tokens) tokenAt(entity, value string) string {
	mac := t.lookup.MAC(entity, value)
	return "l" + string(mac[:])
}

// room makes room for one more token to wait.
func (t *Tokens) room() error {
	if len(t.waiting) < maxWaiting {
		return nil
	}
	return t.flush()
}

// find returns the token or surrogate at a lookup key, or "".
func (t *Tokens) find(at string) (token string, err error) {
	if nt := t.waiting[at]; nt != nil {
		return nt.token, nil
	}
	err = t.kv.View(func(tx Txn) error {
		b, err := tx.Get([]byte(at))
		token = string(b)
		return err
	})
	return token, err
}

// number gives out the next number of an entity.
func (t *Tokens) number(entity string) (uint64, error) {
	c := t.counters[entity]
	if c == nil || c.n == c.reserved {
		fresh := &counter{}
		err := t.kv.Update(func(tx Txn) (err error) {
			if fresh.n, err = reserved(tx, entity); err != nil {
				return err
			}
			fresh.reserved = fresh.n + reserve
			return setReserved(tx, entity, fresh.reserved)
		})
		if err != nil {
			return 0, err
		}
		c = fresh
		t.counters[entity] = c
	}
	c.n++
	return c.n, nil
}

func reserved(tx Txn, entity string) (uint64, error) {
	b, err := tx.Get([]byte("n" + entity))
	if err != nil || b == nil {
		return 0, err
	}
	if len(b) != 8 {
		return 0, fmt.Errorf("the counter of %s: %w", entity, ErrDamaged)
	}
	return binary.BigEndian.Uint64(b), nil
}

func setReserved(tx Txn, entity string, n uint64) error {
	return tx.Set([]byte("n"+entity), binary.BigEndian.AppendUint64(nil, n))
}

// Flush makes all tokens given out so far durable.
func (t *Tokens) Flush() error {
	t.mu.RLock()
	none := len(t.waiting) == 0
	t.mu.RUnlock()
	if none {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.flush()
}

func (t *Tokens) flush() error {
	err := t.kv.Update(func(tx Txn) error {
		for _, nt := range t.waiting {
			if err := tx.Set([]byte(nt.lookup), []byte(nt.token)); err != nil {
				return err
			}
			if err := tx.Set([]byte(nt.at), nt.sealed); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		clear(t.waiting)
		clear(t.byToken)
	}
	return err
}

// Settle is Flush, and takes back the numbers that were reserved and not given
// out, so that the next start goes on without a gap.
func (t *Tokens) Settle() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.flush(); err != nil {
		return err
	}
	err := t.kv.Update(func(tx Txn) error {
		for entity, c := range t.counters {
			if err := setReserved(tx, entity, c.n); err != nil {
				return err
			}
		}
		return nil
	})
	clear(t.counters) // the next number is reserved again
	return err
}

func validEntity(s string) bool {
	return s != "" && s[0] != '_' && s[len(s)-1] != '_' && len(s) <= 32 &&
		strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_") == ""
}

// Reveal implements pii.Vault.
func (t *Tokens) Reveal(token string) (string, error) {
	sealed, err := t.sealedValue(token)
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
	if !strings.HasPrefix(token, "<") {
		_, plain, err := splitSurrogate(value)
		return plain, err
	}
	return string(value), nil
}

// Fingerprint returns a keyed hash of texts, 32 hexadecimal digits: the same
// texts give the same one, and without the vault's key it tells nothing of them.
func (t *Tokens) Fingerprint(texts ...string) string {
	mac := t.lookup.MAC(append([]string{"fingerprint"}, texts...)...)
	return hex.EncodeToString(mac[:16])
}

// sealedValue returns what stands under a token or surrogate, or nil.
func (t *Tokens) sealedValue(token string) (sealed []byte, err error) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if nt := t.byToken[token]; nt != nil {
		return nt.sealed, nil
	}
	at := "s" + token
	if strings.HasPrefix(token, "<") {
		at = "v" + token
	}
	err = t.kv.View(func(tx Txn) error {
		b, err := tx.Get([]byte(at))
		sealed = append(sealed, b...)
		return err
	})
	return sealed, err
}

// Values calls fn for every token and every surrogate with its entity and its
// value, until fn returns an error. The values are raw personal data: they must not leave the
// process.
func (t *Tokens) Values(fn func(token, entity, value string) error) error {
	if err := t.Flush(); err != nil {
		return err
	}
	return t.kv.View(func(tx Txn) error {
		err := tx.Scan([]byte("v"), func(key, sealed []byte) error {
			token := string(key[1:])
			value, err := t.seal.Open(sealed, token)
			if err != nil {
				return fmt.Errorf("the value of mask token %s: %w", token, err)
			}
			entity, _, ok := splitToken(token)
			if !ok {
				return fmt.Errorf("the vault has a token of no known form: %w", ErrDamaged)
			}
			return fn(token, entity, string(value))
		})
		if err != nil {
			return err
		}
		return tx.Scan([]byte("s"), func(key, sealed []byte) error {
			plain, err := t.seal.Open(sealed, string(key[1:]))
			if err != nil {
				return fmt.Errorf("the value of a surrogate: %w", err)
			}
			entity, value, err := splitSurrogate(plain)
			if err != nil {
				return err
			}
			return fn(string(key[1:]), entity, value)
		})
	})
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
		if err != nil {
			return err
		}
		return t.checkSurrogates(tx, problem)
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
	back, err := tx.Get([]byte(t.tokenAt(entity, string(value))))
	if err != nil {
		return err
	}
	if string(back) != token {
		return fmt.Errorf("the value of mask token %s does not lead back to it: %w", token, ErrDamaged)
	}
	n, err := reserved(tx, entity)
	if err == nil && number > n {
		err = fmt.Errorf("mask token %s is beyond its counter, %d: %w", token, n, ErrDamaged)
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
