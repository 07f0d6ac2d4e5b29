package masking

import (
	"regexp"

	"cloister/store/pii"
)

// Values calls fn for every value of the project's vault, until fn returns an
// error. The values are raw personal data, for a search in this process only.
func (s *Service) Values(fn func(token, entity, value string) error) error {
	return s.vault.Values(fn)
}

// Find returns the personal data of a text. It gives no tokens, so nothing of
// the text comes into the vault.
func (s *Service) Find(text string) []pii.Finding { return s.current().Find(text) }

// Harmless returns the texts that the policy, the allow list and decisions on
// single records let stand, and the patterns of values that the policy does.
func (s *Service) Harmless() (texts []string, patterns []*regexp.Regexp) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	o := options(s.policy, s.allow)
	for _, p := range o.AllowPatterns {
		patterns = append(patterns, regexp.MustCompile(`^(?:`+p+`)$`)) // the masker has compiled it before
	}
	texts = o.Allow
	for _, record := range s.decisions.Records {
		for token, masked := range record {
			if masked {
				continue
			}
			if v, err := s.Value(token); err == nil { // kept in a record by a person's word
				texts = append(texts, v.Value)
			}
		}
	}
	return texts, patterns
}
