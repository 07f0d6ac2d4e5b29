package train_test

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"

	"cloister/llama/gguf"
	"cloister/llama/llamatest"
	"cloister/lora/internal/native"
	"cloister/lora/model"
	"cloister/lora/train"
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

// mustTrain trains the model of the request itself, on its device.
func mustTrain(t *testing.T, req train.Request) (train.Result, log) {
	t.Helper()
	var events log
	res, err := train.Run(t.Context(), req, events.emit)
	if err != nil {
		t.Fatal(err)
	}
	return res, events
}

// Over 30 steps the losses on a card are those on the CPU to within a hundredth.
func TestCurveOnCard(t *testing.T) {
	device := onCard(t)
	bases := []string{writeTiny(t)}
	if !native.CUDAEmulated { // the emulation would take hours
		bases = append(bases, llamatest.Model(t))
	}
	for _, base := range bases {
		curve := func(device string) (losses []float64) {
			req := request(t, base)
			req.Device, req.Hyperparameters.Epochs = device, 8 // of 4 steps
			_, events := mustTrain(t, req)
			for _, e := range events.kind("step") {
				losses = append(losses, e.Loss)
			}
			return losses
		}
		cpu, card := curve(model.OnCPU), curve(device)
		if len(cpu) < 30 || len(card) != len(cpu) {
			t.Fatalf("%d steps on the CPU, %d on the card", len(cpu), len(card))
		}
		worst := 0.0
		for i := range cpu {
			worst = max(worst, math.Abs(card[i]-cpu[i])/cpu[i])
		}
		t.Logf("%d steps from %.4f to %.4f: losses differ by at most %.2g", len(cpu), cpu[0], cpu[len(cpu)-1], worst)
		if !(worst < 0.01) || card[len(card)-1] > 0.9*card[0] {
			t.Errorf("losses on the CPU %.4f, on the card %.4f", cpu, card)
		}
	}
}

// A job that was stopped on one device goes on on the other, and says that its last digits are of both.
func TestOtherDevice(t *testing.T) {
	device := onCard(t)
	for _, order := range [][]string{{device, model.OnCPU}, {model.OnCPU, device}} {
		req := request(t, writeTiny(t))
		req.Device = order[0]
		ctx, stop := context.WithCancel(t.Context())
		var events log
		_, err := train.Run(ctx, req, func(e train.Event) {
			if events.emit(e); e.Kind == "step" && e.Step == 5 {
				stop()
			}
		})
		if !errors.Is(err, train.ErrStopped) {
			t.Fatal(err)
		}
		req.Device, events = order[1], nil
		res, err := train.Run(t.Context(), req, events.emit)
		if err != nil || res.Steps != 12 || len(events.kind("step")) != 7 {
			t.Errorf("%v: %d steps, %d of them in the second run, %v", order, res.Steps, len(events.kind("step")), err)
		}
		if !events.hasWarning("differ in their last digits") {
			t.Errorf("%v: warnings %+v", order, events.kind("warning"))
		}
	}
}

// What is too large for a card is put elsewhere step by step, and at last refused with what would fit.
func TestPlanForCard(t *testing.T) {
	base := cutModel(t, gguf.Q8_0)
	plan := func(bytes int64) train.Memory {
		t.Helper()
		m, err := train.PlanMemory(t.Context(), train.PlanConfig{BasePath: base, Threads: 2, Free: 1 << 50, Device: model.OnCUDA, DeviceMemory: bytes})
		if err != nil {
			t.Fatal(err)
		}
		here, card := int64(0), int64(0)
		for _, p := range m.Parts() {
			if p.Card {
				card += p.Bytes
			} else {
				here += p.Bytes
			}
		}
		if here != m.Total || card != m.CardTotal || m.Fits != (m.CardTotal <= bytes) || m.CardFree != bytes || m.Device != model.OnCUDA {
			t.Errorf("parts add up to %d here and %d on the card: %+v", here, card, m)
		}
		return m
	}
	all := plan(1 << 40)
	if all.KeptLayers != 24 || all.Offloaded > 0 || all.Weights > 0 {
		t.Errorf("with much memory: %+v", all)
	}
	some := plan(all.CardTotal * 95 / 100)
	if !some.Fits || some.KeptLayers == 0 || some.KeptLayers == 24 || some.Offloaded > 0 || some.CardTotal > some.CardFree*19/20 {
		t.Errorf("with a little less: %+v", some)
	}
	least := plan(1 << 20)
	if least.Fits || least.KeptLayers > 0 || least.Offloaded == 0 || len(least.Proposals) > 0 || !errors.Is(least.Refusal(), train.ErrMemory) || !strings.Contains(least.Refusal().Error(), "of the memory of cuda") {
		t.Errorf("with none: %+v, %v", least, least.Refusal())
	}
	if tight := plan(least.CardTotal * 21 / 20); !tight.Fits || tight.Offloaded == 0 {
		t.Errorf("just enough: %+v", tight)
	}
	tooFew := plan(least.CardTotal * 97 / 100)
	if tooFew.Fits || len(tooFew.Proposals) == 0 {
		t.Fatalf("a little too few: %+v", tooFew)
	}
	for _, p := range tooFew.Proposals {
		if p.Total > tooFew.CardFree {
			t.Errorf("%s takes %d bytes of %d", p.Text, p.Total, tooFew.CardFree)
		}
	}
	for _, bad := range []train.PlanConfig{{Device: "tpu"}, {Device: "cpu", DeviceMemory: 1 << 30}, {DeviceMemory: 1 << 30}, {Device: "cuda:77"}} {
		bad.BasePath, bad.Free = base, 1<<40
		if _, err := train.PlanMemory(t.Context(), bad); err == nil {
			t.Errorf("%+v is planned", bad)
		}
	}
}

// A machine without a card trains on the CPU if any device will do, and says why not if a card must.
func TestNoCard(t *testing.T) {
	if cards, _ := model.Cards(); len(cards) > 0 {
		t.Skip("there is a card here")
	}
	req := request(t, writeTiny(t))
	req.Device = train.AnyDevice
	_, events := mustTrain(t, req)
	on := ""
	for _, e := range events.kind("info") {
		on += e.Device
	}
	if on != train.CPUDevice {
		t.Errorf("the events say that it trains on %q", on)
	}
	req = request(t, req.BasePath)
	req.Device = model.OnCUDA
	if _, err := train.Run(t.Context(), req, nil); !errors.Is(err, model.ErrNoDevice) {
		t.Errorf("on a card that is not there: %v, want %v", err, model.ErrNoDevice)
	}
}
