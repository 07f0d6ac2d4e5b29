package datasets

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"strings"

	"cloister/appliance/fault"
	"cloister/appliance/masking"
	"cloister/store"
	"cloister/store/pii"
)

// turn is one message before masking.
type turn struct {
	role, content string
	weight        *int
}

// judgement is what is thought of an example's last answer, before masking;
// see store.Judgement.
type judgement struct {
	rejected  string
	desirable *bool
}

// builder masks examples one by one and gathers what the report says of them.
// It is not safe for concurrent use.
type builder struct {
	mask     *masking.Service
	system   string // the masked system prompt for examples that have none
	inSystem int    // findings in it
	examples []store.NewExample
	// unique leaves out examples that are there already, word for word.
	unique bool
	seen   map[[sha256.Size]byte]bool // examples by the hash of their texts

	// second is what a model proposed for the file's rows; nil without a second pass.
	second *secondPass

	entities pii.Summary
	rows     int // examples with findings
	values   map[string]*value
	asked    map[string]bool // tokens that stand in questions
}

// value is a masked value that stands in answers.
type value struct {
	entity string
	rows   int
	groups map[string]bool
}

// newBuilder returns a builder that masks as mask does now.
func newBuilder(mask *masking.Service) *builder {
	return &builder{
		mask: mask.Pinned(), seen: map[[sha256.Size]byte]bool{}, entities: pii.Summary{},
		values: map[string]*value{}, asked: map[string]bool{},
	}
}

// setSystem sets the system prompt for examples that have none.
func (b *builder) setSystem(text string) error {
	masked, findings, err := b.mask.Mask(strings.TrimSpace(text))
	if err != nil {
		return err
	}
	b.system, b.inSystem = masked.String(), len(findings)
	return nil
}

// add masks an example and takes it up.
func (b *builder) add(row int, group string, split store.Split, turns []turn, j judgement) error {
	if b.system != "" && (len(turns) == 0 || turns[0].role != "system") {
		turns = append([]turn{{role: "system", content: b.system}}, turns...)
	}
	turns = withRejected(turns, j)
	g, err := b.mask.Guidance(own(turns))
	if err != nil {
		return err
	}
	g.More = append(g.More, b.second.of(row)...)
	masked, findings, err := b.mask.MaskGuided(contents(turns), g)
	if err != nil {
		return err
	}
	ex := store.NewExample{Row: row, Group: group, Split: split, Desirable: j.desirable}
	identity := sha256.New()
	for i, t := range turns {
		if j.rejected != "" && i == len(turns)-1 {
			ex.Rejected = masked[i]
			fmt.Fprintf(identity, "rejected\x00%s\x00", masked[i])
			break
		}
		ex.Messages = append(ex.Messages, store.NewMessage{Role: t.role, Content: masked[i], Weight: t.weight})
		fmt.Fprintf(identity, "%s\x00%s\x00%v\x00", t.role, masked[i], t.weight == nil || *t.weight != 0)
	}
	if j.desirable != nil {
		fmt.Fprintf(identity, "desirable\x00%v\x00", *j.desirable)
	}
	key := [sha256.Size]byte(identity.Sum(nil))
	if b.unique && b.seen[key] {
		return nil
	}
	b.seen[key] = true
	b.examples = append(b.examples, ex)
	b.count(group, turns, findings)
	return b.second.count(row, contents(turns), findings)
}

// contents are the texts of turns.
func contents(turns []turn) []string {
	texts := make([]string, len(turns))
	for i, t := range turns {
		texts[i] = t.content
	}
	return texts
}

// own are the texts that identify an example: without the system prompt, which
// may be another one at the next import.
func own(turns []turn) []string {
	if len(turns) > 0 && turns[0].role == "system" {
		turns = turns[1:]
	}
	return contents(turns)
}

// withRejected adds the answer of a pair that is not preferred, so that it is
// masked with the rest and a value has one token in both answers.
func withRejected(turns []turn, j judgement) []turn {
	if j.rejected == "" {
		return turns
	}
	return append(slices.Clip(turns), turn{role: "assistant", content: j.rejected})
}

// addStored takes up an example of an older version. Its texts are masked
// already; they pass through the masker again, which leaves mask tokens alone.
func (b *builder) addStored(row int, group string, split store.Split, messages []store.Message, j store.Judgement) error {
	turns := make([]turn, len(messages))
	for i, m := range messages {
		turns[i] = turn{m.Role, m.Content, m.Weight}
	}
	return b.add(row, group, split, turns, judgement{j.Rejected, j.Desirable})
}

// kindNames say what an example of a kind is.
var kindNames = map[store.Kind]string{
	store.Answers: "has neither a non_preferred_output nor a label", store.Pairs: "is a preference pair", store.Judged: "has a label",
}

// oneKind refuses examples of several kinds.
func (b *builder) oneKind() error {
	kind := func(e *store.NewExample) store.Kind {
		return store.Judgement{Rejected: e.Rejected.String(), Desirable: e.Desirable}.Kind()
	}
	for i := range b.examples {
		if first, other := kind(&b.examples[0]), kind(&b.examples[i]); first != other {
			return fault.New(fault.Invalid, "mixed_examples", "", "Row %d %s, and row %d %s; the examples of one dataset are all of one kind, so make two datasets of them.",
				b.examples[0].Row, kindNames[first], b.examples[i].Row, kindNames[other])
		}
	}
	return nil
}

// count notes the findings of one example.
func (b *builder) count(group string, turns []turn, findings [][]pii.Finding) {
	inRow := map[string]bool{}
	any := false
	for i, list := range findings {
		any = any || len(list) > 0
		b.entities.Add(list)
		for _, f := range list {
			switch {
			case f.Mode != pii.ModeToken && f.Mode != pii.ModeSurrogate: // nobody could say what it was
			case turns[i].role == "user":
				b.asked[f.Token] = true
			case turns[i].role == "assistant":
				b.answered(group, f, !inRow[f.Token])
				inRow[f.Token] = true
			}
		}
	}
	if any {
		b.rows++
	}
}

// answered notes a value that stands in an answer; first says that it is the
// first time in this example.
func (b *builder) answered(group string, f pii.Finding, first bool) {
	v := b.values[f.Token]
	if v == nil {
		v = &value{entity: f.Entity, groups: map[string]bool{}}
		b.values[f.Token] = v
	}
	v.groups[group] = true
	if first {
		v.rows++
	}
}

// Bounds of the proposals for the allow list.
const (
	proposalQuestions = 3  // different questions whose answers hold the value
	maxProposals      = 50 // more would not be read
)

// private are entities that belong to one person by their nature: however
// often they stand in answers, they are not the institution's own.
var private = []string{
	pii.ResidentNumber, pii.ForeignerNumber, pii.DateOfBirth, pii.Passport, pii.DriverLicense,
	pii.HealthInsurance, pii.MedicalRecord, pii.CreditCard, pii.SocialSecurity, pii.Secret,
}

// report gives the counts and the proposals, most frequent first. A value that
// stands in a question may be that of the person who asks or is asked about, so
// it is counted, and not proposed.
func (b *builder) report() MaskReport {
	rep := MaskReport{Entities: b.entities, Rows: b.rows}
	for _, token := range slices.Sorted(maps.Keys(b.values)) {
		v := b.values[token]
		switch {
		case len(v.groups) < proposalQuestions || slices.Contains(private, v.entity):
		case b.asked[token]:
			rep.Asked++
		default:
			rep.Proposals = append(rep.Proposals, Proposal{Token: token, Entity: v.entity, Rows: v.rows, Questions: len(v.groups)})
		}
	}
	slices.SortStableFunc(rep.Proposals, func(a, b Proposal) int {
		return cmp.Or(cmp.Compare(b.Questions, a.Questions), cmp.Compare(b.Rows, a.Rows))
	})
	rep.Proposals = rep.Proposals[:min(len(rep.Proposals), maxProposals)]
	return rep
}

// warnings are sentences for the report.
func (b *builder) warnings() []string {
	if b.inSystem > 0 {
		return []string{fmt.Sprintf("%d values in the system prompt were masked; put them on the allow list to keep them.", b.inSystem)}
	}
	return nil
}
