package pii_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"cloister/store/pii"
)

// How the evaluation set is scored.
//
// A span counts as found where a finding of its entity has its very bounds. What
// is nothing but a matter of taste is not counted either way:
//
//   - FAX counts as PHONE. Numbers of institutions are PHONE as well: a detector
//     cannot know whose a number is; the allow list is for that.
//   - A postcode beside an address is labelled alone. A finding ADDRESS may hold
//     it or not, and a finding ADDRESS or POSTCODE finds it.
//   - DOC_ID (receipt, policy and student numbers) is found by MEDICAL_RECORD_NO
//     and LICENSE_NO, too: what a "number" of a form is called is local habit.
//   - DATE: whole dates are labelled. Findings of DATE, URL, AGE, EDUCATION,
//     POSITION and NATIONALITY where nothing is labelled are not counted.
//   - Findings inside of text that is marked with "?" are not counted: districts
//     without an address, numbers of a parcel, an order or a flat's register.
//
// Everything else that is found and not labelled is a false alarm: of the entity
// of the label that it touches, if that is its own, else of its own.

var (
	foundAs = map[string][]string{
		pii.Phone:      {pii.Fax},
		pii.Postcode:   {pii.Address},
		pii.DocumentID: {pii.MedicalRecord, pii.LicenseNumber},
	}
	notCounted = []string{pii.Date, pii.URL, pii.Age, pii.OldAge, pii.Education, pii.Position, pii.Nationality}
)

const maybe = "?"

// finds tells whether a finding of the entity may be one of what is labelled.
func finds(entity, label string) bool {
	return entity == label || slices.Contains(foundAs[label], entity)
}

// besidePostcode is what stands between an address and its postcode.
const besidePostcode = " \t\r\n()[]〒우,-:"

// trimPostcode cuts labelled postcodes off both ends of an address.
func trimPostcode(text string, f pii.Finding, labels []span) pii.Finding {
	for _, s := range labels {
		if s.Label != pii.Postcode || s.BStart < f.Start || s.BEnd > f.End {
			continue
		}
		if strings.Trim(text[f.Start:s.BStart], besidePostcode) == "" {
			rest := strings.TrimLeft(text[s.BEnd:f.End], besidePostcode)
			f.Start = f.End - len(rest)
		} else if strings.Trim(text[s.BEnd:f.End], besidePostcode) == "" {
			f.End = f.Start + len(strings.TrimRight(text[f.Start:s.BStart], besidePostcode))
		}
	}
	return f
}

func overlap(f pii.Finding, s span) int { return max(0, min(f.End, s.BEnd)-max(f.Start, s.BStart)) }

// scores counts per entity.
type scores map[string]*tally

func (s scores) of(entity string) *tally {
	if s[entity] == nil {
		s[entity] = &tally{}
	}
	return s[entity]
}

func (s scores) addAll(o scores) {
	for e, t := range o {
		s.of(e).add(*t)
	}
}

func total(rows []scores) scores {
	all := scores{}
	for _, s := range rows {
		all.addAll(s)
	}
	return all
}

// sum is over the entities named, or over all.
func (s scores) sum(entities ...string) tally {
	var all tally
	for e, t := range s {
		if len(entities) == 0 || slices.Contains(entities, e) {
			all.add(*t)
		}
	}
	return all
}

// score compares the findings in one text with its labels. Findings of the
// entities in free are false alarms nowhere but on a label of their own; wrongly
// hears of each miss and each false alarm.
func score(row labelled, found []pii.Finding, free []string, wrongly func(kind, entity string, f pii.Finding)) scores {
	result := scores{}
	bounds := make([]pii.Finding, len(found)) // without postcodes
	for i, f := range found {
		bounds[i] = f
		if f.Entity == pii.Address {
			bounds[i] = trimPostcode(row.Text, f, row.Spans)
		}
	}
	settled := make([]bool, len(found))
	for _, s := range row.Spans {
		if s.Label == maybe {
			for i, f := range found {
				settled[i] = settled[i] || s.BStart <= f.Start && f.End <= s.BEnd
			}
			continue
		}
		label := scoredAs(s.Label)
		t, hit, covered := result.of(label), false, 0
		for i, f := range found {
			if !finds(f.Entity, label) {
				continue
			}
			covered += overlap(f, s)
			exact := bounds[i].Start == s.BStart && bounds[i].End == s.BEnd
			hit = hit || exact || label == pii.Postcode && overlap(f, s) == s.BEnd-s.BStart
			if exact && !settled[i] {
				settled[i] = true
				t.bytesOf += s.BEnd - s.BStart
			}
		}
		t.bytesHit += covered
		t.bytesMissed += s.BEnd - s.BStart - covered
		if hit {
			t.hit++
			if label == pii.Postcode {
				t.bytesOf += covered
			}
			continue
		}
		t.missed++
		wrongly("missed", label, pii.Finding{Start: s.BStart, End: s.BEnd})
	}
	for i, f := range found {
		if settled[i] {
			continue
		}
		entity := scoredAs(f.Entity)
		touched := slices.IndexFunc(row.Spans, func(s span) bool { return overlap(f, s) > 0 && finds(f.Entity, scoredAs(s.Label)) })
		if touched >= 0 {
			entity = scoredAs(row.Spans[touched].Label)
		} else if slices.Contains(free, f.Entity) {
			continue
		}
		result.of(entity).wrong++
		result.of(entity).bytesOf += f.End - f.Start
		wrongly("wrong", entity, f)
	}
	return result
}

// scoreLine is a row of a Markdown table.
func scoreLine(name string, parts ...tally) string {
	var b strings.Builder
	fmt.Fprintf(&b, "| %s |", name)
	for _, t := range parts {
		if t.hit+t.missed == 0 {
			b.WriteString(" – | – | – | – | – |")
			continue
		}
		fmt.Fprintf(&b, " %d | %.3f | %.3f | %.3f | %.3f |", t.hit+t.missed, t.precision(), t.recall(), t.f1(), t.overlapF1())
	}
	return b.String() + "\n"
}

// TestScore shows the rules above one by one.
func TestScore(t *testing.T) {
	const text = "{PERSON|한나래}, (우 {POSTCODE|04001}) {ADDRESS|서울 마포구 양화로 12}, {?|서울 강남구}, 접수 {DOC_ID|2024-11}, {FAX|02-300-1234}, 2024-01-02"
	row := parseMarked("rules", text)
	finding := func(entity, first, last string) pii.Finding {
		start := strings.Index(row.Text, first)
		return pii.Finding{Entity: entity, Start: start, End: start + strings.Index(row.Text[start:], last) + len(last)}
	}
	right := []pii.Finding{
		finding(pii.Person, "한", "래"), finding(pii.Postcode, "04001", "04001"), finding(pii.Address, "서울 마", "12"),
		finding(pii.MedicalRecord, "2024-11", "2024-11"), finding(pii.Phone, "02-", "1234"),
	}
	for _, test := range []struct {
		name               string
		change             func([]pii.Finding) []pii.Finding
		hit, missed, wrong int
		lost               int // bytes
	}{
		{"all", func(f []pii.Finding) []pii.Finding { return f }, 5, 0, 0, 0},
		{"postcode in the address", func(f []pii.Finding) []pii.Finding {
			f[2] = finding(pii.Address, "(우 04", "로 12")
			return slices.Delete(f, 1, 2)
		}, 5, 0, 0, 0},
		{"a particle in the name", func(f []pii.Finding) []pii.Finding { f[0].End++; return f }, 4, 1, 1, 0},
		{"half of the name", func(f []pii.Finding) []pii.Finding { f[0].End -= 3; return f }, 4, 1, 1, 3},
		{"no name", func(f []pii.Finding) []pii.Finding { return f[1:] }, 4, 1, 0, 9},
		{"another entity", func(f []pii.Finding) []pii.Finding { f[0].Entity = pii.Email; return f }, 4, 1, 1, 9},
		{"fax by name", func(f []pii.Finding) []pii.Finding { f[4].Entity = pii.Fax; return f }, 5, 0, 0, 0},
		{"a district", func(f []pii.Finding) []pii.Finding { return append(f, finding(pii.Address, "서울 강", "구")) }, 5, 0, 0, 0},
		{"a date", func(f []pii.Finding) []pii.Finding { return append(f, finding(pii.Date, "2024-01", "02")) }, 5, 0, 0, 0},
		{"a birth date that is none", func(f []pii.Finding) []pii.Finding { return append(f, finding(pii.DateOfBirth, "2024-01", "02")) }, 5, 0, 1, 0},
	} {
		got := score(row, test.change(slices.Clone(right)), notCounted, func(string, string, pii.Finding) {}).sum()
		if got.hit != test.hit || got.missed != test.missed || got.wrong != test.wrong || got.bytesMissed != test.lost {
			t.Errorf("%s: %d found, %d missed, %d wrong, %d bytes lost; want %d, %d, %d, %d",
				test.name, got.hit, got.missed, got.wrong, got.bytesMissed, test.hit, test.missed, test.wrong, test.lost)
		}
	}
}
