package models_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cloister/appliance/appliancetest"
	"cloister/appliance/engine"
	"cloister/appliance/fault"
	"cloister/appliance/models"
	"cloister/llama/gguf"
	"cloister/store"
)

// kit is a store with a registry and the engines that it started.
type kit struct {
	st      *store.Store
	home    string
	reg     *models.Registry
	engines []*appliancetest.Engine
	starts  atomic.Int64
	fail    atomic.Bool
	gate    chan struct{} // closed: engines start at once
}

func newKit(t *testing.T, c models.Config) *kit {
	st, home := appliancetest.Store(t)
	c.Home = home
	k := &kit{st: st, home: home, gate: make(chan struct{})}
	close(k.gate)
	var mu sync.Mutex
	k.reg = models.New(st, func(_ context.Context, base store.BaseModel, _ bool) (engine.Engine, error) {
		k.starts.Add(1)
		<-k.gate
		if k.fail.Load() {
			return nil, errors.New("out of memory")
		}
		if !filepath.IsAbs(base.Path) {
			t.Errorf("path %q is not absolute", base.Path)
		}
		e := &appliancetest.Engine{}
		mu.Lock()
		defer mu.Unlock()
		k.engines = append(k.engines, e)
		return e, nil
	}, c)
	t.Cleanup(func() {
		if err := k.reg.Close(); err != nil {
			t.Error(err)
		}
	})
	return k
}

func (k *kit) base(t *testing.T, name string) {
	t.Helper()
	if _, err := k.reg.Import(t.Context(), appliancetest.GGUF(t), name, false); err != nil {
		t.Fatal(err)
	}
}

func (k *kit) adapter(t *testing.T, name, base string) {
	t.Helper()
	path := filepath.Join("adapters", strings.ReplaceAll(name, ":", "_")+".gguf")
	if err := os.MkdirAll(filepath.Join(k.home, "adapters"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(k.home, path), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := k.st.PutAdapter(store.Adapter{Name: name, Base: base, Path: path, Checkpoint: strings.Contains(name, ":ckpt-")}); err != nil {
		t.Fatal(err)
	}
}

func (k *kit) deploy(t *testing.T, alias, model string) {
	t.Helper()
	if _, err := k.st.Deploy(alias, store.Release{Model: model, By: "test"}); err != nil {
		t.Fatal(err)
	}
}

// What a record names in the file that runs is read from that file, whatever its
// name leads to by now.
func TestPathInTheRunningFile(t *testing.T) {
	k := newKit(t, models.Config{Self: "/opt/clinic"})
	for p, want := range map[string]string{
		"/opt/clinic@4096+10":  "/proc/self/exe@4096+10",
		"/opt/clinic2@4096+10": "/opt/clinic2@4096+10",
		"/opt/clinic":          "/opt/clinic",
		"models/x.gguf":        filepath.Join(k.home, "models/x.gguf"),
	} {
		if got := k.reg.Path(p); got != want {
			t.Errorf("Path(%q) = %q, want %q", p, got, want)
		}
	}
}

func TestResolve(t *testing.T) {
	k := newKit(t, models.Config{Map: map[string]string{"gpt-4o-mini": "support", "gpt-broken": "nothing"}, Default: "big", Org: "clinic"})
	if _, err := k.reg.Resolve(""); !errors.Is(err, models.ErrUnknownModel) {
		t.Errorf("an empty appliance: %v", err)
	}
	k.base(t, "small")
	k.base(t, "big")
	k.adapter(t, "ft:small:clinic:desk:12345678", "small")
	k.adapter(t, "ft:small:clinic:desk:12345678:ckpt-step-10", "small")
	k.deploy(t, "support", "ft:small:clinic:desk:12345678")
	for name, want := range map[string]string{
		"small":                         "small",
		"big":                           "big",
		"ft:small:clinic:desk:12345678": "ft:small:clinic:desk:12345678",
		"ft:small:clinic:desk:12345678:ckpt-step-10": "ft:small:clinic:desk:12345678:ckpt-step-10",
		"support":       "ft:small:clinic:desk:12345678",
		"gpt-4o-mini":   "ft:small:clinic:desk:12345678", // mapped
		"gpt-3.5-turbo": "big",                           // not mapped: the default
		"o1":            "big",
		"davinci-002":   "big",
		"":              "big",
	} {
		got, err := k.reg.Resolve(name)
		if err != nil || got.Name() != want {
			t.Errorf("Resolve(%q) = %q, %v; want %q", name, got.Name(), err, want)
		}
	}
	if got, _ := k.reg.Resolve("support"); got.Alias != "support" || got.AdapterName() == "" {
		t.Errorf("%+v", got)
	}
	for _, name := range []string{"ft:small:clinic:desk:00000000", "nobody", "gpt-broken", "o", "offline"} {
		_, err := k.reg.Resolve(name)
		f, ok := errors.AsType[*fault.Error](err)
		if !errors.Is(err, models.ErrUnknownModel) || !ok || f.Code != "model_not_found" || f.Kind != fault.NotFound {
			t.Errorf("Resolve(%q): %v", name, err)
		}
	}
	// A new release counts from the next request on.
	k.deploy(t, "support", "big")
	if got, _ := k.reg.Resolve("gpt-4o-mini"); got.Name() != "big" {
		t.Errorf("after a deployment: %q", got.Name())
	}
}

func TestResolveOnlyModel(t *testing.T) {
	k := newKit(t, models.Config{})
	k.base(t, "small")
	if got, err := k.reg.Resolve("gpt-4o"); err != nil || got.Name() != "small" {
		t.Errorf("%q, %v", got.Name(), err)
	}
	k.base(t, "big")
	_, err := k.reg.Resolve("gpt-4o")
	if !errors.Is(err, models.ErrUnknownModel) || !strings.Contains(err.Error(), "--map gpt-4o=NAME") {
		t.Errorf("two models and no default: %v", err)
	}
}

func TestEngineStartsOnce(t *testing.T) {
	k := newKit(t, models.Config{})
	k.gate = make(chan struct{})
	k.base(t, "small")
	k.adapter(t, "ft:small:o::1", "small")
	m, err := k.reg.Resolve("ft:small:o::1")
	if err != nil {
		t.Fatal(err)
	}
	// The first caller gives up; the start goes on for the others.
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
	defer cancel()
	if _, err := k.reg.Engine(ctx, m); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a caller that gives up: %v", err)
	}
	if got := k.reg.Loaded(); len(got) != 0 {
		t.Errorf("loaded before it is: %q", got)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if _, err := k.reg.Engine(t.Context(), m); err != nil {
				t.Error(err)
			}
		})
	}
	close(k.gate)
	wg.Wait()
	if n := k.starts.Load(); n != 1 {
		t.Errorf("started %d times", n)
	}
	if n := k.engines[0].Loads(); n != 1 {
		t.Errorf("the adapter was loaded %d times", n)
	}
	if got := k.reg.Loaded(); len(got) != 1 || got[0] != "small" {
		t.Errorf("loaded: %q", got)
	}
}

func TestEngineStartFails(t *testing.T) {
	k := newKit(t, models.Config{})
	k.base(t, "small")
	m, _ := k.reg.Resolve("small")
	k.fail.Store(true)
	if _, err := k.reg.Engine(t.Context(), m); !errors.Is(err, models.ErrStart) || !strings.Contains(err.Error(), "out of memory") {
		t.Fatalf("%v", err)
	}
	k.fail.Store(false)
	if _, err := k.reg.Engine(t.Context(), m); err != nil {
		t.Errorf("the next request starts it again: %v", err)
	}
	if err := k.reg.Close(); err != nil {
		t.Fatal(err)
	}
	if !k.engines[0].Closed() {
		t.Error("Close left the engine running")
	}
	if _, err := k.reg.Engine(t.Context(), m); !errors.Is(err, engine.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

func TestImport(t *testing.T) {
	k := newKit(t, models.Config{})
	path := appliancetest.GGUF(t)
	base, err := k.reg.Import(t.Context(), path, "", true)
	if err != nil {
		t.Fatal(err)
	}
	if base.Architecture != "llama" || base.Parameters == 0 || len(base.SHA256) != 64 || base.Name == "" || filepath.IsAbs(base.Path) {
		t.Errorf("%+v", base)
	}
	if err := os.Remove(path); err != nil { // the kept file lives on
		t.Fatal(err)
	}
	if _, err := os.Stat(k.reg.Path(base.Path)); err != nil {
		t.Error(err)
	}
	other := appliancetest.GGUF(t)
	again, err := k.reg.Import(t.Context(), other, base.Name, true)
	if err != nil || again.SHA256 != base.SHA256 || !again.CreatedAt.Equal(base.CreatedAt) {
		t.Errorf("the same again: %+v, %v", again, err)
	}
	changed := bytesOf(t, other)
	changed[len(changed)-1] ^= 1
	write(t, other, changed)
	if _, err := k.reg.Import(t.Context(), other, base.Name, false); !errors.Is(err, store.ErrExists) || !strings.Contains(err.Error(), "--name ANOTHER") {
		t.Errorf("another file under the name: %v", err)
	}
	if _, err := k.reg.Import(t.Context(), other, "other", false); err != nil {
		t.Error(err)
	}
	entries, err := k.reg.List()
	if err != nil || len(entries) != 2 {
		t.Errorf("%+v, %v", entries, err)
	}
}

func TestImportRefuses(t *testing.T) {
	k := newKit(t, models.Config{})
	dir := t.TempDir()
	text := filepath.Join(dir, "text.gguf")
	write(t, text, []byte("not a model"))
	truncated := filepath.Join(dir, "half.gguf")
	whole := bytesOf(t, appliancetest.GGUF(t))
	write(t, truncated, whole[:len(whole)/2])
	adapter := filepath.Join(dir, "adapter.gguf")
	f, err := os.Create(adapter)
	if err != nil {
		t.Fatal(err)
	}
	if err := gguf.Write(f, []gguf.KV{{Key: "general.type", Value: "adapter"}, {Key: "general.architecture", Value: "llama"}}, nil); err != nil {
		t.Fatal(err)
	}
	f.Close()
	for _, c := range []struct{ path, name, want string }{
		{filepath.Join(dir, "none.gguf"), "", "no file"},
		{dir, "", "not a file"},
		{text, "", "GGUF"},
		{truncated, "", "half.gguf"},
		{adapter, "", "type \"adapter\""},
		{appliancetest.GGUF(t), "ft:x", "good name"},
		{appliancetest.GGUF(t), "../x", "good name"},
	} {
		_, err := k.reg.Import(t.Context(), c.path, c.name, false)
		if f, ok := errors.AsType[*fault.Error](err); !ok || f.Kind != fault.Invalid || !strings.Contains(err.Error(), c.want) {
			t.Errorf("Import(%s, %q): %v, want %q", filepath.Base(c.path), c.name, err, c.want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := k.reg.Import(ctx, appliancetest.GGUF(t), "", true); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestRemove(t *testing.T) {
	k := newKit(t, models.Config{})
	base, err := k.reg.Import(t.Context(), appliancetest.GGUF(t), "small", true)
	if err != nil {
		t.Fatal(err)
	}
	k.adapter(t, "ft:small:o::1", "small")
	k.adapter(t, "ft:small:o::2", "small")
	k.deploy(t, "support", "ft:small:o::1")
	for _, name := range []string{"ft:small:o::1", "ft:small:o::2"} {
		m, _ := k.reg.Resolve(name)
		if _, err := k.reg.Engine(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"ft:small:o::1", "small"} {
		if err := k.reg.Remove(t.Context(), name); !errors.Is(err, store.ErrReferenced) {
			t.Errorf("Remove(%q) while it is in use: %v", name, err)
		}
	}
	if err := k.reg.Remove(t.Context(), "ft:small:o::2"); err != nil {
		t.Fatal(err)
	}
	if got := k.engines[0].Adapters(); len(got) != 1 || got[0] != "ft:small:o::1" {
		t.Errorf("loaded after the removal: %q", got)
	}
	if _, err := os.Stat(filepath.Join(k.home, "adapters", "ft_small_o__2.gguf")); !os.IsNotExist(err) {
		t.Errorf("the file of the adapter: %v", err)
	}
	k.deploy(t, "support", "small") // now nothing but the release needs the first adapter
	k.base(t, "other")
	k.deploy(t, "support", "other")
	for _, name := range []string{"ft:small:o::1", "small"} {
		if err := k.reg.Remove(t.Context(), name); err != nil {
			t.Errorf("Remove(%q): %v", name, err)
		}
	}
	if !k.engines[0].Closed() {
		t.Error("the engine of a removed model still runs")
	}
	if _, err := os.Stat(k.reg.Path(base.Path)); !os.IsNotExist(err) {
		t.Errorf("the file of the base: %v", err)
	}
	if err := k.reg.Remove(t.Context(), "small"); !errors.Is(err, models.ErrUnknownModel) {
		t.Errorf("twice: %v", err)
	}
}

func bytesOf(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func write(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}
