package store

import (
	"encoding/json"
	"fmt"
)

// PutSetting keeps any value that encoding/json takes under a name.
func (s *Store) PutSetting(name string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("setting %q: %w: %w", name, ErrInvalid, err)
	}
	if err := validName("setting", name); err != nil {
		return err
	}
	return s.update(func(x tx) error { return x.set(settingSpace.key(name), b) })
}

// Setting reads the value under a name into v, a pointer. The error wraps
// ErrNotFound, and v is as it was, when nothing is kept there.
func (s *Store) Setting(name string, v any) error {
	b, err := viewing(s, func(x tx) ([]byte, error) { return x.get(settingSpace.key(name)) })
	if err != nil {
		return err
	}
	if b == nil {
		return notFound("setting", name)
	}
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("setting %q: %w", name, err)
	}
	return nil
}

// DeleteSetting forgets the value under a name, if there is one.
func (s *Store) DeleteSetting(name string) error {
	return s.updateAlone(func(x tx) error { return x.del(settingSpace.key(name)) })
}
