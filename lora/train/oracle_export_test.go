package train

import (
	"math"

	"cloister/lora/data"
	"cloister/lora/model"
)

// Curve makes one update for each batch with the parts that the loop is made
// of, and returns the mean loss of each.
func Curve(m Trainable, batches [][]data.Row, rates []float64) ([]float64, error) {
	opt := newAdamW(m.Params(), &Hyperparameters{Beta1: defaultBeta1, Beta2: defaultBeta2, Epsilon: defaultEpsilon}, 0)
	var out []float64
	for i, rows := range batches {
		if err := m.ZeroGrad(); err != nil {
			return nil, err
		}
		sum, targets := 0.0, 0
		for j := range rows {
			targets += rows[j].Targets()
		}
		for _, p := range data.Pack(rows, packLength) {
			l, err := m.Backward((*model.Batch)(&p), 1/float64(targets))
			if err != nil {
				return nil, err
			}
			sum += l.Sum
		}
		norm, err := model.GradNorm(m.Params(), 0)
		if err == nil {
			err = opt.update(rates[i], clip(norm, 1))
		}
		if err != nil {
			return nil, err
		}
		out = append(out, sum/float64(targets))
	}
	return out, nil
}

// NewAdapter is the adapter that a model's params hold now.
func NewAdapter(architecture string, alpha float64, params []*model.Param) *Adapter {
	values := make([][]float32, len(params))
	for i, p := range params {
		values[i] = make([]float32, p.Len())
	}
	if err := save(values, params); err != nil {
		panic(err)
	}
	a, err := newAdapter(architecture, alpha, params, hostMatrices(values))
	if err != nil {
		panic(err)
	}
	return a
}

// Fill puts an adapter into a model's params.
func Fill(a *Adapter, params []*model.Param) error { return a.into(params) }

// Apart is how far a matrix lies from the one it should be: relative
// distance and cosine.
func Apart(got, want []float32) (relative, cosine float64) {
	var dot, g, w, diff float64
	for i := range got {
		x, y := float64(got[i]), float64(want[i])
		dot, g, w, diff = dot+x*y, g+x*x, w+y*y, diff+(x-y)*(x-y)
	}
	return math.Sqrt(diff / w), dot / math.Sqrt(g*w)
}
