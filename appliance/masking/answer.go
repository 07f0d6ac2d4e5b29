package masking

import (
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"cloister/store/pii"
)

// Answer masks what a model says, piece by piece, with labels such as [PERSON].
// They hold no number by which anybody could be looked up, and put nothing into
// the vault: what a model makes up is nobody's value. Mask tokens that a model
// has learnt to write become labels as well.
//
// A piece is held back until the sentence or line that it belongs to has ended
// and some 100 bytes have followed, which may still show that a name is one or
// that a number goes on. So an answer comes sentence by sentence, 30 to 60 tokens
// behind the model. A name that only a later sentence gives away has then been
// said; Whole has no such limit.
//
// In an answer that is JSON, labels outside of strings get quotation marks, and
// quotation marks are never masked, so that it stays JSON.
//
// An Answer is not safe for concurrent use.
type Answer struct {
	s        *Service
	question string

	text     string // what was said last; released up to said, and then held back
	said     int
	begun    bool // something was said that is no blank
	json     bool
	inString bool // of JSON, at said
}

const (
	answerBack  = 2000 // bytes before what is held back that the masker sees
	answerAhead = 96   // bytes behind a sentence that it sees
	answerHeld  = 2000 // bytes that are held back at most, but for one finding
)

// Answer begins to mask the answer to a question, which gives evidence.
func (s *Service) Answer(question string) *Answer {
	from := max(0, len(question)-answerBack)
	for from < len(question) && !utf8.RuneStart(question[from]) {
		from++
	}
	return &Answer{s: s, question: question[from:]}
}

// Whole masks an answer that is there as a whole.
func (s *Service) Whole(question, text string) (string, error) {
	a := s.Answer(question)
	a.text = text
	return a.End()
}

// Add takes up a piece and returns what can be said now, perhaps nothing.
func (a *Answer) Add(piece string) (string, error) {
	a.text += piece
	cut := a.boundary()
	if cut <= a.said {
		return "", nil
	}
	return a.release(cut, false)
}

// End returns the rest.
func (a *Answer) End() (string, error) { return a.release(len(a.text), true) }

// boundary is the end of the last sentence or line that enough follows, or,
// where much is held back, a blank or any place.
func (a *Answer) boundary() int {
	last := len(a.text) - answerAhead
	for i := last; i > a.said; i-- {
		switch c := a.text[i-1]; {
		case c == '\n', c == ' ' && i > 1 && strings.IndexByte(".!?", a.text[i-2]) >= 0:
			return i
		}
	}
	if last-a.said < answerHeld {
		return 0
	}
	if i := strings.LastIndexByte(a.text[a.said:last], ' '); i >= 0 {
		return a.said + i + 1
	}
	for !utf8.RuneStart(a.text[last]) {
		last--
	}
	return last
}

// release says the text up to a place, or up to the finding or token around it.
func (a *Answer) release(cut int, last bool) (string, error) {
	marks, err := a.s.marks(a.question, a.text)
	if err != nil {
		return "", err
	}
	for _, m := range marks {
		if !last && m.Start < cut && cut < m.End {
			cut = m.Start
		}
	}
	if cut <= a.said {
		return "", nil
	}
	if !a.begun {
		if start := strings.TrimLeftFunc(a.text[a.said:cut], unicode.IsSpace); start != "" {
			a.begun = true
			a.json = start[0] == '{' || start[0] == '[' && strings.HasPrefix(strings.TrimLeft(start[1:]+" ", " \r\n\t"), "{") || strings.HasPrefix(start, `["`)
		}
	}
	var b strings.Builder
	at := a.said
	for _, m := range marks {
		if m.End <= at || m.Start >= cut {
			continue
		}
		a.pass(&b, a.text[at:max(at, m.Start)])
		a.mark(&b, a.text[max(at, m.Start):m.End], m.Token)
		at = m.End
	}
	a.pass(&b, a.text[at:cut])
	a.said = cut
	if drop := a.said - answerBack; drop > answerBack { // now and then
		for !utf8.RuneStart(a.text[drop]) {
			drop--
		}
		a.text, a.said = a.text[drop:], a.said-drop
	}
	return b.String(), nil
}

// pass writes text as it is.
func (a *Answer) pass(b *strings.Builder, text string) {
	b.WriteString(text)
	if !a.json {
		return
	}
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] == '\\' && a.inString:
			i++
		case text[i] == '"':
			a.inString = !a.inString
		}
	}
}

// mark writes a label in the place of text; of JSON quotation marks stay.
func (a *Answer) mark(b *strings.Builder, text, label string) {
	if !a.json {
		b.WriteString(label)
		return
	}
	for i, part := range strings.Split(text, `"`) {
		if i > 0 {
			a.pass(b, `"`)
		}
		switch plain := strings.IndexFunc(part, func(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }) < 0; {
		case plain:
			a.pass(b, part)
		case a.inString:
			b.WriteString(label)
		default:
			b.WriteString(`"` + label + `"`)
		}
	}
}

// marks are the findings and the mask tokens of an answer, in order, with their labels.
func (s *Service) marks(question, text string) ([]pii.Finding, error) {
	labels, err := s.labels()
	if err != nil {
		return nil, err
	}
	_, all, err := labels.MaskRecord([]string{question, text})
	if err != nil {
		return nil, err
	}
	var out []pii.Finding
	found := all[1]
	for at, token := range pii.MaskTokens(text) {
		for len(found) > 0 && found[0].Start < at {
			out, found = append(out, found[0]), found[1:]
		}
		entity := token[1:strings.LastIndexByte(token, '_')]
		out = append(out, pii.Finding{Entity: entity, Start: at, End: at + len(token), Token: "[" + entity + "]"})
	}
	return append(out, found...), nil
}

// labels is the masker of the same rules that writes labels.
func (s *Service) labels() (*pii.Masker, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.labeller == nil || s.labelled != s.masker {
		o, err := s.options(s.settings)
		if err != nil {
			return nil, err
		}
		m, err := pii.New(nil, labelled(o))
		if err != nil {
			return nil, err
		}
		s.labeller, s.labelled = m, s.masker
	}
	return s.labeller, nil
}

// labelled are the options of a masker that writes labels in the place of all
// that is not kept.
func labelled(o pii.Options) pii.Options {
	label := func(m pii.Mode) pii.Mode {
		if m == pii.ModeKeep {
			return m
		}
		return pii.ModeLabel
	}
	o.Mode, o.Modes, o.Rules = label(o.Mode), maps.Clone(o.Modes), slices.Clone(o.Rules)
	for entity, m := range o.Modes {
		o.Modes[entity] = label(m)
	}
	for i := range o.Rules {
		if m := o.Rules[i].Mode; m != "" {
			o.Rules[i].Mode = label(m)
		}
	}
	return o
}
