// Package policy reads the file in which an institution says how its texts are
// masked: the mode of each entity, rules of its own and what is allowed to stay.
//
// The file is YAML without anchors and tags, or JSON.
// [Policy.JSON] is its canonical form, with the word lists of other files in
// it: what the appliance stores, and what [Policy.Hash] names. Word lists and
// allowed values are personal data; errors never hold them.
//
// A Policy is a value that is not changed after Parse.
package policy

import (
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"cloister/store/pii"
)

// Default is a policy file with comments that does what is done without one.
//
//go:embed default.yaml
var Default string

// Policy says how texts are masked.
type Policy struct {
	Version int `json:"version"` // 1
	// Default is the mode of entities that are not named; empty means token.
	Default pii.Mode `json:"default,omitempty"`
	// MinScore is the score from which a finding is masked; 0 means [pii.DefaultMinScore].
	MinScore float64           `json:"min_score,omitempty"`
	Entities map[string]Entity `json:"entities,omitempty"`
	Rules    []Rule            `json:"rules,omitempty"`
	Allow    Allow             `json:"allow,omitzero"`
}

// Entity says what is done with one kind of data.
type Entity struct {
	Mode pii.Mode `json:"mode"`
	// Force allows what the law on unique identifiers speaks against: to keep
	// them, or a part of them.
	Force bool `json:"force,omitempty"`
}

// Rule is a [pii.Rule] with the names that it has in the file.
type Rule struct {
	Name    string   `json:"name"`
	Entity  string   `json:"entity"`
	Pattern string   `json:"pattern,omitempty"`
	Words   []string `json:"words,omitempty"`
	Score   float64  `json:"score,omitempty"`
	Context []string `json:"context,omitempty"`
	Labels  []string `json:"labels,omitempty"`
	Mode    pii.Mode `json:"mode,omitempty"`
	Force   bool     `json:"force,omitempty"`
}

// Allow is what stays.
type Allow struct {
	Values   []string `json:"values,omitempty"`
	Patterns []string `json:"patterns,omitempty"`
}

// Error says what is wrong in a policy file, and where.
type Error struct {
	File    string
	Line    int
	Field   string // such as "rules[2].pattern"; empty where the file is no YAML
	Message string
}

func (e *Error) Error() string {
	field := e.Field
	if field != "" {
		field += ": "
	}
	return fmt.Sprintf("%s:%d: %s%s", e.File, e.Line, field, e.Message)
}

// Parse reads a policy. name is that of the file, for errors. read opens the
// files that the policy names (words_file, allow.file); nil refuses them. Every
// error about the policy is an *Error.
func Parse(name string, data []byte, read func(path string) ([]byte, error)) (*Policy, error) {
	root, err := parseYAML(name, data)
	if err != nil {
		return nil, err
	}
	d := &decoder{file: name, read: read}
	p := &Policy{}
	if err := d.policy(root, p); err != nil {
		return nil, err
	}
	return p, nil
}

// JSON returns the canonical form, which Parse reads.
func (p *Policy) JSON() []byte {
	b, err := json.Marshal(p)
	if err != nil {
		panic(err) // only for values that Parse refuses, such as a score that is no number
	}
	return b
}

// Hash returns the SHA-256 of the canonical form, in hexadecimal.
func (p *Policy) Hash() string {
	sum := sha256.Sum256(p.JSON())
	return hex.EncodeToString(sum[:])
}

// Options returns the policy as a Masker takes it: with the entities that are
// masked by default, those that are named and those of the rules.
func (p *Policy) Options() pii.Options {
	o := pii.Options{
		Mode: p.Default, MinScore: p.MinScore, Modes: make(map[string]pii.Mode, len(p.Entities)),
		Entities: pii.DefaultEntities(), Allow: p.Allow.Values, AllowPatterns: p.Allow.Patterns,
	}
	for e, m := range p.Entities {
		o.Modes[e] = m.Mode
		o.Entities = append(o.Entities, e)
	}
	for _, r := range p.Rules {
		o.Rules = append(o.Rules, r.rule())
		o.Entities = append(o.Entities, r.Entity)
	}
	slices.Sort(o.Entities)
	o.Entities = slices.Compact(o.Entities)
	return o
}

func (r *Rule) rule() pii.Rule {
	return pii.Rule{
		Name: r.Name, Entity: r.Entity, Pattern: r.Pattern, Words: r.Words, Score: r.Score,
		Context: r.Context, Labels: r.Labels, Mode: r.Mode,
	}
}

// Lines reads a file of values, one a line, without empty lines and comments,
// which begin with "#". The numbers are those of the lines.
func Lines(data []byte) (values []string, numbers []int, err error) {
	if !utf8.Valid(data) {
		return nil, nil, fmt.Errorf("it is not UTF-8 (try: iconv -f CP949 -t UTF-8)")
	}
	n := 0
	for line := range strings.Lines(strings.TrimPrefix(string(data), "\ufeff")) {
		n++
		if v := strings.TrimSpace(line); v != "" && !strings.HasPrefix(v, "#") {
			values, numbers = append(values, v), append(numbers, n)
		}
	}
	return values, numbers, nil
}
