package preference

// DPO is Direct Preference Optimization (Rafailov et al., arXiv:2305.18290,
// eq. 7). Smoothing is the share of pairs whose labels are taken to be the
// wrong way round (the "conservative" DPO of Mitchell's note, 2023); 0 is the
// paper's loss.
type DPO struct{ Beta, Smoothing float64 }

// Loss is that of one pair, from the ratios of the preferred answer and of the
// other, and slope is ∂loss/∂chosen = -∂loss/∂rejected:
//
//	z     = β·(ρ_w - ρ_l)
//	loss  = -(1-ε)·ln σ(z) - ε·ln σ(-z)
//	slope = β·(ε·σ(z) - (1-ε)·σ(-z))
func (d DPO) Loss(chosen, rejected float64) (loss, slope float64) {
	z := d.Beta * (chosen - rejected)
	loss = -(1-d.Smoothing)*logSigmoid(z) - d.Smoothing*logSigmoid(-z)
	return loss, d.Beta * (d.Smoothing*sigmoid(z) - (1-d.Smoothing)*sigmoid(-z))
}
