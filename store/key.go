package store

import (
	"encoding/hex"
	"fmt"
	"time"
)

// Key is an API key; only its hash is kept.
type Key struct {
	ID        string    `json:"id"`   // "key-…", safe to show
	Hash      string    `json:"hash"` // hex SHA-256 of the secret
	Role      string    `json:"role"` // "admin", "trainer" or "user"
	Label     string    `json:"label,omitempty"`
	CreatedAt time.Time `json:"created_at"`
}

var keys = kind[Key]{
	noun:    "key",
	at:      keySpace,
	parts:   func(k *Key) []string { return []string{k.ID} },
	indexes: []index[Key]{{keyHashSpace, func(k *Key) []string { return []string{k.Hash} }}},
}

func (k *Key) valid() error {
	if sum, err := hex.DecodeString(k.Hash); err != nil || len(sum) != 32 {
		return invalid("key", "its hash is not a SHA-256 in hexadecimal digits")
	}
	if k.Role != "admin" && k.Role != "trainer" && k.Role != "user" {
		return invalid("key", "no key has the role %q: use admin, trainer or user", k.Role)
	}
	return nil
}

// PutKey writes a new key. It gets an id and a time. The error wraps ErrExists
// when a key with this hash is there.
func (s *Store) PutKey(k Key) (Key, error) {
	identify(&k.ID, "key-")
	stamp(&k.CreatedAt)
	return k, s.update(func(x tx) error {
		taken, err := x.has(keyHashSpace.key(k.Hash))
		if err != nil {
			return err
		}
		if taken {
			return fmt.Errorf("key with this hash: %w", ErrExists)
		}
		return keys.create(x, &k)
	})
}

// KeyByHash returns the key whose secret has a hash.
func (s *Store) KeyByHash(hash string) (Key, error) {
	return viewing(s, func(x tx) (Key, error) {
		at, err := x.get(keyHashSpace.key(hash))
		if err != nil {
			return Key{}, err
		}
		if at == nil {
			return Key{}, notFound("key", "with this hash")
		}
		k, err := keys.read(x, at)
		if err != nil {
			return Key{}, err
		}
		return *k, nil
	})
}

// Keys returns all keys by id.
func (s *Store) Keys() ([]Key, error) { return keys.listAll(s, span{prefix: keySpace.under()}) }

// DeleteKey deletes a key; its secret is worth nothing from then on.
func (s *Store) DeleteKey(id string) error {
	return s.updateAlone(func(x tx) error { return keys.remove(x, id) })
}
