package train

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"cloister/lora/model"
)

// AllTargets are the matrices of a layer that an adapter can change; a base model has some of them.
var AllTargets = model.Matrices()

// Validate checks the values that were given. Its error names the field.
func (h Hyperparameters) Validate() error {
	for _, v := range []struct {
		name      string
		value     float64
		low, high float64
	}{
		{"n_epochs", float64(h.Epochs), 0, 10000},
		{"batch_size", float64(h.BatchSize), 0, 1 << 16},
		{"learning_rate", h.LearningRate, 0, 10},
		{"learning_rate_multiplier", h.LearningRateMultiplier, 0, 1e6},
		{"rank", float64(h.Rank), 0, 4096},
		{"alpha", h.Alpha, 0, 1e6},
		{"warmup_steps", float64(h.WarmupSteps), -1, 1 << 30},
		{"weight_decay", h.WeightDecay, 0, 100},
		{"max_grad_norm", h.MaxGradNorm, 0, math.MaxFloat32},
		{"max_length", float64(h.MaxLength), 0, 1 << 24},
		{"patience", float64(h.Patience), -1, 10000},
	} {
		if !(v.value >= v.low && v.value <= v.high) { // NaN as well
			return fmt.Errorf("%s is %g; %g to %g is allowed", v.name, v.value, v.low, v.high)
		}
	}
	if !slices.Contains([]string{"", cosine, linear, constant}, h.Schedule) {
		return fmt.Errorf("lr_scheduler_type is %q; cosine, linear or constant is allowed", h.Schedule)
	}
	for i, t := range h.Targets {
		if !slices.Contains(model.KnownTargets(), t) || slices.Contains(h.Targets[:i], t) {
			return fmt.Errorf("target_modules has %q; each of %s is allowed, once", t, strings.Join(model.KnownTargets(), ", "))
		}
	}
	return nil
}

// Facts are what defaults depend on.
type Facts struct {
	Examples, ValidExamples int
	LongestTokens           int      // of one example
	Parameters              int64    // of the base
	Context                 int      // tokens that the base was trained for; 0: unknown
	Targets                 []string // matrices of the base that can have an adapter; nil: unknown
}

// Defaults that depend on nothing.
const (
	defaultRank     = 16
	defaultAlphaBy  = 2 // alpha is this times the rank
	defaultPatience = 3
	defaultNorm     = 1
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
	r.batch()
	r.rate()
	r.epochs()
	r.adapter()
	r.schedule()
	r.length()
	r.patience()
	if r.h.MaxGradNorm == 0 {
		r.h.MaxGradNorm = defaultNorm
		r.chose("max_grad_norm", r.h.MaxGradNorm, "one bad batch must not undo many good ones")
	}
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
	if r.h.BatchSize > 0 {
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
	if r.h.Alpha == 0 {
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
	if r.h.WarmupSteps == 0 {
		total := r.h.Epochs * stepsPerEpoch(r.f.Examples, r.h.BatchSize)
		r.h.WarmupSteps = max(1, min(100, total/30))
		r.chose("warmup_steps", r.h.WarmupSteps, "a thirtieth of %d steps: the optimiser's averages settle first", total)
	}
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
	r.chose("patience", r.h.Patience, "stop when the validation loss has not improved for so many epochs, and keep the best epoch")
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
