package model

import (
	"maps"
	"time"
)

// profile adds up the time between marks under the name of the work done.
type profile struct {
	last time.Time
	sum  map[string]time.Duration
}

func newProfile() *profile { return &profile{sum: map[string]time.Duration{}} }

func (p *profile) start() {
	if p != nil {
		p.last = time.Now()
	}
}

func (p *profile) lap(name string) {
	if p != nil {
		now := time.Now()
		p.sum[name] += now.Sub(p.last)
		p.last = now
	}
}

// Profile says how much time each kind of work has taken since Open; nil
// without Config.Profile.
func (m *Model) Profile() map[string]time.Duration {
	if m.prof == nil {
		return nil
	}
	return maps.Clone(m.prof.sum)
}
