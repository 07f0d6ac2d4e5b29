//go:build cudaemu

package train_test

import (
	"bytes"
	"errors"
	"os"
	"testing"

	"cloister/lora/internal/native"
	"cloister/lora/model"
	"cloister/lora/train"
)

// A card that is lost in the middle of a job is an error of its own kind; the
// same request resumes from the checkpoint and ends with the same bytes.
func TestCardLostAndResumed(t *testing.T) {
	base := writeTiny(t)
	whole := request(t, base)
	mustTrain(t, whole)
	want, err := os.ReadFile(whole.OutPath)
	if err != nil {
		t.Fatal(err)
	}
	req := request(t, base)
	var events log
	_, err = train.Run(t.Context(), req, func(e train.Event) {
		if events.emit(e); e.Kind == "step" && e.Step == 8 { // the last checkpoint is that of step 6
			native.EmulateLoss(20)
		}
	})
	native.EmulateLoss(-1)
	if !errors.Is(err, train.ErrDevice) || !errors.Is(err, model.ErrDeviceFailed) {
		t.Fatalf("on a lost card: %v, want %v", err, train.ErrDevice)
	}
	if _, err := os.Stat(req.OutPath); !errors.Is(err, os.ErrNotExist) {
		t.Error("a lost card leaves an adapter")
	}
	_, events = mustTrain(t, req)
	got, err := os.ReadFile(req.OutPath)
	if err != nil || len(events.kind("step")) > 6 || !bytes.Equal(got, want) {
		t.Errorf("resumed with %d steps; the adapter is the same: %v, %v", len(events.kind("step")), bytes.Equal(got, want), err)
	}
}

// A card that is too small is left alone when any device will do.
func TestCardTooSmall(t *testing.T) {
	req := request(t, writeTiny(t))
	req.Device, req.DeviceMemory = train.AnyDevice, 100<<20
	_, events := mustTrain(t, req)
	if !events.hasWarning("Training on the CPU, as") {
		t.Errorf("warnings %+v", events.kind("warning"))
	}
	req = request(t, req.BasePath)
	req.Device, req.DeviceMemory = model.OnCUDA, 100<<20
	if _, err := train.Run(t.Context(), req, nil); !errors.Is(err, train.ErrMemory) {
		t.Errorf("a card that is too small: %v, want %v", err, train.ErrMemory)
	}
}
