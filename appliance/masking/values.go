package masking

import "cloister/store/pii"

// Values calls fn for every value of the project's vault, until fn returns an
// error. The values are raw personal data, for a search in this process only.
func (s *Service) Values(fn func(token, entity, value string) error) error {
	vault, err := s.st.Vault(project)
	if err != nil {
		return err
	}
	return vault.Values(fn)
}

// Find returns the personal data of a text. It gives no tokens, so nothing of
// the text comes into the vault.
func (s *Service) Find(text string) []pii.Finding { return s.current().Find(text) }
