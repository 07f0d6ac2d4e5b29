package pii

import (
	"cmp"
	"slices"
	"strings"
)

// Guidance is what is known of one record beside the rules: what a model or a
// person who read it said.
type Guidance struct {
	// More are values that are personal, too. The rules go first: a place that
	// they mask stays as they have it.
	More []Suggestion
	// Keep are values that stay in this record although rules find them.
	Keep []Value
}

// Value is a text that is, or is not, personal data of a kind.
type Value struct {
	Entity string `json:"entity"`
	Value  string `json:"value"`
}

// Suggestion is a value that somebody takes for personal data. It is masked
// wherever it stands literally in the record (but for the form of characters) as
// words of its own, with or without a Korean particle, unless it is allowed.
type Suggestion struct {
	Value
	// Recogniser, Evidence and Score are those of the findings. What is suggested
	// with a score below the masker's least is not masked; 0 means the least.
	Recogniser string
	Evidence   string
	Score      float64
}

// The recognisers that are no rules.
const (
	SecondPass = "second_pass" // a language model
	Review     = "review"      // a person
)

// maxSuggestions bounds the work for one record.
const maxSuggestions = 256

// keepSet holds values in the form in which doc.keeps looks them up.
func keepSet(values []Value) map[string]bool {
	if len(values) == 0 {
		return nil
	}
	set := make(map[string]bool, len(values))
	for _, v := range values {
		d := newDoc(v.Value, nil)
		set[v.Entity+" "+foldKey(d.r)] = true
		d.free()
	}
	return set
}

// keeps says whether c is a value that stays in this record.
func (d *doc) keeps(c cand) bool {
	return len(d.keep) > 0 && d.keep[c.entity+" "+foldKey(d.r[c.start:c.end])]
}

// suggest masks the suggested values where the rules have found nothing, and
// says whether there were any.
func (rec *record) suggest(more []Suggestion) bool {
	if len(more) == 0 {
		return false
	}
	for _, d := range rec.ds {
		d.refresh()
		d.clearCands()
	}
	for i, s := range more[:min(len(more), maxSuggestions)] {
		v := newDoc(strings.TrimSpace(s.Value.Value), nil)
		v.scan()
		if s.Recogniser == Review || plausible(v, s.Entity) {
			for _, d := range rec.ds {
				d.addLiteral(v.r, cand{
					entity: s.Entity, score: cmp.Or(s.Score, rec.m.minScore), recogniser: s.Recogniser, evidence: s.Evidence, rank: len(recognisers) + i,
				})
			}
		}
		v.free()
	}
	any := false
	for i, d := range rec.ds {
		if chosen := rec.m.choose(d, rec.m.minScore); len(chosen) > 0 {
			any = true
			rec.names.confirm(d, chosen)
			rec.mask(i, chosen)
		}
	}
	return any
}

// addLiteral proposes c for each place where value stands as words of its own.
func (d *doc) addLiteral(value []rune, c cand) {
	n := len(value)
	if n == 0 || slices.Min(value) <= personToken { // what is masked, or a mask token
		return
	}
	for i := 0; i+n <= len(d.r); i++ {
		d.steps++
		if d.r[i] == value[0] && slices.Equal(d.r[i:i+n], value) && d.standsAlone(i, i+n) {
			c.start, c.end = i, i+n
			d.cands = append(d.cands, c)
			i += n - 1
		}
	}
}

// standsAlone says whether r[start:end] is not a part of longer words. A Korean
// particle or title may hang on it.
func (d *doc) standsAlone(start, end int) bool {
	if sameWord(d.class(start-1), d.cls[start]) {
		return false
	}
	last := d.cls[end-1]
	if last != cHangul || d.class(end) != cHangul {
		return !sameWord(last, d.class(end))
	}
	q := end
	for d.class(q) == cHangul && q-end < 10 {
		q++
	}
	return tailOf(d.r[end:q], hasCoda(d.r[end-1])).ok || strings.Contains(placeTails, " "+string(d.r[end:q])+" ")
}

// placeTails are particles of places, which names do not take.
const placeTails = " 에서 에서는 에서도 에서의 에서만 에는 에도 에만 에의 쪽 쪽에 쪽으로 근처 근처에 근처에서 소재 소재의 "

// sameWord says whether runes of two classes that touch belong to one word.
func sameWord(a, b class) bool {
	return a.word() && b.word() && (a == cHangul) == (b == cHangul)
}

// plausible refuses what a model cannot mean: a label, a usual word or half a
// page as a name, a place without a number or a district as an address.
func plausible(v *doc, entity string) bool {
	switch entity {
	case Person:
		return plausibleName(v)
	case Address:
		return plausibleAddress(v)
	}
	return false
}

// Lengths of names and addresses, in runes.
const (
	longestName     = 40
	longestAddress  = 120
	shortestAddress = 5
)

func plausibleName(v *doc) bool {
	n := len(v.r)
	if n < 2 || n > longestName || len(v.words) > 5 || len(v.hits) == 1 && int(v.hits[0].end-v.hits[0].start) == n {
		return false
	}
	for i, c := range v.cls {
		if c == cDigit || c == cNewline || c == cToken || c == cOther && !strings.ContainsRune(".-'’·,", v.r[i]) {
			return false
		}
	}
	usual := true // nothing but words that are no names
	for _, w := range v.words {
		r := v.r[w.start:w.end]
		switch {
		case w.hangul:
			usual = usual && (koreanNames().words.has(r) || tailKindOf(r) != 0 || len(r) == 1 && len(v.words) == 1)
		case v.cls[w.start] == cUpper:
			usual = usual && (props(r)&latinCommon != 0 || isTitleWord(string(r)))
		case v.cls[w.start] == cLower: // people write names in small letters, too
			usual = usual && (props(r)&latinCommon != 0 || props(r)&(latinFirst|latinLast) == 0 && len(v.words) == 1)
		}
	}
	return !usual || len(v.words) == 0 && v.cls[0] == cHan && n <= 4
}

func plausibleAddress(v *doc) bool {
	if len(v.r) < shortestAddress || len(v.r) > longestAddress || len(v.words) == 0 {
		return false
	}
	district := false
	for _, h := range v.hits {
		district = district || h.kind&(kProvince|kDistrict) != 0
	}
	return district || slices.Contains(v.cls, cDigit)
}
