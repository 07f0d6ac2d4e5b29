package model_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"cloister/llama/gguf/tinygguf"
	"cloister/lora/model"
)

// onCard skips where there is neither a card nor an emulated one.
func onCard(t *testing.T) string {
	t.Helper()
	device := testDevice()
	if !strings.HasPrefix(device, model.OnCUDA) {
		t.Skip("no card: build with the tag cudaemu for an emulated one, or set CLOISTER_TEST_DEVICE on a machine with one")
	}
	return device
}

// What waits on the host comes back as it was: the gradients are the same
// bytes, and the card holds less meanwhile.
func TestOffload(t *testing.T) {
	device := onCard(t)
	path := tiny(t, func(c *tinygguf.Config) { c.Layers, c.Tied = 7, false })
	var want [][]float32
	var most int64
	for _, cfg := range []model.Config{{Recompute: true}, {Recompute: true, HostEmbedding: true}, {Recompute: true, Offload: true}, {Recompute: true, Offload: true, HostEmbedding: true}} {
		cfg.Device, cfg.Rank = device, 4
		m := openBest(t, path, cfg)
		randomB(m, 5)
		b := packed(m.Info().Vocab, 3, 20, 31)
		for range 2 { // the second pass finds the places of the first
			if err := m.ZeroGrad(); err != nil {
				t.Fatal(err)
			}
			backward(t, m, b, 1)
		}
		p, err := m.Plan(model.Full(51))
		if err != nil {
			t.Fatal(err)
		}
		name := fmt.Sprintf("offload %v, embeddings on the host %v", cfg.Offload, cfg.HostEmbedding)
		if want == nil {
			want, most = gradients(m), p.Card.Total()
			continue
		}
		if !same(gradients(m), want) {
			t.Errorf("%s: other gradients", name)
		}
		if p.Card.Total() >= most || cfg.Offload != (p.Offloaded > 0) || cfg.HostEmbedding != (p.Weights > 0) {
			t.Errorf("%s: %d bytes on the card, without it %d; on the host %+v", name, p.Card.Total(), most, p)
		}
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}
}

// What cannot be had is refused with its reason, before work begins.
func TestDeviceRefused(t *testing.T) {
	path := tiny(t, nil)
	for device, want := range map[string]string{
		"tpu": `device "tpu"; it must be`, "cuda:": "it must be", "cuda:-1": "it must be", "cpu:0": "it must be", "cuda:999": "device cuda:999",
	} {
		m, err := model.Open(path, model.Config{Rank: 4, Device: device})
		if err == nil {
			t.Fatalf("%s: opened %v", device, m.Close())
		}
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", device, err, want)
		}
	}
	if _, _, err := model.FindDevice(model.OnAuto); err != nil {
		t.Errorf("any device: %v", err)
	}
	cards, err := model.Cards()
	if err == nil && len(cards) == 0 {
		if _, err := model.Open(path, model.Config{Rank: 4, Device: model.OnCUDA}); !errors.Is(err, model.ErrNoDevice) || !strings.Contains(err.Error(), "CUDA") && !strings.Contains(err.Error(), "no card") {
			t.Errorf("no card: %v", err)
		}
		if device, card, err := model.FindDevice(model.OnAuto); device != model.OnCPU || card != nil || err != nil {
			t.Errorf("without a card any device is %q, %v, %v", device, card, err)
		}
	}
	if len(cards) > 0 {
		if _, err := model.Open(path, model.Config{Rank: 4, Device: cards[0].Device, Precision: model.BF16x3}); err == nil || !strings.Contains(err.Error(), "precision") {
			t.Errorf("a precision that no card has: %v", err)
		}
	}
}

// A plan for a card needs none: real shapes, from headers alone.
func TestPlanForCards(t *testing.T) {
	llama8B := llamaShape{32, 4096, 32, 8, 14336, 128256}
	for _, c := range []struct {
		name  string
		shape llamaShape
		cfg   model.Config
		row   int
		most  int64 // of the card
	}{
		{"8B", llama8B, model.Config{Recompute: true}, 2048, 9e9},
		{"8B, offloaded", llama8B, model.Config{Recompute: true, Offload: true, HostEmbedding: true}, 2048, 7.5e9},
		{"70B", llama70B, model.Config{Recompute: true}, 2048, 80e9},
	} {
		path := c.shape.header(t)
		c.cfg.Device, c.cfg.Rank = model.OnCUDA, 16
		p, err := model.Plan(path, c.cfg, c.row)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: %.2f GB on the card, %.2f GB here: %+v", c.name, float64(p.Card.Total())/1e9, float64(p.Total())/1e9, p)
		if p.Card.Total() > c.most {
			t.Errorf("%s: %d bytes on the card, at most %d are allowed", c.name, p.Card.Total(), c.most)
		}
		n := c.shape.trainable(16)
		if p.Card.Adapter != 4*n || p.Card.Gradients != 4*n || p.Card.Optimiser != 8*n || p.BestAdapter != 4*n || p.Gradients != 0 || p.Activations != 0 {
			t.Errorf("%s: %+v", c.name, p)
		}
		if w := p.Card.Weights + p.Weights; w < c.shape.weights() || w > c.shape.weights()+(1<<20) {
			t.Errorf("%s: weights of %d bytes, want %d", c.name, w, c.shape.weights())
		}
	}
}

// Every precision of a card computes the same loss to within its rounding.
func TestCardPrecisions(t *testing.T) {
	device := onCard(t)
	path := tiny(t, nil)
	var losses []float64
	for _, p := range model.PrecisionsOn(device) {
		m := openBest(t, path, model.Config{Device: device, Precision: p})
		losses = append(losses, loss(t, m, packed(m.Info().Vocab, 1, 30)).Sum)
	}
	if len(losses) != 2 || slices.Max(losses)/slices.Min(losses) > 1.01 {
		t.Errorf("losses %v", losses)
	}
}
