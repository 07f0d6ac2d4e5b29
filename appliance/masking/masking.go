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

	"cloister/appliance/fault"
	"cloister/store"
	"cloister/store/pii"
	"cloister/store/pii/policy"
	"cloister/store/vault"
)

// allowKey is the setting that holds the allow list, an array of texts.
const allowKey = "masking/allow"

// project names the vault. There is one for each data directory.
const project = "default"

// settings are what the project decided. They are never changed in place.
type settings struct {
	allow     []string
	policy    *policy.Policy // nil: what is done without one
	decisions decisions
}

// Service masks texts.
type Service struct {
	st    *store.Store
	vault *vault.Tokens

	mu sync.RWMutex
	settings
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
	err = st.Setting(decisionsKey, &s.decisions)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return nil, err
	}
	if s.policy, err = storedPolicy(st); err != nil {
		return nil, err
	}
	s.masker, err = s.build(s.settings)
	return s, err
}

// Pinned returns the service as it is now: what others allow or decide later
// does not change it. So all texts of one dataset version are masked alike.
func (s *Service) Pinned() *Service {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return &Service{st: s.st, vault: s.vault, settings: s.settings, masker: s.masker}
}

func (s *Service) build(set settings) (*pii.Masker, error) {
	o, err := s.options(set)
	if err != nil {
		return nil, err
	}
	return pii.New(s.vault, o)
}

// options are the rules of settings, with what reviews decided to mask always.
func (s *Service) options(set settings) (pii.Options, error) {
	always, err := s.always(set.decisions)
	o := options(set.policy, set.allow)
	o.Rules = slices.Concat(o.Rules, always)
	return o, err
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

// MaskGuided is MaskRecord with what is known of the record beside the rules.
func (s *Service) MaskGuided(texts []string, g pii.Guidance) ([]pii.Masked, [][]pii.Finding, error) {
	return s.current().MaskGuided(texts, g)
}

// Uncertain returns what is barely masked in a record, and what barely is not;
// see pii.Masker.
func (s *Service) Uncertain(texts []string, g pii.Guidance, from, to float64) [][]pii.Doubt {
	return s.current().Uncertain(texts, g, from, to)
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

// Token returns the mask token of a value, however it is masked in texts.
func (s *Service) Token(v pii.Value) (string, error) { return s.vault.Token(v.Entity, v.Value) }

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
	next := s.settings
	if next.allow = with(s.allow, values); len(next.allow) == len(s.allow) {
		return nil
	}
	return s.change(next, func() error { return s.st.PutSetting(allowKey, next.allow) })
}

// with returns an allow list with further values, in order.
func with(allow, values []string) []string {
	all := slices.Clone(allow)
	for _, v := range values {
		if v = strings.TrimSpace(v); v != "" {
			all = append(all, v)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// With returns the service as it would be with another policy, nil for the one
// that it has, and further allowed values. It keeps nothing, and is pinned.
func (s *Service) With(p *policy.Policy, allow []string) (*Service, error) {
	pin := s.Pinned()
	if p != nil {
		pin.policy = p
	}
	pin.allow = with(pin.allow, allow)
	return pin, pin.change(pin.settings, func() error { return nil })
}

// change makes the masker of other settings and, when put has kept them, takes
// both for its own. The caller holds mu.
func (s *Service) change(next settings, put func() error) error {
	masker, err := s.build(next)
	if err != nil {
		return fault.New(fault.Invalid, "", "", "Masking cannot take this: %v.", err).Wrap(err)
	}
	if err := put(); err != nil {
		return err
	}
	s.settings, s.masker = next, masker
	return nil
}
