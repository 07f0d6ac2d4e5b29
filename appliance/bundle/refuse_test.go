package bundle_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"cloister/appliance/bundle"
	"cloister/appliance/bundle/archive"
	"cloister/store"
)

func TestRefusals(t *testing.T) {
	north, south := newPlace(t, "north"), newPlace(t, "south")
	north.base("tiny")
	name := north.tuned("tiny", 1)
	raw := north.export(bundle.ExportRequest{All: true})
	id, err := north.who.Identity()
	if err != nil {
		t.Fatal(err)
	}
	_, err = south.take(raw, bundle.ImportRequest{})
	faulty(t, "not trusted", err, "untrusted_signer", id.Fingerprint, "cloister bundle trust add 'north' "+id.Key.String())
	base, err := north.st.BaseModel("tiny")
	if err != nil {
		t.Fatal(err)
	}
	south.trusts(north)
	_, err = south.take(raw, bundle.ImportRequest{})
	faulty(t, "no base", err, "base_missing", "tiny", base.SHA256, "cloister model import")
	c, err := south.Verify(t.Context(), bytes.NewReader(raw))
	if err != nil || c.Importable() || c.Adapters[0].State != bundle.StateNoBase || c.Bases[0].Here != "" {
		t.Errorf("%+v, %v", c, err)
	}
	south.empty("refused")
	south.base("tiny")
	south.SetFree(257 << 20)
	if _, err := south.take(raw, bundle.ImportRequest{}); err != nil {
		t.Errorf("room enough: %v", err)
	}
	if err := south.reg.Remove(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	south.SetFree(256 << 20)
	_, err = south.take(raw, bundle.ImportRequest{})
	faulty(t, "no room", err, "disk_full")
	south.SetFree(1 << 40)

	// Another model with its name.
	if err := writeAdapter(filepath.Join(south.home, "adapters", "other.gguf"), 9); err != nil {
		t.Fatal(err)
	}
	if err := south.st.PutAdapter(store.Adapter{Name: name, Base: "tiny", Path: "adapters/other.gguf", SHA256: strings.Repeat("ab", 32)}); err != nil {
		t.Fatal(err)
	}
	_, err = south.take(raw, bundle.ImportRequest{})
	faulty(t, "another with its name", err, "name_taken", name, "--as SUFFIX")
	if !slices.Equal(south.files(), []string{"other.gguf"}) {
		t.Error(south.files())
	}
	got, err := south.take(raw, bundle.ImportRequest{As: "north"})
	if err != nil || got.Added != 1 || !strings.HasPrefix(got.Adapters[0].Name, "ft:tiny:org:north:") || got.Adapters[0].Was != name {
		t.Fatalf("%+v, %v", got, err)
	}
	list, err := south.st.Evaluations(got.Adapters[0].Name)
	if err != nil || len(list) != 1 || !bytes.Contains(list[0].Report, []byte(`"model":"`+got.Adapters[0].Name+`"`)) {
		t.Errorf("%+v, %v", list, err)
	}
	if got, err := south.take(raw, bundle.ImportRequest{As: "north"}); err != nil || got.Added+got.AddedEvaluations != 0 {
		t.Errorf("the same again: %+v, %v", got, err)
	}
	_, err = south.take(raw, bundle.ImportRequest{As: strings.Repeat("x", 65)})
	faulty(t, "a long suffix", err, "")

}

// Export says what it cannot do before the first byte.
func TestExportRefusals(t *testing.T) {
	north := newPlace(t, "north")
	north.base("tiny")
	name := north.tuned("tiny", 1)
	_, err := north.Export(t.Context(), bundle.ExportRequest{Models: []string{"tiny"}})
	faulty(t, "a base", err, "", "is a base model")
	_, err = north.Export(t.Context(), bundle.ExportRequest{})
	faulty(t, "nothing", err, "", "no tuned model")
	a, err := north.st.Adapter(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(north.reg.Path(a.Path), []byte("GGUF"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = north.Export(t.Context(), bundle.ExportRequest{All: true})
	faulty(t, "a damaged adapter", err, "", "is damaged", name)
	if err := os.Remove(north.reg.Path(a.Path)); err != nil {
		t.Fatal(err)
	}
	_, err = north.Export(t.Context(), bundle.ExportRequest{All: true})
	faulty(t, "a lost adapter", err, "", "is not where it was")
}

// A site that is not trusted can give an adapter, if somebody says so, but no
// figures that would pass the gate.
func TestUntrusted(t *testing.T) {
	north, south := newPlace(t, "north"), newPlace(t, "south")
	north.base("tiny")
	south.base("tiny")
	name := north.tuned("tiny", 1)
	got, err := south.take(north.export(bundle.ExportRequest{All: true}), bundle.ImportRequest{AllowUntrusted: true})
	if err != nil || got.Added != 1 || got.AddedEvaluations != 0 || got.TrustedAs != "" {
		t.Fatalf("%+v, %v", got, err)
	}
	if list, err := south.st.Evaluations(name); err != nil || len(list) != 0 {
		t.Errorf("%+v, %v", list, err)
	}
	if o, err := south.st.Origin(name); err != nil || o.Trusted {
		t.Errorf("%+v, %v", o, err)
	}
}

// Wherever a bundle is changed or cut, it is refused and nothing is written.
func TestTampering(t *testing.T) {
	north, south := newPlace(t, "north"), newPlace(t, "south")
	north.base("tiny")
	south.base("tiny")
	south.trusts(north)
	north.tuned("tiny", 1)
	north.tuned("tiny", 2)
	raw := north.export(bundle.ExportRequest{All: true})
	step := len(raw)/150 + 1
	for i := 0; i < len(raw); i += step {
		bad := bytes.Clone(raw)
		bad[i] ^= 4
		_, err := south.take(bad, bundle.ImportRequest{AllowUntrusted: true})
		if err == nil {
			t.Fatalf("byte %d of %d was changed, and the bundle was taken", i, len(raw))
		}
		_, verified := south.Verify(t.Context(), bytes.NewReader(bad))
		_, cut := south.take(raw[:i], bundle.ImportRequest{})
		if verified == nil || cut == nil {
			t.Fatalf("byte %d of %d: %v, %v", i, len(raw), verified, cut)
		}
		south.empty("tampered with")
	}
	_, err := south.take(append(bytes.Clone(raw), 0), bundle.ImportRequest{})
	faulty(t, "something behind", err, "bundle_damaged")
	_, err = south.take([]byte("GGUF"), bundle.ImportRequest{})
	faulty(t, "another file", err, "bundle_invalid")
	south.empty("tampered with")
	if _, err := south.take(raw, bundle.ImportRequest{}); err != nil {
		t.Error(err)
	}
}

// forge writes a bundle of a trusted site with records that break the rules.
func forge(t *testing.T, p *place, change func(parts map[string]any, files map[string][]byte)) []byte {
	t.Helper()
	base, err := p.st.BaseModel("tiny")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "adapter.gguf")
	if err := writeAdapter(path, 1); err != nil {
		t.Fatal(err)
	}
	weights, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	parts := map[string]any{
		"adapters/1.json":    bundle.Adapter{Name: "ft:tiny:org:a:1", Base: base.SHA256, File: "adapters/1.gguf", SHA256: sumOf(t, path)},
		"evaluations/1.json": bundle.Evaluation{ID: "eval-1", Model: "ft:tiny:org:a:1", Split: store.Test, Report: []byte("{}")},
		"releases/1.json":    bundle.Release{Alias: "support", History: []bundle.Deployed{{Number: 1, Model: "ft:tiny:org:a:1"}}},
	}
	files := map[string][]byte{"adapters/1.gguf": weights}
	change(parts, files)
	id, err := p.who.Identity()
	if err != nil {
		t.Fatal(err)
	}
	m := archive.Manifest{Program: "test", CreatedAt: time.Now(), Site: archive.Site{Name: id.Name, Key: id.Key},
		Bases: []archive.Base{{Name: "tiny", Architecture: "llama", SHA256: base.SHA256}}}
	content := map[string][]byte{}
	add := func(name string, raw []byte) {
		sum := sha256.Sum256(raw)
		content[name] = raw
		m.Parts = append(m.Parts, archive.Part{Name: name, Bytes: int64(len(raw)), SHA256: hex.EncodeToString(sum[:])})
	}
	for _, name := range slices.Sorted(maps.Keys(parts)) {
		raw, err := json.Marshal(parts[name])
		if err != nil {
			t.Fatal(err)
		}
		add(name, raw)
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		add(name, files[name])
	}
	var b bytes.Buffer
	sign := func(purpose string, message []byte) ([]byte, error) {
		signature, _, err := p.who.Sign(purpose, message)
		return signature, err
	}
	if _, err := archive.Write(&b, m, sign, func(p archive.Part) (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(content[p.Name])), nil
	}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// What a trusted site signs must still make sense.
func TestNonsense(t *testing.T) {
	north, south := newPlace(t, "north"), newPlace(t, "south")
	north.base("tiny")
	south.base("tiny")
	south.trusts(north)
	type parts = map[string]any
	type files = map[string][]byte
	adapter := func(f func(*bundle.Adapter)) func(parts, files) {
		return func(p parts, _ files) {
			a := p["adapters/1.json"].(bundle.Adapter)
			f(&a)
			p["adapters/1.json"] = a
		}
	}
	for what, change := range map[string]func(parts, files){
		"a name that is none":      adapter(func(a *bundle.Adapter) { a.Name = "tiny" }),
		"a name with an escape":    adapter(func(a *bundle.Adapter) { a.Name = "ft:\x1b[2J" }),
		"a file that is not there": adapter(func(a *bundle.Adapter) { a.File = "adapters/2.gguf" }),
		"a file elsewhere":         adapter(func(a *bundle.Adapter) { a.File = "/etc/passwd" }),
		"another checksum":         adapter(func(a *bundle.Adapter) { a.SHA256 = strings.Repeat("ab", 32) }),
		"a base nobody names":      adapter(func(a *bundle.Adapter) { a.Base = strings.Repeat("ab", 32) }),
		"no adapter":               func(p parts, f files) { delete(p, "adapters/1.json") },
		"an adapter twice":         func(p parts, f files) { p["adapters/2.json"] = p["adapters/1.json"] },
		"a file of nobody":         func(p parts, f files) { f["adapters/2.gguf"] = []byte("GGUF") },
		"a record that is none":    func(p parts, f files) { p["adapters/1.json"] = []int{1} },
		"an evaluation of nobody": func(p parts, f files) {
			p["evaluations/1.json"] = bundle.Evaluation{ID: "e", Model: "ft:x", Report: []byte("{}")}
		},
		"an evaluation without a name": func(p parts, f files) {
			p["evaluations/1.json"] = bundle.Evaluation{Model: "ft:tiny:org:a:1", Report: []byte("{}")}
		},
		"a report that is none": func(p parts, f files) {
			p["evaluations/1.json"] = bundle.Evaluation{ID: "e", Model: "ft:tiny:org:a:1", Report: []byte(`"x"`)}
		},
		"a system prompt with an escape": adapter(func(a *bundle.Adapter) { a.System = "\x1b]0;x\a" }),
		"a lineage with an escape":       adapter(func(a *bundle.Adapter) { a.Lineage.Sites = []bundle.Hop{{Name: "\x1b[2J"}} }),
		"a release of nobody": func(p parts, f files) {
			p["releases/1.json"] = bundle.Release{Alias: "a", History: []bundle.Deployed{{Model: "ft:x"}}}
		},
	} {
		_, err := south.take(forge(t, north, change), bundle.ImportRequest{})
		faulty(t, what, err, "bundle_invalid")
		south.empty(what)
	}
	junk := func(_ parts, f files) { f["adapters/1.gguf"] = []byte("GGUF") }
	fix := adapter(func(a *bundle.Adapter) {
		sum := sha256.Sum256([]byte("GGUF"))
		a.SHA256 = hex.EncodeToString(sum[:])
	})
	_, err := south.take(forge(t, north, func(p parts, f files) { junk(p, f); fix(p, f) }), bundle.ImportRequest{})
	faulty(t, "an adapter that is none", err, "invalid_adapter", "adapters/1.gguf")
	south.empty("an adapter that is none")
	split := func(p parts, _ files) {
		e := p["evaluations/1.json"].(bundle.Evaluation)
		e.Split = "other"
		p["evaluations/1.json"] = e
	}
	if _, err := south.take(forge(t, north, split), bundle.ImportRequest{}); !errors.Is(err, store.ErrInvalid) {
		t.Errorf("a split that does not exist: %v", err)
	}
	south.empty("a split that does not exist")
	// Of a later version, what is not known is verified and left alone.
	if _, err := south.take(forge(t, north, func(p parts, _ files) { p["policies/1.json"] = map[string]int{"a": 1} }), bundle.ImportRequest{}); err != nil {
		t.Error(err)
	}
}
