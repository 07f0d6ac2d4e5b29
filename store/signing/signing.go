package signing

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
)

// Errors that callers tell apart.
var (
	// ErrBadKey says that a text is no public key, or a seed no private one.
	ErrBadKey = errors.New("this is no key")
	// ErrBadSignature says that a signature does not belong to the message, the
	// purpose and the key.
	ErrBadSignature = errors.New("the signature does not fit")
)

const (
	prefix   = "cloister-ed25519:"
	sumBytes = 4
	// SeedSize is the length of PrivateKey.Seed in bytes.
	SeedSize = ed25519.SeedSize
	// SignatureSize is the length of a signature in bytes.
	SignatureSize = ed25519.SignatureSize
)

// PublicKey verifies. It can be compared with ==; the zero value is no key.
type PublicKey struct{ b [ed25519.PublicKeySize]byte }

// ParsePublicKey reads what PublicKey.String wrote, with blanks around it or
// none. The error wraps ErrBadKey.
func ParsePublicKey(text string) (PublicKey, error) {
	rest, ok := strings.CutPrefix(strings.TrimSpace(text), prefix)
	if !ok {
		return PublicKey{}, fmt.Errorf("%w: it does not begin with %q", ErrBadKey, prefix)
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(rest)
	if err != nil || len(raw) != ed25519.PublicKeySize+sumBytes {
		return PublicKey{}, fmt.Errorf("%w: behind %q there must be %d letters, digits, - and _", ErrBadKey, prefix, base64.RawURLEncoding.EncodedLen(ed25519.PublicKeySize+sumBytes))
	}
	k := PublicKey{[ed25519.PublicKeySize]byte(raw)}
	if sum := k.sum(); string(sum[:sumBytes]) != string(raw[ed25519.PublicKeySize:]) {
		return PublicKey{}, fmt.Errorf("%w: a character of it is wrong, its checksum does not fit", ErrBadKey)
	}
	if k == (PublicKey{}) {
		return PublicKey{}, fmt.Errorf("%w: it is all zeros", ErrBadKey)
	}
	return k, nil
}

func (k PublicKey) sum() [sha256.Size]byte { return sha256.Sum256(k.b[:]) }

// String is the key as a text for files and e-mails.
func (k PublicKey) String() string {
	sum := k.sum()
	return prefix + base64.RawURLEncoding.EncodeToString(append(k.b[:], sum[:sumBytes]...))
}

// MarshalText implements encoding.TextMarshaler with String.
func (k PublicKey) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler with ParsePublicKey.
func (k *PublicKey) UnmarshalText(text []byte) (err error) {
	*k, err = ParsePublicKey(string(text))
	return err
}

// Fingerprint is a short form of the key for people to compare, such as
// "K4QS-7ZTB-…", eight groups of four.
func (k PublicKey) Fingerprint() string {
	sum := k.sum()
	text := base32.StdEncoding.EncodeToString(sum[:20])
	groups := make([]string, 0, 8)
	for i := 0; i < len(text); i += 4 {
		groups = append(groups, text[i:i+4])
	}
	return strings.Join(groups, "-")
}

// Verify returns ErrBadSignature unless the private key of k signed the message
// for the purpose.
func (k PublicKey) Verify(purpose string, message, signature []byte) error {
	// A wrong length of the signature is an error of Verify, not a panic.
	if ed25519.VerifyWithOptions(k.b[:], message, signature, &ed25519.Options{Context: purpose}) != nil {
		return ErrBadSignature
	}
	return nil
}

// PrivateKey signs. The zero value is no key, and signing with it panics.
type PrivateKey struct{ k ed25519.PrivateKey }

// New makes a random key.
func New() PrivateKey {
	seed := make([]byte, SeedSize)
	_, _ = rand.Read(seed) // never fails: crypto/rand ends the program instead
	return PrivateKey{ed25519.NewKeyFromSeed(seed)}
}

// FromSeed returns the key with a seed of SeedSize bytes. The error is ErrBadKey.
func FromSeed(seed []byte) (PrivateKey, error) {
	if len(seed) != SeedSize {
		return PrivateKey{}, ErrBadKey
	}
	return PrivateKey{ed25519.NewKeyFromSeed(seed)}, nil
}

// Seed is what FromSeed makes the key of again: the secret itself, which is only
// ever to be written sealed.
func (k PrivateKey) Seed() []byte { return k.k.Seed() }

// Public is the key that verifies.
func (k PrivateKey) Public() PublicKey {
	return PublicKey{[ed25519.PublicKeySize]byte(k.k.Public().(ed25519.PublicKey))}
}

// Sign signs a message for a purpose of 1 to 255 bytes; other lengths are a
// mistake of the program, and panic.
func (k PrivateKey) Sign(purpose string, message []byte) []byte {
	if purpose == "" {
		panic("signing: a signature needs a purpose")
	}
	signature, err := k.k.Sign(nil, message, &ed25519.Options{Hash: crypto.Hash(0), Context: purpose})
	if err != nil {
		panic(err) // only for a purpose that is too long
	}
	return signature
}

// Format prints a placeholder for every verb.
func (k PrivateKey) Format(s fmt.State, _ rune) { _, _ = s.Write([]byte("private key (hidden)")) }
