package train

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"cloister/lora/model"
)

// Hyperparameters of one run. A zero value means "choose for me", or off where
// the comment says so, and Resolve says what was chosen and why. Names are
// OpenAI's where it has them, and otherwise those of PEFT and of Transformers'
// TrainingArguments.
type Hyperparameters struct {
	// Method is "supervised", "dpo" or "kto"; empty: supervised.
	Method string `json:"method,omitempty"`

	Epochs    int `json:"n_epochs,omitempty"`
	BatchSize int `json:"batch_size,omitempty"` // examples in one batch
	// BatchTokens fills batches up to so many tokens, in place of a number of
	// examples; 0: off. An example that has more is a batch of its own.
	BatchTokens int `json:"batch_tokens,omitempty"`
	// Accumulation is the number of batches that one optimiser step learns from;
	// 0 means 1. Memory does not grow with it, nor with the batch.
	Accumulation int `json:"gradient_accumulation_steps,omitempty"`

	// Beta of DPO and KTO: how strongly the model is held where it began.
	Beta float64 `json:"beta,omitempty"`
	// LabelSmoothing of DPO is the share of pairs that are taken to be the wrong way round; 0: off.
	LabelSmoothing float64 `json:"label_smoothing,omitempty"`
	// DesirableWeight and UndesirableWeight scale the losses of KTO's two kinds of answers.
	DesirableWeight   float64 `json:"desirable_weight,omitempty"`
	UndesirableWeight float64 `json:"undesirable_weight,omitempty"`

	// Temperature, DistillAlpha and TopK say how a teacher is learnt from (Request.TeacherPath).
	Temperature  float64 `json:"distill_temperature,omitempty"` // softens both distributions
	DistillAlpha float64 `json:"distill_alpha,omitempty"`       // share of the answers' own tokens in the loss; -1: none
	TopK         int     `json:"distill_top_k,omitempty"`       // likeliest tokens of the teacher

	LearningRate float64 `json:"learning_rate,omitempty"`
	// LearningRateMultiplier scales the automatic rate; ignored when LearningRate is set.
	LearningRateMultiplier float64 `json:"learning_rate_multiplier,omitempty"`
	// LoraPlusRatio is the learning rate of B over that of A (LoRA+,
	// arXiv:2402.12354, which advises 16 with a lower rate); 0: off, which is 1.
	LoraPlusRatio float64 `json:"loraplus_lr_ratio,omitempty"`
	Schedule      string  `json:"lr_scheduler_type,omitempty"` // "cosine", "cosine_with_restarts", "linear" or "constant"
	// Cycles is how often "cosine_with_restarts" begins at the full rate (arXiv:1608.03983).
	Cycles      int     `json:"num_cycles,omitempty"`
	WarmupSteps int     `json:"warmup_steps,omitempty"` // -1: none
	WarmupRatio float64 `json:"warmup_ratio,omitempty"` // the warm-up as a share of all steps

	Rank  int     `json:"rank,omitempty"`
	Alpha float64 `json:"alpha,omitempty"` // the adapter's scale is Alpha/Rank (LoRA, arXiv:2106.09685)
	// RankStabilized makes the scale Alpha/√Rank (rsLoRA, arXiv:2312.03732). The
	// file then has the alpha that gives the same scale in llama.cpp.
	RankStabilized bool `json:"use_rslora,omitempty"`
	// Dropout is the share of the inputs of A that a step sets to zero at random; 0: off.
	Dropout float64 `json:"lora_dropout,omitempty"`
	// Targets are "all-linear", "attention", or names such as attn_q; see model.TargetsOf.
	Targets []string `json:"target_modules,omitempty"`
	// NoiseAlpha adds uniform noise of at most NoiseAlpha/√(tokens·width) to the
	// embeddings of an example (NEFTune, arXiv:2310.05914, which tries 5, 10 and 15); 0: off.
	NoiseAlpha float64 `json:"neftune_noise_alpha,omitempty"`

	WeightDecay float64 `json:"weight_decay,omitempty"`  // of AdamW (arXiv:1711.05101); 0: off
	Beta1       float64 `json:"adam_beta1,omitempty"`    // decay of the mean of gradients
	Beta2       float64 `json:"adam_beta2,omitempty"`    // decay of the mean of their squares
	Epsilon     float64 `json:"adam_epsilon,omitempty"`  // added to the root of that mean
	MaxGradNorm float64 `json:"max_grad_norm,omitempty"` // gradients are clipped to this norm

	MaxLength int   `json:"max_length,omitempty"` // tokens of one example; longer ones are cut at the end
	NoShuffle bool  `json:"no_shuffle,omitempty"` // keep the order of the examples, in every epoch
	Seed      int64 `json:"seed"`                 // of start values, order, dropout and noise

	// EvalSteps is the number of steps between evaluations on the validation
	// set; 0: at the end of each epoch only. There is one at the end of each
	// epoch in any case.
	EvalSteps       int `json:"eval_steps,omitempty"`
	Patience        int `json:"patience,omitempty"`         // evaluations without a better loss before the run stops; -1: never stop early
	KeepCheckpoints int `json:"save_total_limit,omitempty"` // adapters of the last epochs that are kept as models

	// Precision of matrix products: "bf16", "bf16x3" or "float32", as
	// model.Precision says. All else is float32 always.
	Precision string `json:"precision,omitempty"`
}

// FieldError says which hyper-parameter has a wrong value, and what it may be.
type FieldError struct {
	Field   string // its name on the wire
	Message string // without the name
}

func (e *FieldError) Error() string { return e.Field + " " + e.Message }

func wrong(field, format string, a ...any) error {
	return &FieldError{field, fmt.Sprintf(format, a...)}
}

// AllTargets are the matrices of a layer that an adapter can change; a base model has some of them.
var AllTargets = model.Matrices()

// Precisions.
const (
	bf16     = string(model.BF16)
	bf16x3   = string(model.BF16x3)
	float32s = string(model.Float32)
)

// Validate checks the values that were given. Its error is a *FieldError.
func (h Hyperparameters) Validate() error {
	for _, v := range []struct {
		name      string
		value     float64
		low, high float64
	}{
		{"n_epochs", float64(h.Epochs), 1, 10000},
		{"batch_size", float64(h.BatchSize), 1, 1 << 16},
		{"batch_tokens", float64(h.BatchTokens), 1, 1 << 24},
		{"gradient_accumulation_steps", float64(h.Accumulation), 1, 1 << 16},
		{"learning_rate", h.LearningRate, 1e-8, 10},
		{"learning_rate_multiplier", h.LearningRateMultiplier, math.SmallestNonzeroFloat64, 1000},
		{"loraplus_lr_ratio", h.LoraPlusRatio, 1e-3, 1000},
		{"num_cycles", float64(h.Cycles), 1, 1000},
		{"warmup_steps", float64(h.WarmupSteps), -1, 1 << 20},
		{"warmup_ratio", h.WarmupRatio, 0, 1},
		{"rank", float64(h.Rank), 1, 512},
		{"alpha", h.Alpha, 1e-3, 4096},
		{"lora_dropout", h.Dropout, 0, 0.95},
		{"neftune_noise_alpha", h.NoiseAlpha, 0, 1000},
		{"weight_decay", h.WeightDecay, 0, 10},
		{"adam_beta1", h.Beta1, 0, 0.99999},
		{"adam_beta2", h.Beta2, 0, 0.99999},
		{"adam_epsilon", h.Epsilon, 1e-30, 1},
		{"max_grad_norm", h.MaxGradNorm, 1e-6, 1e6},
		{"max_length", float64(h.MaxLength), 16, 1 << 20},
		{"eval_steps", float64(h.EvalSteps), 1, 1 << 30},
		{"patience", float64(h.Patience), -1, 10000},
		{"save_total_limit", float64(h.KeepCheckpoints), 1, 1000},
	} {
		if v.value != 0 && !(v.value >= v.low && v.value <= v.high) { // NaN as well
			return wrong(v.name, "is %g; it must be %g to %g, or left out to be chosen automatically", v.value, v.low, v.high)
		}
	}
	if err := h.validateMethod(); err != nil {
		return err
	}
	return h.validateWords()
}

// validateWords checks what is no number, and what does not go together.
func (h Hyperparameters) validateWords() error {
	if !slices.Contains([]string{"", cosine, restarts, linear, constant}, h.Schedule) {
		return wrong("lr_scheduler_type", "is %q; it must be %s, %s, %s or %s", h.Schedule, cosine, restarts, linear, constant)
	}
	if !slices.Contains([]string{"", bf16, bf16x3, float32s}, h.Precision) {
		return wrong("precision", "is %q; it must be %s, %s or %s", h.Precision, bf16, bf16x3, float32s)
	}
	for i, t := range h.Targets {
		if !slices.Contains(model.KnownTargets(), t) || slices.Contains(h.Targets[:i], t) {
			return wrong("target_modules", "has %q; each of %s is allowed, once", t, strings.Join(model.KnownTargets(), ", "))
		}
	}
	switch {
	case h.BatchSize > 0 && h.BatchTokens > 0:
		return wrong("batch_tokens", "is %d and batch_size is %d; give one of them", h.BatchTokens, h.BatchSize)
	case h.WarmupSteps != 0 && h.WarmupRatio != 0:
		return wrong("warmup_ratio", "is %g and warmup_steps is %d; give one of them", h.WarmupRatio, h.WarmupSteps)
	case h.Cycles > 0 && h.Schedule != restarts:
		return wrong("num_cycles", "is %d, which has a meaning only with the lr_scheduler_type %s", h.Cycles, restarts)
	}
	return nil
}

// fileAlpha is the alpha with which alpha/rank, which is what llama.cpp
// computes, is the scale that was asked for.
func (h *Hyperparameters) fileAlpha() float64 {
	if h.RankStabilized {
		return h.Alpha * math.Sqrt(float64(h.Rank))
	}
	return h.Alpha
}
