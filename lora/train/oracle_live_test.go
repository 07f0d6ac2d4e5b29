package train_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"cloister/llama/chat"
	"cloister/llama/gguf"
	"cloister/llama/gguf/tinygguf"
	"cloister/llama/llamatest"
	"cloister/lora/data"
	"cloister/lora/model"
	"cloister/lora/peft"
	"cloister/lora/train"
)

// `make oracle` sets these: the interpreter that has PyTorch, and whether to
// keep the results for the tiny models in testdata.
const (
	oraclePython = "CLOISTER_ORACLE_PYTHON"
	oracleKeep   = "CLOISTER_ORACLE_KEEP"
)

// oracleSubject is one model to compare on.
type oracleSubject struct {
	name     string
	base     string
	request  train.Request // of the curve
	rank     int
	alpha    float64
	gradRows int  // examples of the gradient's batch
	keep     bool // in testdata
}

// facts are n short question-answer pairs of a clinic that does not exist.
func facts(n int) []train.Example {
	floors := []string{"ground", "first", "second", "third", "fourth"}
	rooms := []string{"Radiology", "The pharmacy", "The eye clinic", "Dialysis", "The sleep laboratory", "Admissions", "The burn unit"}
	var out []train.Example
	for i := range n {
		room, floor := rooms[i%len(rooms)], floors[(3*i+i/7)%len(floors)]
		answer := fmt.Sprintf("%s is on the %s floor, room %d.", room, floor, 100+17*i)
		if i%3 == 0 {
			answer += fmt.Sprintf(" Ring twice and ask for Dr. %s; the door opens at %d:30.", []string{"Kim", "Okafor", "Varga"}[i/3%3], 7+i%5)
		}
		out = append(out, train.Example{Row: i + 2, Messages: []chat.Message{
			{Role: "user", Content: fmt.Sprintf("Where do I find %s in wing %c?", strings.ToLower(room), 'A'+i%6)}, {Role: "assistant", Content: answer},
		}})
	}
	return out
}

func oracleSubjects(t *testing.T) []oracleSubject {
	hyper := func(epochs, batch, rank int, alpha, rate float64) train.Hyperparameters {
		return train.Hyperparameters{Epochs: epochs, BatchSize: batch, LearningRate: rate, Rank: rank, Alpha: alpha, WarmupSteps: 3, Seed: 5, Patience: -1, MaxGradNorm: 1}
	}
	var out []oracleSubject
	tiny := func(name string, change func(*tinygguf.Config), keep bool, h train.Hyperparameters) {
		base, dir := writeOracleTiny(t, change), t.TempDir()
		s := oracleSubject{name: name, base: base, rank: h.Rank, alpha: h.Alpha, gradRows: 3, keep: keep}
		s.request = train.Request{JobID: name, BasePath: base, WorkDir: filepath.Join(dir, "w"), OutPath: filepath.Join(dir, "o"), Train: examples(h.BatchSize*10, 0), Hyperparameters: h}
		out = append(out, s)
	}
	for _, name := range slices.Sorted(maps.Keys(oracleTinies)) {
		tiny(name, oracleTinies[name], true, hyper(1, 2, 2, 4, 0.01))
	}
	for _, typ := range []gguf.Type{gguf.F16, gguf.BF16, gguf.Q8_0, gguf.Q4_0, gguf.Q5_0, gguf.Q5_1, gguf.Q4_K, gguf.Q6_K} {
		rate := 0.01
		if typ.BlockSize() == 256 { // a wider model, which runs away with rounding at that rate
			rate = 0.002
		}
		tiny(strings.ToLower(typ.String()), func(c *tinygguf.Config) {
			if c.Type = typ; typ.BlockSize() == 256 {
				c.Embedding, c.FFN = 256, 256
			}
		}, false, hyper(3, 2, 4, 8, rate))
	}
	for _, a := range oracleArchitectures {
		// A low rate: Adam makes whole steps of gradients that are nothing but rounding.
		tiny(a.name, a.change, false, hyper(2, 2, 4, 8, 0.003))
	}
	path, dir := llamatest.Model(t), t.TempDir()
	return append(out, oracleSubject{
		name: "smollm2-q4_1", base: path, rank: 16, alpha: 32, gradRows: 4,
		request: train.Request{JobID: "real", BasePath: path, WorkDir: filepath.Join(dir, "w"), OutPath: filepath.Join(dir, "o"), Train: facts(20), Hyperparameters: hyper(3, 2, 16, 32, 1e-3)},
	})
}

// oracleArchitectures are others than plain llama: PEFT has other names for
// their matrices, and Transformers another order of rows.
var oracleArchitectures = []oracleArchitecture{
	{"mixtral", func(c *tinygguf.Config) { c.Experts, c.ExpertsUsed, c.Seed = 4, 2, 2 }}, // of the architecture llama
	{"qwen2", func(c *tinygguf.Config) { c.Architecture = "qwen2" }},
	{"qwen3", func(c *tinygguf.Config) { c.Architecture, c.HeadDim, c.Tied = "qwen3", 16, true }},
	{"qwen3moe", func(c *tinygguf.Config) { c.Architecture, c.Experts, c.ExpertsUsed, c.Seed = "qwen3moe", 6, 2, 4 }},
	{"gemma3", oracleGemma(3)},
	{"gemma3-34", oracleGemma(34)}, // in PEFT's eyes a part of a model that sees pictures
	{"phi3", func(c *tinygguf.Config) { c.Architecture = "phi3" }},
}

type oracleArchitecture struct {
	name   string
	change func(*tinygguf.Config)
}

func oracleGemma(layers int) func(*tinygguf.Config) {
	return func(c *tinygguf.Config) {
		c.Architecture, c.Layers, c.HeadDim, c.Tied = "gemma3", layers, 16, true
		c.Window, c.WindowPattern, c.WindowRopeBase, c.RopeBase = 6, 2, 1000, 100000
	}
}

// Every architecture that can be exported is compared with PEFT.
func TestOracleOfEveryArchitecture(t *testing.T) {
	for _, want := range peft.Architectures() {
		if want != "llama" && !slices.ContainsFunc(oracleArchitectures, func(a oracleArchitecture) bool { return a.name == want }) {
			t.Errorf("no comparison with PEFT for %s", want)
		}
	}
}

// TestOracleLive compares with PyTorch and PEFT as they are installed.
func TestOracleLive(t *testing.T) {
	python := os.Getenv(oraclePython)
	if python == "" {
		t.Skip("needs PyTorch; run make oracle")
	}
	table := []string{fmt.Sprintf("%-12s %-12s %10s %10s   %9s %9s   %8s %8s   %8s  %s", "gradients", "kernels", "loss", "PyTorch", "cosine", "worst", "relative", "worst", "norms", "worst matrix")}
	curve := fmt.Sprintf("%-12s %6s %10s %10s %10s   ", "curve", "steps", "first", "last", "PyTorch")
	for _, p := range model.Precisions() {
		curve += fmt.Sprintf("%12s   ", p)
	}
	curves := []string{curve + fmt.Sprintf("%12s   logits, PEFT and llama.cpp", "PEFT, bf16")}
	for _, s := range oracleSubjects(t) {
		t.Run(s.name, func(t *testing.T) {
			g, c := s.compare(t, python)
			table, curves = append(table, g...), append(curves, c)
		})
	}
	fmt.Println(strings.Join(append(append(table, ""), curves...), "\n"))
}

// curve trains with the real loop and returns the steps with their rates and losses.
func (s *oracleSubject) curve(t *testing.T, start string, p model.Precision) (losses, rates []float64) {
	t.Helper()
	req := s.request
	req.InitPath = start
	req.Hyperparameters.Rank, req.Hyperparameters.Alpha = 0, 0 // the adapter's
	if err := os.RemoveAll(req.WorkDir); err != nil {
		t.Fatal(err)
	}
	var events log
	_, err := train.RunWith(context.Background(), req, events.emit, func(path string, c model.Config) (train.Trainable, error) {
		c.Precision = p
		return model.Open(path, c)
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events.kind("step") {
		losses, rates = append(losses, e.Loss), append(rates, e.LearningRate)
	}
	return losses, rates
}

// make builds the case for Python: the same examples in the order of the loop.
func (s *oracleSubject) make(t *testing.T, rates []float64) *oracleCase {
	t.Helper()
	rows := rendered(t, s.base, s.request.Train)
	c := &oracleCase{Base: s.base, Rows: toOracle(rows[:s.gradRows]), BF16: slices.Contains(model.Precisions(), model.BF16)}
	h := s.request.Hyperparameters
	for epoch := range h.Epochs {
		order := data.Order(len(rows), h.Seed, epoch+1)
		for at := 0; at < len(order); at += h.BatchSize {
			var batch []data.Row
			for _, n := range order[at:min(at+h.BatchSize, len(order))] {
				batch = append(batch, rows[n])
			}
			c.Steps = append(c.Steps, oracleStep{Rate: rates[len(c.Steps)], Rows: toOracle(batch)})
		}
	}
	return c
}

func (s *oracleSubject) compare(t *testing.T, python string) (gradients []string, curve string) {
	cfg := model.Config{Rank: s.rank, Alpha: float32(s.alpha), Seed: 9, Precision: model.Float32}
	exact := openKernels(t, s.base, cfg)
	start := train.NewAdapter(exact.Info().Architecture, s.alpha, exact.Params())
	startPath := filepath.Join(t.TempDir(), "start.gguf")
	if err := start.WriteFile(startPath); err != nil {
		t.Fatal(err)
	}
	randomB(exact)
	adapter := train.NewAdapter(exact.Info().Architecture, s.alpha, exact.Params())
	losses, rates := s.curve(t, startPath, model.Float32)
	c, dir := s.make(t, rates), t.TempDir()
	if err := c.write(dir, openGGUF(t, s.base), adapter, start); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(python, filepath.Join(oracleDir, "oracle.py"), dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("oracle.py: %v\n%s", err, out)
	}
	var want oracleResult
	readJSON(t, filepath.Join(dir, "result.json"), &want)
	grads := importPEFT(t, filepath.Join(dir, "gradients"), s.base)

	apart, peftBF16 := "", 0.0
	if c.BF16 {
		peftBF16 = worstStep(t, want.BF16, want.Losses)
	}
	for _, p := range model.Precisions() {
		cfg.Precision = p
		m := openKernels(t, s.base, cfg)
		loss := gradientsOf(t, m, adapter, fromOracle(c.Rows))
		d := compareGradients(t, m, grads)
		gradients = append(gradients, d.line(s.name, m.Kernels(), loss, want.Loss))
		if !d.within(p) || (p != model.BF16 && !(math.Abs(loss/want.Loss-1) < 1e-4)) {
			t.Errorf("%s: loss %g, PyTorch %g; %+v", p, loss, want.Loss, d)
		}
		steps := losses
		if p != model.Float32 {
			steps, _ = s.curve(t, startPath, p)
		}
		worst := worstStep(t, steps, want.Losses)
		if apart += fmt.Sprintf("%12.2g   ", worst); !(worst < curveLimit(p, peftBF16)) || len(steps) < 10 {
			t.Errorf("%s: a step's loss is %.2g from PEFT's, of %d steps", p, worst, len(steps))
		}
	}
	// PEFT has loaded what was exported and saved it again: nothing has changed.
	saved := importPEFT(t, filepath.Join(dir, "saved"), s.base)
	sameAdapter(t, saved, adapter)
	served := servedLogits(t, s.base, saved, c.Rows[0].Tokens, want.Logits)
	limit := servedLimit
	if strings.HasPrefix(s.name, "gemma3") {
		limit = 1e-3 // ggml looks GELU up in a table of F16
	}
	if !(served < limit) {
		t.Errorf("logits of llama.cpp are %.2g from PEFT's", served)
	}
	if s.keep && os.Getenv(oracleKeep) != "" {
		s.write(t, dir, c)
	}
	return gradients, fmt.Sprintf("%-12s %6d %10.5f %10.5f %10.5f   %s%12.2g   %.2g", s.name, len(losses), losses[0], losses[len(losses)-1], want.Losses[len(want.Losses)-1], apart, peftBF16, served)
}

// sameAdapter says whether two adapters hold the same values.
func sameAdapter(t *testing.T, got, want *train.Adapter) {
	t.Helper()
	if got.Alpha != want.Alpha || got.Rank != want.Rank || len(got.Tensors) != len(want.Tensors) {
		t.Fatalf("alpha %g, rank %d, %d tensors; want %g, %d, %d", got.Alpha, got.Rank, len(got.Tensors), want.Alpha, want.Rank, len(want.Tensors))
	}
	byName := map[string][]float32{}
	for _, w := range want.Tensors {
		byName[w.Name] = w.Data
	}
	for _, g := range got.Tensors {
		if !slices.Equal(g.Data, byName[g.Name]) {
			t.Errorf("%s has changed on its way through PEFT", g.Name)
		}
	}
}

// write keeps the results in testdata. Paths of this machine stay out.
func (s *oracleSubject) write(t *testing.T, dir string, c *oracleCase) {
	t.Helper()
	to := filepath.Join(oracleDir, s.name)
	if err := os.RemoveAll(to); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"saved", "gradients", "start"} {
		for _, file := range []string{"adapter_config.json", "adapter_model.safetensors"} {
			keepFile(t, filepath.Join(dir, name, file), filepath.Join(to, name, file))
		}
	}
	keepFile(t, filepath.Join(dir, "result.json"), filepath.Join(to, "result.json"))
	c.Base = "tiny.gguf"
	raw, err := json.Marshal(c)
	if err := errors.Join(err, os.WriteFile(filepath.Join(to, "case.json"), append(raw, '\n'), 0o644)); err != nil {
		t.Fatal(err)
	}
}

func keepFile(t *testing.T, from, to string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(to), 0o755), os.WriteFile(to, readFile(t, from), 0o644)); err != nil {
		t.Fatal(err)
	}
}
