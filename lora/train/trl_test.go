package train_test

import (
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"cloister/lora/data"
	"cloister/lora/model"
	"cloister/lora/train"
)

// trlRun is what a trainer of TRL made of a batch (testdata/trl/make.py).
type trlRun struct {
	Loss                         float64
	Metrics                      map[string]float64
	Gradients                    map[string][]float32
	Beta, Desirable, Undesirable float64
	Labels                       []bool
	Sequences, Mismatched        []trlSequence
}

type trlSequence struct{ Tokens, Mask []int32 }

// row is a sequence as a row of ours.
func (s trlSequence) row() data.Row {
	r := data.Row{Tokens: s.Tokens}
	for _, m := range s.Mask {
		r.Mask = append(r.Mask, m != 0)
	}
	return r
}

func readTRL(t *testing.T, dir string) map[string]trlRun {
	t.Helper()
	var out map[string]trlRun
	readJSON(t, filepath.Join(dir, "trl.json"), &out)
	return out
}

// trlDir holds what TRL computed: testdata/trl, or a new folder in which `make
// oracle` has it computed anew; KEEP=1 renews testdata.
func trlDir(t *testing.T) string {
	t.Helper()
	dir := filepath.Join("testdata", "trl")
	python := os.Getenv(oraclePython)
	if python == "" {
		return dir
	}
	out := t.TempDir()
	if os.Getenv(oracleKeep) != "" {
		out = dir
	}
	if log, err := exec.Command(python, filepath.Join(dir, "make.py"), out).CombinedOutput(); err != nil {
		t.Fatalf("make.py: %v\n%s", err, log)
	}
	return out
}

// openTRL opens the model of the fixtures, in float32, with its adapter.
func openTRL(t *testing.T, dir string) *model.Model {
	t.Helper()
	a, err := train.ReadAdapter(filepath.Join(dir, "adapter.gguf"))
	if err != nil {
		t.Fatal(err)
	}
	m, err := model.Open(filepath.Join(dir, "tiny.gguf"), model.Config{Rank: a.Rank, Alpha: float32(a.Alpha), Precision: model.Float32, Device: testDevice()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	if err := a.Into(m.Params()); err != nil {
		t.Fatal(err)
	}
	return m
}

// compareTRL compares loss, metrics and every gradient of a step over rows.
func compareTRL(t *testing.T, dir string, want trlRun, h train.Hyperparameters, rows []data.Row) {
	t.Helper()
	for _, rowLen := range []int{16, 400} { // each answer alone, and all packed together
		m := openTRL(t, dir)
		loss, measured, rewards, err := train.Learn(m, h, rows, rowLen)
		if err != nil {
			t.Fatal(err)
		}
		closeTo := func(what string, got, want float64) {
			t.Helper()
			if !(math.Abs(got-want) <= 1e-5*(1+math.Abs(want))) {
				t.Errorf("rows of %d: %s is %.7g, TRL says %.7g", rowLen, what, got, want)
			}
		}
		closeTo("the loss", loss.Sum/float64(loss.Tokens), want.Loss)
		closeTo("the loss without a gradient", measured.Sum/float64(measured.Tokens), want.Loss)
		closeTo("rewards/chosen", rewards.Chosen, want.Metrics["rewards/chosen"])
		closeTo("rewards/rejected", rewards.Rejected, want.Metrics["rewards/rejected"])
		closeTo("rewards/margins", rewards.Margin, want.Metrics["rewards/margins"])
		if accuracy, ok := want.Metrics["rewards/accuracies"]; ok {
			closeTo("rewards/accuracies", rewards.Accuracy, accuracy)
		}
		if kl, ok := want.Metrics["kl"]; ok {
			closeTo("kl", *rewards.KL, kl)
		}
		worst := 0.0
		for _, p := range m.Params() {
			g, grad := want.Gradients[p.Name], values(p.Grad)
			if len(g) != len(grad) {
				t.Fatalf("%s has %d gradients, TRL has %d", p.Name, len(grad), len(g))
			}
			var diff, norm float64
			for i := range g {
				d := float64(grad[i]) - float64(g[i])
				diff, norm = diff+d*d, norm+float64(g[i])*float64(g[i])
			}
			e := math.Sqrt(diff / norm)
			worst = max(worst, e)
			if !(e < 1e-3) {
				t.Errorf("rows of %d: the gradient of %s is off by %.2g", rowLen, p.Name, e)
			}
		}
		t.Logf("rows of %d: worst relative error of %d gradients %.2g", rowLen, len(m.Params()), worst)
	}
}

// DPO's loss, rewards and gradients are those of TRL's DPOTrainer.
func TestOracleDPO(t *testing.T) {
	dir := trlDir(t)
	want := readTRL(t, dir)["dpo"]
	var rows []data.Row
	n := len(want.Sequences) / 2
	for i := range n { // preferred answers first
		row, other := want.Sequences[i].row(), want.Sequences[n+i].row()
		row.Rejected = &other
		rows = append(rows, row)
	}
	compareTRL(t, dir, want, train.Hyperparameters{Method: "dpo", Beta: want.Beta, MaxLength: 100}, rows)
}

// KTO's loss, reference point, rewards and gradients are those of TRL's KTOTrainer.
func TestOracleKTO(t *testing.T) {
	dir := trlDir(t)
	want := readTRL(t, dir)["kto"]
	var rows []data.Row
	for i, s := range want.Sequences {
		row := s.row()
		row.Desirable = &want.Labels[i]
		rows = append(rows, row)
	}
	for i, s := range want.Mismatched { // they are made of these sequences as ours are
		question, answer := rows[i], rows[(i+len(rows)-1)%len(rows)]
		if tokens := append(slices.Clip(question.Tokens[:question.Prompt()]), answer.Tokens[answer.Prompt():]...); !slices.Equal(tokens, s.Tokens) {
			t.Errorf("example %d is mismatched with another answer", i)
		}
	}
	compareTRL(t, dir, want, train.Hyperparameters{Method: "kto", Beta: want.Beta, DesirableWeight: want.Desirable, UndesirableWeight: want.Undesirable,
		MaxLength: 100, BatchSize: len(rows)}, rows)
}
