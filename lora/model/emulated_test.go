//go:build cudaemu

package model_test

import (
	"errors"
	"strings"
	"testing"

	"cloister/llama/gguf/tinygguf"
	"cloister/lora/internal/native"
	"cloister/lora/model"
)

// The plan is what the card then holds, for every architecture.
func TestPlanIsUseOnCards(t *testing.T) {
	device := onCard(t)
	check := func(t *testing.T, path string, cfg model.Config, experts bool) {
		cfg.Rank, cfg.Device = 4, device
		plan, err := model.Plan(path, cfg, 100)
		if err != nil {
			t.Fatal(err)
		}
		before := native.EmulatedBytes()
		m := openBest(t, path, cfg)
		b := packed(m.Info().Vocab, 1, 100)
		for i := range b.Targets {
			b.Targets[i] = 1
		}
		backward(t, m, b, 1)
		step := model.Step{Step: 1, Rate: 1e-3, Beta1: 0.9, Beta2: 0.99, Epsilon: 1e-8, Factor: 1}
		if err := model.Update(m.Params(), 0, func(*model.Param) model.Step { return step }); err != nil {
			t.Fatal(err)
		}
		used, planned := native.EmulatedBytes()-before, plan.Card.Total()-plan.Card.Context
		// Memory comes in whole pages. Of experts the plan takes one that all tokens use.
		if used > planned+5<<12 || !experts && used < planned || used < planned*9/10 {
			t.Errorf("%+v: %d bytes are held on the card, %d are planned: %+v", cfg, used, planned, plan.Card)
		}
		if err := m.Close(); err != nil {
			t.Error(err)
		}
		if left := native.EmulatedBytes() - before; left != 0 {
			t.Errorf("%+v: %d bytes stay on the card", cfg, left)
		}
	}
	path := tiny(t, func(c *tinygguf.Config) { c.Layers, c.HeadDim, c.Tied = 5, 16, false })
	for _, cfg := range []model.Config{{}, {Recompute: true}, {Precision: model.Float32}, {Recompute: true, Offload: true, HostEmbedding: true}} {
		check(t, path, cfg, false)
	}
	for _, v := range architectures {
		t.Run(v.name, func(t *testing.T) {
			check(t, v.write(t), model.Config{}, strings.Contains(v.name, "experts") || strings.Contains(v.name, "moe"))
		})
	}
}

// A card that is lost is an error that says so, and stays one; the next model finds it again.
func TestLostCard(t *testing.T) {
	device := onCard(t)
	path := tiny(t, nil)
	m := openBest(t, path, model.Config{Device: device})
	b := packed(m.Info().Vocab, 1, 20)
	backward(t, m, b, 1)
	native.EmulateLoss(25)
	defer native.EmulateLoss(-1)
	for range 2 {
		if _, err := m.Backward(b, 1); !errors.Is(err, model.ErrDeviceFailed) {
			t.Errorf("on a lost card: %v, want %v", err, model.ErrDeviceFailed)
		}
	}
	if err := m.ZeroGrad(); err == nil {
		t.Error("a lost card zeroes gradients")
	}
	if err := m.Close(); err != nil {
		t.Error(err)
	}
	native.EmulateLoss(-1)
	backward(t, openBest(t, path, model.Config{Device: device}), b, 1)
}

// Memory that is not there is refused, and what there is serves a shorter row.
func TestCardWithoutMemory(t *testing.T) {
	device := onCard(t)
	m := openBest(t, tiny(t, nil), model.Config{Device: device})
	backward(t, m, packed(m.Info().Vocab, 1, 10), 1)
	native.EmulateMemory(native.EmulatedBytes() + 1<<20)
	defer native.EmulateMemory(4 << 30)
	if _, err := m.Backward(packed(m.Info().Vocab, 1, 400), 1); !errors.Is(err, model.ErrDeviceMemory) || !strings.Contains(err.Error(), "400 tokens") {
		t.Errorf("a row that is too long: %v", err)
	}
	if _, err := m.Backward(packed(m.Info().Vocab, 1, 10), 1); err != nil {
		t.Errorf("a short one after it: %v", err)
	}
}
