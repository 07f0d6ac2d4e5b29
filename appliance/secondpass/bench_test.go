package secondpass_test

import (
	"bufio"
	"cmp"
	"encoding/json"
	"os"
	"testing"
	"time"

	"cloister/appliance/engine"
	"cloister/appliance/secondpass"
	"cloister/llama/llamatest"
	"cloister/store/pii"
)

// labelled is a text with what is personal in it.
type labelled struct {
	Text  string `json:"text"`
	Spans []struct {
		Label string `json:"label"`
		Start int    `json:"bstart"`
		End   int    `json:"bend"`
	} `json:"spans"`
}

// sample are up to n texts in which the rules miss a name or an address, and n
// others from all over the file.
func sample(b *testing.B, rules *pii.Masker, n int) (out []labelled) {
	f, err := os.Open("../../store/pii/testdata/synth_dev.jsonl")
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	var missed, others []labelled
	for s := bufio.NewScanner(f); s.Scan(); {
		var row labelled
		if err := json.Unmarshal(s.Bytes(), &row); err != nil {
			b.Fatal(err)
		}
		if _, left := compare(row, rules.Find(row.Text)); left > 0 {
			missed = append(missed, row)
		} else {
			others = append(others, row)
		}
	}
	for i := range n {
		if i < len(missed) {
			out = append(out, missed[i*len(missed)/min(n, len(missed))])
		}
		out = append(out, others[i*len(others)/n])
	}
	return out
}

// compare counts findings of the second pass that touch nothing labelled, and
// labelled names and addresses that no finding touches.
func compare(row labelled, found []pii.Finding) (wrong, left int) {
	touches := func(f pii.Finding, start, end int) bool { return f.Start < end && start < f.End }
	for _, f := range found {
		hit := f.Recogniser != pii.SecondPass
		for _, s := range row.Spans {
			hit = hit || touches(f, s.Start, s.End)
		}
		if !hit {
			wrong++
		}
	}
	for _, s := range row.Spans {
		if s.Label != pii.Person && s.Label != pii.Address {
			continue
		}
		hit := false
		for _, f := range found {
			hit = hit || touches(f, s.Start, s.End)
		}
		if !hit {
			left++
		}
	}
	return wrong, left
}

// BenchmarkSecondPass says what a model adds to the rules on the shared
// development data: missed, the names and addresses that the rules miss; found,
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
		rows := sample(b, m, 25)
		start := time.Now()
		for _, row := range rows {
			masked, found, err := m.Mask(row.Text)
			if err != nil {
				b.Fatal(err)
			}
			values, err := r.Read(b.Context(), masked.String())
			if err != nil {
				b.Fatal(err)
			}
			_, n := compare(row, found)
			missed += n
			_, all, err := m.MaskGuided([]string{row.Text}, pii.Guidance{More: secondpass.Suggestions("model", values)})
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
