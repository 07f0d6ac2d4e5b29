package engine_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"cloister/appliance/engine"
	"cloister/appliance/engine/enginetest"
	"cloister/llama/gguf/tinygguf"
	"cloister/llama/offload"
	"cloister/lora/train"
)

var hello = engine.ChatRequest{Messages: enginetest.Ask("Say hello to Ms Kovacs."), MaxTokens: 3, IgnoreEOS: true}

// tiny is a model that loads in milliseconds.
func tiny(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tiny.gguf")
	if err := tinygguf.WriteFile(path, tinygguf.Default()); err != nil {
		t.Fatal(err)
	}
	return path
}

func openOn(t *testing.T, o engine.Options) *engine.Child {
	t.Helper()
	o.Context, o.Threads = 256, 1
	c, err := engine.NewChild(t.Context(), enginetest.WorkerCommand("infer"), tiny(t), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func say(t *testing.T, c *engine.Child) {
	t.Helper()
	if r, err := c.Chat(t.Context(), hello, nil); err != nil || r.CompletionTokens == 0 {
		t.Fatalf("%+v, %v", r, err)
	}
}

func sayAndDie(t *testing.T, c *engine.Child, card *enginetest.Card) {
	t.Helper()
	card.Make(enginetest.Die)
	if _, err := c.Chat(t.Context(), hello, nil); !errors.Is(err, engine.ErrWorkerDied) {
		t.Fatalf("%v, want ErrWorkerDied", err)
	}
}

// wait waits for a state.
func wait(t *testing.T, c *engine.Child, what string, is func(engine.State) bool) engine.State {
	t.Helper()
	for range 3000 {
		if s := c.State(); is(s) {
			return s
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("never: %s; it is %+v", what, c.State())
	return engine.State{}
}

// fell checks that a model is on the processor and says why, without any text
// of a user.
func fell(t *testing.T, s engine.State, because string) {
	t.Helper()
	switch {
	case s.OnCard() || s.OnProcessor == nil:
		t.Fatalf("it is not on the processor: %+v", s)
	case !strings.Contains(s.OnProcessor.Because, because) || strings.Contains(s.OnProcessor.Because, "Kovacs") || strings.Contains(s.OnProcessor.Because, "\n"):
		t.Errorf("because %q", s.OnProcessor.Because)
	case !s.OnProcessor.Retry.After(s.OnProcessor.Since) || time.Since(s.OnProcessor.Since) > time.Hour:
		t.Errorf("%+v", s.OnProcessor)
	}
}

// A worker that dies on the card is started there again; when that one dies as
// well, the model goes to the processor and says why.
func TestCardDies(t *testing.T) {
	card := enginetest.NewCard(t)
	var log bytes.Buffer
	c := openOn(t, engine.Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
	if s := c.State(); !s.OnCard() || s.Layers != 3 || s.OnProcessor != nil || s.PID == 0 {
		t.Fatalf("%+v", s)
	}
	sayAndDie(t, c, card)
	say(t, c)
	if s := c.State(); !s.OnCard() {
		t.Fatalf("after one death: %+v", s)
	}
	sayAndDie(t, c, card)
	say(t, c)
	fell(t, c.State(), enginetest.CardWords)
	say(t, c)
	if said := log.String(); strings.Count(said, "\n") != 1 || !strings.Contains(said, enginetest.CardWords) || strings.Contains(said, "Kovacs") {
		t.Errorf("the log: %q", said)
	}
}

// A card that a model cannot be loaded onto costs nothing but time, and is taken
// when it is well again, with the adapters, while requests are answered.
func TestCardRecovers(t *testing.T) {
	for _, trouble := range []enginetest.Trouble{enginetest.DieAtLoad, enginetest.Refuse} {
		t.Run(string(trouble), func(t *testing.T) {
			engine.SetPatience(t, time.Hour, 50*time.Millisecond)
			card := enginetest.NewCard(t)
			card.Make(trouble)
			c := openOn(t, engine.Options{})
			fell(t, c.State(), "CUDA")
			first := c.State().OnProcessor.Retry
			wait(t, c, "a second try", func(s engine.State) bool { return s.OnProcessor != nil && s.OnProcessor.Retry.After(first) })
			ctx, stop := context.WithCancel(t.Context())
			var wg sync.WaitGroup
			wg.Go(func() {
				for ctx.Err() == nil {
					if _, err := c.Chat(t.Context(), hello, nil); err != nil {
						t.Errorf("while the card is tried: %v", err)
						return
					}
				}
			})
			card.Heal(trouble)
			wait(t, c, "on the card again", func(s engine.State) bool { return s.OnCard() && s.OnProcessor == nil })
			stop()
			wg.Wait()
			say(t, c)
			// It has not proven itself yet: one death is enough.
			sayAndDie(t, c, card)
			wait(t, c, "on the processor", func(s engine.State) bool { return !s.OnCard() && s.OnProcessor != nil })
		})
	}
}

// A file that is no model is not the card's fault, and a card that is not there
// is no reason not to answer.
func TestCardIsNotToBlame(t *testing.T) {
	enginetest.NewCard(t)
	path := filepath.Join(t.TempDir(), "garbage.gguf")
	if err := os.WriteFile(path, []byte("no model"), 0o600); err != nil {
		t.Fatal(err)
	}
	if c, err := engine.NewChild(t.Context(), enginetest.WorkerCommand("infer"), path, engine.Options{}); err == nil || errors.Is(err, engine.ErrDevice) || !strings.Contains(err.Error(), "garbage.gguf") {
		if err == nil {
			c.Close()
		}
		t.Errorf("%v", err)
	}
}

func TestNoSuchCard(t *testing.T) {
	for _, o := range []engine.Options{{Devices: []string{"CUDA7"}}, {Layers: offload.All, Devices: []string{"CUDA7"}}} {
		c := openOn(t, o)
		fell(t, c.State(), `there is no card "CUDA7"`)
		say(t, c)
	}
}

// Move takes the model off the card and lets it back; a long answer ends well,
// and adapters that are loaded meanwhile are there.
func TestMove(t *testing.T) {
	enginetest.NewCard(t)
	c := openOn(t, engine.Options{Slots: 2})
	began, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		var once sync.Once
		r, err := c.Chat(t.Context(), engine.ChatRequest{Messages: enginetest.Ask("Go on."), MaxTokens: 200, IgnoreEOS: true}, func(engine.Chunk) error {
			once.Do(func() { close(began) })
			return nil
		})
		if err == nil && r.CompletionTokens != 200 {
			err = errors.New("the answer was cut")
		}
		ended <- err
	}()
	<-began
	if err := c.Move(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Errorf("the answer that ran: %v", err)
	}
	if s := c.State(); s.OnCard() || !s.Moved || s.OnProcessor != nil {
		t.Errorf("moved away: %+v", s)
	}
	say(t, c)
	kill(t, c)
	say(t, c)
	if s := c.State(); s.OnCard() || !s.Moved {
		t.Errorf("killed after it was moved away: %+v", s)
	}
	if err := c.Move(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	if s := c.State(); !s.OnCard() || s.Moved {
		t.Errorf("moved back: %+v", s)
	}
	say(t, c)
	if err := c.Retire(time.Minute); err != nil {
		t.Error(err)
	}
	if _, err := c.Chat(t.Context(), hello, nil); !errors.Is(err, engine.ErrClosed) {
		t.Errorf("after Retire: %v", err)
	}
}

// The processes that are asked what there is, and what training would take, say it.
func TestAsked(t *testing.T) {
	devices, err := engine.ChildDevices(t.Context(), enginetest.WorkerCommand("devices"))
	if err != nil || len(devices) == 0 || devices[0].Total == 0 {
		t.Errorf("%+v, %v", devices, err)
	}
	if _, err := engine.ChildDevices(t.Context(), []string{"/bin/false"}); err == nil {
		t.Error("/bin/false told of devices")
	}
	trainer := engine.ChildTrainer{Exe: enginetest.WorkerCommand("train")}
	m, err := trainer.Plan(t.Context(), train.PlanConfig{BasePath: tiny(t), MaxLength: 64})
	if err != nil || m.Total == 0 || m.Free == 0 || m.RowTokens != 64 {
		t.Errorf("%+v, %v", m, err)
	}
	if _, err := trainer.Plan(t.Context(), train.PlanConfig{BasePath: filepath.Join(t.TempDir(), "none.gguf")}); err == nil {
		t.Error("a plan for no file")
	}
}
