package train

import "time"

// clock measures speed, in useful tokens a second, and guesses the time left.
type clock struct {
	started  time.Time
	lap      time.Time
	rate     float64       // tokens/s, smoothed over some ten steps
	validate time.Duration // what the last validation took
}

func newClock() *clock {
	now := time.Now()
	return &clock{started: now, lap: now}
}

// restart begins a lap.
func (c *clock) restart() { c.lap = time.Now() }

// step ends a lap of that many tokens.
func (c *clock) step(tokens int) {
	now := time.Now()
	rate := float64(tokens) / max(now.Sub(c.lap).Seconds(), 1e-9)
	c.lap = now
	if c.rate == 0 {
		c.rate = rate
		return
	}
	c.rate += (rate - c.rate) / 5
}

// validated ends a lap that was a validation.
func (c *clock) validated() {
	c.validate = time.Since(c.lap)
	c.restart()
}

// left is the number of seconds that the tokens and validations ahead take.
func (c *clock) left(tokens float64, validations int) float64 {
	if c.rate == 0 {
		return 0
	}
	return tokens/c.rate + float64(validations)*c.validate.Seconds()
}

func (c *clock) seconds() float64 { return time.Since(c.started).Seconds() }
