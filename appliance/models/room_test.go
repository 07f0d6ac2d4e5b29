package models_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"cloister/appliance/appliancetest"
	"cloister/appliance/engine"
	"cloister/appliance/fault"
	"cloister/appliance/models"
	"cloister/store"
)

const gb = int64(1e9)

// card is an engine that says where it is, and moves.
type card struct {
	*appliancetest.Engine
	mu sync.Mutex
	s  engine.State
}

func (c *card) State() engine.State {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.s
	if s.Moved {
		s.Devices, s.Layers, s.DeviceBytes = nil, 0, 0
	}
	return s
}

func (c *card) Move(_ context.Context, toProcessor bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.s.Moved = toProcessor
	return nil
}

func (c *card) Retire(time.Duration) error { return c.Close() }

// roomKit has models "a", "b" … whose engines lie as the states say.
func roomKit(t *testing.T, way models.WhileTraining, states ...engine.State) (*models.Registry, map[string]*card) {
	t.Helper()
	st, home := appliancetest.Store(t)
	var mu sync.Mutex
	cards := map[string]*card{}
	next := map[string]engine.State{}
	reg := models.New(st, func(_ context.Context, base store.BaseModel, onProcessor bool) (engine.Engine, error) {
		mu.Lock()
		defer mu.Unlock()
		s := next[base.Name]
		s.Moved = onProcessor
		c := &card{Engine: &appliancetest.Engine{}, s: s}
		cards[base.Name] = c
		return c, nil
	}, models.Config{Home: home, WhileTraining: way})
	t.Cleanup(func() {
		if err := reg.Close(); err != nil {
			t.Error(err)
		}
	})
	for i, s := range states {
		name := string(rune('a' + i))
		if _, err := reg.Import(t.Context(), appliancetest.GGUF(t), name, false); err != nil {
			t.Fatal(err)
		}
		next[name] = s
		start(t, reg, name)
	}
	return reg, cards
}

func start(t *testing.T, reg *models.Registry, name string) {
	t.Helper()
	m, err := reg.Resolve(name)
	if err == nil {
		_, err = reg.Engine(t.Context(), m)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// at are the states of the models, in order: "running", "cpu" for one that left its card, "asleep".
func at(reg *models.Registry) string {
	var out []string
	for _, s := range reg.Status() {
		state := s.State
		if s.Engine.Moved {
			state = "cpu"
		}
		out = append(out, s.Name+" "+state)
	}
	slices.Sort(out)
	return strings.Join(out, ", ")
}

var (
	onCard  = engine.State{Placement: engine.Placement{Devices: []string{"CUDA0"}, Layers: 33, LayersTotal: 33, DeviceBytes: 8 * gb, HostBytes: gb / 2}}
	onOther = engine.State{Placement: engine.Placement{Devices: []string{"CUDA1"}, Layers: 33, LayersTotal: 33, DeviceBytes: 8 * gb}}
	onHost  = engine.State{Placement: engine.Placement{LayersTotal: 33, HostBytes: 7 * gb}}
)

// What becomes of models, by the memory of both.
func TestMakeRoom(t *testing.T) {
	for name, c := range map[string]struct {
		way    models.WhileTraining
		need   models.Need
		states []engine.State
		want   string
	}{
		"both fit on the card":        {models.Choose, models.Need{Card: "CUDA0", Bytes: 9 * gb, Free: 12 * gb, HostFree: 64 * gb}, []engine.State{onCard}, "a running"},
		"the processor takes over":    {models.Choose, models.Need{Card: "CUDA0", Bytes: 12 * gb, Free: 12 * gb, HostFree: 64 * gb}, []engine.State{onCard}, "a cpu"},
		"only what is on that card":   {"", models.Need{Card: "CUDA0", Bytes: 12 * gb, Free: 12 * gb, HostFree: 64 * gb}, []engine.State{onCard, onOther, onHost}, "a cpu, b running, c running"},
		"the host has no room either": {models.Choose, models.Need{Card: "CUDA0", Bytes: 12 * gb, Free: 12 * gb, HostFree: 4 * gb}, []engine.State{onCard}, "a asleep"},
		"does not fit even alone":     {models.Choose, models.Need{Card: "CUDA0", Bytes: 90 * gb, Free: 12 * gb, HostFree: 64 * gb}, []engine.State{onCard}, "a running"},
		"not known":                   {models.Choose, models.Need{Card: "CUDA0", HostFree: 64 * gb}, []engine.State{onCard}, "a running"},
		"both fit in the host":        {models.Choose, models.Need{Bytes: 2 * gb, Free: 8 * gb}, []engine.State{onHost}, "a running"},
		"the host is short":           {models.Choose, models.Need{Bytes: 8 * gb, Free: 8 * gb}, []engine.State{onHost, onCard}, "a asleep, b running"},
		"asked to keep":               {models.Keep, models.Need{Card: "CUDA0", Bytes: 12 * gb, Free: 12 * gb}, []engine.State{onCard}, "a running"},
		"asked to sleep":              {models.Sleep, models.Need{Card: "CUDA0", Bytes: gb, Free: 12 * gb}, []engine.State{onCard, onOther}, "a asleep, b running"},
		"asked to move":               {models.ToProcessor, models.Need{Card: "CUDA0", Bytes: gb, Free: 12 * gb}, []engine.State{onCard}, "a cpu"},
		"moving helps nobody":         {models.ToProcessor, models.Need{Bytes: 8 * gb, Free: 8 * gb}, []engine.State{onHost}, "a running"},
	} {
		t.Run(name, func(t *testing.T) {
			reg, _ := roomKit(t, c.way, c.states...)
			before := at(reg)
			c.need.Job = "ftjob-1"
			said, back, err := reg.MakeRoom(t.Context(), c.need)
			if err != nil {
				t.Fatal(err)
			}
			if got := at(reg); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
			if changed := c.want != before; changed != (said != "") {
				t.Errorf("%s → %s, and it said %q", before, c.want, said)
			}
			for _, s := range reg.Status() {
				if moved := s.State != models.Running || s.Engine.Moved; moved != (s.For == "ftjob-1") || moved == s.Since.IsZero() {
					t.Errorf("%+v", s)
				}
			}
			woken := back()
			if (said != "") != (woken != "") {
				t.Errorf("it said %q, and in the end %q", said, woken)
			}
			for range 1000 {
				if at(reg) == before {
					break
				}
				time.Sleep(time.Millisecond)
			}
			if got := at(reg); got != before {
				t.Errorf("afterwards %s, before %s", got, before)
			}
		})
	}
}

// A sleeping model's requests, and those of models that are not loaded, are told
// to come again; after training they are answered.
func TestAskASleepingModel(t *testing.T) {
	reg, cards := roomKit(t, models.Sleep, onHost)
	if _, err := reg.Import(t.Context(), appliancetest.GGUF(t), "other", false); err != nil {
		t.Fatal(err)
	}
	_, back, err := reg.MakeRoom(t.Context(), models.Need{Job: "ftjob-1", Bytes: gb, Free: gb})
	if err != nil {
		t.Fatal(err)
	}
	if !cards["a"].Closed() {
		t.Error("the engine was not closed: its memory is not free")
	}
	for _, name := range []string{"a", "other"} {
		m, err := reg.Resolve(name)
		if err != nil {
			t.Fatal(err)
		}
		_, err = reg.Engine(t.Context(), m)
		f, ok := errors.AsType[*fault.Error](err)
		if !ok || f.Kind != fault.Unavailable || f.Code != "model_asleep" || f.RetryAfter < time.Second || !strings.Contains(f.Message, "ftjob-1") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, _, err := reg.MakeRoom(t.Context(), models.Need{Job: "ftjob-2", Bytes: gb, Free: gb}); err == nil {
		t.Error("room for two at a time")
	}
	back()
	back() // once is enough
	start(t, reg, "a")
	start(t, reg, "other")
}

// A model that is asked for while others are off the card starts on the
// processor, and goes to the card afterwards.
func TestStartWhileOffTheCard(t *testing.T) {
	reg, cards := roomKit(t, models.ToProcessor, onCard)
	if _, err := reg.Import(t.Context(), appliancetest.GGUF(t), "late", false); err != nil {
		t.Fatal(err)
	}
	_, back, err := reg.MakeRoom(t.Context(), models.Need{Job: "ftjob-1", Card: "CUDA0", Bytes: gb, Free: gb})
	if err != nil {
		t.Fatal(err)
	}
	start(t, reg, "late")
	if !cards["late"].State().Moved {
		t.Error("it took the card that trains")
	}
	back()
	for range 1000 {
		if !cards["late"].State().Moved && !cards["a"].State().Moved {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Errorf("it did not go to the card: %s", at(reg))
}

func TestParseWhileTraining(t *testing.T) {
	for text, want := range map[string]models.WhileTraining{"": models.Choose, "auto": models.Choose, "cpu": models.ToProcessor, "sleep": models.Sleep, "keep": models.Keep} {
		if got, err := models.ParseWhileTraining(text); err != nil || got != want {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
	if _, err := models.ParseWhileTraining("nap"); err == nil || !strings.Contains(err.Error(), "nap") {
		t.Error(err)
	}
}
