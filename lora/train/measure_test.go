package train_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"cloister/llama/chat"
	"cloister/llama/llamatest"
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
