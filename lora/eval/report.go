package eval

import (
	"fmt"
	"math"
)

// Item is one test example with what the models made of it. Base fields are
// used only when the measurement has a baseline.
type Item struct {
	Row      int    // row of the original file, from 1; 0 when unknown
	Question string // for the sample only
	Expected string
	Key      string // alternatives of the key fact, "a|b"; empty: none

	Answer    string
	Truncated bool // the answer was cut at the token bound
	Tokens    int  // tokens of the answer
	Loss      Loss // of the expected answer; no tokens when it was not scored

	BaseAnswer    string
	BaseTruncated bool
	BaseTokens    int
	BaseLoss      Loss

	// HumanScore is what a person gave to Rated, or to Answer when Rated is empty.
	HumanScore *float64
	Rated      string
}

// Rate is a share of examples.
type Rate struct {
	Hits int `json:"hits"`
	Of   int `json:"of"`
}

// Share is Hits divided by Of, 0 when there are none.
func (r Rate) Share() float64 {
	if r.Of == 0 {
		return 0
	}
	return float64(r.Hits) / float64(r.Of)
}

// Scores are the figures of one model on the test examples. Shares and F1
// figures are 0 to 1 and means over examples.
type Scores struct {
	// Loss is the mean of -ln p over the tokens of the expected answers, in
	// nats; nil when it could not be measured.
	Loss             *float64 `json:"loss,omitempty"`
	LossTokens       int      `json:"loss_tokens,omitempty"`
	ExactMatch       float64  `json:"exact_match"`
	TokenF1          float64  `json:"token_f1"`
	RougeL           float64  `json:"rouge_l"`
	KeyFacts         *Rate    `json:"key_facts,omitempty"` // nil: no example has a key
	Labels           *Labels  `json:"labels,omitempty"`    // nil: the answers are no labels
	MeanAnswerTokens float64  `json:"mean_answer_tokens"`
	Truncated        int      `json:"truncated,omitempty"` // answers cut at the token bound
}

// Sample is one example of the report, for people to look at.
type Sample struct {
	Row         int     `json:"row,omitempty"`
	Question    string  `json:"question"`
	Expected    string  `json:"expected"`
	Answer      string  `json:"answer"`
	TokenF1     float64 `json:"token_f1"`
	BaseAnswer  string  `json:"base_answer,omitempty"`
	BaseTokenF1 float64 `json:"base_token_f1,omitempty"`
	KeyHit      *bool   `json:"key_hit,omitempty"`
}

// Report is an evaluation: the tuned model beside its base.
type Report struct {
	Model    string  `json:"model"`
	Baseline string  `json:"baseline,omitempty"`
	Source   string  `json:"source"` // such as "clinic@2 test" or a file's name
	Examples int     `json:"examples"`
	Tuned    Scores  `json:"tuned"`
	Base     *Scores `json:"base,omitempty"` // nil: no baseline was asked
	// TrainLoss is the tuned model's loss on a sample of the examples that it
	// was trained on, measured as Tuned.Loss is. The difference is the
	// train-test gap.
	TrainLoss     *float64 `json:"train_loss,omitempty"`
	TrainExamples int      `json:"train_examples,omitempty"`
	Human         *Human   `json:"human,omitempty"`
	Overfitting   *Verdict `json:"overfitting,omitempty"`
	Leak          *Leak    `json:"leak,omitempty"` // nil: an evaluation of before there were leak tests
	Samples       []Sample `json:"samples,omitempty"`
	Warnings      []string `json:"warnings,omitempty"`
	Seconds       float64  `json:"seconds,omitempty"`
}

// Gap is the train-test gap in nats per token: the loss on the test examples
// minus that on a sample of the training examples. ok is false when either was
// not measured.
func (r Report) Gap() (gap float64, ok bool) {
	if r.TrainLoss == nil || r.Tuned.Loss == nil {
		return 0, false
	}
	return *r.Tuned.Loss - *r.TrainLoss, true
}

// Measure computes a report from the items. Model, Baseline, Source, TrainLoss,
// Overfitting and Seconds are the caller's to fill. maxSamples bounds Samples;
// the items come in their own order.
func Measure(items []Item, baseline bool, maxSamples int) Report {
	expected := make([]string, len(items))
	for i, it := range items {
		expected[i] = it.Expected
	}
	labels := DetectLabels(expected)
	r := Report{Examples: len(items)}
	r.Tuned = measure(items, expected, labels, tunedSide)
	if baseline {
		base := measure(items, expected, labels, baseSide)
		r.Base = &base
	}
	r.Human = measureHuman(items)
	for _, it := range items[:min(len(items), max(0, maxSamples))] {
		s := Sample{Row: it.Row, Question: it.Question, Expected: it.Expected,
			Answer: it.Answer, TokenF1: TokenF1(it.Expected, it.Answer)}
		if baseline {
			s.BaseAnswer, s.BaseTokenF1 = it.BaseAnswer, TokenF1(it.Expected, it.BaseAnswer)
		}
		if it.Key != "" {
			hit := KeyHit(it.Key, it.Answer)
			s.KeyHit = &hit
		}
		r.Samples = append(r.Samples, s)
	}
	r.Warnings = warnings(r)
	return r
}

// side is what one model did with an item.
type side struct {
	answer    string
	truncated bool
	tokens    int
	loss      Loss
}

func tunedSide(it Item) side { return side{it.Answer, it.Truncated, it.Tokens, it.Loss} }
func baseSide(it Item) side {
	return side{it.BaseAnswer, it.BaseTruncated, it.BaseTokens, it.BaseLoss}
}

func measure(items []Item, expected, labels []string, of func(Item) side) Scores {
	var s Scores
	var loss Loss
	var keys Rate
	answers := make([]string, len(items))
	for i, it := range items {
		a := of(it)
		answers[i] = a.answer
		if ExactMatch(it.Expected, a.answer) {
			s.ExactMatch++
		}
		s.TokenF1 += TokenF1(it.Expected, a.answer)
		s.RougeL += RougeL(it.Expected, a.answer)
		s.MeanAnswerTokens += float64(a.tokens)
		if a.truncated {
			s.Truncated++
		}
		if it.Key != "" {
			keys.Of++
			if KeyHit(it.Key, a.answer) {
				keys.Hits++
			}
		}
		loss.Add(a.loss.Sum, a.loss.Tokens)
	}
	if n := float64(len(items)); n > 0 {
		s.ExactMatch /= n
		s.TokenF1 /= n
		s.RougeL /= n
		s.MeanAnswerTokens /= n
	}
	if mean, ok := loss.Mean(); ok {
		s.Loss, s.LossTokens = &mean, loss.Tokens
	}
	if keys.Of > 0 {
		s.KeyFacts = &keys
	}
	if labels != nil {
		l := Classify(expected, answers, labels)
		s.Labels = &l
	}
	return s
}

// measureHuman compares human scores with the key facts where every rated
// example has one, and with token F1 otherwise.
func measureHuman(items []Item) *Human {
	var human, f1s, hits []float64
	keyed := true
	for _, it := range items {
		if it.HumanScore == nil || math.IsNaN(*it.HumanScore) || math.IsInf(*it.HumanScore, 0) {
			continue
		}
		rated := it.Rated
		if rated == "" {
			rated = it.Answer
		}
		human = append(human, *it.HumanScore)
		f1s = append(f1s, TokenF1(it.Expected, rated))
		hit := 0.0
		if KeyHit(it.Key, rated) {
			hit = 1
		}
		hits = append(hits, hit)
		keyed = keyed && it.Key != ""
	}
	if keyed && len(human) > 0 {
		return CompareHuman(human, hits, "key facts")
	}
	return CompareHuman(human, f1s, "token F1")
}

func warnings(r Report) []string {
	var w []string
	if r.Examples < 20 {
		w = append(w, fmt.Sprintf("Only %d test examples: the figures are uncertain by ten points and more.", r.Examples))
	}
	if n := r.Tuned.Truncated; n > 0 {
		w = append(w, fmt.Sprintf("%d of %d answers were cut at the token bound; a model that does not stop may need more epochs.", n, r.Examples))
	}
	return w
}
