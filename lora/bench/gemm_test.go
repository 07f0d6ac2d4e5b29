package bench_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"cloister/lora/bench"
)

func TestGemm(t *testing.T) {
	r, err := bench.Gemm(context.Background(), 2, time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]int{}
	for _, p := range r {
		kinds[p.Kernels]++
		if p.Forward <= 0 || (p.Backward <= 0) != (p.Kernels == "ggml") {
			t.Errorf("%+v", p)
		}
	}
	if kinds["ggml"] != kinds["avx2"] || kinds["naive"] != 0 {
		t.Errorf("measured %v", kinds)
	}
	stopped, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := bench.Gemm(stopped, 1, time.Millisecond); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled context: %v", err)
	}
}
