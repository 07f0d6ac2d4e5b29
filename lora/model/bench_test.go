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
// linear layers, over packed rows of examples with a loss on the last 24 % of
// each. In a row with a prompt, all examples begin with the same so many tokens;
// its tokens count for each example, as they would have to be computed without
// sharing. tokens/s is by the clock; tokens/s/core by CPU time, which other
// programs on the machine disturb less.
func BenchmarkStep(b *testing.B) {
	for _, c := range []struct {
		row, example, prompt int
		recompute            bool
	}{{512, 52, 0, false}, {1024, 52, 0, false}, {1024, 52, 0, true}, {1024, 1024, 0, false}, {416, 52, 24, false}, {1664, 52, 24, false}} {
		name := fmt.Sprintf("row=%d/example=%d/prompt=%d/recompute=%v", c.row, c.example, c.prompt, c.recompute)
		b.Run(name, func(b *testing.B) {
			m := openBest(b, llamatest.Model(b), model.Config{Rank: 16, Alpha: 32, Recompute: c.recompute, Profile: true})
			randomB(m, 1)
			var lengths []int
			for n := c.row; n > 0; n -= c.example {
				lengths = append(lengths, min(n, c.example))
			}
			batch := prompted(m.Info().Vocab, c.prompt, lengths...)
			for i, pos := range batch.Pos {
				batch.Targets[i] = -1
				if int(pos) >= c.example*76/100 {
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
			tokens := float64(b.N * c.row)
			b.ReportMetric(tokens/wall.Seconds(), "tokens/s")
			b.ReportMetric(tokens/cpu.Seconds(), "tokens/s/core")
			b.ReportMetric(float64(m.MemoryFor(c.row))/(1<<20), "MiB")
			profile := m.Profile()
			for _, name := range slices.SortedFunc(maps.Keys(profile), func(x, y string) int { return int(profile[y] - profile[x]) }) {
				b.Logf("%6.2f %%  %s", 100*profile[name].Seconds()/wall.Seconds(), name)
			}
		})
	}
}
