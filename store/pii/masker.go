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
	mode     Mode
	minScore float64
	wanted   map[string]bool
	allow    *allowList
	rules    *ruleSet // nil without rules

	recognisers []*recogniser // the built-in ones that take part

	work atomic.Int64 // see doc.steps
}

// New returns a Masker. The vault gives the tokens; it may be nil only with
// [ModeLabel]. Errors say which option is wrong, and hold no value or word of it.
func New(v Vault, o Options) (*Masker, error) {
	m := &Masker{vault: v, mode: cmp.Or(o.Mode, ModeToken), minScore: o.MinScore, wanted: make(map[string]bool)}
	if m.mode != ModeToken && m.mode != ModeLabel {
		return nil, fmt.Errorf("unknown masking mode %q: use %q or %q", o.Mode, ModeToken, ModeLabel)
	}
	if v == nil && m.mode == ModeToken {
		return nil, fmt.Errorf("masking with tokens needs a vault: pass one, or use ModeLabel")
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
	return m, m.want(o.Entities)
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

// MaskRecord masks the texts of one record, such as a question and its answer:
// a name that is certain in one of them is masked in all. Results are in the
// order of texts.
func (m *Masker) MaskRecord(texts []string) ([]Masked, [][]Finding, error) {
	return m.MaskGuided(texts, Guidance{})
}

// MaskGuided is MaskRecord with what is known of the record beside the rules.
func (m *Masker) MaskGuided(texts []string, g Guidance) ([]Masked, [][]Finding, error) {
	all := m.find(texts, g)
	masked := make([]Masked, len(texts))
	for i, findings := range all {
		s, err := m.replace(texts[i], findings)
		if err != nil {
			return nil, nil, err
		}
		masked[i] = Masked{s}
	}
	return masked, all, nil
}

// replace sets the tokens of findings and returns the masked text.
func (m *Masker) replace(text string, findings []Finding) (string, error) {
	if len(findings) == 0 {
		return text, nil
	}
	var b strings.Builder
	b.Grow(len(text) + 8*len(findings))
	last := 0
	for i := range findings {
		f := &findings[i]
		if m.mode == ModeLabel {
			f.Token = "[" + f.Entity + "]"
		} else {
			t, err := m.vault.Token(f.Entity, text[f.Start:f.End])
			if err != nil {
				return "", fmt.Errorf("the vault gave no token for a %s: %w", f.Entity, err)
			}
			f.Token = t
		}
		b.WriteString(text[last:f.Start])
		b.WriteString(f.Token)
		last = f.End
	}
	b.WriteString(text[last:])
	return b.String(), nil
}

// Unmask puts the values of the Masker's vault back; see [Unmask].
func (m *Masker) Unmask(masked string) (string, error) {
	if m.vault == nil {
		return "", fmt.Errorf("unmasking needs a vault, and this masker has none")
	}
	return Unmask(m.vault, masked)
}
