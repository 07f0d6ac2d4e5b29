package train_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"cloister/llama"
	"cloister/llama/gguf"
	"cloister/llama/gguf/tinygguf"
	"cloister/lora/data"
	"cloister/lora/model"
	"cloister/lora/peft"
	"cloister/lora/train"
)

// Training against PyTorch, Transformers and PEFT. What they compute comes from
// testdata/oracle/oracle.py: for two tiny models it is in testdata/oracle, a
// folder each, and compared here; `make oracle` computes it anew, for more
// models, and writes those folders (oracle_live_test.go).

const oracleDir = "testdata/oracle"

// servedLimit bounds the relative error of llama.cpp's logits.
const servedLimit = 1e-5

// oracleRow is an example as case.json has it.
type oracleRow struct {
	Tokens  []int32 `json:"tokens"`
	Targets []int32 `json:"targets"`
}

// oracleCase is case.json; oracle.py says what it means.
type oracleCase struct {
	Base  string       `json:"base"`
	Rows  []oracleRow  `json:"rows"`
	Steps []oracleStep `json:"steps"`
	BF16  bool         `json:"bf16,omitempty"`
}

type oracleStep struct {
	Rate float64     `json:"rate"`
	Rows []oracleRow `json:"rows"`
}

// oracleResult is result.json.
type oracleResult struct {
	Loss   float64           `json:"loss"`
	Logits map[int][]float32 `json:"logits"`
	Losses []float64         `json:"losses"`
	BF16   []float64         `json:"losses_bf16,omitempty"`
}

func toOracle(rows []data.Row) []oracleRow {
	out := make([]oracleRow, len(rows))
	for i, r := range rows {
		out[i] = oracleRow{r.Tokens, make([]int32, len(r.Tokens))}
		for j := range r.Tokens {
			out[i].Targets[j] = -1
			if j+1 < len(r.Tokens) && r.Mask[j+1] {
				out[i].Targets[j] = r.Tokens[j+1]
			}
		}
	}
	return out
}

func fromOracle(rows []oracleRow) []data.Row {
	out := make([]data.Row, len(rows))
	for i, r := range rows {
		out[i] = data.Row{Tokens: r.Tokens, Mask: make([]bool, len(r.Tokens))}
		for j, t := range r.Targets {
			if t >= 0 {
				out[i].Mask[j+1] = true
			}
		}
	}
	return out
}

func readJSON(t testing.TB, path string, to any) {
	t.Helper()
	if err := json.Unmarshal(readFile(t, path), to); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

// oracleTinies are the models whose results are kept, by the name of their folder.
var oracleTinies = map[string]func(*tinygguf.Config){
	"f32": nil,
	"q4_1-tied": func(c *tinygguf.Config) {
		c.Type, c.Tied, c.Layers, c.HeadDim, c.RopeBase = gguf.Q4_1, true, 1, 16, 500000
	},
}

func writeOracleTiny(t testing.TB, change func(*tinygguf.Config)) string {
	t.Helper()
	c := tinygguf.Default()
	if change != nil {
		change(&c)
	}
	path := filepath.Join(t.TempDir(), "tiny.gguf")
	if err := tinygguf.WriteFile(path, c); err != nil {
		t.Fatal(err)
	}
	return path
}

func openGGUF(t testing.TB, path string) *gguf.File {
	t.Helper()
	f, err := gguf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

func openKernels(t testing.TB, path string, c model.Config) *model.Model {
	t.Helper()
	c.Device = testDevice()
	m, err := model.Open(path, c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	return m
}

// openTuned opens a model with an adapter.
func openTuned(t testing.TB, base string, a *train.Adapter) *model.Model {
	t.Helper()
	m := openKernels(t, base, model.Config{Rank: a.Rank, Alpha: float32(a.Alpha)})
	if err := train.Fill(a, m.Params()); err != nil {
		t.Fatal(err)
	}
	return m
}

// randomB fills every B, so that all gradients are alive.
func randomB(m *model.Model) {
	rng := rand.New(rand.NewPCG(11, 7))
	for i, p := range m.Params() {
		if i%2 == 1 {
			edit(p.Data, func(values []float32) {
				for j := range values {
					values[j] = float32(rng.NormFloat64() * 0.02)
				}
			})
		}
	}
}

// apart is what gradients of a whole adapter miss those of PyTorch by.
type apart struct {
	cosine, worstCosine     float64 // over all, of the worst matrix
	relative, worstRelative float64
	normRatio               float64
	worst                   string // name of the matrix with the largest relative error
}

func compareGradients(t testing.TB, m *model.Model, want *train.Adapter) apart {
	t.Helper()
	byName := map[string][]float32{}
	for _, w := range want.Tensors {
		byName[w.Name] = w.Data
	}
	out := apart{worstCosine: 1}
	var got, all []float32
	for _, p := range m.Params() {
		w, grad := byName[p.Name], values(p.Grad)
		if len(w) != len(grad) {
			t.Fatalf("%s: %d gradients of PyTorch, %d here", p.Name, len(w), len(grad))
		}
		relative, cosine := train.Apart(grad, w)
		if !(relative <= out.worstRelative) {
			out.worstRelative, out.worst = relative, p.Name
		}
		out.worstCosine = min(out.worstCosine, cosine)
		got, all = append(got, grad...), append(all, w...)
	}
	if len(m.Params()) != len(want.Tensors) {
		t.Fatalf("%d matrices of PyTorch, %d here", len(want.Tensors), len(m.Params()))
	}
	out.relative, out.cosine = train.Apart(got, all)
	norm := func(x []float32) (sum float64) {
		for _, v := range x {
			sum += float64(v) * float64(v)
		}
		return math.Sqrt(sum)
	}
	out.normRatio = norm(got) / norm(all)
	return out
}

// within says whether a precision is as exact as it must be. lora.md has the noise floors.
func (d apart) within(p model.Precision) bool {
	if p == model.BF16 {
		return d.cosine > 0.999 && d.worstCosine > 0.995 && d.relative < 0.05 && math.Abs(d.normRatio-1) < 0.02
	}
	return d.worstRelative < 1e-3
}

// curveLimit bounds what the loss of any step may be from PEFT's in float32,
// relatively. Products in BF16 are noise that training carries on, on a real
// model more than one percent of a small loss: of PEFT's own BF16, which is
// peftBF16 from its float32, half is allowed.
func curveLimit(p model.Precision, peftBF16 float64) float64 {
	if p == model.BF16 {
		return max(0.01, peftBF16/2)
	}
	return 1e-3
}

// gradientsOf computes those of a batch with an adapter.
func gradientsOf(t testing.TB, m *model.Model, a *train.Adapter, rows []data.Row) float64 {
	t.Helper()
	if err := train.Fill(a, m.Params()); err != nil {
		t.Fatal(err)
	}
	targets, sum := 0, 0.0
	for i := range rows {
		targets += rows[i].Targets()
	}
	m.ZeroGrad()
	for _, p := range data.Pack(rows, 512) {
		l, err := m.Backward((*model.Batch)(&p), 1/float64(targets))
		if err != nil {
			t.Fatal(err)
		}
		sum += l.Sum
	}
	return sum / float64(targets)
}

// servedLogits is the relative error of llama.cpp's logits, with the adapter
// applied, to PyTorch's, over the positions that were kept. Both compute on
// float weights: on others llama.cpp rounds activations.
func servedLogits(t testing.TB, base string, a *train.Adapter, tokens []int32, want map[int][]float32) float64 {
	t.Helper()
	path := filepath.Join(t.TempDir(), "adapter.gguf")
	if err := a.WriteFile(path); err != nil {
		t.Fatal(err)
	}
	lm, err := llama.Open(requantised(t, base, "f32"))
	if err != nil {
		t.Fatal(err)
	}
	defer lm.Close()
	adapter, err := lm.LoadAdapter(path)
	if err != nil {
		t.Fatal(err)
	}
	defer adapter.Close()
	logits, err := lm.Logits(tokens, adapter)
	if err != nil {
		t.Fatal(err)
	}
	var got, all []float32
	for i, w := range want {
		got, all = append(got, logits[i]...), append(all, w...)
	}
	relative, _ := train.Apart(got, all)
	return relative
}

// worstStep is the largest relative difference of two curves.
func worstStep(t testing.TB, got, want []float64) float64 {
	t.Helper()
	if len(got) != len(want) || len(got) == 0 {
		t.Fatalf("%d steps, %d of PyTorch", len(got), len(want))
	}
	worst := 0.0
	for i := range got {
		worst = max(worst, math.Abs(got[i]/want[i]-1))
	}
	return worst
}

func (c *oracleCase) batches() (rows [][]data.Row, rates []float64) {
	for _, s := range c.Steps {
		rows, rates = append(rows, fromOracle(s.Rows)), append(rates, s.Rate)
	}
	return rows, rates
}

// importPEFT reads a PEFT folder for a base model.
func importPEFT(t testing.TB, dir, base string) *train.Adapter {
	t.Helper()
	a, err := peft.Import(dir, openGGUF(t, base))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// What PyTorch computed for the tiny models: PEFT's own folder is read, its
// logits are those of llama.cpp with the adapter, every gradient and the curve
// of ten steps are those of the trainer.
func TestOracleFixtures(t *testing.T) {
	for name, change := range oracleTinies {
		t.Run(name, func(t *testing.T) {
			dir, base := filepath.Join(oracleDir, name), writeOracleTiny(t, change)
			var c oracleCase
			var want oracleResult
			readJSON(t, filepath.Join(dir, "case.json"), &c)
			readJSON(t, filepath.Join(dir, "result.json"), &want)
			saved := importPEFT(t, filepath.Join(dir, "saved"), base)
			m := openKernels(t, base, model.Config{Rank: saved.Rank, Alpha: float32(saved.Alpha), Precision: model.Float32})
			loss := gradientsOf(t, m, saved, fromOracle(c.Rows))
			d := compareGradients(t, m, importPEFT(t, filepath.Join(dir, "gradients"), base))
			if !(math.Abs(loss/want.Loss-1) < 1e-4) || !(d.worstRelative < 1e-3) {
				t.Errorf("loss %g, PyTorch %g; relative error of %s %.2g", loss, want.Loss, d.worst, d.worstRelative)
			}
			served := servedLogits(t, base, saved, c.Rows[0].Tokens, want.Logits)
			if !(served < servedLimit) {
				t.Errorf("logits of llama.cpp are %.2g from PyTorch's", served)
			}
			start := openKernels(t, base, model.Config{Rank: saved.Rank, Alpha: float32(saved.Alpha), Precision: model.Float32})
			if err := train.Fill(importPEFT(t, filepath.Join(dir, "start"), base), start.Params()); err != nil {
				t.Fatal(err)
			}
			batches, rates := c.batches()
			losses, err := train.Curve(start, batches, rates)
			if err != nil {
				t.Fatal(err)
			}
			curve := worstStep(t, losses, want.Losses)
			if len(losses) != 10 || !(curve < 1e-3) {
				t.Errorf("%d steps, losses up to %.2g apart", len(losses), curve)
			}
			t.Logf("worst gradient %.2g, logits %.2g, curve %.2g", d.worstRelative, served, curve)
		})
	}
}

// write puts a case and its adapters into a folder.
func (c *oracleCase) write(dir string, base *gguf.File, adapter, start *train.Adapter) error {
	raw, err := json.Marshal(c)
	return errors.Join(err,
		os.WriteFile(filepath.Join(dir, "case.json"), append(raw, '\n'), 0o644),
		peft.Export(adapter, base, filepath.Join(dir, "adapter")),
		peft.Export(start, base, filepath.Join(dir, "start")),
	)
}

// line is a row of the table that `make oracle` prints.
func (d apart) line(name, kernels string, loss, want float64) string {
	return fmt.Sprintf("%-12s %-12s %10.6f %10.6f   %9.6f %9.6f   %8.2g %8.2g   %8.5f  %s", name, kernels, loss, want, d.cosine, d.worstCosine, d.relative, d.worstRelative, d.normRatio, d.worst)
}
