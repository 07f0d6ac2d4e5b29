package train_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"cloister/llama/chat"
	"cloister/llama/llamatest"
	"cloister/lora/bench"
	"cloister/lora/train"
)

// measureVariable makes the test binary a process that trains on the real
// model and says how much memory it took.
const measureVariable = "CLOISTER_TRAIN_MEASURE"

// task is what such a process does: one of the two.
type task struct {
	Bench *train.BenchConfig
	Run   *train.Request
}

// measurement is in bytes; Run plans nothing that it could report.
type measurement struct{ Planned, Peak int64 }

// measured does the task on standard input and writes a measurement.
func measured() error {
	var t task
	if err := json.NewDecoder(os.Stdin).Decode(&t); err != nil {
		return err
	}
	var out measurement
	if t.Bench != nil {
		r, err := train.Bench(context.Background(), *t.Bench)
		if err != nil {
			return err
		}
		out = measurement{r.PlannedBytes, r.PeakBytes}
	} else {
		r, err := train.Run(context.Background(), *t.Run, nil)
		if err != nil {
			return err
		}
		out.Peak = r.PeakBytes
	}
	return json.NewEncoder(os.Stdout).Encode(out)
}

func measure(t *testing.T, what task) measurement {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(what)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), measureVariable+"=1")
	cmd.Stdin, cmd.Stderr = bytes.NewReader(text), os.Stderr
	raw, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var out measurement
	if err := json.Unmarshal(raw, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// near checks that a plan is within 10 % of what was measured.
func near(t *testing.T, what string, planned, peak int64) {
	t.Helper()
	off := 100 * (float64(planned)/float64(peak) - 1)
	t.Logf("%-40s planned %4d MB, measured %4d MB: %+.1f %%", what, planned/1e6, peak/1e6, off)
	if off > 10 || off < -10 {
		t.Errorf("%s: planned %d, measured %d bytes: %.1f %% off", what, planned, peak, off)
	}
}

// On the real model, plan and highest resident memory of a process of its own.
func TestPlanAgainstMeasured(t *testing.T) {
	base := llamatest.Model(t)
	for _, c := range []train.BenchConfig{
		{Row: 256, Batch: 2}, {Row: 1024, Batch: 8}, {Row: 256, Batch: 2, Recompute: true}, {Row: 1024, Batch: 8, Recompute: true},
	} {
		c.BasePath, c.Steps = base, 1
		m := measure(t, task{Bench: &c})
		near(t, fmt.Sprintf("bench, rows of %d tokens, recompute %v", c.Row, c.Recompute), m.Planned, m.Peak)
	}
	for _, c := range []struct {
		words int
		limit int64
	}{{20, 0}, {80, 0}, {80, 400e6}} {
		req := train.Request{BasePath: base, WorkDir: t.TempDir(), OutPath: t.TempDir() + "/a.gguf", Train: longer(4, c.words), Valid: longer(1, c.words), Memory: c.limit,
			Hyperparameters: train.Hyperparameters{Epochs: 2, BatchSize: 2, Rank: 16, Alpha: 32, LearningRate: 1e-4, Patience: -1}}
		plan, err := train.PlanOf(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		peak := measure(t, task{Run: &req}).Peak
		near(t, fmt.Sprintf("run, rows of %d tokens, %d layers kept", plan.RowTokens, plan.KeptLayers), plan.Total, peak)
		if c.limit > 0 && (peak > c.limit || plan.KeptLayers == plan.Layers) {
			t.Errorf("%d bytes were allowed, %d were taken with %d layers kept", c.limit, peak, plan.KeptLayers)
		}
	}
}

// A larger teacher takes more than training does later; who continues has the
// first adapter in memory as well.
func TestPlanAgainstMeasuredTogether(t *testing.T) {
	teacher, dir := llamatest.Model(t), t.TempDir()
	student := filepath.Join(dir, "student.gguf")
	if _, err := bench.WriteModel(t.Context(), student, bench.ModelConfig{Shape: "smollm2-135m", Type: "q4_1", Layers: 3, Tokenizer: teacher}); err != nil {
		t.Fatal(err)
	}
	req := train.Request{BasePath: student, WorkDir: filepath.Join(dir, "w"), OutPath: filepath.Join(dir, "a.gguf"), TeacherPath: teacher, Train: longer(4, 40), Valid: longer(1, 40),
		Hyperparameters: train.Hyperparameters{Epochs: 1, BatchSize: 1, Rank: 8, LearningRate: 1e-4, Patience: -1}}
	compare := func(what string, req train.Request) train.Memory {
		t.Helper()
		plan, err := train.PlanOf(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		near(t, what, plan.Total, measure(t, task{Run: &req}).Peak)
		return plan
	}
	if plan := compare("a teacher ten times as large", req); plan.Teacher < plan.Weights {
		t.Errorf("%+v", plan.MemoryPlan)
	}
	first := req
	first.TeacherPath, first.WorkDir, first.Hyperparameters.Rank = "", filepath.Join(dir, "w1"), 256
	if _, err := train.Run(t.Context(), first, nil); err != nil {
		t.Fatal(err)
	}
	more := first
	more.InitPath, more.WorkDir, more.OutPath = first.OutPath, filepath.Join(dir, "w2"), filepath.Join(dir, "b.gguf")
	more.Hyperparameters.Rank, more.Hyperparameters.Method = 0, "dpo"
	for _, list := range [][]train.Example{more.Train, more.Valid} {
		for i := range list {
			list[i].Rejected = "No."
		}
	}
	if plan := compare("dpo from an adapter", more); plan.Start != 2*plan.Adapter {
		t.Errorf("%+v", plan.MemoryPlan)
	}
}

// longer are n examples whose answers have that many words.
func longer(n, words int) []train.Example {
	var out []train.Example
	for i := range n {
		out = append(out, train.Example{Row: i + 1, Messages: []chat.Message{
			{Role: "user", Content: fmt.Sprintf("Tell me about house %d.", i)},
			{Role: "assistant", Content: strings.Repeat(fmt.Sprintf("house%d ", i), words)},
		}})
	}
	return out
}
