package train

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"cloister/lora/model"
)

// Facts are what defaults depend on.
type Facts struct {
	Examples, ValidExamples int
	LongestTokens           int               // of one example
	Architecture            string            // of the base
	Parameters              int64             // of the base
	Context                 int               // tokens that the base was trained for; 0: unknown
	Tokens                  int64             // of all training examples
	Precisions              []model.Precision // that the device has
	OnCard                  bool              // the device is a card
	Targets                 []string          // matrices of the base that can have an adapter; nil: unknown
	Taught                  bool              // there is a teacher
	Desirable               int               // training examples whose answer is desirable, of judged ones
}

// Defaults that depend on nothing.
const (
	defaultRank     = 16
	defaultAlphaBy  = 2 // alpha is this times the rank
	defaultPatience = 3
	defaultNorm     = 1
	defaultBeta1    = 0.9
	defaultBeta2    = 0.999
	defaultEpsilon  = 1e-8
	defaultCycles   = 2
	defaultKept     = 3
	mostEpochs      = 10
	usualMaxLength  = 2048
)

// Resolve fills in what was left open, and gives a reason for each value that
// it chose. The values come from measurements on small models with a few
// hundred short examples, where learning rate and number of epochs decide
// whether facts are learned at all, and from the ranges that are usual for
// LoRA on larger ones.
func Resolve(h Hyperparameters, f Facts) (Hyperparameters, []Choice) {
	r := resolver{h: h, f: f}
	r.method()
	r.batch()
	r.rate()
	r.epochs()
	r.adapter()
	r.schedule()
	r.length()
	r.patience()
	r.optimiser()
	r.precision()
	return r.h, r.choices
}

type resolver struct {
	h       Hyperparameters
	f       Facts
	choices []Choice
}

func (r *resolver) chose(name string, value any, reason string, a ...any) {
	r.choices = append(r.choices, Choice{name, fmt.Sprint(value), fmt.Sprintf(reason, a...)})
}

func (r *resolver) batch() {
	if r.h.BatchSize > 0 || r.h.BatchTokens > 0 {
		return
	}
	n := 8
	switch {
	case r.f.Examples < 100:
		n = 4
	case r.f.Examples >= 20000:
		n = 32
	case r.f.Examples >= 5000:
		n = 16
	}
	r.h.BatchSize = max(1, min(n, r.f.Examples))
	r.chose("batch_size", r.h.BatchSize, "for %d examples: enough steps to learn from, and each steady enough", r.f.Examples)
}

// anchor is a value that is known to be right at a size of the model.
type anchor struct{ parameters, value float64 }

// between interpolates in the logarithm of size and value.
func between(parameters int64, anchors []anchor) float64 {
	p := float64(parameters)
	last := len(anchors) - 1
	if p >= anchors[last].parameters {
		return anchors[last].value
	}
	for i, b := range anchors[1:] {
		a := anchors[i]
		if p <= a.parameters {
			return a.value
		}
		if p < b.parameters {
			share := math.Log(p/a.parameters) / math.Log(b.parameters/a.parameters)
			return a.value * math.Pow(b.value/a.value, share)
		}
	}
	return anchors[last].value
}

func (r *resolver) rate() {
	if r.h.LearningRate > 0 {
		return
	}
	rate := twoDigits(between(r.f.Parameters, []anchor{{200e6, 1e-3}, {1e9, 4e-4}, {7e9, 2e-4}}))
	why := fmt.Sprintf("for a model of %s parameters: LoRA takes more than full fine-tuning, and small models take more than large ones", count(r.f.Parameters))
	if r.h.prefers() {
		rate = twoDigits(preferRate * rate)
		why += fmt.Sprintf("; %s takes a tenth of that, as it moves whole answers", r.h.Method)
	}
	if m := r.h.LearningRateMultiplier; m > 0 && m != 1 {
		why = fmt.Sprintf("learning_rate_multiplier %g times the automatic %g %s", m, rate, why)
		rate *= m
	}
	r.h.LearningRate = rate
	r.chose("learning_rate", rate, "%s", why)
}

// epochs aims at some 3000 looks at examples, which a model of 135M needs to
// learn facts by heart; large models need fewer.
func (r *resolver) epochs() {
	if r.h.Epochs > 0 {
		return
	}
	looks := 3000 * between(r.f.Parameters, []anchor{{200e6, 1}, {1e9, 0.6}, {7e9, 0.3}})
	most := max(3, math.Round(mostEpochs*looks/3000))
	if r.f.Examples < 50 {
		most = min(most, 8)
	}
	n := min(math.Ceil(looks/float64(max(1, r.f.Examples))), most)
	least := 2.0
	if r.f.Examples >= 10000 {
		least = 1
	}
	r.h.Epochs = int(max(n, least))
	why := "%d examples and a model of %s parameters: small models need many looks at a fact, large sets few epochs"
	if r.f.Examples < 50 {
		why = "%d examples are few: more passes over them would be learned by heart instead of generalised (model of %s parameters)"
	}
	r.chose("n_epochs", r.h.Epochs, why, r.f.Examples, count(r.f.Parameters))
}

func (r *resolver) adapter() {
	if r.h.Rank == 0 {
		r.h.Rank = defaultRank
		r.chose("rank", r.h.Rank, "room for a few thousand facts at a small cost")
	}
	switch {
	case r.h.Alpha != 0:
	case r.h.RankStabilized:
		r.h.Alpha = defaultAlphaBy * math.Sqrt(defaultRank)
		r.chose("alpha", r.h.Alpha, "the scale alpha/√rank is %.3g; at rank %d it is what plain LoRA has", r.h.Alpha/math.Sqrt(float64(r.h.Rank)), defaultRank)
	default:
		r.h.Alpha = float64(defaultAlphaBy * r.h.Rank)
		r.chose("alpha", r.h.Alpha, "twice the rank, so the scale alpha/rank is %d", defaultAlphaBy)
	}
	if len(r.h.Targets) == 0 {
		r.h.Targets = slices.Clone(r.f.Targets)
		if len(r.h.Targets) == 0 {
			r.h.Targets = []string{model.AllLinear}
		}
		r.chose("target_modules", strings.Join(r.h.Targets, ","), "all linear layers that can have an adapter: facts are stored in the feed-forward ones too")
	}
}

func (r *resolver) schedule() {
	if r.h.Schedule == "" {
		r.h.Schedule = cosine
		r.chose("lr_scheduler_type", r.h.Schedule, "fast while there is much to learn, small steps at the end")
	}
	if r.h.Schedule == restarts && r.h.Cycles == 0 {
		r.h.Cycles = defaultCycles
		r.chose("num_cycles", r.h.Cycles, "one restart, half-way: each descent is long enough to settle")
	}
	if total := r.steps(); r.h.WarmupRatio > 0 {
		r.h.WarmupSteps = int(math.Ceil(r.h.WarmupRatio * float64(total)))
		r.chose("warmup_steps", r.h.WarmupSteps, "warmup_ratio %g of %d steps", r.h.WarmupRatio, total)
		r.h.WarmupRatio = 0
	} else if r.h.WarmupSteps == 0 {
		r.h.WarmupSteps = max(1, min(100, total/30))
		r.chose("warmup_steps", r.h.WarmupSteps, "a thirtieth of %d steps: the optimiser's averages settle first", total)
	}
}

// steps is the number of steps of the run; with batches of tokens it is a guess,
// as how they fill depends on the order.
func (r *resolver) steps() int {
	perEpoch := stepsPerEpoch(r.f.Examples, r.h.BatchSize*max(1, r.h.Accumulation))
	if r.h.BatchTokens > 0 {
		perEpoch = stepsPerEpoch(int(r.f.Tokens), r.h.BatchTokens*max(1, r.h.Accumulation))
	}
	return r.h.Epochs * perEpoch
}

func (r *resolver) length() {
	if c := r.f.Context; c > 0 && r.h.MaxLength > c {
		r.h.MaxLength = c
		r.chose("max_length", c, "the model's context is shorter than what was asked for")
	}
	if r.h.MaxLength > 0 {
		return
	}
	limit, why := usualMaxLength, fmt.Sprintf("the longest example has %d tokens; memory grows with the longest row", r.f.LongestTokens)
	if r.f.Context > 0 && r.f.Context < limit {
		limit, why = r.f.Context, fmt.Sprintf("the model's context; the longest example has %d tokens", r.f.LongestTokens)
	}
	r.h.MaxLength = limit
	r.chose("max_length", limit, "%s", why)
}

func (r *resolver) patience() {
	if r.h.Patience != 0 {
		return
	}
	if r.f.ValidExamples == 0 {
		r.h.Patience = -1
		r.chose("patience", "none", "without validation examples nothing says when to stop; the last epoch is kept")
		return
	}
	r.h.Patience = defaultPatience
	r.chose("patience", r.h.Patience, "stop when so many evaluations in a row have not improved the validation loss, and keep the best adapter")
}

func (r *resolver) optimiser() {
	const why = "what AdamW's authors and PyTorch use"
	for _, v := range []struct {
		name  string
		value *float64
		usual float64
		why   string
	}{
		{"max_grad_norm", &r.h.MaxGradNorm, defaultNorm, "one bad batch must not undo many good ones"},
		{"adam_beta1", &r.h.Beta1, defaultBeta1, why},
		{"adam_beta2", &r.h.Beta2, defaultBeta2, why},
		{"adam_epsilon", &r.h.Epsilon, defaultEpsilon, why},
	} {
		if *v.value == 0 {
			*v.value = v.usual
			r.chose(v.name, v.usual, "%s", v.why)
		}
	}
	if r.h.KeepCheckpoints == 0 {
		r.h.KeepCheckpoints = defaultKept
		r.chose("save_total_limit", defaultKept, "the last epochs stay as models to compare with, as OpenAI keeps them")
	}
}

func (r *resolver) precision() {
	has := func(p string) bool { return slices.Contains(r.f.Precisions, model.Precision(p)) }
	choose := func(p, why string) {
		r.h.Precision = p
		r.chose("precision", p, "%s", why)
	}
	device := "this CPU"
	if r.f.OnCard {
		device = "the card"
	}
	large := r.f.Architecture == "gemma3"
	switch {
	case r.h.Precision != "":
	case large && has(bf16x3):
		choose(bf16x3, "a few activations of gemma3 are so large that rounding them to BF16 hides young gradients; two parts of BF16 do not")
	case large && has(bf16):
		choose(float32s, "a few activations of gemma3 are so large that rounding them to BF16 hides young gradients")
	case has(bf16):
		choose(bf16, device+" multiplies BF16 several times faster, and sums, norms and softmax stay in float32")
	default:
		choose(float32s, device+" does not multiply BF16")
	}
}

func stepsPerEpoch(examples, batch int) int { return (examples + batch - 1) / max(1, batch) }

// twoDigits rounds to two significant digits.
func twoDigits(v float64) float64 {
	out, _ := strconv.ParseFloat(strconv.FormatFloat(v, 'e', 1, 64), 64)
	return out
}

// count writes a number of parameters as people do: 135M, 7.2B.
func count(n int64) string {
	switch {
	case n >= 1e9:
		return fmt.Sprintf("%.1fB", float64(n)/1e9)
	case n >= 1e6:
		return fmt.Sprintf("%.0fM", float64(n)/1e6)
	}
	return fmt.Sprint(n)
}
