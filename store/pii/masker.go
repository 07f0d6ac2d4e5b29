package pii

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"sync/atomic"
)

// Masker finds and masks personal data. It is safe for concurrent use when its
// vault is.
type Masker struct {
	vault    Vault
	names    Pseudonyms // the vault, nil if it is none
	mode     Mode
	modes    map[string]Mode // of entities that differ from mode
	minScore float64
	wanted   map[string]bool
	allow    *allowList
	rules    *ruleSet // nil without rules

	ruleModes map[string]Mode // of rules that have one, by the name of the recogniser

	recognisers []*recogniser // the built-in ones that take part

	work atomic.Int64 // see doc.steps
}

// New returns a Masker. The vault gives the tokens; it may be nil only with
// [ModeLabel] and [ModeDelete]. Errors say which option is wrong, and hold no value or word of it.
func New(v Vault, o Options) (*Masker, error) {
	m := &Masker{
		vault: v, mode: cmp.Or(o.Mode, ModeToken), modes: o.Modes, minScore: o.MinScore,
		wanted: make(map[string]bool), ruleModes: make(map[string]Mode),
	}
	if m.minScore == 0 {
		m.minScore = DefaultMinScore
	}
	if m.minScore < 0 || m.minScore > 1 || math.IsNaN(m.minScore) {
		return nil, fmt.Errorf("MinScore is %v: use a number above 0 and at most 1", o.MinScore)
	}
	var err error
	if m.rules, err = newRuleSet(o.Rules); err != nil {
		return nil, err
	}
	if m.allow, err = newAllowList(o.Allow, o.AllowPatterns); err != nil {
		return nil, err
	}
	if err := m.want(o.Entities); err != nil {
		return nil, err
	}
	return m, m.checkModes()
}

// checkModes checks that each mode fits its entity, and that the vault has what
// the modes need.
func (m *Masker) checkModes() error {
	used := map[Mode]bool{m.mode: true}
	if err := m.mode.Fits(""); err != nil {
		return fmt.Errorf("for entities without a mode of their own: %w", err)
	}
	for _, e := range slices.Sorted(maps.Keys(m.modes)) {
		if err := m.modes[e].Fits(e); err != nil {
			return err
		}
		used[m.modes[e]] = true
	}
	if m.rules != nil {
		for _, r := range m.rules.rules {
			if r.mode == "" {
				continue
			}
			if err := r.mode.Fits(r.entity); err != nil {
				return fmt.Errorf("%s: %w", r.name, err)
			}
			used[r.mode], m.ruleModes[r.name] = true, r.mode
		}
	}
	for e := range m.wanted {
		if cmp.Or(m.modes[e], m.mode) == ModeKeep && !m.rules.masks(e) {
			delete(m.wanted, e)
		}
	}
	delete(used, ModeKeep)
	delete(used, ModeLabel)
	delete(used, ModeDelete)
	if len(used) == 0 {
		return nil
	}
	if m.vault == nil {
		return fmt.Errorf("these masking modes need a vault: pass one, or use ModeLabel")
	}
	m.names, _ = m.vault.(Pseudonyms)
	for mode := range used {
		if mode.needs() && m.names == nil {
			return fmt.Errorf("mode %s needs a vault with a key (Pseudonyms)", mode)
		}
	}
	return nil
}

// want sets the entities that are masked, none meaning those of the default and
// of the rules, and the recognisers that take part.
func (m *Masker) want(list []string) error {
	known := slices.Concat(entities, slices.Sorted(maps.Keys(m.rules.entities())))
	for _, e := range list {
		if !slices.Contains(known, e) {
			return fmt.Errorf("unknown entity %q: the known ones are %s", e, strings.Join(known, ", "))
		}
		m.wanted[e] = true
	}
	if len(list) == 0 {
		for _, e := range DefaultEntities() {
			m.wanted[e] = true
		}
		for _, e := range m.rules.all() {
			m.wanted[e] = true
		}
	}
	for i := range recognisers {
		if r := &recognisers[i]; m.wanted[r.entity] || !slices.Contains(quasi, r.entity) {
			m.recognisers = append(m.recognisers, r)
		}
	}
	return nil
}

// Find returns the personal data of text, in order and without overlaps. The
// findings have no tokens.
func (m *Masker) Find(text string) []Finding {
	return m.find([]string{text}, Guidance{})[0]
}

// Mask replaces the personal data of text. Mask tokens that stand in it
// already stay as they are, so that masking twice changes nothing. An error
// comes from the vault only.
func (m *Masker) Mask(text string) (Masked, []Finding, error) {
	masked, findings, err := m.MaskRecord([]string{text})
	if err != nil {
		return Masked{}, nil, err
	}
	return masked[0], findings[0], nil
}

// Unmask puts the values of the Masker's vault back; see [Unmask].
func (m *Masker) Unmask(masked string) (string, error) {
	if m.vault == nil {
		return "", fmt.Errorf("unmasking needs a vault, and this masker has none")
	}
	return Unmask(m.vault, masked)
}
