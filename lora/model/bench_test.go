package model_test

import (
	"fmt"
	"maps"
	"slices"
	"syscall"
	"testing"
	"time"

	"cloister/llama/llamatest"
	"cloister/lora/model"
)

func processTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkStep is forward and backward of SmolLM2-135M Q4_1, rank 16, all
// linear layers, over packed rows of examples of 52 tokens with a loss on 24 %
// of them. tokens/s is by the clock; tokens/s/core by CPU time, which other
// programs on the machine disturb less.
func BenchmarkStep(b *testing.B) {
	for _, c := range []struct {
		rows      int
		recompute bool
		segment   int
	}{{512, false, 52}, {1024, false, 52}, {1024, true, 52}, {1024, false, 1024}} {
		name := fmt.Sprintf("row%d_segment%d", c.rows, c.segment)
		if c.recompute {
			name += "_recompute"
		}
		b.Run(name, func(b *testing.B) {
			m := open(b, llamatest.Model(b), model.Config{Rank: 16, Alpha: 32, Recompute: c.recompute, Profile: true})
			randomB(m, 1)
			var lengths []int
			for n := c.rows; n > 0; n -= c.segment {
				lengths = append(lengths, min(n, c.segment))
			}
			batch := packed(m.Info().Vocab, 1, lengths...)
			for i := range batch.Targets {
				if i%25 >= 6 {
					batch.Targets[i] = -1
				} else if batch.Targets[i] < 0 {
					batch.Targets[i] = 5
				}
			}
			wall, cpu := time.Duration(0), time.Duration(0)
			b.ResetTimer()
			for range b.N {
				w, u := time.Now(), processTime()
				if _, err := m.Backward(batch, 1); err != nil {
					b.Fatal(err)
				}
				wall, cpu = wall+time.Since(w), cpu+processTime()-u
			}
			tokens := float64(b.N * c.rows)
			b.ReportMetric(tokens/wall.Seconds(), "tokens/s")
			b.ReportMetric(tokens/cpu.Seconds(), "tokens/s/core")
			b.ReportMetric(float64(m.MemoryFor(c.rows))/(1<<20), "MiB")
			profile := m.Profile()
			for _, name := range slices.SortedFunc(maps.Keys(profile), func(x, y string) int { return int(profile[y] - profile[x]) }) {
				b.Logf("%6.2f %%  %s", 100*profile[name].Seconds()/wall.Seconds(), name)
			}
		})
	}
}
