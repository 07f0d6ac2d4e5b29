package models

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"cloister/appliance/engine"
	"cloister/appliance/fault"
	"cloister/store"
)

// List returns all names that can be used as "model": base models, tuned ones
// with their checkpoints, and aliases.
func (r *Registry) List() ([]Entry, error) {
	bases, err := r.st.BaseModels()
	if err != nil {
		return nil, err
	}
	adapters, err := r.st.Adapters()
	if err != nil {
		return nil, err
	}
	aliases, err := r.st.Aliases()
	if err != nil {
		return nil, err
	}
	entries := make([]Entry, 0, len(bases)+len(adapters)+len(aliases))
	for _, b := range bases {
		entries = append(entries, Entry{Name: b.Name, Kind: KindBase, Base: b.Name, Target: b.Name, CreatedAt: b.CreatedAt})
	}
	for _, a := range adapters {
		kind := KindAdapter
		if a.Checkpoint {
			kind = KindCheckpoint
		}
		entries = append(entries, Entry{Name: a.Name, Kind: kind, Base: a.Base, Target: a.Name, CreatedAt: a.CreatedAt})
	}
	for _, a := range aliases {
		rel, err := r.st.Release(a.Name, a.Current)
		if err != nil {
			return nil, err
		}
		m, err := r.model(rel.Model)
		if err != nil {
			return nil, fmt.Errorf("alias %q: %w", a.Name, err)
		}
		entries = append(entries, Entry{Name: a.Name, Kind: KindAlias, Base: m.Base.Name, Target: rel.Model, CreatedAt: rel.CreatedAt})
	}
	return entries, nil
}

// Remove deletes a tuned model, a checkpoint or a base model, with its file if
// that lies in the data directory. What serves under an alias, and a base that
// adapters or jobs need, is refused.
func (r *Registry) Remove(ctx context.Context, name string) error {
	if strings.HasPrefix(name, "ft:") {
		return r.removeAdapter(ctx, name)
	}
	base, err := r.st.BaseModel(name)
	if errors.Is(err, store.ErrNotFound) {
		return unknown("The model %q does not exist.", name).WithHint("cloister model list")
	}
	if err != nil {
		return err
	}
	if err := removable(r.st.DeleteBaseModel(name), name); err != nil {
		return err
	}
	r.mu.Lock()
	run := r.running[name]
	delete(r.running, name)
	r.mu.Unlock()
	if run != nil {
		err = run.stop()
	}
	return errors.Join(err, r.removeFile(base.Path))
}

func (r *Registry) removeAdapter(ctx context.Context, name string) error {
	adapter, err := r.st.Adapter(name)
	if errors.Is(err, store.ErrNotFound) {
		return unknown("The model %q does not exist.", name).WithHint("cloister model list")
	}
	if err != nil {
		return err
	}
	if err := removable(r.st.DeleteAdapter(name), name); err != nil {
		return err
	}
	r.mu.Lock()
	run := r.running[adapter.Base]
	r.mu.Unlock()
	if run != nil {
		err = run.unload(ctx, name)
	}
	return errors.Join(err, r.removeFile(adapter.Path))
}

// removable explains why the store keeps a record.
func removable(err error, name string) error {
	if errors.Is(err, store.ErrReferenced) {
		return fault.New(fault.Conflict, "model_in_use", "model", "The model %q is in use: %s.", name, err).Wrap(err)
	}
	return err
}

// unload forgets an adapter that was loaded.
func (run *running) unload(ctx context.Context, name string) error {
	<-run.ready
	if run.err != nil || !run.has(name) {
		return nil
	}
	run.mu.Lock()
	delete(run.loaded, name)
	run.mu.Unlock()
	if err := run.engine.UnloadAdapter(ctx, name); !errors.Is(err, engine.ErrNoAdapter) {
		return err
	}
	return nil
}

// removeFile deletes a file of ours. One that was registered where it lies is
// not ours.
func (r *Registry) removeFile(path string) error {
	if filepath.IsAbs(path) {
		return nil
	}
	if err := os.Remove(r.Path(path)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
