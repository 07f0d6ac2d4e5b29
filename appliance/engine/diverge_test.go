package engine_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cloister/appliance/engine"
	"cloister/appliance/engine/enginetest"
	"cloister/llama/chat"
	"cloister/llama/gguf/tinygguf"
	"cloister/lora/train"
)

// A run whose learning rate is far too high is stopped with advice, and its
// best adapter is there, in this process and in a worker's.
func TestDivergedKeepsBest(t *testing.T) {
	base := filepath.Join(t.TempDir(), "tiny.gguf")
	if err := tinygguf.WriteFile(base, tinygguf.Default()); err != nil {
		t.Fatal(err)
	}
	for name, trainer := range map[string]engine.Trainer{"local": engine.LocalTrainer{}, "child": engine.ChildTrainer{Exe: enginetest.WorkerCommand("train")}} {
		dir := t.TempDir()
		req := train.Request{
			BasePath: base, WorkDir: filepath.Join(dir, "work"), OutPath: filepath.Join(dir, "adapter.gguf"), Threads: 1,
			Hyperparameters: train.Hyperparameters{Epochs: 50, BatchSize: 2, LearningRate: 0.3, Alpha: 4096, Rank: 4, Schedule: "constant", Patience: -1, MaxGradNorm: 1000, EvalSteps: 2},
		}
		for i := range 24 {
			e := train.Example{Row: i, Messages: []chat.Message{{Role: "user", Content: strings.Repeat("q", 1+i)}, {Role: "assistant", Content: string(rune('a' + i))}}}
			if i < 20 {
				req.Train = append(req.Train, e)
			} else {
				req.Valid = append(req.Valid, e)
			}
		}
		var res train.Result
		var err error
		// Chaos has its luck: some seeds do not diverge, and some before an epoch has ended.
		for (err == nil || res.Best.Step == 0) && req.Hyperparameters.Seed < 16 {
			req.Hyperparameters.Seed++
			res, err = trainer.Train(context.Background(), req, nil)
		}
		t.Logf("%s: seed %d: %v", name, req.Hyperparameters.Seed, err)
		if !errors.Is(err, train.ErrDiverged) || !strings.Contains(err.Error(), "learning_rate of 0.07 in place of 0.3") {
			t.Fatalf("%s: %v", name, err)
		}
		if res.Best.Step == 0 || len(res.Checkpoints) == 0 {
			t.Fatalf("%s: %+v", name, res)
		}
		for _, c := range res.Checkpoints {
			if _, err := os.Stat(c.Path); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}
