package models

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"

	"cloister/appliance/engine"
	"cloister/appliance/fault"
	"cloister/llama/gguf"
	"cloister/store"
)

// Start starts the engine of a base model whose Path is absolute, away from the
// cards if onProcessor is set, until it is moved back. The context ends when
// the Registry closes.
type Start func(ctx context.Context, base store.BaseModel, onProcessor bool) (engine.Engine, error)

// Registry leads names to engines.
type Registry struct {
	st     *store.Store
	start  Start
	config Config

	ctx    context.Context // ends at Close
	cancel context.CancelFunc

	mu      sync.Mutex
	running map[string]*running // by name of the base model
	held    *hold               // while a job trains that needs memory; nil otherwise
	closed  bool

	background sync.WaitGroup // moves back to the card
}

// running is an engine that runs or is being started.
type running struct {
	ready  chan struct{} // closed once engine or err is set
	engine engine.Engine
	err    error

	loading sync.Mutex // held while an adapter is being loaded
	mu      sync.Mutex
	loaded  map[string]bool // adapters, by name
}

// New returns a Registry; engines are started by start when they are first
// asked for.
func New(st *store.Store, start Start, c Config) *Registry {
	ctx, cancel := context.WithCancel(context.Background())
	return &Registry{st: st, start: start, config: c, ctx: ctx, cancel: cancel, running: map[string]*running{}}
}

// Path returns the absolute path of a record's Path, for this process and its
// workers: those that do not start with "/" are below the data directory, so that
// it can be moved.
func (r *Registry) Path(p string) string {
	if in := gguf.ParseRegion(p); r.config.Self != "" && in.Path == r.config.Self && !in.Whole() {
		in.Path = engine.Self
		return in.String()
	}
	if filepath.IsAbs(p) {
		return p
	}
	return filepath.Join(r.config.Home, p)
}

// Org stands in the names of tuned models.
func (r *Registry) Org() string { return r.config.Org }

// Resolve leads a name to a model. The first of these that fits counts: a
// release alias, a tuned adapter, a base model, a name in Config.Map; then an
// OpenAI name or the empty one, which mean Config.Default. The error is a
// *fault.Error that wraps ErrUnknownModel.
func (r *Registry) Resolve(name string) (Resolved, error) {
	if name == "" {
		return r.fallback(name)
	}
	found, err := r.local(name)
	if !errors.Is(err, store.ErrNotFound) {
		return found, err
	}
	if to, ok := r.config.Map[name]; ok {
		found, err := r.local(to)
		if errors.Is(err, store.ErrNotFound) {
			return Resolved{}, unknown("The model %q is mapped to %q, which does not exist.", name, to).WithHint("cloister model list")
		}
		return found, err
	}
	if openAIName.MatchString(name) {
		return r.fallback(name)
	}
	return Resolved{}, unknown("The model %q does not exist.", name).WithHint("cloister model list")
}

// openAIName matches the names of OpenAI's models, and of those tuned there.
var openAIName = regexp.MustCompile(`^(gpt-|chatgpt-|o[1-9](-|$)|text-|babbage|davinci|curie|ada)`)

// fallback is what an OpenAI name that is not mapped means.
func (r *Registry) fallback(name string) (Resolved, error) {
	if to := r.config.Default; to != "" {
		found, err := r.local(to)
		if errors.Is(err, store.ErrNotFound) {
			return Resolved{}, unknown("The default model %q does not exist.", to).WithHint("cloister model list")
		}
		return found, err
	}
	bases, err := r.st.BaseModels()
	if err != nil {
		return Resolved{}, err
	}
	switch len(bases) {
	case 1:
		return Resolved{Base: bases[0]}, nil
	case 0:
		return Resolved{}, unknown("There is no model yet.").WithHint("cloister model import FILE.gguf")
	}
	if name == "" {
		return Resolved{}, unknown("There are %d models, and the request names none.", len(bases)).WithHint("cloister serve --default NAME")
	}
	return Resolved{}, unknown("There are %d models, and %q is mapped to none of them.", len(bases), name).WithHint("cloister serve --map %s=NAME", name)
}

func unknown(format string, args ...any) *fault.Error {
	return fault.New(fault.NotFound, "model_not_found", "model", format, args...).Wrap(ErrUnknownModel)
}

// local finds a name of this appliance. The error is store.ErrNotFound if
// there is none.
func (r *Registry) local(name string) (Resolved, error) {
	alias, err := r.st.Alias(name)
	if err == nil {
		rel, err := r.st.Release(name, alias.Current)
		if err != nil {
			return Resolved{}, fmt.Errorf("alias %q: %w", name, err)
		}
		found, err := r.model(rel.Model)
		if errors.Is(err, store.ErrNotFound) {
			return Resolved{}, unknown("The alias %q leads to %q, which does not exist.", name, rel.Model).WithHint("cloister rollback %s", name)
		}
		found.Alias = name
		return found, err
	}
	if !errors.Is(err, store.ErrNotFound) {
		return Resolved{}, err
	}
	return r.model(name)
}

// model finds an adapter or a base model.
func (r *Registry) model(name string) (Resolved, error) {
	if strings.HasPrefix(name, "ft:") {
		adapter, err := r.st.Adapter(name)
		if err != nil {
			return Resolved{}, err
		}
		base, err := r.st.BaseModel(adapter.Base)
		if err != nil {
			return Resolved{}, fmt.Errorf("the base %q of %q: %w", adapter.Base, name, err)
		}
		return Resolved{Base: base, Adapter: &adapter}, nil
	}
	base, err := r.st.BaseModel(name)
	return Resolved{Base: base}, err
}

// Engine returns the engine of a model, with its adapter loaded. It is started
// if it does not run; a start that fails is tried again at the next call. The
// engine belongs to the Registry.
func (r *Registry) Engine(ctx context.Context, m Resolved) (engine.Engine, error) {
	run, err := r.run(m.Base)
	if err != nil {
		return nil, err
	}
	select {
	case <-run.ready:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if run.err != nil {
		return nil, run.err
	}
	if m.Adapter != nil {
		if err := run.load(ctx, m.Adapter.Name, r.Path(m.Adapter.Path)); err != nil {
			return nil, err
		}
	}
	return run.engine, nil
}

// run returns the entry of a base model and begins its start if there is none.
// The start outlives the request that asked for it: others may wait for it.
func (r *Registry) run(base store.BaseModel) (*running, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil, engine.ErrClosed
	}
	if run := r.running[base.Name]; run != nil {
		return run, nil
	}
	if r.held != nil && r.held.way == Sleep {
		return nil, r.held.refuse(base.Name)
	}
	run := &running{ready: make(chan struct{}), loaded: map[string]bool{}}
	r.running[base.Name] = run
	base.Path = r.Path(base.Path)
	h := r.held
	go func() {
		run.engine, run.err = r.start(r.ctx, base, h != nil)
		if run.err != nil {
			run.err = fmt.Errorf("%w %q: %w", ErrStart, base.Name, run.err)
			r.forget(base.Name, run)
		}
		close(run.ready)
		if h != nil {
			r.back(run, h)
		}
	}()
	return run, nil
}

// back lets a model onto the card that was started while a job trained, if that
// has ended meanwhile.
func (r *Registry) back(run *running, h *hold) {
	r.mu.Lock()
	over := r.held != h && !r.closed
	r.mu.Unlock()
	if m, ok := run.engine.(mover); ok && over && run.err == nil {
		r.moveBack(m)
	}
}

// forget removes an entry, unless another one has taken its place.
func (r *Registry) forget(name string, run *running) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.running[name] == run {
		delete(r.running, name)
	}
}

// load makes an adapter available, once.
func (run *running) load(ctx context.Context, name, path string) error {
	if run.has(name) {
		return nil
	}
	run.loading.Lock()
	defer run.loading.Unlock()
	if run.has(name) {
		return nil
	}
	if err := run.engine.LoadAdapter(ctx, name, path); err != nil {
		return fmt.Errorf("cannot load the adapter %q: %w", name, err)
	}
	run.mu.Lock()
	defer run.mu.Unlock()
	run.loaded[name] = true
	return nil
}

func (run *running) has(name string) bool {
	run.mu.Lock()
	defer run.mu.Unlock()
	return run.loaded[name]
}

// Loaded names the base models whose engines run now, in order.
func (r *Registry) Loaded() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	names := []string{}
	for _, name := range slices.Sorted(maps.Keys(r.running)) {
		select {
		case <-r.running[name].ready:
			names = append(names, name)
		default:
		}
	}
	return names
}

// Close ends all engines; their requests get engine.ErrClosed.
func (r *Registry) Close() error {
	r.mu.Lock()
	r.closed = true
	all := slices.Collect(maps.Values(r.running))
	r.running = map[string]*running{}
	r.mu.Unlock()
	r.cancel()
	r.background.Wait()
	var errs []error
	for _, run := range all {
		errs = append(errs, run.stop())
	}
	return errors.Join(errs...)
}

// stop waits for the start to end and closes the engine.
func (run *running) stop() error {
	<-run.ready
	if run.err != nil {
		return nil
	}
	return run.engine.Close()
}
