// Package masking holds the project's one masker: every text that is stored,
// from datasets, served answers, feedback and evaluation files, passes through
// it, with one vault, one policy and one allow list, so that a value has the
// same mask token everywhere.
//
// A Service is safe for concurrent use.
package masking

import (
	"errors"
	"slices"
	"strings"
	"sync"

	"cloister/store"
	"cloister/store/pii"
	"cloister/store/pii/policy"
	"cloister/store/vault"
)

// allowKey is the setting that holds the allow list, an array of texts.
const allowKey = "masking/allow"

// project names the vault. There is one for each data directory.
const project = "default"

// Service masks texts.
type Service struct {
	st    *store.Store
	vault *vault.Tokens

	mu     sync.RWMutex
	allow  []string
	policy *policy.Policy // nil: what is done without one
	masker *pii.Masker
	// labeller writes labels by the rules of the masker labelled.
	labeller, labelled *pii.Masker
}

// New reads the policy and the allow list and returns the masker of the project.
func New(st *store.Store) (*Service, error) {
	tokens, err := st.Vault(project)
	if err != nil {
		return nil, err
	}
	s := &Service{st: st, vault: tokens}
	err = st.Setting(allowKey, &s.allow)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return nil, err
	}
	if s.policy, err = storedPolicy(st); err != nil {
		return nil, err
	}
	s.masker, err = s.build(s.policy, s.allow)
	return s, err
}

// Pinned returns the service as it is now: what others allow or decide later
// does not change it. So all texts of one dataset version are masked alike.
func (s *Service) Pinned() *Service {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return &Service{st: s.st, vault: s.vault, allow: s.allow, policy: s.policy, masker: s.masker}
}

func (s *Service) build(p *policy.Policy, allow []string) (*pii.Masker, error) {
	return pii.New(s.vault, options(p, allow))
}

// options are the rules of a policy, or those without one, with an allow list.
func options(p *policy.Policy, allow []string) pii.Options {
	o := pii.Options{Entities: pii.DatasetEntities()}
	if p != nil {
		o = p.Options()
	}
	o.Allow = slices.Concat(o.Allow, allow)
	return o
}

// MaskRecord masks the texts of one record, such as a question and its answer;
// see pii.Masker.
func (s *Service) MaskRecord(texts []string) ([]pii.Masked, [][]pii.Finding, error) {
	return s.current().MaskRecord(texts)
}

// Mask masks one text.
func (s *Service) Mask(text string) (pii.Masked, []pii.Finding, error) {
	return s.current().Mask(text)
}

func (s *Service) current() *pii.Masker {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.masker
}

// Reveal returns the value of a mask token or surrogate.
func (s *Service) Reveal(token string) (string, error) { return s.vault.Reveal(token) }

// Allowed returns the values that are never masked, in order.
func (s *Service) Allowed() []string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.Clone(s.allow)
}

// Allow adds values to the allow list, for all texts from now on. Empty ones
// and those that are on it already are left out.
func (s *Service) Allow(values []string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := slices.Clone(s.allow)
	for _, v := range values {
		if v = strings.TrimSpace(v); v != "" {
			all = append(all, v)
		}
	}
	slices.Sort(all)
	all = slices.Compact(all)
	if len(all) == len(s.allow) {
		return nil
	}
	masker, err := s.build(s.policy, all)
	if err != nil {
		return err
	}
	if err := s.st.PutSetting(allowKey, all); err != nil {
		return err
	}
	s.allow, s.masker = all, masker
	return nil
}
