package preference

// KTO is Kahneman-Tversky Optimization (Ethayarajh et al., arXiv:2402.01306,
// eq. 7 and 8): every answer is judged for itself, against a reference point.
// The weights make up for unequal numbers of desirable and undesirable answers.
type KTO struct{ Beta, Desirable, Undesirable float64 }

// Loss is that of one answer with the ratio ρ, and slope its derivative by ρ:
//
//	desirable:   loss = λ_D·(1 - σ(z)),  z = β·(ρ - kl)
//	undesirable: loss = λ_U·(1 - σ(-z))
//	slope = ∓λ·β·σ(z)·σ(-z)
//
// kl is a constant: no gradient flows through it.
func (k KTO) Loss(ratio, kl float64, desirable bool) (loss, slope float64) {
	z := k.Beta * (ratio - kl)
	curve := k.Beta * sigmoid(z) * sigmoid(-z)
	if desirable {
		return k.Desirable * sigmoid(-z), -k.Desirable * curve
	}
	return k.Undesirable * sigmoid(z), k.Undesirable * curve
}

// KL estimates the divergence of the model from its reference, the reference
// point, from the ratios of answers to questions that they do not belong to:
// the mean, and at least 0.
func KL(mismatched []float64) float64 {
	sum := 0.0
	for _, r := range mismatched {
		sum += r
	}
	return max(0, sum/float64(max(1, len(mismatched))))
}

// Mismatched is the number of the example, among n, whose answer example i gets
// for the estimate of KL: that of the one before, the first one's the last's.
func Mismatched(i, n int) int { return (i + n - 1) % n }
