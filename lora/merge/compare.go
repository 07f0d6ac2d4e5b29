package merge

import (
	"errors"
	"fmt"
	"math"
	"strings"

	"cloister/llama"
)

// Difference of the merged model's logits from those of base and adapter, both
// computed by llama.cpp on the same tokens.
type Difference struct {
	Tokens   int     `json:"tokens"`
	Relative float64 `json:"relative"` // ‖merged − adapted‖ / ‖adapted‖ over all logits
	Same     int     `json:"same"`     // positions with the same likeliest token
}

// String says it in a sentence.
func (d Difference) String() string {
	return fmt.Sprintf("logits differ by %.2g %% from those of base and adapter; the likeliest token is the same at %d of %d positions", 100*d.Relative, d.Same, d.Tokens)
}

// ErrDiffers says that a merged model does not compute what base and adapter do.
var ErrDiffers = errors.New("the merged model does not answer as base and adapter do")

// Limit is how far logits of a model merged into a type may be from those of
// base and adapter: what rounding of activations to 8 bits explains for types of
// 8 bits and more, anything that is not noise for the others.
func Limit(typ string) float64 {
	for _, name := range []string{"f32", "f16", "bf16", "q8_0"} {
		if strings.EqualFold(typ, name) {
			return 0.1
		}
	}
	return 1
}

// Compare runs the merged file, and the base with the adapter, on these tokens;
// one after the other, so that both need not fit into memory. A relative
// difference of limit or more is an error that wraps ErrDiffers.
func Compare(base, adapter, merged string, tokens []int32, limit float64) (Difference, error) {
	if len(tokens) == 0 {
		return Difference{}, errors.New("no tokens to compare logits on")
	}
	want, err := logits(base, adapter, tokens)
	if err != nil {
		return Difference{}, err
	}
	got, err := logits(merged, "", tokens)
	if err != nil {
		return Difference{}, err
	}
	d := Difference{Tokens: len(tokens)}
	var diff, norm float64
	for i := range want {
		best, bestGot := 0, 0
		for j, w := range want[i] {
			e := float64(got[i][j]) - float64(w)
			diff, norm = diff+e*e, norm+float64(w)*float64(w)
			if w > want[i][best] {
				best = j
			}
			if got[i][j] > got[i][bestGot] {
				bestGot = j
			}
		}
		if best == bestGot {
			d.Same++
		}
	}
	d.Relative = math.Sqrt(diff / norm)
	if !(d.Relative < limit) {
		return d, fmt.Errorf("%w: %s", ErrDiffers, d)
	}
	return d, nil
}

func logits(path, adapter string, tokens []int32) ([][]float32, error) {
	m, err := llama.Open(path)
	if err != nil {
		return nil, err
	}
	defer m.Close()
	if adapter == "" {
		return m.Logits(tokens, nil)
	}
	a, err := m.LoadAdapter(adapter)
	if err != nil {
		return nil, err
	}
	defer a.Close()
	return m.Logits(tokens, a)
}
