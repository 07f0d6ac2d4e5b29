package model_test

import (
	"math"
	"testing"

	"cloister/llama/llamatest"
	"cloister/lora/model"
)

// The losses of examples in padded rows with every position through the output
// matrix, in padded rows, and packed, the last two with only the rows with a
// target through the output matrix, are one loss.
func TestPaddedPackedTrainedRows(t *testing.T) {
	m := open(t, llamatest.Model(t), model.Config{})
	randomB(m, 5)
	vocab := m.Info().Vocab
	whole := packed(vocab, 8, 40, 17, 64, 29)
	const width = 64
	var padded, everywhere model.Loss
	for s := range int32(4) {
		row := new(model.Batch)
		for i, seq := range whole.Seq {
			if seq == s {
				row.Tokens, row.Targets = append(row.Tokens, whole.Tokens[i]), append(row.Targets, whole.Targets[i])
			}
		}
		for i := range width {
			if i >= len(row.Tokens) { // the end token, which is a token like others
				row.Tokens, row.Targets = append(row.Tokens, 2), append(row.Targets, -1)
			}
			row.Pos, row.Seq = append(row.Pos, int32(i)), append(row.Seq, 0)
		}
		l := loss(t, m, row)
		padded.Sum, padded.Tokens = padded.Sum+l.Sum, padded.Tokens+l.Tokens
		logits, err := m.Logits(row)
		if err != nil {
			t.Fatal(err)
		}
		for i, target := range row.Targets {
			if target < 0 {
				continue
			}
			sum := 0.0
			for _, v := range logits[i*vocab : (i+1)*vocab] {
				sum += math.Exp(float64(v))
			}
			everywhere.Sum += math.Log(sum) - float64(logits[i*vocab+int(target)])
			everywhere.Tokens++
		}
	}
	one := loss(t, m, whole)
	t.Logf("every position %.7f, padded %.7f, packed %.7f", everywhere.Sum/float64(everywhere.Tokens), padded.Sum/float64(padded.Tokens), one.Sum/float64(one.Tokens))
	for name, l := range map[string]model.Loss{"padded": padded, "every position": everywhere} {
		if d := math.Abs(l.Sum/one.Sum - 1); d > 1e-5 || l.Tokens != one.Tokens {
			t.Errorf("%s and packed differ by %g (%d and %d targets)", name, d, l.Tokens, one.Tokens)
		}
	}
}
