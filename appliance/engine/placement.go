package engine

import (
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"cloister/llama"
	"cloister/llama/gguf"
	"cloister/llama/offload"
	"cloister/llama/sched"
)

// Options of an engine; the zero value is right for most.
type Options struct {
	Context int `json:"context,omitempty"` // tokens of one request; 0: sched.Options says how many
	Slots   int `json:"slots,omitempty"`   // requests at the same time; 0: 4, and more on a card with room for them
	Threads int `json:"threads,omitempty"` // 0: all cores
	// Layers on cards; the zero value takes as many as fit.
	Layers offload.Layers `json:"layers,omitempty"`
	// Devices are ggml's names of the cards that may be used, such as "CUDA0";
	// empty: all.
	Devices []string `json:"devices,omitempty"`
	// Adapters is room for adapters on the cards, in bytes; 0: for two of rank 16.
	Adapters int64 `json:"adapters,omitempty"`
	// Moved begins as after Move(ctx, true): Layers count from Move(ctx, false) on.
	Moved bool `json:"-"`
	// Log gets what becomes of the card, never texts; nil: nothing is logged.
	Log *slog.Logger `json:"-"`
	// Lock is a file that engines of several processes lock while they look what
	// is free on the cards and take it; empty: nobody else does.
	Lock string `json:"lock,omitempty"`
}

// Placement says where a model lies and what is planned for it.
type Placement struct {
	Devices     []string `json:"devices,omitempty"`      // cards that it uses; empty: the processor alone
	Layers      int      `json:"layers_on_cards"`        // the output matrix being one
	LayersTotal int      `json:"layers"`                 // counted in the same way
	DeviceBytes int64    `json:"device_bytes,omitempty"` // planned, on all cards together
	HostBytes   int64    `json:"host_bytes,omitempty"`   // planned: cache and work of the processor's layers, and its weights, which are mapped from the file
	Slots       int      `json:"slots"`                  // requests at the same time
	Reason      string   `json:"reason,omitempty"`       // why not all layers are on a card
}

// OnCard reports whether it uses a card.
func (p Placement) OnCard() bool { return len(p.Devices) > 0 }

// blame lays an error on the card, if it used one.
func (p Placement) blame(err error) error {
	if !p.OnCard() {
		return err
	}
	return fmt.Errorf("%w (%s): %w", ErrDevice, strings.Join(p.Devices, ", "), err)
}

// cards are the cards that the options allow.
func (o Options) cards() ([]offload.Device, error) {
	if o.Layers == offload.None {
		return nil, nil // the driver is not even started
	}
	var out []offload.Device
	var names []string
	for _, d := range llama.Devices() {
		if !d.GPU {
			continue
		}
		names = append(names, d.Name)
		if len(o.Devices) == 0 || slices.Contains(o.Devices, d.Name) {
			out = append(out, offload.Device{Name: d.Name, Free: d.Free, Total: d.Total})
		}
	}
	for _, want := range o.Devices {
		if !slices.Contains(names, want) {
			return nil, NoSuchDevice(want, names)
		}
	}
	return out, nil
}

// NoSuchDevice is the error about a card that is not among the names.
func NoSuchDevice(want string, names []string) error {
	have := "there is none"
	if len(names) > 0 {
		have = "there are " + strings.Join(names, ", ")
	}
	return fmt.Errorf("%w: there is no card %q; %s", ErrDevice, want, have)
}

// place plans where the model lies, by its header and the memory that is free.
func place(path string, o Options) (Placement, llama.Placement, error) {
	cards, err := o.cards()
	if err != nil {
		return Placement{}, llama.Placement{}, err
	}
	sizes, err := headerSizes(path)
	if err != nil && len(cards) == 0 && (o.Layers == offload.None || o.Layers == offload.Auto) {
		return Placement{Slots: o.Slots}, llama.Placement{}, nil // llama.cpp says what is wrong, if it finds anything
	}
	if err != nil {
		return Placement{}, llama.Placement{}, fmt.Errorf("cannot load the model %s: %w", path, err)
	}
	plan, err := offload.New(sizes, offload.Request{
		Layers: o.Layers, Devices: cards, Context: sched.ContextFor(o.Context, sizes.Trained), Slots: o.Slots,
		Batch: sched.BatchTokens, Adapters: o.Adapters,
	})
	if err != nil {
		return Placement{}, llama.Placement{}, fmt.Errorf("%w: %w", ErrDevice, err)
	}
	names, split := plan.Names()
	p := Placement{
		Devices: names, Layers: plan.Layers, LayersTotal: plan.Of, DeviceBytes: plan.DeviceBytes(), HostBytes: plan.Host.Bytes(),
		Slots: plan.Slots, Reason: plan.Reason,
	}
	return p, llama.Placement{Layers: plan.Layers, Devices: names, Split: split}, nil
}

func headerSizes(path string) (offload.Sizes, error) {
	file, err := gguf.OpenHeader(path)
	if err != nil {
		return offload.Sizes{}, err
	}
	return offload.Read(file)
}

// lock takes the lock of the cards, which ends with the process at the latest.
func (o Options) lock() (unlock func(), err error) {
	if o.Lock == "" || o.Layers == offload.None {
		return func() {}, nil
	}
	f, err := os.OpenFile(o.Lock, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("cannot lock %s: %w", o.Lock, err)
	}
	return func() { _ = f.Close() }, nil
}
