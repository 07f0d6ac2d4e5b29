package models

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"cloister/appliance/ctxio"
	"cloister/appliance/fault"
	"cloister/llama/gguf"
	"cloister/store"
)

var goodName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// GoodName reports whether a base model or an alias may have a name: 1 to 64
// letters, digits, points, dashes and underscores, a letter or digit first.
func GoodName(name string) bool { return goodName.MatchString(name) }

// Import adds a GGUF file, named as for gguf.Open, as a base model. The name is taken from the file's
// own metadata when it is empty. With keep the file is hard-linked or copied
// into the data directory; without, it must stay where it is. Importing a file
// again under its name changes nothing and returns what is there.
func (r *Registry) Import(ctx context.Context, path, name string, keep bool) (store.BaseModel, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return store.BaseModel{}, err
	}
	file, err := gguf.OpenSection(path)
	if errors.Is(err, fs.ErrNotExist) {
		return store.BaseModel{}, fault.New(fault.Invalid, "", "path", "There is no file %s.", path).Wrap(err)
	}
	if err != nil {
		return store.BaseModel{}, fault.New(fault.Invalid, "", "path", "The file cannot be read: %s.", err).Wrap(err)
	}
	defer file.Close()
	base, err := Inspect(path)
	if err != nil {
		return store.BaseModel{}, err
	}
	if name == "" {
		name = base.Name
	}
	if !GoodName(name) {
		return store.BaseModel{}, fault.New(fault.Invalid, "", "name", "%q is not a good name for a model: use 1 to 64 letters, digits, points, dashes and underscores, a letter or digit first.", name)
	}
	base.Name, base.Path, base.Bytes = name, path, file.Size()
	if old, err := r.st.BaseModel(name); err == nil && !keep && old.Path == path && old.Bytes == base.Bytes && file.Info.ModTime().Before(old.CreatedAt) {
		return old, nil // unchanged since it was hashed
	}
	if base.SHA256, err = sum(ctx, path); err != nil {
		return store.BaseModel{}, err
	}
	return r.put(ctx, base, keep)
}

// put stores the record, and the file with keep, unless the same is there.
func (r *Registry) put(ctx context.Context, base store.BaseModel, keep bool) (store.BaseModel, error) {
	old, err := r.st.BaseModel(base.Name)
	switch {
	case err == nil && old.SHA256 == base.SHA256:
		if there(r.Path(old.Path)) {
			return old, nil
		}
		base.CreatedAt = old.CreatedAt // its file has gone: point to this one
	case err == nil:
		return store.BaseModel{}, fault.New(fault.Conflict, "", "name", "There is another model with the name %q.", base.Name).
			WithHint("cloister model import --name ANOTHER %s", base.Path).Wrap(store.ErrExists)
	case !errors.Is(err, store.ErrNotFound):
		return store.BaseModel{}, err
	}
	if _, err := r.st.Alias(base.Name); err == nil {
		return store.BaseModel{}, fault.New(fault.Conflict, "", "name", "%q is the name of a release alias.", base.Name)
	} else if !errors.Is(err, store.ErrNotFound) {
		return store.BaseModel{}, err
	}
	if keep {
		rel := filepath.Join("models", base.Name+".gguf")
		if err := linkOrCopy(ctx, base.Path, filepath.Join(r.config.Home, rel)); err != nil {
			return store.BaseModel{}, err
		}
		base.Path = rel
	}
	if base.CreatedAt.IsZero() {
		base.CreatedAt = time.Now().UTC()
	}
	return base, r.st.PutBaseModel(base)
}

// there reports whether a file, or the part of one that a path names, is there.
func there(path string) bool {
	s, err := gguf.OpenSection(path)
	return err == nil && s.Close() == nil
}

// Inspect reads the header of a GGUF file, named as for gguf.Open: that it is a
// model, of which architecture, and how many weights it has. Name is proposed
// from it. The error is a *fault.Error.
func Inspect(path string) (store.BaseModel, error) {
	bad := func(format string, args ...any) (store.BaseModel, error) {
		return store.BaseModel{}, fault.New(fault.Invalid, "invalid_model", "path", "%s: %s", filepath.Base(path), fmt.Sprintf(format, args...))
	}
	f, err := gguf.Open(path)
	if err != nil {
		return bad("%s. Cloister loads GGUF files.", strings.TrimPrefix(err.Error(), path+": ")) // bad names the file
	}
	defer f.Close()
	if kind, ok := f.String("general.type"); ok && kind != "model" {
		if kind == "adapter" {
			return bad("it is a GGUF file of type \"adapter\", which needs its base model: --base NAME.")
		}
		return bad("it is a GGUF file of type %q, not a model.", kind)
	}
	arch, _ := f.String("general.architecture")
	if arch == "" {
		return bad("it does not say its architecture (general.architecture).")
	}
	if arch == "clip" || arch == "mmproj" {
		return bad("it is a part of a model for images (%s), not a language model.", arch)
	}
	if _, ok := f.String("tokenizer.ggml.model"); !ok {
		return bad("it has no tokenizer (tokenizer.ggml.model), so texts cannot be turned into tokens.")
	}
	base := store.BaseModel{Architecture: arch}
	for i := range f.Tensors {
		n := int64(1)
		for _, d := range f.Tensors[i].Dims {
			n *= int64(d)
		}
		base.Parameters += n
	}
	if base.Parameters == 0 {
		return bad("it holds no weights. If it is the first of several parts, join them with llama-gguf-split --merge.")
	}
	own, _ := f.String("general.name")
	base.Name = Slug(own)
	if base.Name == "" {
		base.Name = Slug(strings.TrimSuffix(filepath.Base(path), filepath.Ext(path)))
	}
	if base.Name == "" {
		base.Name = "model"
	}
	return base, nil
}

// Slug makes a name of small letters, digits, points and dashes.
func Slug(s string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(s) {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '.':
			b.WriteRune(r)
		case b.Len() > 0 && !strings.HasSuffix(b.String(), "-"):
			b.WriteByte('-')
		}
	}
	out := strings.Trim(b.String(), "-.")
	if len(out) > 64 {
		out = strings.Trim(out[:64], "-.")
	}
	return out
}

// sum is the SHA-256 of a file, in hex.
func sum(ctx context.Context, path string) (string, error) {
	f, err := gguf.OpenSection(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, ctxio.Reader(ctx, f)); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// linkOrCopy puts the file from at to: a hard link where the file system
// allows it, otherwise a copy that appears whole or not at all.
func linkOrCopy(ctx context.Context, from, to string) (err error) {
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return err
	}
	if err := os.Remove(to); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if os.Link(from, to) == nil { // not a part of a larger file, whose name leads to no file
		return nil
	}
	src, err := gguf.OpenSection(from)
	if err != nil {
		return err
	}
	defer src.Close()
	tmp, err := os.CreateTemp(filepath.Dir(to), ".import-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = tmp.Close()
			_ = os.Remove(tmp.Name())
		}
	}()
	if _, err := io.Copy(tmp, ctxio.Reader(ctx, src)); err != nil {
		return err
	}
	if err := tmp.Sync(); err != nil {
		return err
	}
	if err := tmp.Close(); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), to)
}
