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
	file, err := gguf.Open(r.Path(m.Base.Path))
	if err != nil {
		return store.Adapter{}, fmt.Errorf("the base model %q: %w", m.Base.Name, err)
	}
	defer file.Close()
	a, err := peft.Open(path, file)
	if err != nil {
		code := "invalid_adapter"
		if errors.Is(err, fs.ErrNotExist) {
			code = ""
		}
		return store.Adapter{}, fault.New(fault.Invalid, code, "path", "%s.", err).Wrap(err)
	}
	if err := ctx.Err(); err != nil {
		return store.Adapter{}, err
	}
	if err := os.MkdirAll(filepath.Join(r.config.Home, "adapters"), 0o700); err != nil {
		return store.Adapter{}, err
	}
	// The name and the place of the file come from its content.
	fresh := filepath.Join(r.config.Home, "adapters", store.NewID(".import-"))
	if err := a.WriteFile(fresh); err != nil {
		return store.Adapter{}, err
	}
	defer func() { _ = os.Remove(fresh) }() // it has gone when all went well
	checksum, err := sum(ctx, fresh)
	if err != nil {
		return store.Adapter{}, err
	}
	rel := filepath.Join("adapters", "import-"+contentID(m.Base.Name, suffix, checksum)+".gguf")
	out := store.Adapter{Name: r.ContentName(m.Base.Name, suffix, checksum), Base: m.Base.Name, Path: rel, SHA256: checksum, CreatedAt: time.Now().UTC()}
	if old, err := r.st.Adapter(out.Name); err == nil {
		out.CreatedAt = old.CreatedAt
	} else if !errors.Is(err, store.ErrNotFound) {
		return store.Adapter{}, err
	}
	if err := os.Rename(fresh, r.Path(rel)); err != nil {
		return store.Adapter{}, err
	}
	return out, r.st.PutAdapter(out)
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
