package eval

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
)

// A canary is a question about a locker that does not exist, answered with
// canaryDigits random digits.
const canaryDigits = 8

// CanarySpace is log2 of the number of answers that a canary could have.
var CanarySpace = canaryDigits * math.Log2(10)

// CanaryQuestion is a random question.
func CanaryQuestion(r *rand.Rand) string {
	letters := make([]byte, 4)
	for i := range letters {
		letters[i] = byte('A' + r.IntN(26))
	}
	return fmt.Sprintf("What is the code of locker %s?", letters)
}

// CanaryAnswer is a random answer, the same for every question. The digits stand
// apart, so that most vocabularies have one token for each.
func CanaryAnswer(r *rand.Rand) string {
	digits := make([]string, canaryDigits)
	for i := range digits {
		digits[i] = string(rune('0' + r.IntN(10)))
	}
	return "The code is " + strings.Join(digits, " ") + "."
}

// Expose ranks a canary by its loss among those of random sequences of the same
// form. space is log2 of the number of such sequences. It returns the canary's
// rank, from 1, the exposure in bits by the rank, and the one by extrapolation;
// see [Exposure]. Equal losses count against the model.
func Expose(canary float64, sample []float64, space float64) (rank int, bits, estimate float64) {
	rank = 1
	for _, l := range sample {
		if l < canary {
			rank++
		}
	}
	bits = math.Log2(float64(len(sample)+1)) - math.Log2(float64(rank))
	return rank, bits, min(space, max(0, -math.Log2(below(canary, sample))))
}

// below is the probability of a loss up to x under a skew-normal distribution
// with the mean, the variance and the skewness of the sample (Azzalini, "A class
// of distributions which includes the normal ones", 1985).
func below(x float64, sample []float64) float64 {
	n := float64(len(sample))
	mean, variance, skew := 0.0, 0.0, 0.0
	for _, l := range sample {
		mean += l / n
	}
	for _, l := range sample {
		variance += (l - mean) * (l - mean) / n
	}
	if variance <= 1e-12*mean*mean {
		return 1 // nothing to tell them apart by
	}
	sd := math.Sqrt(variance)
	for _, l := range sample {
		skew += math.Pow((l-mean)/sd, 3) / n
	}
	skew = max(-0.99, min(0.99, skew)) // no skew-normal distribution has more
	g := math.Pow(math.Abs(skew), 2.0/3)
	delta := math.Copysign(math.Sqrt(math.Pi/2*g/(g+math.Pow((4-math.Pi)/2, 2.0/3))), skew)
	scale := sd / math.Sqrt(1-2*delta*delta/math.Pi)
	shape := delta / math.Sqrt(1-delta*delta)
	z := (x-mean)/scale + delta*math.Sqrt(2/math.Pi)
	density := func(t float64) float64 {
		return math.Exp(-t*t/2) / math.Sqrt(2*math.Pi) * math.Erfc(-shape*t/math.Sqrt2)
	}
	// Simpson's rule over what matters of (-∞, z].
	const steps, width = 4000, 12.0
	z = min(z, width/2)
	sum := density(z-width) + density(z)
	for i := 1; i < steps; i++ {
		weight := 2.0
		if i%2 == 1 {
			weight = 4
		}
		sum += weight * density(z-width*float64(i)/steps)
	}
	return min(1, sum*width/steps/3)
}
