package masking

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"cloister/appliance/fault"
	"cloister/store/pii"
)

// decisionsKey is the setting that holds what people decided in reviews.
const decisionsKey = "masking/decisions"

// decisions are what people decided on uncertain findings. Values are mask
// tokens, which only the vault turns back.
type decisions struct {
	// Records has the verdicts on values in one record, by its fingerprint and
	// the value's token: true to mask it there, false to keep it.
	Records map[string]map[string]bool `json:"records,omitempty"`
	Always  []string                   `json:"always,omitempty"` // tokens of values that are masked everywhere
}

func (d decisions) clone() decisions {
	out := decisions{Records: map[string]map[string]bool{}, Always: slices.Clone(d.Always)}
	for k, v := range d.Records {
		out.Records[k] = maps.Clone(v)
	}
	return out
}

// Verdict is what a person decides on a value.
type Verdict string

// The verdicts. Yes and No are about one record; Always and Never are rules for
// all texts from now on.
const (
	Yes    Verdict = "yes"    // mask it here
	No     Verdict = "no"     // keep it here
	Always Verdict = "always" // mask it wherever it stands
	Never  Verdict = "never"  // put it on the allow list
)

// Verdicts are all of them.
var Verdicts = []Verdict{Yes, No, Always, Never}

// Decision is a verdict on a value that stands in a record.
type Decision struct {
	Record  string // its Fingerprint; not needed with Always and Never
	Value   pii.Value
	Verdict Verdict
}

// Fingerprint identifies a record by its texts as they were before masking, so
// that a masked record has that of its original as long as its mask tokens lead
// back.
func (s *Service) Fingerprint(texts []string) (string, error) {
	raw := make([]string, len(texts))
	for i, t := range texts {
		var err error
		if raw[i], err = pii.Unmask(s.vault, t); err != nil {
			return "", err
		}
	}
	return s.vault.Fingerprint(raw...), nil
}

// Mark identifies a value in a record. It tells nothing of either.
func (s *Service) Mark(record string, v pii.Value) string {
	return s.vault.Fingerprint(record, v.Entity, v.Value)[:12]
}

// Guidance returns what people decided for a record.
func (s *Service) Guidance(texts []string) (pii.Guidance, error) {
	s.mu.RLock()
	records := s.decisions.Records
	s.mu.RUnlock()
	if len(records) == 0 {
		return pii.Guidance{}, nil
	}
	record, err := s.Fingerprint(texts)
	if err != nil {
		return pii.Guidance{}, err
	}
	var g pii.Guidance
	for _, token := range slices.Sorted(maps.Keys(records[record])) {
		v, err := s.Value(token)
		if err != nil {
			return pii.Guidance{}, err
		}
		if records[record][token] {
			g.More = append(g.More, pii.Suggestion{Value: v, Recogniser: pii.Review, Evidence: "decided in a review", Score: 1})
		} else {
			g.Keep = append(g.Keep, v)
		}
	}
	return g, nil
}

// Decided says whether the value of a token is on the allow list or is always
// masked.
func (s *Service) Decided(token string) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	v, err := s.Value(token)
	return err == nil && slices.Contains(s.allow, v.Value) || slices.Contains(s.decisions.Always, token)
}

// Value returns what a mask token stands for.
func (s *Service) Value(token string) (pii.Value, error) {
	value, err := s.vault.Reveal(token)
	if err != nil {
		return pii.Value{}, fmt.Errorf("a decision of a review: %w", err)
	}
	return pii.Value{Entity: token[1:strings.LastIndexByte(token, '_')], Value: value}, nil
}

// always returns the rules for what is masked everywhere.
func (s *Service) always(d decisions) ([]pii.Rule, error) {
	words := map[string][]string{}
	for _, token := range d.Always {
		v, err := s.Value(token)
		if err != nil {
			return nil, err
		}
		words[v.Entity] = append(words[v.Entity], v.Value)
	}
	var rules []pii.Rule
	for _, entity := range slices.Sorted(maps.Keys(words)) {
		rules = append(rules, pii.Rule{Name: "review " + entity, Entity: entity, Words: words[entity]})
	}
	return rules, nil
}

// Decide keeps decisions, all of them or none: they count for everything that
// is masked from now on. Of two decisions on a value the later one counts.
func (s *Service) Decide(list []Decision) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := s.settings
	next.decisions = s.decisions.clone()
	d := &next.decisions
	for _, x := range list {
		token, err := s.Token(x.Value)
		if err != nil {
			return err
		}
		d.Always = slices.DeleteFunc(d.Always, func(t string) bool { return t == token })
		switch x.Verdict {
		case Yes, No:
			if d.Records[x.Record] == nil {
				d.Records[x.Record] = map[string]bool{}
			}
			d.Records[x.Record][token] = x.Verdict == Yes
		case Always:
			d.Always = append(d.Always, token)
		case Never:
			next.allow = with(next.allow, []string{x.Value.Value})
		default:
			return fault.New(fault.Invalid, "", "decisions", "%q is no decision: use yes, no, always or never.", string(x.Verdict))
		}
	}
	return s.change(next, func() error {
		return errors.Join(s.st.PutSetting(allowKey, next.allow), s.st.PutSetting(decisionsKey, next.decisions))
	})
}
