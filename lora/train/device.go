package train

import (
	"context"
	"errors"
	"fmt"

	"cloister/lora/model"
)

// Names of devices for Request.Device: the CPU, and a card if there is one that is large enough, else the CPU.
const (
	CPUDevice = model.OnCPU
	AnyDevice = model.OnAuto
)

// CheckDevice says what is wrong with the name of a device.
func CheckDevice(name string) error { return model.CheckDevice(name) }

// where says on what a job computes.
type where struct {
	device string      // "cpu", or a card's name for model.Config
	card   *model.Card // nil: the CPU
	free   int64       // bytes that the job may take on the card; 0: unknown
}

// settle finds the device that the request asks for.
func settle(req *Request) (where, error) {
	device, card, err := model.FindDevice(req.Device)
	if err != nil {
		return where{}, err
	}
	w := where{device: device, card: card}
	if card != nil {
		// The context that the question itself has made is in the plan as well.
		w.free = min(card.Total, card.Free+model.ContextBytes)
		if req.DeviceMemory > 0 {
			w.free = min(w.free, req.DeviceMemory)
		}
	}
	return w, nil
}

// String names the device for people.
func (w where) String() string {
	if w.card == nil {
		return "the CPU"
	}
	return fmt.Sprintf("%s (%s)", w.card.Name, w.device)
}

// ready prepares the job and plans its memory. Where any device will do and the
// card is too small, that is the CPU.
func ready(ctx context.Context, req Request) (*prepared, model.Config, Memory, error) {
	p, err := prepare(ctx, req)
	if err != nil {
		return nil, model.Config{}, Memory{}, err
	}
	cfg, memory, err := p.fit(ctx, req)
	if req.Device != model.OnAuto || p.where.card == nil || err == nil && memory.Fits || ctx.Err() != nil {
		return p, cfg, memory, err
	}
	if err == nil {
		err = memory.Refusal()
	}
	reason := fmt.Sprintf("Training on the CPU, as %s cannot: %v", p.where, err)
	req.Device = model.OnCPU
	if p, err = prepare(ctx, req); err != nil {
		return nil, model.Config{}, Memory{}, err
	}
	p.warn("%s", reason)
	cfg, memory, err = p.fit(ctx, req)
	return p, cfg, memory, err
}

// failed turns the error of a card that failed in the middle of the work into an ErrDevice.
func (w where) failed(err error) error {
	if w.card == nil || !errors.Is(err, model.ErrDeviceFailed) && !errors.Is(err, model.ErrDeviceMemory) {
		return err
	}
	return fmt.Errorf("%w: %s: %w", ErrDevice, w, err)
}
