package pii

import (
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
	"unicode/utf8"
)

// Rule is a recogniser of the user's own: a pattern, or a list of words such as
// the names of the staff or of all clients. One of Pattern and Words is set.
type Rule struct {
	// Name stands in findings as "rule:NAME".
	Name string
	// Entity is one of [Entities], or a new one: capital letters and underscores.
	Entity string
	// Pattern is a regular expression in RE2 syntax (package regexp), so that it
	// takes linear time. It sees the text as the built-in rules do: full-width
	// forms, the digits of every script, dashes and blanks are plain ASCII, and
	// mask tokens are left out. With a group, the first group is what is masked.
	// A match that cuts a run of digits or of Latin letters does not count. A
	// pattern that can match nothing at all is refused.
	Pattern string
	// Words are found as whole words, without regard to the case of Latin letters
	// and the width of characters; a Korean particle or title may follow.
	Words []string
	// Score of a finding; 0 means [DefaultRuleScore].
	Score float64
	// Context are words that raise the score by 0.3 where one of them stands
	// nearby. Labels are words that make a finding certain where one of them
	// stands right before it. So a score below [DefaultMinScore] needs one of them.
	Context, Labels []string
	// Mode of replacement; empty means that of the entity.
	Mode Mode
}

// DefaultRuleScore is the score of what a [Rule] finds: who writes a rule is certain.
const DefaultRuleScore = 1

// entityForm is what entities of the user's own look like: what a mask token
// can hold.
var entityForm = regexp.MustCompile(`^[A-Z](?:[A-Z_]{0,30}[A-Z])$`)

// maxContexts is the number of sets of words that one kind can tell apart.
const maxContexts = 64

// ruleSet holds the rules of a Masker, ready for use.
type ruleSet struct {
	rules    []compiledRule
	words    *automaton        // of all lists; the kind is the number of the rule, from 1
	contexts *automatonOfWords // of all rules; kinds are those of compiledRule
	patterns bool              // there are any
	own      map[string]bool   // entities that are not built in
}

// entities returns those that only the rules have.
func (s *ruleSet) entities() map[string]bool {
	if s == nil {
		return nil
	}
	return s.own
}

// all returns the entities of the rules.
func (s *ruleSet) all() (list []string) {
	if s != nil {
		for i := range s.rules {
			list = append(list, s.rules[i].entity)
		}
	}
	return list
}

type compiledRule struct {
	recogniser
	score          float64
	pattern        *regexp.Regexp // nil for words
	context, label kind
	mode           Mode
}

// newRuleSet returns nil if there are no rules. Errors name the rule.
func newRuleSet(rules []Rule) (*ruleSet, error) {
	if len(rules) == 0 {
		return nil, nil
	}
	s := &ruleSet{own: map[string]bool{}}
	words, contexts := map[string]kind{}, map[string]kind{}
	sets := 0
	for i, r := range rules {
		c, err := r.compile(words, kind(i+1))
		if err != nil {
			return nil, fmt.Errorf("rule %q: %w", r.Name, err)
		}
		if slices.ContainsFunc(rules[:i], func(o Rule) bool { return o.Name == r.Name }) {
			return nil, fmt.Errorf("rule %q: there are two rules of this name", r.Name)
		}
		if !slices.Contains(entities, r.Entity) {
			s.own[r.Entity] = true
		}
		c.rank = i - len(rules) // before the built-in ones
		for _, x := range []struct {
			list []string
			to   *kind
		}{{r.Context, &c.context}, {r.Labels, &c.label}} {
			if len(x.list) == 0 {
				continue
			}
			if sets == maxContexts {
				return nil, fmt.Errorf("rule %q: all rules together can have at most %d lists of context words and labels", r.Name, maxContexts)
			}
			*x.to = 1 << sets
			sets++
			for _, w := range x.list {
				key, err := wordKey(w)
				if err != nil {
					return nil, fmt.Errorf("rule %q: %w", r.Name, err)
				}
				contexts[key] |= *x.to
			}
		}
		s.patterns = s.patterns || c.pattern != nil
		s.rules = append(s.rules, c)
	}
	if len(words) > 0 {
		s.words = newAutomaton(words)
	}
	if len(contexts) > 0 {
		s.contexts = &automatonOfWords{automaton: newAutomaton(contexts)}
	}
	return s, nil
}

// masks says whether a rule with a mode of its own finds the entity.
func (s *ruleSet) masks(entity string) bool {
	return s != nil && slices.ContainsFunc(s.rules, func(c compiledRule) bool { return c.entity == entity && c.mode != "" })
}

// Valid returns an error that says what is wrong with a rule.
func (r Rule) Valid() error {
	_, err := newRuleSet([]Rule{r})
	return err
}

// ValidWord returns an error when a word cannot be one of a [Rule]. It does not
// hold the word.
func ValidWord(w string) error {
	_, err := wordKey(w)
	return err
}

// ValidPattern returns an error when a pattern cannot be one of a [Rule] or an
// allowed one.
func ValidPattern(p string) error {
	_, err := compilePattern(p)
	return err
}

// compile checks a rule and adds its words, under its number, to those of all.
func (r Rule) compile(words map[string]kind, number kind) (compiledRule, error) {
	c := compiledRule{recogniser: recogniser{name: "rule:" + r.Name, entity: r.Entity}, score: r.Score, mode: r.Mode}
	if c.score == 0 {
		c.score = DefaultRuleScore
	}
	switch {
	case strings.TrimSpace(r.Name) == "":
		return c, fmt.Errorf("it has no name")
	case !slices.Contains(entities, r.Entity) && !entityForm.MatchString(r.Entity):
		return c, fmt.Errorf("its entity is %q: use one of %s, or a new name of 2 to 32 capital letters and underscores", r.Entity, strings.Join(entities, ", "))
	case !(c.score > 0 && c.score <= 1):
		return c, fmt.Errorf("its score is %v: use a number above 0 and at most 1", r.Score)
	case (r.Pattern == "") == (len(r.Words) == 0):
		return c, fmt.Errorf("it needs either a pattern or words")
	}
	if r.Pattern != "" {
		var err error
		c.pattern, err = compilePattern(r.Pattern)
		return c, err
	}
	for i, w := range r.Words {
		key, err := wordKey(w)
		if err != nil {
			return c, fmt.Errorf("word %d: %w", i+1, err)
		}
		if words[key] == 0 { // the first rule that has a word keeps it
			words[key] = number
		}
	}
	return c, nil
}

// wordKey returns a word as matching sees it. One character would be found
// everywhere, and characters beyond the basic plane are not in the automaton.
// Errors do not hold the word: it may be somebody's name.
func wordKey(w string) (string, error) {
	d := newDoc(strings.TrimSpace(w), nil)
	defer d.free()
	if len(d.r) < 2 {
		return "", fmt.Errorf("a word must have at least two characters")
	}
	for _, r := range d.r {
		if r <= personToken || r > 0xFFFF {
			return "", fmt.Errorf("a word holds a mask token or a character beyond U+FFFF; use a pattern")
		}
	}
	return strings.ReplaceAll(lowerString(d.r), "_", " "), nil
}

// compilePattern compiles a user's pattern.
func compilePattern(pattern string) (*regexp.Regexp, error) {
	tree, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return nil, fmt.Errorf("the pattern is wrong: %w (the syntax is RE2's: no look-around and no back-references)", err)
	}
	if matchesNothing(tree) {
		return nil, fmt.Errorf("the pattern can match an empty text, so it would match everywhere: let it need at least one character")
	}
	return regexp.Compile(pattern)
}

// matchesNothing says whether an expression, or its first group, can match
// without using up a character.
func matchesNothing(t *syntax.Regexp) bool {
	if group := firstGroup(t); group != nil && empty(group.Sub[0]) {
		return true
	}
	return empty(t)
}

func firstGroup(t *syntax.Regexp) *syntax.Regexp {
	if t.Op == syntax.OpCapture && t.Cap == 1 {
		return t
	}
	for _, sub := range t.Sub {
		if g := firstGroup(sub); g != nil {
			return g
		}
	}
	return nil
}

func empty(t *syntax.Regexp) bool {
	switch t.Op {
	case syntax.OpLiteral:
		return len(t.Rune) == 0
	case syntax.OpCharClass, syntax.OpAnyChar, syntax.OpAnyCharNotNL, syntax.OpNoMatch:
		return false
	case syntax.OpPlus, syntax.OpCapture:
		return empty(t.Sub[0])
	case syntax.OpRepeat:
		return t.Min == 0 || empty(t.Sub[0])
	case syntax.OpConcat:
		return !slices.ContainsFunc(t.Sub, func(s *syntax.Regexp) bool { return !empty(s) })
	case syntax.OpAlternate:
		return slices.ContainsFunc(t.Sub, empty)
	}
	return true // star, question mark and the borders
}

// find proposes what the rules find in d.
func (s *ruleSet) find(d *doc) {
	if s == nil {
		return
	}
	if s.contexts != nil { // near and after look at d.hits
		own, index := d.hits, d.hitIndex
		d.hits, d.hitIndex = nil, nil
		s.contexts.scan(d)
		defer func() { d.hits, d.hitIndex = own, index }()
	}
	if s.words != nil {
		s.findWords(d)
	}
	if !s.patterns {
		return
	}
	for from, to := 0, 0; from < len(d.r); from = to + 1 {
		for to = from; to < len(d.r) && d.cls[to] != cToken; to++ {
		}
		if to > from {
			s.findPatterns(d, from, to)
		}
	}
}

// findWords goes over the text once for the words of all rules.
func (s *ruleSet) findWords(d *doc) {
	a := s.words
	state := int32(0)
	for i, r := range d.r {
		state = a.next(state, r)
		// The longest word that ends here, and if it is part of another word, a shorter one.
		for at := state; a.ends(at).length > 0; at = a.states[at].fail {
			d.steps++
			o := a.ends(at)
			if start := i + 1 - int(o.length); d.wordStands(start, i+1) {
				s.add(d, &s.rules[o.kind-1], start, i+1, "word of a list")
				break
			}
		}
	}
}

// wordStands says whether r[start:end] is a word by itself: no letter or digit
// of its kind goes on before or behind it, but a Korean label may run straight
// into it and particles or titles may hang on it.
func (d *doc) wordStands(start, end int) bool {
	if joins(d.class(start-1), d.cls[start]) && !d.endsHit(start) {
		return false
	}
	if d.cls[end-1] != cHangul {
		return !joins(d.cls[end-1], d.class(end))
	}
	q := end
	for q < len(d.r) && q-end < 10 && d.cls[q] == cHangul {
		q++
	}
	return tailOf(d.r[end:q], hasCoda(d.r[end-1])).ok
}

// joins says whether two neighbours belong to one word.
func joins(a, b class) bool {
	alnum := func(c class) bool { return c == cDigit || c.latin() }
	return alnum(a) && alnum(b) || a == b && (a == cHangul || a == cLetter)
}

// findPatterns looks for the patterns in r[from:to], which holds no mask token.
func (s *ruleSet) findPatterns(d *doc, from, to int) {
	text := d.slice(from, to)
	for i := range s.rules {
		c := &s.rules[i]
		if c.pattern == nil {
			continue
		}
		pos, at := 0, from // at is where text[pos:] begins in r
		for _, m := range c.pattern.FindAllStringSubmatchIndex(text, -1) {
			b, e := m[0], m[1]
			if len(m) > 2 {
				b, e = m[2], m[3]
			}
			if b < pos || b == e { // the group took no part
				continue
			}
			start := at + utf8.RuneCountInString(text[pos:b])
			end := start + utf8.RuneCountInString(text[b:e])
			pos, at = e, end
			if cutsRun(d.class(start-1), d.cls[start]) || cutsRun(d.cls[end-1], d.class(end)) {
				continue
			}
			s.add(d, c, start, end, "pattern")
		}
	}
}

// cutsRun says whether a border between two neighbours lies inside of a number
// or of a Latin word.
func cutsRun(a, b class) bool { return a == cDigit && b == cDigit || a.latin() && b.latin() }

// add weighs and proposes r[start:end].
func (s *ruleSet) add(d *doc, c *compiledRule, start, end int, why string) {
	score := c.score
	switch {
	case c.label != 0 && d.behindWord(start, c.label):
		score, why = 1, why+", label"
	case c.context != 0 && d.besideWord(start, end, c.context):
		score, why = score+0.3, why+", word nearby"
	}
	d.add(&c.recogniser, start, end, score, why)
}

// behindWord says whether a word of the kind stands right before r[start], but
// for blanks, marks and small words.
func (d *doc) behindWord(start int, k kind) bool {
	h, ok := d.near(start, maxGap, k)
	if !ok {
		return false
	}
	for p := int(h.end); p < start; {
		n := 1
		switch {
		case d.cls[p] == cSpace, d.cls[p] == cNewline, d.cls[p] == cOther && isFieldMark(d.r[p]):
		default:
			n = d.filler(p)
		}
		if n == 0 {
			return false
		}
		p += n
	}
	return true
}

// besideWord says whether a word of the kind stands before or behind r[start:end].
func (d *doc) besideWord(start, end int, k kind) bool {
	if _, ok := d.near(start, window, k); ok {
		return true
	}
	_, ok := d.after(end, window/2, k)
	return ok
}
