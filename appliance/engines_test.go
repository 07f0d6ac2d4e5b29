package appliance

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cloister/appliance/appliancetest"
	"cloister/appliance/engine"
	"cloister/appliance/models"
	"cloister/lora/train"
	"cloister/store"
)

// A plan says which card training wants, in the words of those who serve.
func TestNeed(t *testing.T) {
	onHost := need("j", train.Memory{Device: "cpu", Total: 5, Free: 7})
	if onHost != (models.Need{Job: "j", Bytes: 5, Free: 7, HostFree: 7}) {
		t.Errorf("%+v", onHost)
	}
	for device, card := range map[string]string{"cuda": "CUDA0", "cuda:0": "CUDA0", "cuda:3": "CUDA3"} {
		got := need("j", train.Memory{Device: device, Total: 5, Free: 7, CardTotal: 11, CardFree: 13})
		if got != (models.Need{Job: "j", Card: card, Bytes: 11, Free: 13, HostFree: 7}) {
			t.Errorf("%s: %+v", device, got)
		}
	}
}

// Room is kept on a card for the largest adapters of the base, and one more.
func TestAdapterRoom(t *testing.T) {
	st, home := appliancetest.Store(t)
	a := &Appliance{st: st, models: models.New(st, nil, models.Config{Home: home})}
	t.Cleanup(func() { _ = a.models.Close() })
	base, err := a.models.Import(t.Context(), appliancetest.GGUF(t), "tiny", false)
	if err != nil {
		t.Fatal(err)
	}
	want := []int64{0, 200, 300, 600, 500} // from one adapter to three with the largest once more, then the largest four
	for i, size := range []int{100, 100, 200, 100, 300} {
		if n, err := a.adapterRoom(base.Name); err != nil || n != want[i] {
			t.Errorf("%d adapters: %d bytes, %v; want %d", i, n, err, want[i])
		}
		path := filepath.Join(home, "a"+string(rune('0'+i)))
		if err := os.WriteFile(path, make([]byte, size), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := st.PutAdapter(store.Adapter{Name: "ft:tiny:o:s:" + string(rune('0'+i)), Base: base.Name, Path: filepath.Base(path)}); err != nil {
			t.Fatal(err)
		}
	}
}

// Training gets room among the engines, by the plan; what the plan could not
// say is told, and does not keep anybody from training.
func TestMakeRoom(t *testing.T) {
	st, home := appliancetest.Store(t)
	c := Config{Home: home, WhileTraining: models.Sleep}
	if err := c.validate(); err != nil {
		t.Fatal(err)
	}
	fake := &appliancetest.Engine{}
	a := &Appliance{config: c, st: st}
	a.models = models.New(st, func(context.Context, store.BaseModel, bool) (engine.Engine, error) { return fake, nil }, models.Config{Home: home, WhileTraining: c.WhileTraining})
	t.Cleanup(func() { _ = a.models.Close() })
	if _, err := a.models.Import(t.Context(), appliancetest.GGUF(t), "tiny", false); err != nil {
		t.Fatal(err)
	}
	m, err := a.models.Resolve("tiny")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.models.Engine(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	var asked train.PlanConfig
	planned := errors.New("no plan")
	room := a.makeRoom(func(_ context.Context, c train.PlanConfig) (train.Memory, error) {
		asked = c
		return train.Memory{}, planned
	})
	req := train.Request{JobID: "ftjob-1", BasePath: "base.gguf", Device: "auto", Hyperparameters: train.Hyperparameters{MaxLength: 64, Rank: 3}}
	said, back, err := room(t.Context(), req)
	if !errors.Is(err, planned) || !strings.Contains(said, "tiny") || !strings.Contains(said, "sleep") || !fake.Closed() {
		t.Errorf("%q, %v, closed %v", said, err, fake.Closed())
	}
	if asked.BasePath != req.BasePath || asked.Device != "auto" || asked.MaxLength != 64 || asked.Rank != 3 {
		t.Errorf("planned for %+v", asked)
	}
	if woken := back(); !strings.Contains(woken, "tiny") {
		t.Errorf("in the end %q", woken)
	}
}
