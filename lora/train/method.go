package train

import (
	"cmp"
	"fmt"
	"slices"

	"cloister/llama/chat"
)

// Methods of training.
const (
	sft = "supervised" // makes the answers likelier
	dpo = "dpo"        // Direct Preference Optimization, from pairs
	kto = "kto"        // Kahneman-Tversky Optimization, from judged answers
)

// Methods are the names of the ways to train.
var Methods = []string{sft, dpo, kto}

// prefers says whether the method learns what is preferred.
func (h *Hyperparameters) prefers() bool { return h.Method == dpo || h.Method == kto }

// validateMethod checks the method and what goes only with it.
func (h Hyperparameters) validateMethod() error {
	if h.Method != "" && !slices.Contains(Methods, h.Method) {
		return wrong("method", "is %q; it must be %s, %s or %s", h.Method, sft, dpo, kto)
	}
	for _, v := range []struct {
		name      string
		value     float64
		low, high float64
		methods   []string
	}{
		{"beta", h.Beta, 1e-4, 2, []string{dpo, kto}},
		{"distill_temperature", h.Temperature, 0.05, 100, []string{"", sft}},
		{"distill_alpha", h.DistillAlpha, -1, 1, []string{"", sft}},
		{"distill_top_k", float64(h.TopK), 1, 1 << 12, []string{"", sft}},
		{"label_smoothing", h.LabelSmoothing, 0, 0.499, []string{dpo}},
		{"desirable_weight", h.DesirableWeight, 1e-3, 1000, []string{kto}},
		{"undesirable_weight", h.UndesirableWeight, 1e-3, 1000, []string{kto}},
	} {
		switch {
		case v.value == 0:
		case !(v.value >= v.low && v.value <= v.high): // NaN as well
			return wrong(v.name, "is %g; it must be %g to %g, or left out to be chosen automatically", v.value, v.low, v.high)
		case !slices.Contains(v.methods, h.Method):
			return wrong(v.name, "is %g, which has a meaning only with the method %s", v.value, cmp.Or(v.methods...))
		}
	}
	return nil
}

// examplesFor are what the method learns from, out of the examples that there
// are. what names them in errors and in the note about those that are left out.
func examplesFor(method string, examples []Example, what string) (out []Example, note string, err error) {
	left := 0
	for _, e := range examples {
		switch {
		case method == dpo && e.Rejected == "":
			return nil, "", wrong("method", "is %s, which learns from pairs of answers, and the %s example of row %d has no non_preferred_output", dpo, what, e.Row)
		case method == kto && e.Rejected == "" && e.Desirable == nil:
			return nil, "", wrong("method", "is %s, which learns from judged answers, and the %s example of row %d has neither a label nor a non_preferred_output", kto, what, e.Row)
		case method == kto && e.Rejected != "":
			yes, no := e.halves()
			out = append(out, yes, no)
		case method == sft && e.Desirable != nil && !*e.Desirable:
			left++
		case method == sft:
			e.Rejected, e.Desirable = "", nil
			out = append(out, e)
		default:
			out = append(out, e)
		}
	}
	if left > 0 {
		note = fmt.Sprintf("%d %s examples have answers that are not desirable and are left out: the method %s learns every answer that it sees", left, what, sft)
	}
	return out, note, nil
}

// halves are the two answers of a pair, each judged.
func (e Example) halves() (desirable, undesirable Example) {
	yes, no := true, false
	return Example{Row: e.Row, Messages: e.Messages, Desirable: &yes}, Example{Row: e.Row, Messages: e.other(), Desirable: &no}
}

// other is the conversation of a pair with the answer that is not preferred.
func (e Example) other() []chat.Message {
	last := len(e.Messages) - 1
	return append(slices.Clip(e.Messages[:last]), chat.Message{Role: "assistant", Content: e.Rejected})
}

// Defaults of preference learning. Beta is OpenAI's and TRL's. The learning
// rate is a tenth of the usual one, and epochs are few: one preference moves
// the probability of a whole answer at once.
const (
	defaultBeta   = 0.1
	preferRate    = 0.1
	preferEpochs  = 3
	defaultWeight = 1
)

// method chooses what depends on the method.
func (r *resolver) method() {
	if r.h.Method == "" {
		r.h.Method = sft
	}
	if r.f.Taught {
		r.teaching()
	}
	if !r.h.prefers() {
		return
	}
	if r.h.Beta == 0 {
		r.h.Beta = defaultBeta
		r.chose("beta", r.h.Beta, "how much a preference may move the model from where it began: less moves it farther")
	}
	if r.h.Epochs == 0 {
		r.h.Epochs = preferEpochs
		r.chose("n_epochs", r.h.Epochs, "preferences are learned in few passes; more wear the answers out")
	}
	if r.h.Method == kto {
		r.weights()
	}
}

// weights chooses KTO's: the fewer of desirable and undesirable answers count
// more, so that both sides count alike (arXiv:2402.01306, eq. 8: their products
// with the numbers of answers should be between 1:1 and 4:3).
func (r *resolver) weights() {
	if r.h.DesirableWeight != 0 || r.h.UndesirableWeight != 0 {
		r.h.DesirableWeight, r.h.UndesirableWeight = cmp.Or(r.h.DesirableWeight, defaultWeight), cmp.Or(r.h.UndesirableWeight, defaultWeight)
		return
	}
	yes, no := float64(r.f.Desirable), float64(r.f.Examples-r.f.Desirable)
	r.h.DesirableWeight, r.h.UndesirableWeight = defaultWeight, defaultWeight
	why := fmt.Sprintf("%d answers are desirable and %d are not", r.f.Desirable, r.f.Examples-r.f.Desirable)
	switch {
	case yes == 0 || no == 0:
	case yes > 4.0/3*no:
		r.h.UndesirableWeight = twoDigits(yes / no)
	case no > yes:
		r.h.DesirableWeight = twoDigits(no / yes)
	}
	r.chose("desirable_weight", r.h.DesirableWeight, "%s", why)
	r.chose("undesirable_weight", r.h.UndesirableWeight, "%s", why)
}

// Defaults of learning from a teacher.
const (
	defaultTopK         = 32
	defaultTemperature  = 1
	defaultDistillAlpha = 0.5
)

// teaching chooses how a teacher is learnt from.
func (r *resolver) teaching() {
	if r.h.TopK == 0 {
		r.h.TopK = defaultTopK
		r.chose("distill_top_k", r.h.TopK, "a model's likeliest tokens hold nearly all of its probability; the rest counts as one more")
	}
	if r.h.Temperature == 0 {
		r.h.Temperature = defaultTemperature
		r.chose("distill_temperature", r.h.Temperature, "the teacher's probabilities as they are; more shows more of what it finds second best")
	}
	if r.h.DistillAlpha == 0 {
		r.h.DistillAlpha = defaultDistillAlpha
		r.chose("distill_alpha", r.h.DistillAlpha, "half from the answers, half from the teacher")
	}
}
