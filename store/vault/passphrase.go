package vault

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"

	"golang.org/x/crypto/scrypt"
)

// Parameters of scrypt for new salt files, as OWASP's password storage cheat
// sheet has them for 64 MiB: N = 2^16, r = 8, p = 2.
const (
	scryptN = 1 << 16
	scryptR = 8
	scryptP = 2
)

// SaltFile is the salt file's name in a data directory whose key comes from a passphrase.
const SaltFile = "master.salt"

// saltFile is the JSON of a salt file. It holds no secret by itself.
type saltFile struct {
	Format string `json:"format"` // "cloister-scrypt-1"
	N      int    `json:"n"`
	R      int    `json:"r"`
	P      int    `json:"p"`
	Salt   []byte `json:"salt"`
	Check  []byte `json:"check"` // Seal(nil) under a derived key: tells a wrong passphrase
}

const saltFormat = "cloister-scrypt-1"

// Passphrase returns the key that scrypt (RFC 7914) makes of a passphrase and
// the salt file at path, and makes the file when there is none. The error wraps
// ErrWrongPassphrase when the file was made with another passphrase. It takes
// 64 MiB of memory for some tenths of a second.
func Passphrase(path string, passphrase []byte) (MasterKey, error) {
	if len(passphrase) == 0 {
		return MasterKey{}, errors.New("the passphrase is empty")
	}
	text, err := readSecret(path)
	if errors.Is(err, fs.ErrNotExist) {
		k, err := newSaltFile(path, passphrase)
		if err == nil {
			return k, nil
		}
		if !errors.Is(err, fs.ErrExist) {
			return MasterKey{}, fmt.Errorf("cannot make the salt file %s: %w", path, err)
		}
		text, err = readSecret(path) // another process was first
		if err != nil {
			return MasterKey{}, err
		}
	}
	if err != nil {
		return MasterKey{}, err
	}
	var s saltFile
	if err := json.Unmarshal(text, &s); err != nil || !s.sane() {
		return MasterKey{}, fmt.Errorf("%w: %s is not a salt file of Cloister", ErrBadKeyFile, path)
	}
	k, err := s.key(passphrase)
	if err != nil {
		return MasterKey{}, err
	}
	if _, err := k.Derive("passphrase check").Open(s.Check, saltFormat); err != nil {
		return MasterKey{}, fmt.Errorf("%w for %s", ErrWrongPassphrase, path)
	}
	return k, nil
}

func newSaltFile(path string, passphrase []byte) (MasterKey, error) {
	s := saltFile{Format: saltFormat, N: scryptN, R: scryptR, P: scryptP, Salt: make([]byte, 32)}
	_, _ = rand.Read(s.Salt)
	k, err := s.key(passphrase)
	if err != nil {
		return MasterKey{}, err
	}
	s.Check = k.Derive("passphrase check").Seal(nil, saltFormat)
	text, err := json.Marshal(s)
	if err != nil {
		return MasterKey{}, err
	}
	return k, createSecret(path, append(text, '\n'))
}

// sane bounds what a changed file can make scrypt cost: 1 GiB.
func (s *saltFile) sane() bool {
	return s.Format == saltFormat && len(s.Salt) >= 16 &&
		s.N >= scryptN && s.N <= 1<<20 && s.R == 8 && s.P >= 1 && s.P <= 16
}

func (s *saltFile) key(passphrase []byte) (MasterKey, error) {
	raw, err := scrypt.Key(passphrase, s.Salt, s.N, s.R, s.P, keySize)
	if err != nil {
		return MasterKey{}, err
	}
	return MasterKey{[keySize]byte(raw)}, nil
}
