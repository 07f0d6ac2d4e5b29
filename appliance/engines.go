package appliance

import (
	"cmp"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"cloister/appliance/engine"
	"cloister/appliance/models"
	"cloister/lora/train"
	"cloister/store"
)

// startEngine starts the engine of a base model in a process of its own.
func (a *Appliance) startEngine(ctx context.Context, base store.BaseModel, onProcessor bool) (engine.Engine, error) {
	o := a.config.Engine
	o.Moved, o.Log = onProcessor, a.config.Log
	o.Lock = filepath.Join(a.config.Home, "run", "cards.lock")
	room, err := a.adapterRoom(base.Name)
	if err != nil {
		return nil, err
	}
	o.Adapters = room
	return engine.NewChild(ctx, a.config.worker("infer"), base.Path, o)
}

// Adapters that room is kept for on a card: the largest ones of the base.
const roomFor = 4

// adapterRoom is the bytes of the largest adapters of a base; 0 where there
// are none yet, for which the engine keeps the usual room.
func (a *Appliance) adapterRoom(base string) (n int64, err error) {
	all, err := a.st.Adapters()
	if err != nil {
		return 0, err
	}
	var sizes []int64
	for _, x := range all {
		if x.Base != base || x.Checkpoint {
			continue
		}
		if info, err := os.Stat(a.models.Path(x.Path)); err == nil {
			sizes = append(sizes, info.Size())
		}
	}
	slices.SortFunc(sizes, func(x, y int64) int { return cmp.Compare(y, x) })
	for _, size := range sizes[:min(len(sizes), roomFor)] {
		n += size
	}
	if len(sizes) > 0 && len(sizes) < roomFor { // for the next one that is trained
		n += sizes[0]
	}
	return n, nil
}

// makeRoom makes room for training among the engines; plan tells what it needs.
func (a *Appliance) makeRoom(plan func(context.Context, train.PlanConfig) (train.Memory, error)) func(context.Context, train.Request) (string, func() string, error) {
	return func(ctx context.Context, req train.Request) (string, func() string, error) {
		if a.config.WhileTraining == models.Keep {
			return "", func() string { return "" }, nil
		}
		h := req.Hyperparameters
		memory, err := plan(ctx, train.PlanConfig{
			BasePath: req.BasePath, MaxLength: h.MaxLength, Rank: h.Rank, Targets: h.Targets, Threads: req.Threads,
			Device: req.Device, DeviceMemory: req.DeviceMemory, Offload: req.Offload,
		})
		n := need(req.JobID, memory)
		said, back, roomErr := a.models.MakeRoom(ctx, n)
		if said != "" {
			a.config.Log.Info("room for training", "job", req.JobID, "what", said)
		}
		return said, func() string {
			woken := back()
			if woken != "" {
				a.config.Log.Info("training has ended", "job", req.JobID, "what", woken)
			}
			return woken
		}, errors.Join(err, roomErr)
	}
}

// need is what a training run wants, by its plan.
func need(job string, m train.Memory) models.Need {
	if m.CardTotal == 0 {
		return models.Need{Job: job, Bytes: m.Total, Free: m.Free, HostFree: m.Free}
	}
	return models.Need{Job: job, Card: cardName(m.Device), Bytes: m.CardTotal, Free: m.CardFree, HostFree: m.Free}
}

// cardName is ggml's name of a device in the trainer's words: "cuda:1" is
// "CUDA1".
func cardName(device string) string {
	_, number, ok := strings.Cut(device, ":")
	if !ok {
		number = "0"
	}
	return "CUDA" + number
}
