package preference

// Metrics add up what is worth watching. Rewards are β times ratios.
type Metrics struct {
	Loss   float64 `json:"loss"`   // sum over pairs (DPO) or answers (KTO)
	Losses int     `json:"losses"` // their number

	Chosen, Rejected   float64 // sums of the rewards of preferred (desirable) and of other answers
	Choices, Rejects   int     // their numbers
	Correct, Judgments int     // pairs whose preferred answer has the higher reward; answers on the right side of kl
	KL                 float64 // KTO's reference point, of the last batch
}

// Add adds b.
func (m *Metrics) Add(b Metrics) {
	m.Loss, m.Losses = m.Loss+b.Loss, m.Losses+b.Losses
	m.Chosen, m.Rejected = m.Chosen+b.Chosen, m.Rejected+b.Rejected
	m.Choices, m.Rejects = m.Choices+b.Choices, m.Rejects+b.Rejects
	m.Correct, m.Judgments = m.Correct+b.Correct, m.Judgments+b.Judgments
	m.KL = b.KL
}

// Pair adds a pair with this loss and these ratios.
func (m *Metrics) Pair(beta, loss, chosen, rejected float64) {
	m.Add(Metrics{Loss: loss, Losses: 1, Chosen: beta * chosen, Rejected: beta * rejected, Choices: 1, Rejects: 1,
		Correct: one(chosen > rejected), Judgments: 1, KL: m.KL})
}

// Answer adds an answer with this loss and ratio, judged against kl.
func (m *Metrics) Answer(beta, loss, ratio, kl float64, desirable bool) {
	a := Metrics{Loss: loss, Losses: 1, Judgments: 1, KL: kl}
	if desirable {
		a.Chosen, a.Choices, a.Correct = beta*ratio, 1, one(ratio > kl)
	} else {
		a.Rejected, a.Rejects, a.Correct = beta*ratio, 1, one(ratio < kl)
	}
	m.Add(a)
}

func one(is bool) int {
	if is {
		return 1
	}
	return 0
}

// Mean is the mean loss.
func (m *Metrics) Mean() float64 { return m.Loss / float64(max(1, m.Losses)) }

// Accuracy is the share of judgments that are right.
func (m *Metrics) Accuracy() float64 { return float64(m.Correct) / float64(max(1, m.Judgments)) }

// Rewards are the mean rewards of preferred and of other answers; of none, 0.
func (m *Metrics) Rewards() (chosen, rejected float64) {
	return m.Chosen / float64(max(1, m.Choices)), m.Rejected / float64(max(1, m.Rejects))
}
