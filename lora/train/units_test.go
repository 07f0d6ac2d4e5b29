package train_test

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"cloister/lora/model"
	"cloister/lora/train"
)

func TestSchedule(t *testing.T) {
	for _, tt := range []struct {
		schedule            string
		step, warmup, total int
		want                float64
	}{
		{"cosine", 0, 4, 12, 0.25}, {"cosine", 3, 4, 12, 1}, {"cosine", 4, 4, 12, 1}, {"cosine", 8, 4, 12, 0.5},
		{"cosine", 11, 4, 12, (1 + math.Cos(math.Pi*7/8)) / 2}, {"cosine", 0, 0, 2, 1}, {"cosine", 1, 0, 2, 0.5},
		{"linear", 1, 2, 10, 1}, {"linear", 6, 2, 10, 0.5}, {"linear", 9, 2, 10, 0.125}, {"linear", 0, 0, 1, 1},
		{"cosine_with_restarts", 0, 1, 13, 1}, {"cosine_with_restarts", 1, 1, 13, 1}, {"cosine_with_restarts", 3, 1, 13, 0.5},
		{"cosine_with_restarts", 5, 1, 13, 1}, {"cosine_with_restarts", 11, 1, 13, 0.5},
		{"constant", 0, 2, 10, 0.5}, {"constant", 9, 2, 10, 1}, {"cosine", 1, 5, 2, 0.4},
	} {
		if got := train.LearningRate(tt.schedule, 2, tt.step, tt.warmup, tt.total, 3); math.Abs(got-2*tt.want) > 1e-12 {
			t.Errorf("%s, step %d of %d with %d to warm up: %g, want %g", tt.schedule, tt.step, tt.total, tt.warmup, got, 2*tt.want)
		}
	}
}

// The values were computed from the paper's formulas in Python's float64; the
// kernel computes in float32, as PyTorch does.
func TestAdamW(t *testing.T) {
	got := train.AdamW(0.5, []float32{0.3, -0.2, 0.05, 4}, 0.01, 0.1, 1)
	for i, want := range []float64{0.489500000, 0.487565295, 0.485092982, 0.478590836} {
		if math.Abs(float64(got[i])-want) > 2e-7 {
			t.Errorf("after update %d: %.9f, want %.9f", i+1, got[i], want)
		}
	}
}

func TestResolve(t *testing.T) {
	for _, tt := range []struct {
		name   string
		facts  train.Facts
		batch  int
		rate   float64
		epochs int
		warmup int
	}{
		{"135M, 240 examples", train.Facts{Examples: 240, Parameters: 135e6, ValidExamples: 30, LongestTokens: 90, Context: 2048}, 8, 1e-3, 10, 10},
		{"135M, 40 examples", train.Facts{Examples: 40, Parameters: 135e6, ValidExamples: 5}, 4, 1e-3, 8, 2},
		{"135M, 5000 examples", train.Facts{Examples: 5000, Parameters: 135e6, ValidExamples: 5}, 16, 1e-3, 2, 20},
		{"1B, 240 examples", train.Facts{Examples: 240, Parameters: 1e9}, 8, 4e-4, 6, 6},
		{"8B, 240 examples", train.Facts{Examples: 240, Parameters: 8e9}, 8, 2e-4, 3, 3},
		{"8B, 50000 examples", train.Facts{Examples: 50000, Parameters: 8e9}, 32, 2e-4, 1, 52},
		{"one example", train.Facts{Examples: 1, Parameters: 135e6}, 1, 1e-3, 8, 1},
	} {
		h, choices := train.Resolve(train.Hyperparameters{}, tt.facts)
		if h.BatchSize != tt.batch || h.LearningRate != tt.rate || h.Epochs != tt.epochs || h.WarmupSteps != tt.warmup {
			t.Errorf("%s: batch %d, rate %g, epochs %d, warm-up %d", tt.name, h.BatchSize, h.LearningRate, h.Epochs, h.WarmupSteps)
		}
		if h.Rank != 16 || h.Alpha != 32 || len(h.Targets) != 1 || h.Targets[0] != model.AllLinear || h.Schedule != "cosine" || h.MaxGradNorm != 1 || h.MaxLength != 2048 {
			t.Errorf("%s: %+v", tt.name, h)
		}
		if (h.Patience == 3) != (tt.facts.ValidExamples > 0) {
			t.Errorf("%s: patience %d", tt.name, h.Patience)
		}
		seen := map[string]bool{}
		for _, c := range choices {
			if c.Reason == "" || c.Value == "" || seen[c.Name] {
				t.Errorf("%s: choice %+v", tt.name, c)
			}
			seen[c.Name] = true
		}
		if len(seen) != 16 {
			t.Errorf("%s: choices of %d values", tt.name, len(seen))
		}
		if again, more := train.Resolve(h, tt.facts); len(more) != 0 || again.LearningRate != h.LearningRate {
			t.Errorf("%s: what is resolved is resolved again: %+v", tt.name, more)
		}
	}
}

func TestResolveGiven(t *testing.T) {
	f := train.Facts{Examples: 240, Parameters: 135e6, Context: 1024}
	given := train.Hyperparameters{
		Epochs: 2, BatchSize: 3, LearningRate: 5e-5, LearningRateMultiplier: 7, Rank: 4, Alpha: 4, Targets: []string{"attn_q"},
		Schedule: "linear", WarmupSteps: -1, MaxGradNorm: 2, MaxLength: 100, Patience: 5,
		Beta1: 0.8, Beta2: 0.9, Epsilon: 1e-6, KeepCheckpoints: 2, Precision: "float32",
	}
	if h, choices := train.Resolve(given, f); len(choices) != 0 || h.LearningRate != 5e-5 || h.WarmupSteps != -1 {
		t.Errorf("%+v, %+v", h, choices)
	}
	h, choices := train.Resolve(train.Hyperparameters{LearningRateMultiplier: 0.5}, f)
	if h.LearningRate != 5e-4 || !strings.Contains(choices[1].Reason, "learning_rate_multiplier 0.5 times the automatic 0.001") {
		t.Errorf("multiplier: %g, %+v", h.LearningRate, choices)
	}
	h, _ = train.Resolve(train.Hyperparameters{Targets: []string{"attention"}, RankStabilized: true, WarmupRatio: 0.1, Schedule: "cosine_with_restarts"}, f)
	if !slices.Equal(h.Targets, []string{"attention"}) || h.Alpha != 8 || h.WarmupSteps != 30 || h.WarmupRatio != 0 || h.Cycles != 2 {
		t.Errorf("resolved %+v", h)
	}
	if h, _ := train.Resolve(train.Hyperparameters{BatchTokens: 500, Accumulation: 2, Epochs: 3, WarmupRatio: 0.5}, train.Facts{Examples: 240, Tokens: 20000}); h.BatchSize != 0 || h.WarmupSteps != 30 {
		t.Errorf("a batch of tokens: %+v", h)
	}
	for _, tt := range []struct {
		architecture, want string
		has                []model.Precision
	}{
		{"llama", "bf16", []model.Precision{model.BF16, model.BF16x3, model.Float32}},
		{"llama", "float32", []model.Precision{model.Float32}},
		{"gemma3", "bf16x3", []model.Precision{model.BF16, model.BF16x3, model.Float32}},
		{"gemma3", "float32", []model.Precision{model.BF16, model.Float32}},
	} {
		if h, _ := train.Resolve(train.Hyperparameters{}, train.Facts{Precisions: tt.has, Architecture: tt.architecture}); h.Precision != tt.want {
			t.Errorf("%s on a CPU with %v: precision %s, want %s", tt.architecture, tt.has, h.Precision, tt.want)
		}
	}
	if h, _ := train.Resolve(train.Hyperparameters{MaxLength: 5000}, f); h.MaxLength != 1024 {
		t.Errorf("max_length %d beyond the context", h.MaxLength)
	}
}

func TestValidate(t *testing.T) {
	for field, h := range map[string]train.Hyperparameters{
		"n_epochs": {Epochs: -1}, "batch_size": {BatchSize: -2}, "learning_rate": {LearningRate: math.NaN()}, "rank": {Rank: 1 << 20},
		"lr_scheduler_type": {Schedule: "cosinus"}, "target_modules": {Targets: []string{"q_proj"}}, "warmup_steps": {WarmupSteps: -2},
		"alpha": {Alpha: math.Inf(1)}, "batch_tokens": {BatchSize: 2, BatchTokens: 100}, "gradient_accumulation_steps": {Accumulation: -1},
		"loraplus_lr_ratio": {LoraPlusRatio: -1}, "num_cycles": {Cycles: 2}, "warmup_ratio": {WarmupRatio: 0.1, WarmupSteps: 3}, "lora_dropout": {Dropout: 1},
		"neftune_noise_alpha": {NoiseAlpha: -1}, "adam_beta1": {Beta1: 1}, "adam_beta2": {Beta2: 1}, "adam_epsilon": {Epsilon: -1}, "precision": {Precision: "int8"},
		"weight_decay": {WeightDecay: -1}, "max_grad_norm": {MaxGradNorm: -1}, "eval_steps": {EvalSteps: -1}, "save_total_limit": {KeepCheckpoints: -1},
		"target_modules ": {Targets: []string{"attention", "attention"}}, "patience": {Patience: -2}, "max_length": {MaxLength: -1}, "learning_rate_multiplier": {LearningRateMultiplier: -1},
	} {
		wrong, ok := errors.AsType[*train.FieldError](h.Validate())
		if !ok || wrong.Field != strings.TrimSpace(field) || !strings.HasPrefix(wrong.Error(), wrong.Field+" ") {
			t.Errorf("%s: %v", field, wrong)
		}
	}
	if err := (train.Hyperparameters{Targets: []string{"attn_q", "attn_q"}}).Validate(); err == nil {
		t.Error("a target was accepted twice")
	}
	if err := (train.Hyperparameters{}).Validate(); err != nil {
		t.Error(err)
	}
}
