package model_test

import (
	"math"
	"slices"
	"testing"

	"cloister/llama/gguf/tinygguf"
	"cloister/lora/model"
)

func logProbs(t testing.TB, m *model.Model, b *model.Batch, base bool) []float64 {
	t.Helper()
	out, err := m.LogProbs(b, base)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// sumOf is the sum of ln p over the targets of each segment.
func sumOf(b *model.Batch, logp []float64) map[int32]float64 {
	out := map[int32]float64{}
	n := 0
	for i, target := range b.Targets {
		if target >= 0 {
			out[b.Seq[i]] += logp[n]
			n++
		}
	}
	return out
}

// The log-probabilities are those of the loss, and those of the base are those
// of an adapter that does nothing.
func TestLogProbs(t *testing.T) {
	path := tiny(t, nil)
	m := open(t, path, model.Config{})
	b := packed(m.Info().Vocab, 2, 7, 1, 12)
	untrained := logProbs(t, m, b, false)
	randomB(m, 5)
	sum := 0.0
	trained := logProbs(t, m, b, false)
	for _, v := range trained {
		sum -= v
	}
	if l := loss(t, m, b); math.Abs(sum-l.Sum) > 1e-9 || len(trained) != l.Tokens {
		t.Errorf("%d log-probabilities with the sum %g, want %d with %g", len(trained), -sum, l.Tokens, -l.Sum)
	}
	if slices.Equal(trained, untrained) {
		t.Error("the adapter changes nothing")
	}
	if got := logProbs(t, m, b, true); !slices.Equal(got, untrained) {
		t.Errorf("the base gives %v, want %v", got, untrained)
	}
	frozen := open(t, path, model.Config{Frozen: true})
	if got := logProbs(t, frozen, b, false); !slices.Equal(got, untrained) || len(frozen.Params()) != 0 {
		t.Errorf("a frozen model gives %v, want %v, and has %d matrices", got, untrained, len(frozen.Params()))
	}
	if _, err := frozen.Backward(b, 1); err == nil {
		t.Error("a frozen model learns")
	}
}

// pairOf are two segments which begin alike.
func pairOf(vocab int) *model.Batch {
	b := packed(vocab, 4, 14, 11)
	for i := range 6 {
		b.Tokens[14+i] = b.Tokens[i]
		b.Targets[i], b.Targets[14+i] = -1, -1
	}
	return b
}

// preference is -ln σ(β·(x - y)) of the sums of ln p over two segments; slope is
// its derivative by x, and minus that by y.
func preference(sums map[int32]float64) (loss, slope float64) {
	const beta = 0.5
	d := beta * (sums[0] - sums[1])
	return math.Log1p(math.Exp(-d)), -beta / (1 + math.Exp(d))
}

// The gradient of a loss of sequences is that of differences, with and without a
// shared beginning and kept activations.
func TestBackwardWeighted(t *testing.T) {
	for _, cfg := range []model.Config{{}, {SeparatePrefixes: true}, {Recompute: true}, {Naive: true}} {
		m := open(t, tiny(t, nil), cfg)
		randomB(m, 5)
		b := pairOf(m.Info().Vocab)
		learn := func() {
			l, err := m.BackwardWeighted(b, func(logp []float64) []float32 {
				_, slope := preference(sumOf(b, logp))
				var w []float32
				for i, target := range b.Targets {
					if target >= 0 {
						w = append(w, float32([]float64{-slope, slope}[b.Seq[i]]))
					}
				}
				return w
			})
			if want := loss(t, m, b); err != nil || math.Abs(l.Sum-want.Sum) > 1e-9 || l.Tokens != want.Tokens {
				t.Fatalf("loss %+v, want %+v (%v)", l, want, err)
			}
		}
		m.ZeroGrad()
		learn()
		differences(t, m, func() float64 {
			loss, _ := preference(sumOf(b, logProbs(t, m, b, false)))
			return loss
		})
	}
}

func TestBackwardWeightedRefuses(t *testing.T) {
	m := open(t, tiny(t, nil), model.Config{})
	b := pairOf(m.Info().Vocab)
	if _, err := m.BackwardWeighted(b, func([]float64) []float32 { return make([]float32, 3) }); err == nil {
		t.Error("too few weights are accepted")
	}
}

// soft asks a teacher about a batch.
func soft(t testing.TB, path string, b *model.Batch, k int, temperature float64) *model.Soft {
	t.Helper()
	s, err := open(t, path, model.Config{Frozen: true}).TopK(b, k, temperature, 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// divergence is the sum of KL(teacher‖student) over the targets by its formula,
// from logits in float64, all tokens but the likeliest k counting as one.
func divergence(t testing.TB, teacher, student *model.Model, b *model.Batch, k int, temperature float64) float64 {
	t.Helper()
	vocab := student.Info().Vocab
	probs := func(m *model.Model) [][]float64 {
		logits, err := m.Logits(b)
		if err != nil {
			t.Fatal(err)
		}
		var out [][]float64
		for i := range b.Tokens {
			row, sum := make([]float64, vocab), 0.0
			for j := range row {
				row[j] = math.Exp(float64(logits[i*vocab+j]) / temperature)
				sum += row[j]
			}
			for j := range row {
				row[j] /= sum
			}
			out = append(out, row)
		}
		return out
	}
	p, q, total := probs(student), probs(teacher), 0.0
	for i, target := range b.Targets {
		if target < 0 {
			continue
		}
		order := make([]int, vocab)
		for j := range order {
			order[j] = j
		}
		slices.SortFunc(order, func(x, y int) int {
			if q[i][x] > q[i][y] {
				return -1
			}
			return 1
		})
		restP, restQ := 0.0, 0.0
		for place, j := range order {
			if place < k {
				total += q[i][j] * math.Log(q[i][j]/p[i][j])
				continue
			}
			restP, restQ = restP+p[i][j], restQ+q[i][j]
		}
		total += restQ * math.Log(restQ/restP)
	}
	return total
}

// What a student learns from a larger teacher is the formula's, and its gradient
// that of differences.
func TestDistilled(t *testing.T) {
	teacherPath := tiny(t, func(c *tinygguf.Config) { c.Layers = 3; c.Embedding = 48; c.Seed = 9 })
	teacher := open(t, teacherPath, model.Config{Frozen: true})
	for _, s := range []struct {
		k                  int
		temperature, alpha float64
	}{{1, 1, 0}, {5, 2, 0.3}, {teacher.Info().Vocab - 1, 0.7, 0.5}} {
		m := open(t, tiny(t, nil), model.Config{})
		randomB(m, 5)
		b := pairOf(m.Info().Vocab)
		taught := soft(t, teacherPath, b, s.k, s.temperature)
		got, err := m.LossDistilled(b, taught)
		if err != nil {
			t.Fatal(err)
		}
		if want := divergence(t, teacher, m, b, s.k, s.temperature); math.Abs(got.KL-want) > 1e-4*(1+want) {
			t.Errorf("%+v: divergence %g, want %g", s, got.KL, want)
		}
		m.ZeroGrad()
		d, err := m.BackwardDistilled(b, taught, s.alpha, 1)
		if err != nil || d.KL != got.KL || d.Loss != got.Loss {
			t.Fatalf("%+v: %+v, want %+v (%v)", s, d, got, err)
		}
		differences(t, m, func() float64 {
			d, err := m.LossDistilled(b, taught)
			if err != nil {
				t.Fatal(err)
			}
			return s.alpha*d.Sum + (1-s.alpha)*s.temperature*s.temperature*d.KL
		})
	}
}

// A teacher with an adapter teaches what both say.
func TestTunedTeacher(t *testing.T) {
	m := open(t, tiny(t, nil), model.Config{})
	b := pairOf(m.Info().Vocab)
	teacher := open(t, tiny(t, nil), model.Config{}) // the same base
	for _, tuned := range []bool{false, true} {
		if tuned {
			randomB(teacher, 6)
		}
		s, err := teacher.TopK(b, 5, 2, 1<<30)
		if err != nil {
			t.Fatal(err)
		}
		got, err := m.LossDistilled(b, s)
		if err != nil {
			t.Fatal(err)
		}
		if want := divergence(t, teacher, m, b, 5, 2); math.Abs(got.KL-want) > 1e-4*(1+want) || (want > 1e-3) != tuned {
			t.Errorf("tuned %v: divergence %g, want %g", tuned, got.KL, want)
		}
	}
}

func TestDistilledRefuses(t *testing.T) {
	path := tiny(t, nil)
	m := open(t, path, model.Config{})
	b := pairOf(m.Info().Vocab)
	if _, err := m.TopK(b, 0, 1, 1<<30); err == nil {
		t.Error("no tokens at all are accepted")
	}
	if _, err := m.TopK(b, 4, 0, 1<<30); err == nil {
		t.Error("a temperature of 0 is accepted")
	}
	if _, err := m.BackwardDistilled(b, soft(t, path, packed(m.Info().Vocab, 1, 5), 4, 1), 0, 1); err == nil {
		t.Error("a teacher of another row is accepted")
	}
}
