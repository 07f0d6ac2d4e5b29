package train_test

import (
	"context"
	"errors"
	"testing"

	"cloister/lora/train"
)

func TestBench(t *testing.T) {
	base := writeTiny(t)
	r, err := train.Bench(context.Background(), train.BenchConfig{BasePath: base, Rank: 2, Steps: 2, Threads: 1, Profile: true})
	if err != nil {
		t.Fatal(err)
	}
	// Examples 4 to 11 of the list.
	if r.Tokens != 313+53+157+65+130+112+112+37 || r.LossTokens >= r.Tokens || r.LossTokens < r.Tokens/2 {
		t.Errorf("%d tokens, %d with loss", r.Tokens, r.LossTokens)
	}
	if r.TokensPerSecond <= 0 || r.PlannedBytes <= 0 || r.PeakBytes <= 0 || r.Kernels == "" || r.Profile["optimiser"] <= 0 || r.Profile["attention forward"] <= 0 {
		t.Errorf("%+v", r)
	}
	sum := 0.0
	for _, s := range r.Profile {
		sum += s
	}
	if sum > r.Seconds {
		t.Errorf("the parts of %g seconds add up to %g", r.Seconds, sum)
	}
	stopped, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := train.Bench(stopped, train.BenchConfig{BasePath: base}); !errors.Is(err, train.ErrStopped) {
		t.Errorf("a cancelled context: %v", err)
	}
}
