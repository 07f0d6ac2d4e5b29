package masking

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"cloister/store"
	"cloister/store/pii"
	"cloister/store/pii/policy"
)

const (
	// policyKey is the setting that holds the policy of the project, in its
	// canonical form; none: what is done without one.
	policyKey = "masking/policy"
	// usedKey begins the settings that hold what dataset versions were masked
	// with, by hash.
	usedKey = "masking/used/"
)

// Used is what texts are masked with beside the built-in rules. It holds names
// and numbers in the clear: only an administrator may see it.
type Used struct {
	Policy json.RawMessage `json:"policy"` // canonical form, null for the default
	Allow  []string        `json:"allow"`  // beside what the policy allows
	// Always are the mask tokens of values that reviews decided to mask everywhere.
	Always []string `json:"always,omitempty"`
}

// Summary counts what is in a Used. It holds no values.
type Summary struct {
	// Hash is the SHA-256 of the Used in JSON, in hexadecimal; [Service.Used] has
	// its content.
	Hash string `json:"hash"`
	// Policy is the hash of the policy, empty for the default.
	Policy string `json:"policy,omitempty"`
	// Modes are those of the entities that the policy names.
	Modes    map[string]pii.Mode `json:"modes,omitempty"`
	Rules    int                 `json:"rules,omitempty"`
	Words    int                 `json:"words,omitempty"`   // of all rules
	Allowed  int                 `json:"allowed,omitempty"` // values, in the policy and beside it
	Patterns int                 `json:"allowed_patterns,omitempty"`
	Always   int                 `json:"always,omitempty"` // values that reviews decided on
}

func storedPolicy(st *store.Store) (*policy.Policy, error) {
	var raw json.RawMessage
	err := st.Setting(policyKey, &raw)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	p, err := policy.Parse("the stored policy", raw, nil)
	if err != nil {
		return nil, fmt.Errorf("the masking policy of the project does not read; a newer Cloister may have written it: %w", err)
	}
	return p, nil
}

// SetPolicy makes p the policy of the project, for all texts from now on.
func (s *Service) SetPolicy(p *policy.Policy) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := s.settings
	next.policy = p
	return s.change(next, func() error { return s.st.PutSetting(policyKey, json.RawMessage(p.JSON())) })
}

// PolicyHash is the hash of the project's policy, empty when there is none.
func (s *Service) PolicyHash() string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.policy == nil {
		return ""
	}
	return s.policy.Hash()
}

// Record keeps what texts are masked with now, so that [Service.Used] finds it
// by the hash in the summary for ever.
func (s *Service) Record() (Summary, error) {
	s.mu.RLock()
	used, sum := Used{Policy: json.RawMessage("null"), Allow: s.allow, Always: s.decisions.Always}, Summary{Allowed: len(s.allow), Always: len(s.decisions.Always)}
	if p := s.policy; p != nil {
		used.Policy = p.JSON()
		sum.Policy, sum.Modes = p.Hash(), p.Options().Modes
		sum.Rules, sum.Allowed, sum.Patterns = len(p.Rules), sum.Allowed+len(p.Allow.Values), len(p.Allow.Patterns)
		for _, r := range p.Rules {
			sum.Words += len(r.Words)
		}
	}
	s.mu.RUnlock()
	raw, err := json.Marshal(used)
	if err != nil {
		return Summary{}, err
	}
	hash := sha256.Sum256(raw)
	sum.Hash = hex.EncodeToString(hash[:])
	return sum, s.st.PutSetting(usedKey+sum.Hash, json.RawMessage(raw))
}

// Used returns what stands behind the hash of a summary. The error wraps
// store.ErrNotFound for a hash that Record never gave.
func (s *Service) Used(hash string) (Used, error) {
	var used Used
	err := s.st.Setting(usedKey+hash, &used)
	return used, err
}

// Forget deletes what stands behind a hash.
func (s *Service) Forget(hash string) error { return s.st.DeleteSetting(usedKey + hash) }

// Unmask returns texts with the values of their tokens and surrogates, and how
// many were put back.
func (s *Service) Unmask(masked []string) (texts []string, restored int, err error) {
	u, err := pii.NewUnmasker(s.vault)
	if err != nil {
		return nil, 0, err
	}
	texts = make([]string, len(masked))
	for i, m := range masked {
		text, n, err := u.Unmask(m)
		if err != nil {
			return nil, 0, err
		}
		texts[i], restored = text, restored+n
	}
	return texts, restored, nil
}

// MaskLines masks texts that are records of their own. What they are masked
// with is durable when it returns, so that they can leave the appliance.
func (s *Service) MaskLines(texts []string) (masked []string, findings [][]pii.Finding, err error) {
	m := s.current()
	masked, findings = make([]string, len(texts)), make([][]pii.Finding, len(texts))
	for i, text := range texts {
		one, found, err := m.Mask(text)
		if err != nil {
			return nil, nil, err
		}
		masked[i], findings[i] = one.String(), found
	}
	return masked, findings, s.vault.Flush()
}
