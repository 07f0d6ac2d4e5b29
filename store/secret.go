package store

import (
	"encoding/json"
	"errors"
	"fmt"
)

// secretPrefix begins the settings that hold secrets, sealed.
const secretPrefix = "secret/"

// PutSecret keeps bytes under a name, sealed for that name on top of the
// database's own encryption, so that they are in no table or log in the clear.
func (s *Store) PutSecret(name string, secret []byte) error {
	if err := validName("secret", name); err != nil {
		return err
	}
	return s.PutSetting(secretPrefix+name, s.secretKey.Seal(secret, name))
}

// Secret returns what PutSecret kept. The error wraps ErrNotFound when there is
// nothing, and vault.ErrDamaged when it does not open.
func (s *Store) Secret(name string) ([]byte, error) {
	var sealed []byte
	err := s.Setting(secretPrefix+name, &sealed)
	if errors.Is(err, ErrNotFound) {
		return nil, notFound("secret", name)
	}
	if err != nil {
		return nil, err
	}
	return s.openSecret(name, sealed)
}

func (s *Store) openSecret(name string, sealed []byte) ([]byte, error) {
	secret, err := s.secretKey.Open(sealed, name)
	if err != nil {
		return nil, fmt.Errorf("secret %q: %w", name, err)
	}
	return secret, nil
}

// secrets sees that every secret opens.
func (c *check) secrets() error {
	prefix := settingSpace.key(secretPrefix)
	return c.each(span{prefix: prefix}, func(e entry) error {
		var sealed []byte
		err := json.Unmarshal(e.value, &sealed)
		if err == nil {
			_, err = c.s.openSecret(string(e.key[len(prefix):]), sealed)
		}
		if err != nil {
			c.problem(fmt.Errorf("a secret does not open: %w: %w", ErrCorrupt, err))
		}
		return nil
	})
}
