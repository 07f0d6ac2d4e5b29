package carried_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cloister/appliance/appliancetest"
	"cloister/appliance/carried"
	"cloister/appliance/fault"
	"cloister/appliance/masking"
	"cloister/appliance/pack"
	"cloister/llama/gguf"
	"cloister/llama/gguf/tinygguf"
	"cloister/store"
	"cloister/store/pii/policy"
)

// home is a data directory that packs are brought into.
type home struct {
	dir  string
	st   *store.Store
	mask *masking.Service
}

func newHome(t *testing.T) home {
	st, dir := appliancetest.Store(t)
	return home{dir, st, appliancetest.Masking(t, st)}
}

func (h home) bring(t *testing.T, p *pack.Pack) {
	t.Helper()
	if err := carried.Bring(h.st, h.dir, h.mask, p, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
}

func (h home) refuses(t *testing.T, p *pack.Pack, want string) {
	t.Helper()
	err := carried.Bring(h.st, h.dir, h.mask, p, slog.New(slog.DiscardHandler))
	if f, ok := err.(*fault.Error); !ok || f.Kind != fault.Conflict || !strings.Contains(err.Error(), want) {
		t.Errorf("%v, want %q", err, want)
	}
}

// contents of a pack under test; the weights differ by seed.
type contents struct {
	seed     int64
	base     string // name of the base model, "tiny" if empty
	adapters []string
	policy   string
}

// packed writes a pack named clinic. Nothing reads its program here, so that is
// the test itself; adapters are GGUF files that say so of themselves.
func packed(t *testing.T, c contents) *pack.Pack {
	t.Helper()
	dir := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	config := tinygguf.Default()
	config.Seed = c.seed
	if err := tinygguf.WriteFile(filepath.Join(dir, "base.gguf"), config); err != nil {
		t.Fatal(err)
	}
	if c.base == "" {
		c.base = "tiny"
	}
	s := pack.Spec{Name: "clinic", Target: c.base, Sources: []pack.Source{
		{Part: pack.Part{Role: pack.RoleProgram}, Path: self},
		{Part: pack.Part{Role: pack.RoleModel, Name: c.base, Architecture: "llama", Parameters: 7}, Path: filepath.Join(dir, "base.gguf")},
	}}
	for i, name := range c.adapters {
		path := filepath.Join(dir, strings.ReplaceAll(name, ":", "_"))
		f, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := gguf.Write(f, []gguf.KV{{Key: "general.type", Value: "adapter"}, {Key: "name", Value: name}}, nil); err != nil {
			t.Fatal(err)
		}
		f.Close()
		s.Sources = append(s.Sources, pack.Source{Part: pack.Part{Role: pack.RoleAdapter, Name: name, System: "Be brief."}, Path: path})
		if i == 0 {
			s.Target = name
		}
	}
	if c.policy != "" {
		s.Policy = parsed(t, c.policy).JSON()
	}
	p, err := pack.Write(t.Context(), filepath.Join(dir, "clinic"), s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func parsed(t *testing.T, text string) *policy.Policy {
	t.Helper()
	p, err := policy.Parse("test", []byte(text), nil)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// content is what the record of an adapter leads to.
func (h home) content(t *testing.T, name string) string {
	t.Helper()
	a, err := h.st.Adapter(name)
	if err != nil {
		t.Fatal(err)
	}
	f, err := gguf.Open(a.Path)
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	said, _ := f.String("name")
	return said
}

// serves is the model behind the alias.
func (h home) serves(t *testing.T) store.Release {
	t.Helper()
	r, err := h.st.Release("clinic", 0)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

const (
	one = "ft:tiny:o:desk:11111111"
	two = "ft:tiny:o:desk:22222222"
)

func TestBring(t *testing.T) {
	h := newHome(t)
	p := packed(t, contents{adapters: []string{one, two}, policy: `{"version": 1, "default": "label"}`})
	for range 2 { // the second time changes nothing
		h.bring(t, p)
		m, err := h.st.BaseModel("tiny")
		if err != nil || m.Path != p.Region(p.Manifest.Model()) || m.SHA256 != p.Manifest.Model().SHA256 || m.Parameters != 7 {
			t.Errorf("%+v, %v", m, err)
		}
		if h.content(t, one) != one || h.content(t, two) != two {
			t.Error("the adapters are others")
		}
		if o, err := h.st.Origin(two); err != nil || o.System != "Be brief." {
			t.Errorf("%+v, %v", o, err)
		}
		if r := h.serves(t); r.Model != one || r.Number != 1 || r.By != "pack" {
			t.Errorf("%+v", r)
		}
		if h.mask.PolicyHash() != parsed(t, `{"version": 1, "default": "label"}`).Hash() {
			t.Error("another policy")
		}
	}
	if files, _ := os.ReadDir(filepath.Join(h.dir, "adapters")); len(files) > 0 {
		t.Error("an adapter was copied")
	}
}

// A file that was moved is found where it is now.
func TestMovedFile(t *testing.T) {
	h := newHome(t)
	p := packed(t, contents{adapters: []string{one}})
	h.bring(t, p)
	moved := filepath.Join(t.TempDir(), "elsewhere")
	if err := os.Rename(p.Path, moved); err != nil {
		t.Fatal(err)
	}
	p, err := pack.Open(moved)
	if err != nil {
		t.Fatal(err)
	}
	h.bring(t, p)
	if got := h.content(t, one); got != one {
		t.Errorf("%q", got)
	}
	if r := h.serves(t); r.Number != 1 {
		t.Errorf("deployed again: %+v", r)
	}
}

// A newer file changes what the older one brought: weights, adapters, policy and
// the model behind the alias. What it has no more goes, or leads nowhere.
func TestUpgrade(t *testing.T) {
	h := newHome(t)
	old := packed(t, contents{adapters: []string{one}, policy: `{"version": 1, "default": "label"}`})
	h.bring(t, old)
	if _, err := h.st.Deploy("desk", store.Release{Model: one, By: "someone"}); err != nil {
		t.Fatal(err)
	}
	fresh := packed(t, contents{seed: 5, adapters: []string{two}, policy: `{"version": 1, "default": "token"}`})
	if err := os.Rename(fresh.Path, old.Path); err != nil { // as an upgrade does
		t.Fatal(err)
	}
	p, err := pack.Open(old.Path)
	if err != nil {
		t.Fatal(err)
	}
	h.bring(t, p)
	if m, err := h.st.BaseModel("tiny"); err != nil || m.SHA256 != fresh.Manifest.Model().SHA256 {
		t.Errorf("%+v, %v", m, err)
	}
	if r := h.serves(t); r.Model != two || r.Number != 2 {
		t.Errorf("%+v", r)
	}
	if h.mask.PolicyHash() != parsed(t, `{"version": 1, "default": "token"}`).Hash() {
		t.Error("the policy of before")
	}
	if got := h.content(t, one); !strings.Contains(got, "not in clinic any more") {
		t.Errorf("what somebody deployed and is not in the file leads to %q", got)
	}
	if _, err := h.st.Deploy("desk", store.Release{Model: two, By: "someone"}); err != nil {
		t.Fatal(err)
	}
	h.bring(t, packed(t, contents{seed: 5, base: "other", adapters: []string{"ft:other:o::1"}}))
	if all, err := h.st.BaseModels(); err != nil || len(all) != 2 { // "desk" still leads to two
		t.Errorf("%+v, %v", all, err)
	}
}

// What people did stays: another model under the alias, a policy of their own, a
// model that they removed.
func TestPeoplesDecisionsStay(t *testing.T) {
	h := newHome(t)
	h.bring(t, packed(t, contents{adapters: []string{one, two}, policy: `{"version": 1, "default": "label"}`}))
	if _, err := h.st.Deploy("clinic", store.Release{Model: "tiny", By: "someone"}); err != nil {
		t.Fatal(err)
	}
	own := parsed(t, `{"version": 1, "min_score": 0.9}`)
	if err := h.mask.SetPolicy(own); err != nil {
		t.Fatal(err)
	}
	h.bring(t, packed(t, contents{adapters: []string{two}, policy: `{"version": 1, "default": "token"}`}))
	if r := h.serves(t); r.Model != "tiny" {
		t.Errorf("%+v", r)
	}
	if h.mask.PolicyHash() != own.Hash() {
		t.Error("the policy was replaced")
	}
	if _, err := h.st.Adapter(one); err == nil {
		t.Error("what is in the file no more is still there")
	}
}

func TestConflicts(t *testing.T) {
	p := packed(t, contents{adapters: []string{one}})
	sum := strings.Repeat("0", 64)
	h := newHome(t)
	if err := h.st.PutBaseModel(store.BaseModel{Name: "tiny", Path: "models/tiny.gguf", SHA256: sum}); err != nil {
		t.Fatal(err)
	}
	h.refuses(t, p, `another model with the name "tiny"`)
	if _, err := h.st.Adapter(one); err == nil {
		t.Error("something was brought all the same")
	}

	h = newHome(t)
	if err := h.st.PutBaseModel(store.BaseModel{Name: "clinic", Path: "models/clinic.gguf", SHA256: sum}); err != nil {
		t.Fatal(err)
	}
	h.refuses(t, p, "a base model of that name")

	h = newHome(t)
	h.bring(t, p)
	if err := h.st.PutAdapter(store.Adapter{Name: "ft:tiny:o:mine:99999999", Base: "tiny", Path: "adapters/mine.gguf"}); err != nil {
		t.Fatal(err)
	}
	h.refuses(t, packed(t, contents{seed: 9, adapters: []string{one}}), "was trained here")
}

// The same models that somebody imported before stay with their own files.
func TestImportedBefore(t *testing.T) {
	h := newHome(t)
	p := packed(t, contents{adapters: []string{one}})
	own := appliancetest.GGUF(t)
	if err := h.st.PutBaseModel(store.BaseModel{Name: "tiny", Path: own, SHA256: p.Manifest.Model().SHA256}); err != nil {
		t.Fatal(err)
	}
	if err := h.st.PutAdapter(store.Adapter{Name: one, Base: "tiny", Path: own, SHA256: p.Manifest.Adapters()[0].SHA256}); err != nil {
		t.Fatal(err)
	}
	for _, p := range []*pack.Pack{p, packed(t, contents{base: "other", adapters: []string{"ft:other:o::1"}})} {
		h.bring(t, p)
		if m, err := h.st.BaseModel("tiny"); err != nil || m.Path != own {
			t.Errorf("%+v, %v", m, err)
		}
		if a, err := h.st.Adapter(one); err != nil || a.Path != own {
			t.Errorf("%+v, %v", a, err)
		}
	}
}
