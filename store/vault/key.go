package vault

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"fmt"

	"cloister/store/pii"
)

// keySize is the length of every key in bytes: AES-256.
const keySize = 32

// MasterKey is the root of all keys of one data directory. Its zero value is
// no key, and package store refuses it.
type MasterKey struct{ b [keySize]byte }

// NewMasterKey returns a random key.
func NewMasterKey() MasterKey {
	var k MasterKey
	_, _ = rand.Read(k.b[:]) // never fails: crypto/rand ends the program instead
	return k
}

// IsZero reports whether k is no key.
func (k MasterKey) IsZero() bool { return k == MasterKey{} }

// Format prints a placeholder for every verb.
func (k MasterKey) Format(s fmt.State, _ rune) { _, _ = s.Write([]byte("master key (hidden)")) }

// Derive returns the key for a purpose. Different purposes give independent keys.
func (k MasterKey) Derive(purpose string) Key { return derive(k.b[:], nil, purpose) }

// Key is a derived key for one purpose.
type Key struct{ b [keySize]byte }

// Format prints a placeholder for every verb.
func (k Key) Format(s fmt.State, _ rune) { _, _ = s.Write([]byte("key (hidden)")) }

// Bytes returns the 32 bytes of the key, for a library that encrypts by itself.
func (k Key) Bytes() []byte { return k.b[:] }

// Derive returns a further key.
func (k Key) Derive(purpose string) Key { return derive(k.b[:], nil, purpose) }

// derive is HKDF-SHA-256 (RFC 5869) with info = "cloister/" + purpose.
func derive(secret, salt []byte, purpose string) Key {
	out, err := hkdf.Key(sha256.New, secret, salt, "cloister/"+purpose, keySize)
	if err != nil {
		panic(err) // only for lengths over 255 hashes, and ours is one
	}
	return Key{[keySize]byte(out)}
}

// Seal encrypts plain with AES-256-GCM under a random nonce, which it puts in
// front. The result opens only with the same context.
func (k Key) Seal(plain []byte, context string) []byte {
	return k.gcm(cipher.NewGCMWithRandomNonce).Seal(nil, nil, plain, []byte(context))
}

// Open decrypts what Seal made. The error is ErrDamaged.
func (k Key) Open(sealed []byte, context string) ([]byte, error) {
	aead := k.gcm(cipher.NewGCMWithRandomNonce)
	if len(sealed) < aead.Overhead() {
		return nil, ErrDamaged
	}
	plain, err := aead.Open(nil, nil, sealed, []byte(context))
	if err != nil {
		return nil, ErrDamaged
	}
	return plain, nil
}

// MAC returns HMAC-SHA-256 of the parts, each with its length in front, so that
// no two lists of parts give the same input.
func (k Key) MAC(parts ...string) [sha256.Size]byte {
	return pii.MAC(k.b[:], parts...)
}

// gcm makes a cipher of the key in the way that mode says.
func (k Key) gcm(mode func(cipher.Block) (cipher.AEAD, error)) cipher.AEAD {
	block, err := aes.NewCipher(k.b[:])
	if err != nil {
		panic(err) // only for a wrong length, and ours is fixed
	}
	aead, err := mode(block)
	if err != nil {
		panic(err) // only for a block size that is not AES's
	}
	return aead
}
