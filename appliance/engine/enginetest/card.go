package enginetest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"cloister/appliance/engine"
	"cloister/llama/offload"
)

// cardEnv tells workers of a test binary that there is a card, and where its
// troubles are told.
const cardEnv = "CLOISTER_ENGINETEST_CARD"

// Card makes workers of this test binary believe that there is a card, CUDA0. What
// they compute is computed by the processor; what goes wrong, a test decides.
type Card struct {
	t   testing.TB
	dir string
}

// Trouble is what a card does to the worker that uses it.
type Trouble string

// The troubles. They last until Heal, but Die, which is over with the next death.
const (
	DieAtLoad Trouble = "die-at-load" // ggml ends the process while it loads the model
	Refuse    Trouble = "refuse"      // the model cannot be loaded, and the worker says so
	Die       Trouble = "die"         // ggml ends the process in the next request
)

// CardWords are what a worker writes when the card ends it.
const CardWords = "CUDA error: out of memory   current device: 0, in function alloc at ggml-cuda.cu:123"

// NewCard puts a card into workers that start from now on.
func NewCard(t testing.TB) *Card {
	dir := t.TempDir()
	t.Cleanup(func() { _ = os.Unsetenv(cardEnv) })
	if err := os.Setenv(cardEnv, dir); err != nil {
		t.Fatal(err)
	}
	return &Card{t, dir}
}

// Make makes trouble.
func (c *Card) Make(what Trouble) {
	if err := os.WriteFile(filepath.Join(c.dir, string(what)), nil, 0o600); err != nil {
		c.t.Fatal(err)
	}
}

// Heal ends a trouble.
func (c *Card) Heal(what Trouble) {
	if err := os.Remove(filepath.Join(c.dir, string(what))); err != nil {
		c.t.Fatal(err)
	}
}

// cardIn opens engines for a worker on the card of that folder.
func cardIn(dir string) engine.Open {
	has := func(what Trouble) bool {
		_, err := os.Stat(filepath.Join(dir, string(what)))
		return err == nil
	}
	return func(path string, o engine.Options, tell func(engine.Placement) error) (engine.Engine, error) {
		placed := engine.Placement{LayersTotal: 3, Slots: max(1, o.Slots)}
		card := o.Layers != offload.None
		if card {
			placed.Devices, placed.Layers, placed.DeviceBytes = []string{"CUDA0"}, 3, 1000
		}
		if err := tell(placed); err != nil {
			return nil, err
		}
		switch {
		case card && has(DieAtLoad):
			abort()
		case card && has(Refuse):
			return nil, fmt.Errorf("%w: unable to allocate CUDA0 buffer", engine.ErrDevice)
		}
		o.Layers = offload.None
		local, err := engine.OpenLocal(path, o)
		if err != nil {
			return nil, err
		}
		if !card {
			return local, nil
		}
		return onCard{local, placed, func() {
			if has(Die) && os.Remove(filepath.Join(dir, string(Die))) == nil {
				abort()
			}
		}}, nil
	}
}

// onCard is an engine that says it is on a card, and may die of that.
type onCard struct {
	*engine.Local
	placed engine.Placement
	work   func()
}

func (e onCard) Info(ctx context.Context) (engine.Info, error) {
	info, err := e.Local.Info(ctx)
	info.Placement = e.placed
	return info, err
}

func (e onCard) Chat(ctx context.Context, req engine.ChatRequest, emit func(engine.Chunk) error) (engine.ChatResult, error) {
	e.work()
	return e.Local.Chat(ctx, req, emit)
}

// abort ends this process as ggml does.
func abort() {
	fmt.Fprintln(os.Stderr, "abort: "+CardWords)
	if err := syscall.Kill(os.Getpid(), syscall.SIGABRT); err != nil {
		panic(errors.Join(errors.New("cannot abort"), err))
	}
	select {}
}
