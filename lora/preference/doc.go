// Package preference has the losses that learn from what people prefer: DPO
// from pairs of answers, KTO from single answers that are desirable or not.
//
// Both look at ratios: ρ = ln π(answer) - ln π_ref(answer), the sum over an
// answer's tokens of how much likelier the model that learns makes it than the
// reference does, which is the base with the adapter off. β·ρ is the reward
// that the model implicitly gives to the answer. The functions here are plain
// arithmetic on these numbers; package lora/model turns the slopes into
// gradients. The formulas are those of TRL's DPOTrainer (loss_type "sigmoid")
// and KTOTrainer ("kto").
package preference

import "math"

// sigmoid is 1/(1+exp(-x)).
func sigmoid(x float64) float64 { return 1 / (1 + math.Exp(-x)) }

// logSigmoid is ln σ(x), also where σ(x) is 0 in floating point.
func logSigmoid(x float64) float64 { return min(x, 0) - math.Log1p(math.Exp(-math.Abs(x))) }
