package bundle

import (
	"encoding/json"

	"cloister/store"
)

// SetFree sets how much space the disk has.
func (s *Service) SetFree(bytes uint64) {
	s.free = func(string) (uint64, error) { return bytes, nil }
}

// Stripped is stripped.
func Stripped(e *store.Evaluation, samples bool) (json.RawMessage, error) {
	return stripped(e, samples)
}
