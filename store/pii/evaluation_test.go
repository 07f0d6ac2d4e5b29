package pii_test

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"cloister/store/pii"
)

var showMisses = flag.Bool("misses", false, "print every miss and false alarm of the evaluation; the texts are invented")

// labelled is one text with the spans that a careful reader marks in it.
type labelled struct {
	ID       string `json:"id"`
	Category string `json:"category"`
	Text     string `json:"text"`
	Spans    []span `json:"spans"`
}

type span struct {
	Label  string `json:"label"`
	Start  int    `json:"start"` // runes
	End    int    `json:"end"`
	BStart int    `json:"bstart"` // bytes
	BEnd   int    `json:"bend"`
	Text   string `json:"text"`
}

// tally counts hits and misses, of whole spans and of bytes.
type tally struct {
	hit, missed, wrong             int
	bytesHit, bytesMissed, bytesOf int // bytesOf: bytes of all findings
}

func (t *tally) add(o tally) {
	t.hit += o.hit
	t.missed += o.missed
	t.wrong += o.wrong
	t.bytesHit += o.bytesHit
	t.bytesMissed += o.bytesMissed
	t.bytesOf += o.bytesOf
}

func ratio(a, b int) float64 {
	if b == 0 {
		return 1
	}
	return float64(a) / float64(b)
}

func f1(p, r float64) float64 {
	if p+r == 0 {
		return 0
	}
	return 2 * p * r / (p + r)
}

func (t tally) precision() float64 { return ratio(t.hit, t.hit+t.wrong) }
func (t tally) recall() float64    { return ratio(t.hit, t.hit+t.missed) }
func (t tally) f1() float64        { return f1(t.precision(), t.recall()) }

// overlapF1 is F1 over bytes: how much of what is personal is masked, and of
// what is masked is personal.
func (t tally) overlapF1() float64 {
	return f1(ratio(t.bytesHit, t.bytesOf), ratio(t.bytesHit, t.bytesHit+t.bytesMissed))
}

func readJSONL[T any](t testing.TB, name string) []T {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var rows []T
	for s := bufio.NewScanner(f); s.Scan(); {
		var row T
		if err := json.Unmarshal(s.Bytes(), &row); err != nil {
			t.Fatalf("%s, line %d: %v", name, len(rows)+1, err)
		}
		rows = append(rows, row)
	}
	return rows
}

func newMasker(t testing.TB, o pii.Options) *pii.Masker {
	t.Helper()
	m, err := pii.New(pii.MemoryVault(), o)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// scoredAs returns the entity that a finding or a label counts as: the shared
// data call fax numbers telephone numbers, and know one kind of age.
func scoredAs(entity string) string {
	switch entity {
	case pii.Fax:
		return pii.Phone
	case pii.OldAge:
		return pii.Age
	}
	return entity
}

// evaluate compares the findings in each text with its labels, as score says.
func evaluate(t *testing.T, rows []labelled, free []string, misses bool) []scores {
	m := newMasker(t, pii.Options{})
	var all []scores
	for _, row := range rows {
		for _, s := range row.Spans {
			if row.Text[s.BStart:s.BEnd] != s.Text {
				t.Fatalf("%s: the label's bytes are not its text", row.ID)
			}
		}
		all = append(all, score(row, m.Find(row.Text), free, func(kind, entity string, f pii.Finding) {
			if misses {
				t.Logf("%s %s %s %q (%s: %s, %.2f) in %q", row.ID, kind, entity, row.Text[f.Start:f.End], f.Recogniser, f.Evidence, f.Score, row.Text)
			}
		}))
	}
	return all
}

// table renders the scores, one entity a line, and returns the sum.
func table(scores scores) (string, tally) {
	var names []string
	var all tally
	for e, s := range scores {
		names = append(names, e)
		all.add(*s)
	}
	slices.Sort(names)
	var b strings.Builder
	fmt.Fprintf(&b, "%-20s %6s %9s %9s %9s %9s\n", "entity", "spans", "precision", "recall", "F1", "bytes F1")
	line := func(name string, s tally) {
		fmt.Fprintf(&b, "%-20s %6d %9.3f %9.3f %9.3f %9.3f\n", name, s.hit+s.missed, s.precision(), s.recall(), s.f1(), s.overlapF1())
	}
	for _, e := range names {
		line(e, *scores[e])
	}
	line("all", all)
	return b.String(), all
}

// floors are the least F1 of whole spans, per entity and over all. They are what
// the rules reached, a little rounded down: a change that loses more must say why.
type floors struct {
	all, each float64
	precision float64 // over all
}

func (f floors) check(t *testing.T, rows []scores) {
	t.Helper()
	scores := total(rows)
	report, all := table(scores)
	t.Log("\n" + report)
	if all.f1() < f.all || all.precision() < f.precision {
		t.Errorf("over all: F1 %.3f and precision %.3f, want at least %.3f and %.3f", all.f1(), all.precision(), f.all, f.precision)
	}
	for e, s := range scores {
		if s.f1() < f.each {
			t.Errorf("%s: F1 %.3f, want at least %.3f", e, s.f1(), f.each)
		}
	}
}

// TestEvaluation runs on the shared test data.
func TestEvaluation(t *testing.T) {
	rows := readJSONL[labelled](t, "synth_dev.jsonl")
	floors{all: 0.997, each: 0.99, precision: 0.997}.check(t, evaluate(t, rows, nil, *showMisses))

	m := newMasker(t, pii.Options{})
	for _, row := range rows {
		if row.Category == "hard_negative" && len(m.Find(row.Text)) > 0 {
			t.Errorf("%s: found %v where nothing is personal", row.ID, pii.Summarise(m.Find(row.Text)))
		}
	}
}

// TestEvaluationOwn runs on own texts that were looked at.
func TestEvaluationOwn(t *testing.T) {
	floors{all: 0.99, each: 0.98, precision: 0.99}.check(t, evaluate(t, append(readMarked(t, "own_dev.txt"), readMarked(t, "own_dev2.txt")...), nil, *showMisses))
}

// TestEvaluationHeldOut runs on own texts whose misses are never printed. When
// they first met the rules, F1 was 0.922 over all; words for roles and titles
// were added since, none of them taken from a miss.
func TestEvaluationHeldOut(t *testing.T) {
	later := []string{pii.DocumentID, pii.Postcode, pii.VehicleID} // unknown when the texts were labelled
	floors{all: 0.96, each: 0.85, precision: 0.98}.check(t, evaluate(t, readMarked(t, "own_test.txt"), later, false))
}

// TestChecksumValues looks at numbers that stand alone. One corporation number
// of the list is by chance a valid foreigner number, too: nothing can tell.
func TestChecksumValues(t *testing.T) {
	m := newMasker(t, pii.Options{})
	chance := 0
	for _, row := range readJSONL[struct {
		Entity string `json:"entity"`
		Value  string `json:"value"`
		Should bool   `json:"should_detect"`
	}](t, "checksum_synth_dev.jsonl") {
		found := m.Find(row.Value)
		got := len(found) == 1 && found[0].Entity == row.Entity && found[0].Start == 0 && found[0].End == len(row.Value)
		if got == row.Should {
			continue
		}
		if row.Entity == pii.CorporateNumber && len(found) == 1 && found[0].Entity == pii.ForeignerNumber {
			chance++
			continue
		}
		t.Errorf("%s %s: found %v, want %v", row.Entity, row.Value, found, row.Should)
	}
	if chance > 1 {
		t.Errorf("%d corporation numbers were taken for foreigner numbers", chance)
	}
}
