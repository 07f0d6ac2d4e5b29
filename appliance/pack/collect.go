package pack

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"cloister/appliance/fault"
	"cloister/appliance/models"
	"cloister/llama/gguf"
	"cloister/lora/peft"
	"cloister/lora/train"
	"cloister/store"
)

// Given is a model or an adapter as somebody named it.
type Given struct {
	// Path of the file, absolute; of an adapter also a folder that PEFT saved.
	Path string
	// Base or Adapter is the record of one that a data directory knows, the
	// other one and both for a mere file are nil.
	Base    *store.BaseModel
	Adapter *store.Adapter
	// System is the system prompt of an adapter.
	System string
}

// Wanted is what is to be packed.
type Wanted struct {
	Program  string // path of the executable
	Model    Given
	Adapters []Given
	Name     string // of a base model that is a mere file; empty: by its metadata
	Alias    string // see Manifest.Name
	Org      string // in the names of adapters that are mere files
}

// Collect checks that the parts fit together and finds their names. Adapters
// that are mere files are written to the folder scratch, as GGUF, which must be
// kept until Write has read them.
func Collect(ctx context.Context, w Wanted, scratch string) (Spec, error) {
	base, err := w.base()
	if err != nil {
		return Spec{}, err
	}
	s := Spec{Name: w.Alias, Target: base.Name, Sources: []Source{
		{Part: Part{Role: RoleProgram}, Path: w.Program},
		{Part: Part{Role: RoleModel, Name: base.Name, SHA256: base.SHA256, Architecture: base.Architecture, Parameters: base.Parameters}, Path: base.Path},
	}}
	if w.Alias == base.Name {
		return Spec{}, fault.New(fault.Invalid, "", "as", "%q is the name of the base model itself.", w.Alias).WithHint("cloister pack --as ANOTHER …")
	}
	for i, g := range w.Adapters {
		src, err := w.adapter(ctx, g, base, filepath.Join(scratch, fmt.Sprintf("adapter-%d.gguf", i)))
		if err != nil {
			return Spec{}, err
		}
		if i == 0 {
			s.Target = src.Name
		}
		s.Sources = append(s.Sources, src)
	}
	return s, nil
}

// base is the record of the base model, with an absolute path.
func (w *Wanted) base() (store.BaseModel, error) {
	if w.Model.Base != nil {
		base := *w.Model.Base
		base.Path = w.Model.Path
		return base, nil
	}
	if _, err := os.Stat(gguf.ParseRegion(w.Model.Path).Path); err != nil {
		return store.BaseModel{}, err
	}
	base, err := models.Inspect(w.Model.Path)
	if err != nil {
		return store.BaseModel{}, err
	}
	if w.Name != "" {
		base.Name = w.Name
	}
	if !models.GoodName(base.Name) {
		return store.BaseModel{}, fault.New(fault.Invalid, "", "name", "%q is not a good name for a model: use 1 to 64 letters, digits, points, dashes and underscores, a letter or digit first.", base.Name)
	}
	base.Path = w.Model.Path
	return base, nil
}

// adapter is the source of one adapter, which fits the base.
func (w *Wanted) adapter(ctx context.Context, g Given, base store.BaseModel, scratch string) (Source, error) {
	src := Source{Part: Part{Role: RoleAdapter, System: g.System}, Path: g.Path}
	if g.Adapter == nil {
		suffix := models.Slug(strings.TrimSuffix(filepath.Base(g.Path), filepath.Ext(g.Path)))
		a, _, err := models.ConvertAdapter(ctx, g.Path, base, w.Org, suffix, scratch)
		if err != nil {
			return src, err
		}
		src.Name, src.SHA256, src.CreatedAt, src.Path = a.Name, a.SHA256, a.CreatedAt, scratch
		return src, nil
	}
	src.Name, src.SHA256, src.CreatedAt = g.Adapter.Name, g.Adapter.SHA256, g.Adapter.CreatedAt
	if g.Adapter.Base != base.Name {
		return src, fault.New(fault.Invalid, "", "adapter", "%q was trained on %q, and the base model here is %q.", g.Adapter.Name, g.Adapter.Base, base.Name)
	}
	file, err := gguf.Open(base.Path)
	if err != nil {
		return src, err
	}
	a, err := train.ReadAdapter(g.Path)
	if err == nil {
		err = peft.Check(a, file)
	}
	return src, errors.Join(err, file.Close())
}
