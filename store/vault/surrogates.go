package vault

import (
	"crypto/sha256"
	"fmt"
	"strings"

	"cloister/store/pii"
)

var _ pii.Pseudonyms = (*Tokens)(nil)

// maxSurrogate is the longest surrogate in bytes: it is a key of the KV.
const maxSurrogate = 512

// MAC implements pii.Pseudonyms, under a key of its own.
func (t *Tokens) MAC(parts ...string) [sha256.Size]byte { return t.pseudonym.MAC(parts...) }

// Surrogate implements pii.Pseudonyms.
func (t *Tokens) Surrogate(entity, value string, propose func(try int) (string, bool)) (string, error) {
	if !validEntity(entity) {
		return "", fmt.Errorf("%q is no entity: use capital letters and underscores", entity)
	}
	at := t.surrogateAt(entity, value)
	t.mu.RLock()
	s, err := t.find(at)
	t.mu.RUnlock()
	if err != nil || s != "" {
		return s, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if s, err := t.find(at); err != nil || s != "" {
		return s, err // another caller was first
	}
	if err := t.room(); err != nil {
		return "", err
	}
	for try := 0; ; try++ {
		s, ok := propose(try)
		if !ok {
			return "", nil
		}
		free, err := t.free(entity, value, s)
		if err != nil {
			return "", err
		}
		if !free {
			continue
		}
		nt := &newToken{lookup: at, token: s, at: "s" + s}
		nt.sealed = t.seal.Seal([]byte(entity+"\x00"+value), s)
		t.waiting[at], t.byToken[s] = nt, nt
		return s, nil
	}
}

// surrogateAt returns where the surrogate of a value stands in the KV.
func (t *Tokens) surrogateAt(entity, value string) string {
	mac := t.lookup.MAC("surrogate", entity, value)
	return "p" + string(mac[:])
}

// free says whether s can be the surrogate of a value: it has the form of none
// that is a token, stands for nothing yet, and is no other value that the vault
// knows.
func (t *Tokens) free(entity, value, s string) (bool, error) {
	if s == "" || len(s) > maxSurrogate || strings.HasPrefix(s, "<") || t.byToken[s] != nil {
		return false, nil
	}
	for _, at := range []string{t.tokenAt(entity, s), t.surrogateAt(entity, s)} {
		if known, err := t.find(at); err != nil || known != "" && s != value {
			return false, err
		}
	}
	free := false
	err := t.kv.View(func(tx Txn) error {
		b, err := tx.Get([]byte("s" + s))
		free = b == nil
		return err
	})
	return free, err
}

// Surrogates implements pii.Pseudonyms.
func (t *Tokens) Surrogates(each func(surrogate string) error) error {
	if err := t.Flush(); err != nil {
		return err
	}
	return t.kv.View(func(tx Txn) error {
		return tx.Scan([]byte("s"), func(key, _ []byte) error { return each(string(key[1:])) })
	})
}

// splitSurrogate takes apart what is sealed under a surrogate.
func splitSurrogate(plain []byte) (entity, value string, err error) {
	entity, value, ok := strings.Cut(string(plain), "\x00")
	if !ok || !validEntity(entity) {
		return "", "", fmt.Errorf("the value of a surrogate: %w", ErrDamaged)
	}
	return entity, value, nil
}

// checkSurrogates is Check for surrogates.
func (t *Tokens) checkSurrogates(tx Txn, problem func(error)) error {
	values := 0
	err := tx.Scan([]byte("s"), func(key, sealed []byte) error {
		values++
		surrogate := string(key[1:])
		plain, err := t.seal.Open(sealed, surrogate)
		if err != nil {
			problem(fmt.Errorf("the value of a surrogate: %w", err))
			return nil
		}
		entity, value, err := splitSurrogate(plain)
		if err != nil {
			problem(err)
			return nil
		}
		back, err := tx.Get([]byte(t.surrogateAt(entity, value)))
		if err == nil && string(back) != surrogate {
			problem(fmt.Errorf("the value of a surrogate of a %s does not lead back to it: %w", entity, ErrDamaged))
		}
		return err
	})
	if err != nil {
		return err
	}
	err = tx.Scan([]byte("p"), func(_, _ []byte) error {
		values--
		return nil
	})
	if values != 0 {
		problem(fmt.Errorf("the vault has %d more surrogates than lookup keys: %w", values, ErrDamaged))
	}
	return err
}
