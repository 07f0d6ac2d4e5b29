package models

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unicode"

	"cloister/appliance/fault"
	"cloister/llama/gguf"
	"cloister/lora/peft"
	"cloister/store"
)

// AdapterName is "ft:<base>:<org>:<suffix>:<id>". Colons separate, so other
// characters than letters, digits, points, dashes and underscores become dashes.
func AdapterName(base, org, suffix, id string) string {
	return strings.Join([]string{"ft", base, part(org), part(suffix), id}, ":")
}

// GoodAdapterName reports whether a name has the form that AdapterName gives, or
// is that of a checkpoint.
func GoodAdapterName(name string) bool {
	parts := strings.Split(name, ":")
	return len(name) <= 300 && len(parts) >= 5 && parts[0] == "ft" && GoodName(parts[1]) &&
		!strings.ContainsFunc(name, func(r rune) bool { return r != ':' && part(string(r)) != string(r) })
}

func part(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune(".-_", r) {
			return r
		}
		return '-'
	}, s)
}

// ImportAdapter adds an adapter that was trained elsewhere: a folder that PEFT
// saved or a GGUF adapter. It is checked against its base and kept in the data
// directory. Importing the same one again under the same suffix gives the same
// model.
func (r *Registry) ImportAdapter(ctx context.Context, path, base, suffix string) (store.Adapter, error) {
	m, err := r.Resolve(base)
	if err != nil {
		return store.Adapter{}, err
	}
	if m.Adapter != nil {
		return store.Adapter{}, fault.New(fault.Invalid, "", "base", "%q is a tuned model; an adapter needs the base model that it was trained on.", base).
			WithHint("cloister model import %s --base %s --name SUFFIX", path, m.Base.Name)
	}
	if len(suffix) > 64 {
		return store.Adapter{}, fault.New(fault.Invalid, "", "name", "The name has %d bytes; at most 64 are allowed.", len(suffix))
	}
	if err := os.MkdirAll(filepath.Join(r.config.Home, "adapters"), 0o700); err != nil {
		return store.Adapter{}, err
	}
	fresh := filepath.Join(r.config.Home, "adapters", store.NewID(".import-"))
	defer func() { _ = os.Remove(fresh) }() // it has gone when all went well
	on := m.Base
	on.Path = r.Path(on.Path)
	out, id, err := ConvertAdapter(ctx, path, on, r.Org(), suffix, fresh)
	if err != nil {
		return store.Adapter{}, err
	}
	out.Path = filepath.Join("adapters", "import-"+id+".gguf")
	if old, err := r.st.Adapter(out.Name); err == nil {
		out.CreatedAt = old.CreatedAt
	} else if !errors.Is(err, store.ErrNotFound) {
		return store.Adapter{}, err
	}
	if err := os.Rename(fresh, r.Path(out.Path)); err != nil {
		return store.Adapter{}, err
	}
	return out, r.st.PutAdapter(out)
}

// ConvertAdapter writes an adapter of any form to the file to, as GGUF, after it
// was checked against its base, whose Path is absolute. The record has no Path;
// name and id come from the content.
func ConvertAdapter(ctx context.Context, path string, base store.BaseModel, org, suffix, to string) (_ store.Adapter, id string, err error) {
	file, err := gguf.Open(base.Path)
	if err != nil {
		return store.Adapter{}, "", fmt.Errorf("the base model %q: %w", base.Name, err)
	}
	defer file.Close()
	a, err := peft.Open(path, file)
	if err != nil {
		code := "invalid_adapter"
		if errors.Is(err, fs.ErrNotExist) {
			code = ""
		}
		return store.Adapter{}, "", fault.New(fault.Invalid, code, "path", "%s.", err).Wrap(err)
	}
	if err := ctx.Err(); err != nil {
		return store.Adapter{}, "", err
	}
	if err := a.WriteFile(to); err != nil {
		return store.Adapter{}, "", err
	}
	checksum, err := sum(ctx, to)
	if err != nil {
		return store.Adapter{}, "", err
	}
	id = contentID(base.Name, suffix, checksum)
	return store.Adapter{Name: AdapterName(base.Name, org, suffix, id), Base: base.Name, SHA256: checksum, CreatedAt: time.Now().UTC()}, id, nil
}

// ContentName is the name of an adapter that was trained elsewhere: the same for
// the same file on the same base under the same suffix.
func (r *Registry) ContentName(base, suffix, checksum string) string {
	return AdapterName(base, r.Org(), suffix, contentID(base, suffix, checksum))
}

// contentID is 8 letters and digits that stand for what is imported.
func contentID(parts ...string) string {
	h := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	n, _ := new(big.Int).SetString(hex.EncodeToString(h[:]), 16)
	text := n.Text(62)
	return text[len(text)-8:]
}
