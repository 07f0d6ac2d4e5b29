package pii

import (
	"errors"
	"fmt"
	"slices"
	"sort"
	"strings"
)

// maxAgain bounds how often a masked text is masked again. From the third time
// on what changes gets tokens, which are stable by their form.
const maxAgain = 6

// MaskRecord masks the texts of one record, such as a question and its answer:
// a name that is certain in one of them is masked in all, and all dates are
// shifted alike. Results are in the order of texts.
//
// Where something was written that is plain text (a surrogate, a part of a
// number), the result is masked again, as anyone might, until nothing changes.
func (m *Masker) MaskRecord(texts []string) ([]Masked, [][]Finding, error) {
	return m.MaskGuided(texts, Guidance{})
}

// MaskGuided is MaskRecord with what is known of the record beside the rules.
func (m *Masker) MaskGuided(texts []string, g Guidance) ([]Masked, [][]Finding, error) {
	all := m.find(texts, g)
	w := writer{m: m, person: m.person(texts, all)}
	rs := make([]*rewriting, len(texts))
	plain := false
	for i, text := range texts {
		rs[i] = &rewriting{text: text, masked: text}
		if _, err := w.rewrite(rs[i], all[i]); err != nil {
			return nil, nil, err
		}
		plain = plain || rs[i].plain()
	}
	for changed := plain; changed && w.round < maxAgain; {
		w.round++
		changed = false
		again := make([]string, len(rs))
		for i, r := range rs {
			again[i] = r.masked
		}
		for i, found := range m.find(again, Guidance{Keep: g.Keep}) {
			c, err := w.rewrite(rs[i], found)
			if err != nil {
				return nil, nil, err
			}
			changed = changed || c
		}
	}
	masked := make([]Masked, len(rs))
	for i, r := range rs {
		masked[i] = Masked{r.masked}
		all[i] = make([]Finding, len(r.edits))
		for j, e := range r.edits {
			all[i][j] = e.f
		}
	}
	return masked, all, nil
}

// edit is a finding with what stands in its place, text[start:end] and out: the
// finding's, and the particle behind a surrogate.
type edit struct {
	start, end int
	out        string
	f          Finding
}

// rewriting is a text on its way to its masked form.
type rewriting struct {
	text   string
	edits  []edit // in order
	masked string
	stops  []int // where each edit ends in masked
}

// plain says whether an edit wrote something that is no mark.
func (r *rewriting) plain() bool {
	return slices.ContainsFunc(r.edits, func(e edit) bool { return !e.f.Mode.marks() })
}

// join writes the masked text.
func (r *rewriting) join() {
	var b strings.Builder
	b.Grow(len(r.text) + 8*len(r.edits))
	r.stops = r.stops[:0]
	last := 0
	for _, e := range r.edits {
		b.WriteString(r.text[last:e.start])
		b.WriteString(e.out)
		r.stops = append(r.stops, b.Len())
		last = e.end
	}
	b.WriteString(r.text[last:])
	r.masked = b.String()
}

// original returns the stretch of text that masked[start:end] stands for: it
// takes in every edit that it touches.
func (r *rewriting) original(start, end int) (from, to int) {
	i := sort.Search(len(r.edits), func(i int) bool { return r.stops[i] > start })
	back := 0 // of a place in text against the one in masked
	if i > 0 {
		back = r.edits[i-1].end - r.stops[i-1]
	}
	from, to = start+back, end+back
	for ; i < len(r.edits) && r.stops[i]-len(r.edits[i].out) < end; i++ {
		e := &r.edits[i]
		from = min(from, e.start)
		if to = e.end; r.stops[i] < end {
			to = end + e.end - r.stops[i]
		}
	}
	return from, to
}

// cuts says whether masked[start:end] touches an edit and is not just what that
// wrote: then [Unmask] would take it for something else.
func (r *rewriting) cuts(start, end int) bool {
	i := sort.Search(len(r.edits), func(i int) bool { return r.stops[i] > start })
	if i == len(r.edits) {
		return false
	}
	at := r.stops[i] - len(r.edits[i].out)
	return at < end && (at != start || at+len(r.edits[i].f.Token) != end)
}

// writer replaces the findings of one record.
type writer struct {
	m      *Masker
	person string // whose dates are shifted
	round  int
}

// rewrite takes up findings in r.masked, and says whether they change it.
func (w *writer) rewrite(r *rewriting, found []Finding) (changed bool, err error) {
	var fresh []edit
	for _, f := range found {
		seen, mode := r.masked[f.Start:f.End], w.m.modeOf(&f)
		if mode != ModeSurrogate || !r.cuts(f.Start, f.End) {
			stays, err := w.stays(f.Entity, seen, mode)
			if err != nil {
				return false, err
			}
			if stays {
				continue
			}
		}
		if f.Start, f.End = r.original(f.Start, f.End); len(fresh) > 0 && f.Start < fresh[len(fresh)-1].end {
			continue // both touch one edit; the next look will tell
		}
		if w.round >= 3 {
			mode = ModeToken
		}
		if f.Token, f.Mode, err = w.write(f.Entity, r.text[f.Start:f.End], mode); err != nil {
			return false, err
		}
		fresh = append(fresh, edit{f.Start, f.End, f.Token, f})
	}
	if len(fresh) == 0 {
		return false, nil
	}
	r.edits = mergeEdits(r.edits, fresh)
	return true, w.settle(r)
}

// mergeEdits joins two lists in order; old ones that fresh ones touch are dropped.
func mergeEdits(old, fresh []edit) []edit {
	if len(old) == 0 {
		return fresh
	}
	out := make([]edit, 0, len(old)+len(fresh))
	for _, f := range fresh {
		for len(old) > 0 && old[0].end <= f.start {
			out, old = append(out, old[0]), old[1:]
		}
		for len(old) > 0 && old[0].start < f.end {
			old = old[1:]
		}
		out = append(out, f)
	}
	return append(out, old...)
}

// stays says whether what was found is what the mode makes of it, and so was
// most likely made by it.
func (w *writer) stays(entity, seen string, mode Mode) (bool, error) {
	switch mode {
	case ModeKeep:
		return true, nil
	case ModePartial:
		out, ok := partial(entity, seen)
		return ok && out == seen, nil
	case ModeGeneralise:
		out, ok := generalise(entity, seen)
		return ok && out == seen, nil
	case ModeSurrogate:
		_, err := w.m.vault.Reveal(seen)
		if !errors.Is(err, ErrUnknownToken) {
			return err == nil, err
		}
		if s := surrogates[entity]; s.reserved == nil || !s.reserved(seen) {
			return false, nil
		}
		// It is nobody's. From now on it stands for itself.
		_, err = w.m.names.Surrogate(entity, seen, func(try int) (string, bool) { return seen, try == 0 })
		return true, err
	}
	return false, nil
}

// write returns what stands in the place of a value, and the mode that made it.
func (w *writer) write(entity, value string, mode Mode) (out string, made Mode, err error) {
	ok := true
	switch mode {
	case ModeLabel:
		out = "[" + entity + "]"
	case ModeHMAC:
		out = w.m.hmac(entity, value)
	case ModeDelete:
	case ModePartial:
		out, ok = partial(entity, value)
	case ModeGeneralise:
		out, ok = generalise(entity, value)
	case ModeShift:
		out, ok = shiftDate(value, w.m.shiftDays(w.person))
	case ModeSurrogate:
		out, err = w.m.names.Surrogate(entity, value, func(try int) (string, bool) {
			return w.m.propose(entity, value, try)
		})
		ok = out != ""
	default:
		ok = false
	}
	if err == nil && ok {
		return out, mode, nil
	}
	if err == nil {
		out, err = w.m.vault.Token(entity, value)
	}
	if err != nil {
		return "", "", fmt.Errorf("the vault gave nothing for a %s: %w", entity, err)
	}
	return out, ModeToken, nil
}

// settle joins the edits, with the particles behind surrogates, and gives a
// token to each surrogate that [Unmask] would not know again where it stands.
func (w *writer) settle(r *rewriting) error {
	for {
		for i := range r.edits {
			if e := &r.edits[i]; e.f.Mode == ModeSurrogate {
				limit := len(r.text)
				if i+1 < len(r.edits) {
					limit = r.edits[i+1].start
				}
				n := hangulRun(r.text[e.f.End:limit])
				p, ok := swapParticle(r.text[e.f.End:e.f.End+n], r.text[e.f.Start:e.f.End], e.f.Token)
				if e.end, e.out = e.f.End, e.f.Token; ok {
					e.end, e.out = e.f.End+n, e.f.Token+p
				}
			}
		}
		r.join()
		again := false
		for i := range r.edits {
			e := &r.edits[i]
			if e.f.Mode != ModeSurrogate || w.known(r, i) {
				continue
			}
			var err error
			if e.f.Token, e.f.Mode, err = w.write(e.f.Entity, r.text[e.f.Start:e.f.End], ModeToken); err != nil {
				return err
			}
			e.end, e.out = e.f.End, e.f.Token
			again = true
		}
		if !again {
			return nil
		}
	}
}

// known says whether the surrogate of edit i stands in the masked text as
// [Unmask] looks for it, with the same particle behind it.
func (w *writer) known(r *rewriting, i int) bool {
	e := &r.edits[i]
	start := r.stops[i] - len(e.out)
	end := start + len(e.f.Token)
	if !surrogateStands(r.masked, start, end) {
		return false
	}
	if i+1 == len(r.edits) {
		return true
	}
	next := &r.edits[i+1]
	touches := next.start == e.f.End+hangulRun(r.text[e.f.End:next.start])
	return !touches || next.out != "" && hangulRun(next.out) == 0
}

// person returns whose record it is: the first name in it, or "" without one.
// A name that was masked before is looked up.
func (m *Masker) person(texts []string, all [][]Finding) string {
	if m.names == nil {
		return ""
	}
	for i, text := range texts {
		at, name := len(text), ""
		for _, f := range all[i] {
			if f.Entity == Person {
				at, name = f.Start, text[f.Start:f.End]
				break
			}
		}
		if t := strings.Index(text[:at], "<"+Person+"_"); t >= 0 {
			if n := tokenLen(text[t:]); n > 0 {
				name = text[t : t+n]
			}
		}
		if value, err := m.vault.Reveal(name); name != "" && err == nil {
			name = value
		}
		if name != "" {
			return identityOf(name)
		}
	}
	return ""
}
