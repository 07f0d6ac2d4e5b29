// Package carried brings what a packed program carries (package pack) into a data
// directory: its base model, adapters, masking policy and alias become records
// that name their place in the program's own file. Nothing is copied.
//
// It is done at each start and changes nothing when all is there. A newer file of
// the same name upgrades what the older one brought, and takes away what it
// brought no more. What people did is left alone: an alias that somebody deployed
// another model to, a policy that somebody set, a model that somebody removed.
package carried

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"cloister/appliance/fault"
	"cloister/appliance/pack"
	"cloister/appliance/site"
	"cloister/llama/gguf"
	"cloister/store"
	"cloister/store/pii/policy"
)

// Policies keep the masking policy of the project; *masking.Service does.
type Policies interface {
	// PolicyHash is that of the policy, empty when there is none.
	PolicyHash() string
	SetPolicy(*policy.Policy) error
}

// by stands in releases that came with a packed program.
const by = "pack"

// state is what a file of some name brought, a setting of the store.
type state struct {
	// Manifest and Path are of the file that brought it all; Manifest is empty
	// while it is being brought.
	Manifest string   `json:"manifest"`
	Path     string   `json:"path"`
	Models   []string `json:"models"`
	Adapters []string `json:"adapters"`
	Policy   string   `json:"policy,omitempty"` // hash
}

// bringer brings one pack.
type bringer struct {
	st   *store.Store
	home string
	mask Policies
	p    *pack.Pack
	m    *pack.Manifest
	log  *slog.Logger
	old  state
}

// Bring makes the records in the store of a data directory. A conflict with what is in the data directory is a
// *fault.Error.
func Bring(st *store.Store, home string, mask Policies, p *pack.Pack, log *slog.Logger) error {
	b := &bringer{st: st, home: home, mask: mask, p: p, m: &p.Manifest, log: log}
	key := "carried/" + p.Manifest.Name
	if err := st.Setting(key, &b.old); err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	if b.old.Manifest == p.SHA256 && b.old.Path == p.Path {
		return nil
	}
	now := state{Manifest: p.SHA256, Path: p.Path, Models: []string{b.m.Model().Name}, Policy: b.old.Policy}
	for _, a := range b.m.Adapters() {
		now.Adapters = append(now.Adapters, a.Name)
	}
	if err := b.conflicts(); err != nil {
		return err
	}
	// After a crash on the way the next start knows of all that may be there.
	begun := state{Models: union(b.old.Models, now.Models), Adapters: union(b.old.Adapters, now.Adapters), Policy: b.old.Policy}
	if err := st.PutSetting(key, begun); err != nil {
		return err
	}
	if err := errors.Join(b.model(), b.adapters()); err != nil {
		return err
	}
	var err error
	if now.Policy, err = b.policy(); err != nil {
		return err
	}
	if err := b.alias(); err != nil {
		return err
	}
	if err := b.takeAway(begun, now); err != nil {
		return err
	}
	return st.PutSetting(key, now)
}

func union(a, b []string) []string {
	all := slices.Concat(a, b)
	slices.Sort(all)
	return slices.Compact(all)
}

// found returns a record, or nil.
func found[T any](v T, err error) (*T, error) {
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &v, nil
}

// conflicts refuses what cannot be brought, before anything is changed.
func (b *bringer) conflicts() error {
	part := b.m.Model()
	if other, err := found(b.st.BaseModel(b.m.Name)); err != nil || other != nil {
		return b.refuse(err, "The file %s serves as %q, and there is a base model of that name.", filepath.Base(b.p.Path), b.m.Name)
	}
	if alias, err := found(b.st.Alias(part.Name)); err != nil || alias != nil {
		return b.refuse(err, "The file %s brings a base model %q, and there is an alias of that name.", filepath.Base(b.p.Path), part.Name)
	}
	old, err := found(b.st.BaseModel(part.Name))
	if err != nil || old == nil || old.SHA256 == part.SHA256 {
		return err
	}
	if !slices.Contains(b.old.Models, part.Name) {
		return b.refuse(nil, "There is another model with the name %q, which the file %s brings.", part.Name, filepath.Base(b.p.Path))
	}
	all, err := b.st.Adapters()
	if err != nil {
		return err
	}
	for _, a := range all {
		if a.Base == part.Name && !slices.Contains(b.old.Adapters, a.Name) {
			return b.refuse(nil, "The file %s brings another %q than before, and %q was trained here on the one of before.", filepath.Base(b.p.Path), part.Name, a.Name)
		}
	}
	return nil
}

func (b *bringer) refuse(err error, format string, args ...any) error {
	if err != nil {
		return err
	}
	return fault.New(fault.Conflict, "pack_conflict", "", format, args...).WithHint("%s --home ANOTHER-DIRECTORY", b.p.Path)
}

// model makes or updates the record of the base model.
func (b *bringer) model() error {
	part := b.m.Model()
	rec := store.BaseModel{
		Name: part.Name, Path: b.p.Region(part), SHA256: part.SHA256, Bytes: part.Length,
		Architecture: part.Architecture, Parameters: part.Parameters, CreatedAt: time.Now().UTC(),
	}
	old, err := found(b.st.BaseModel(part.Name))
	if err != nil {
		return err
	}
	if old != nil && old.SHA256 == rec.SHA256 {
		rec.CreatedAt = old.CreatedAt
		if !ours(old.Path) && b.there(old.Path) {
			return nil // imported by somebody, and it need not go with the file
		}
	}
	return b.st.PutBaseModel(rec)
}

// ours says whether a record leads into a packed file.
func ours(path string) bool { return !gguf.ParseRegion(path).Whole() }

// there says whether the file of a record is there.
func (b *bringer) there(path string) bool {
	if !filepath.IsAbs(path) {
		path = filepath.Join(b.home, path)
	}
	_, err := os.Stat(path)
	return err == nil
}

// adapters makes or updates the records of the adapters, with where they come
// from, which holds their system prompts.
func (b *bringer) adapters() error {
	from := store.Origin{Bundle: b.p.SHA256, ExportedAt: b.m.CreatedAt, ImportedAt: time.Now().UTC()}
	if s := b.p.Signature; s != nil {
		from.Site, from.Key = s.Site, s.Key.String()
		trusted, err := site.New(b.st).Trusted()
		if err != nil {
			return err
		}
		from.Trusted = slices.ContainsFunc(trusted, func(t site.Trusted) bool { return t.Key == s.Key })
	}
	var in store.Arrival
	for _, part := range b.m.Adapters() {
		rec := store.Adapter{Name: part.Name, Base: b.m.Model().Name, Path: b.p.Region(&part), SHA256: part.SHA256, CreatedAt: part.CreatedAt}
		old, err := found(b.st.Adapter(part.Name))
		switch {
		case err != nil:
			return err
		case old == nil:
			in.Adapters = append(in.Adapters, rec)
		case old.SHA256 != rec.SHA256 && !slices.Contains(b.old.Adapters, rec.Name):
			return b.refuse(nil, "There is another model with the name %q, which the file %s brings.", rec.Name, filepath.Base(b.p.Path))
		case !ours(old.Path) && b.there(old.Path):
			continue // it was trained or imported here: record and file stay
		default:
			old.Path, old.SHA256 = rec.Path, rec.SHA256
			if err := b.st.PutAdapter(*old); err != nil {
				return err
			}
		}
		from.Adapter, from.System = part.Name, part.System
		in.Origins = append(in.Origins, from)
	}
	return b.st.PutArrival(in)
}

// policy sets the masking policy, unless people have set another one, and
// returns the hash of the one that was brought.
func (b *bringer) policy() (string, error) {
	if len(b.m.Policy) == 0 {
		return b.old.Policy, nil
	}
	p, err := policy.Parse("the packed policy", b.m.Policy, nil)
	if err != nil {
		return "", err
	}
	switch b.mask.PolicyHash() {
	case p.Hash():
		return p.Hash(), nil
	case "", b.old.Policy:
		return p.Hash(), b.mask.SetPolicy(p)
	}
	b.log.Warn("the masking policy of this data directory was set by hand and stays; the packed one is not used", "file", b.p.Path)
	return b.old.Policy, nil
}

// alias lets the packed model serve, unless people deployed another one.
func (b *bringer) alias() error {
	alias, err := found(b.st.Alias(b.m.Name))
	if err != nil {
		return err
	}
	if alias != nil {
		current, err := b.st.Release(b.m.Name, 0)
		if err != nil {
			return err
		}
		if current.Model == b.m.Target {
			return nil
		}
		if current.By != by {
			b.log.Warn("another model was deployed under the alias and stays", "alias", b.m.Name, "model", current.Model, "packed", b.m.Target)
			return nil
		}
	}
	_, err = b.st.Deploy(b.m.Name, store.Release{Model: b.m.Target, By: by, Reason: "It came with the packed program."})
	return err
}

// takeAway removes the records of what was brought and is not any more. What is
// still needed keeps its record, with a path that leads nowhere and says why:
// its place in the file may hold something else now.
func (b *bringer) takeAway(begun, now state) error {
	gone := filepath.Join("adapters", fmt.Sprintf("not in %s any more", b.m.Name))
	for _, name := range without(begun.Adapters, now.Adapters) {
		old, err := found(b.st.Adapter(name))
		if err == nil && old != nil && ours(old.Path) {
			err = b.takeOne(name, b.st.DeleteAdapter, func() error { old.Path = gone; return b.st.PutAdapter(*old) })
		}
		if err != nil {
			return err
		}
	}
	for _, name := range without(begun.Models, now.Models) {
		old, err := found(b.st.BaseModel(name))
		if err == nil && old != nil && ours(old.Path) {
			err = b.takeOne(name, b.st.DeleteBaseModel, func() error { old.Path = gone; return b.st.PutBaseModel(*old) })
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// without returns what is in all and not in kept.
func without(all, kept []string) []string {
	return slices.DeleteFunc(slices.Clone(all), func(s string) bool { return slices.Contains(kept, s) })
}

// takeOne deletes the record of a model, or else lets it lead nowhere.
func (b *bringer) takeOne(name string, remove func(string) error, unhitch func() error) error {
	err := remove(name)
	if errors.Is(err, store.ErrReferenced) {
		b.log.Warn("a model is not in the packed file any more, but still in use", "model", name)
		return unhitch()
	}
	return err
}
