package train

import (
	"errors"

	"cloister/lora/data"
	"cloister/lora/model"
	"cloister/lora/preference"
)

// Rewards are what preference learning watches besides its loss: means over
// the pairs or answers of a step, or of all validation examples.
type Rewards struct {
	Chosen   float64 `json:"chosen"`   // β·ln(π/π_ref) of preferred or desirable answers
	Rejected float64 `json:"rejected"` // of the others
	Margin   float64 `json:"margin"`   // between them
	// Accuracy is the share of pairs whose preferred answer has the higher reward;
	// of single answers, of those on the right side of KL.
	Accuracy float64  `json:"accuracy"`
	KL       *float64 `json:"kl,omitempty"` // KTO's estimate of the divergence from the reference
}

// rewardsOf are the means of sums.
func rewardsOf(m *preference.Metrics) *Rewards {
	chosen, rejected := m.Rewards()
	return &Rewards{Chosen: chosen, Rejected: rejected, Margin: chosen - rejected, Accuracy: m.Accuracy()}
}

// judgedOutcome is the outcome of a step that these metrics describe.
func judgedOutcome(m *preference.Metrics) outcome {
	return outcome{Loss: model.Loss{Sum: m.Loss, Tokens: m.Losses, Correct: m.Correct}, rewards: rewardsOf(m)}
}

// scorer says how likely answers are, to the model that learns and to its
// reference: the model as it was before training, which is the base with the
// adapter off, or with the adapter that training continues from.
type scorer struct {
	m    trainable
	init *Adapter
	// known are the reference's answers by row, which never change: they are
	// computed when they are first needed, and stay in memory only.
	known map[*data.Row][]float64
	now   [][]float32 // where the params wait while init stands in for them
}

func newScorer(p *prepared, m trainable) *scorer {
	return &scorer{m: m, init: p.init, known: map[*data.Row][]float64{}}
}

// policy is Σ ln p over the targets of each segment, by its number.
func (s *scorer) policy(b *data.Packed) ([]float64, error) {
	logp, err := s.m.LogProbs((*model.Batch)(b), false)
	return bySegment(b, logp), err
}

// reference is the same of the reference.
func (s *scorer) reference(b *data.Packed) ([]float64, error) {
	if s.init == nil {
		logp, err := s.m.LogProbs((*model.Batch)(b), true)
		return bySegment(b, logp), err
	}
	params := s.m.Params()
	if s.now == nil {
		s.now = like(params)
	}
	if err := save(s.now, params); err != nil {
		return nil, err
	}
	err := s.init.into(params)
	var sums []float64
	if err == nil {
		sums, err = s.policy(b)
	}
	return sums, errors.Join(err, takeOver(dataOf(params), s.now))
}

// remembered is reference, computed once for the example that key stands for.
func (s *scorer) remembered(key *data.Row, b *data.Packed) ([]float64, error) {
	if sums, ok := s.known[key]; ok {
		return sums, nil
	}
	sums, err := s.reference(b)
	if err == nil {
		s.known[key] = sums
	}
	return sums, err
}

// bySegment adds up a value for each target by the number of its segment.
func bySegment(b *data.Packed, values []float64) []float64 {
	var out []float64
	n := 0
	for i, target := range b.Targets {
		for int(b.Seq[i]) >= len(out) {
			out = append(out, 0)
		}
		if target >= 0 && n < len(values) {
			out[b.Seq[i]] += values[n]
			n++
		}
	}
	return out
}

// spread gives each target the weight of its segment.
func spread(b *data.Packed, weights []float64) []float32 {
	var out []float32
	for i, target := range b.Targets {
		if target >= 0 {
			out = append(out, float32(weights[b.Seq[i]]))
		}
	}
	return out
}
