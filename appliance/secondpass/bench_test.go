package secondpass_test

import (
	"cmp"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"cloister/appliance/engine"
	"cloister/appliance/secondpass"
	"cloister/llama/llamatest"
	"cloister/store/pii"
)

// labelled is a text with the names and addresses in it.
type labelled struct {
	text  string
	spans [][2]int // bytes
}

var marked = regexp.MustCompile(`\{[A-Z]+\|([^{}]*)\}`)

// sample reads lines in which {PERSON|text} and {ADDRESS|text} mark what is
// personal: chats of the kind that rules are blind to, and a third without any.
func sample(b *testing.B) (out []labelled) {
	raw, err := os.ReadFile("testdata/chat.txt")
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(string(raw)) {
		var row labelled
		last := 0
		for _, m := range marked.FindAllStringSubmatchIndex(line, -1) {
			row.text += line[last:m[0]]
			row.spans = append(row.spans, [2]int{len(row.text), len(row.text) + m[3] - m[2]})
			row.text += line[m[2]:m[3]]
			last = m[1]
		}
		row.text += strings.TrimRight(line[last:], "\n")
		out = append(out, row)
	}
	return out
}

// compare counts findings of the second pass that touch nothing labelled, and
// labelled names and addresses that no finding touches.
func compare(row labelled, found []pii.Finding) (wrong, left int) {
	touches := func(f pii.Finding, s [2]int) bool { return f.Start < s[1] && s[0] < f.End }
	for _, f := range found {
		if f.Recogniser == pii.SecondPass && !slices.ContainsFunc(row.spans, func(s [2]int) bool { return touches(f, s) }) {
			wrong++
		}
	}
	for _, s := range row.spans {
		if !slices.ContainsFunc(found, func(f pii.Finding) bool { return touches(f, s) }) {
			left++
		}
	}
	return wrong, left
}

// BenchmarkSecondPass says what a model adds to the rules on a few chats:
// missed, the names and addresses that the rules miss; found,
// those of them that the model finds; false, what it adds that is none.
//
//	CLOISTER_SECOND_PASS=model.gguf go test -run '^$' -bench SecondPass -benchtime 1x ./appliance/secondpass
func BenchmarkSecondPass(b *testing.B) {
	local, err := engine.OpenLocal(cmp.Or(os.Getenv("CLOISTER_SECOND_PASS"), llamatest.Model(b)), engine.Options{Context: 2048, Threads: 1})
	if err != nil {
		b.Fatal(err)
	}
	defer local.Close()
	r, err := secondpass.Open(b.Context(), one{local}, "")
	if err != nil {
		b.Fatal(err)
	}
	m, err := pii.New(pii.MemoryVault(), pii.Options{Entities: pii.DatasetEntities()})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		var missed, left, wrong int
		rows := sample(b)
		start := time.Now()
		for _, row := range rows {
			masked, found, err := m.Mask(row.text)
			if err != nil {
				b.Fatal(err)
			}
			values, err := r.Read(b.Context(), masked.String())
			if err != nil {
				b.Fatal(err)
			}
			_, n := compare(row, found)
			missed += n
			_, all, err := m.MaskGuided([]string{row.text}, pii.Guidance{More: secondpass.Suggestions("model", values)})
			if err != nil {
				b.Fatal(err)
			}
			w, n := compare(row, all[0])
			wrong, left = wrong+w, left+n
		}
		b.ReportMetric(float64(len(rows)), "texts")
		b.ReportMetric(float64(missed), "missed")
		b.ReportMetric(float64(missed-left), "found")
		b.ReportMetric(float64(wrong), "false")
		b.ReportMetric(time.Since(start).Seconds()/float64(len(rows)), "s/text")
	}
}
