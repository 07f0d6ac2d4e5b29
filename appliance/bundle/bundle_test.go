package bundle_test

import (
	"bytes"
	"context"
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
	"sync"
	"testing"
	"time"

	"cloister/appliance/bundle"
	"cloister/appliance/bundle/archive"
	"cloister/llama/gguf"
	"cloister/lora/eval"
	"cloister/store"
	"cloister/store/signing"
)

func sumOf(t testing.TB, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

func TestFromSiteToSite(t *testing.T) {
	north, south := newPlace(t, "north"), newPlace(t, "south")
	north.base("tiny")
	south.base("small")
	south.trusts(north)
	name := north.tuned("tiny", 1)
	raw := north.export(bundle.ExportRequest{Models: []string{"support", name}})

	c, err := south.Verify(t.Context(), bytes.NewReader(raw))
	if err != nil || !c.Importable() || c.TrustedAs != "north" || len(c.Adapters) != 1 || c.Adapters[0].State != bundle.StateNew || c.Bases[0].Here != "small" {
		t.Fatalf("%+v, %v", c, err)
	}
	south.empty("verified only")
	got, err := south.take(raw, bundle.ImportRequest{})
	if err != nil || got.Added != 1 || got.AddedEvaluations != 1 {
		t.Fatalf("%+v, %v", got, err)
	}
	before, err1 := north.st.Adapter(name)
	after, err2 := south.st.Adapter(name)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	if after.Base != "small" || after.SHA256 != before.SHA256 || !after.CreatedAt.Equal(before.CreatedAt) || after.Metrics["step"] != 12 || sumOf(t, south.reg.Path(after.Path)) != before.SHA256 {
		t.Errorf("%+v", after)
	}
	list, err := south.st.Evaluations(name)
	if err != nil || len(list) != 1 || list[0].Baseline != "small" || list[0].Split != store.Test {
		t.Errorf("%+v, %v", list, err)
	}
	o, err := south.st.Origin(name)
	if err != nil || o.Site != "north" || !o.Trusted || o.System != "You are kind." || o.Bundle != c.SHA256 || o.Evaluations[list[0].ID] != "north" {
		t.Errorf("%+v, %v", o, err)
	}
	var l bundle.Lineage
	if err := json.Unmarshal(o.Lineage, &l); err != nil {
		t.Fatal(err)
	}
	tr := l.Training
	if tr == nil || tr.Dataset.Name != "clinic" || len(tr.Dataset.Fingerprint) != 64 || tr.Dataset.Counts[store.Train] == 0 || tr.Canaries != 1 || tr.Resolved.Rank != 2 || tr.Steps != 12 || len(tr.Curve) != 1 || len(tr.Metrics) != 3 || tr.Metrics[2]["train_loss"] != 1.5 || l.Parent == nil || len(l.Sites) != 1 || l.Sites[0].Name != "north" {
		t.Errorf("%s", o.Lineage)
	}
	var releases []bundle.Release
	if err := json.Unmarshal(o.Releases, &releases); err != nil || len(releases) != 1 || releases[0].Current != name || releases[0].History[0].Reason == "" {
		t.Errorf("%s, %v", o.Releases, err)
	}
	if aliases, err := south.st.Aliases(); err != nil || len(aliases) != 0 {
		t.Errorf("something was deployed: %+v, %v", aliases, err)
	}

	// Again, nothing changes; and nothing when it comes back home.
	files := south.files()
	if got, err := south.take(raw, bundle.ImportRequest{}); err != nil || got.Added != 0 || got.AddedEvaluations != 0 || got.Adapters[0].State != bundle.StateHere {
		t.Errorf("%+v, %v", got, err)
	}
	if again, err := south.st.Origin(name); err != nil || !again.ImportedAt.Equal(o.ImportedAt) || !slices.Equal(files, south.files()) {
		t.Errorf("the second import changed something: %+v, %v, %v", again, south.files(), err)
	}
	if got, err := north.take(raw, bundle.ImportRequest{}); err != nil || got.Added != 0 || got.TrustedAs != "north" {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := north.st.Origin(name); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("what was made here has an origin: %v", err)
	}
	// Removed, it takes its file and its origin along.
	if err := south.reg.Remove(t.Context(), name); err != nil || len(south.files()) != 0 {
		t.Errorf("%v, %v", err, south.files())
	}
}

// An evaluation of the other site comes back with the model, and is told from our own.
func TestEvaluatedElsewhere(t *testing.T) {
	north, south := newPlace(t, "north"), newPlace(t, "south")
	north.base("tiny")
	south.base("tiny")
	south.trusts(north)
	north.trusts(south)
	name := north.tuned("tiny", 1)
	if _, err := south.take(north.export(bundle.ExportRequest{All: true}), bundle.ImportRequest{}); err != nil {
		t.Fatal(err)
	}
	report, err := json.Marshal(eval.Report{Model: name})
	if err != nil {
		t.Fatal(err)
	}
	e, err := south.st.PutEvaluation(store.Evaluation{Model: name, Baseline: "tiny", Split: store.Test, Report: report})
	if err != nil {
		t.Fatal(err)
	}
	got, err := north.take(south.export(bundle.ExportRequest{Models: []string{name}}), bundle.ImportRequest{})
	if err != nil || got.Added != 0 || got.AddedEvaluations != 1 {
		t.Fatalf("%+v, %v", got, err)
	}
	o, err := north.st.Origin(name)
	if err != nil || !maps.Equal(o.Evaluations, map[string]string{e.ID: "south"}) || len(o.Lineage) != 0 || o.System != "" {
		t.Errorf("%+v, %v", o, err)
	}
	// Its lineage is still told by its own job.
	if raw := north.export(bundle.ExportRequest{All: true}); !bytes.Contains(raw, []byte(`"dataset":{"name":"clinic"`)) {
		t.Error("the lineage is gone")
	}
}

// No text of an example, of a file's name, of metadata or of a path leaves.
func TestNoTexts(t *testing.T) {
	north := newPlace(t, "north")
	north.base("tiny")
	name := north.tuned("tiny", 1)
	raw := bytes.ToLower(north.export(bundle.ExportRequest{Models: []string{name}}))
	for at := bytes.Index(raw, []byte("secret")); at >= 0; at = -1 {
		t.Errorf("a text leaves: …%s…", raw[max(0, at-60):min(len(raw), at+60)])
	}
	if bytes.Contains(raw, []byte(north.home)) {
		t.Error("a path leaves")
	}
	for _, want := range []string{"label 1", "label 2", "a file, test", "files elsewhere", `"values":7`, "you are kind."} {
		if !bytes.Contains(raw, []byte(want)) {
			t.Errorf("%q is missing", want)
		}
	}
	// With samples they go along, and only they.
	whole := north.export(bundle.ExportRequest{Models: []string{name}, Samples: true})
	if _, err := north.take(whole, bundle.ImportRequest{}); err != nil {
		t.Error(err)
	}
	raw = bytes.ToLower(whole)
	for text, want := range map[string]bool{"secret question": true, "secret label": true, "secret-file": false, "secret metadata": false, "/home/secret": false, "secret canary": false, "<secret_1>": false} {
		if bytes.Contains(raw, []byte(text)) != want {
			t.Errorf("with samples, %q there: %v", text, !want)
		}
	}
}

// The same label has the same name in all figures.
func TestLabels(t *testing.T) {
	report, err := json.Marshal(textualReport("m", "b"))
	if err != nil {
		t.Fatal(err)
	}
	raw, err := bundle.Stripped(&store.Evaluation{Report: report, Dataset: "d"}, false)
	if err != nil {
		t.Fatal(err)
	}
	var r eval.Report
	if err := json.Unmarshal(raw, &r); err != nil {
		t.Fatal(err)
	}
	for _, l := range []*eval.Labels{r.Tuned.Labels, r.Base.Labels} {
		if l.Classes[0].Label != "label 1" || l.Confusion["label 1"]["label 1"] != 2 || l.Confusion["label 1"]["label 2"] != 1 || l.Confusion["label 1"][eval.Other] != 1 || l.Confusion["label 2"]["label 2"] != 1 {
			t.Errorf("%+v", l)
		}
	}
	if r.Source != "secret-file.csv test" {
		t.Errorf("the name of a dataset was left out: %s", r.Source)
	}
}

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

	// Export says what it cannot do before the first byte.
	_, err = north.Export(t.Context(), bundle.ExportRequest{Models: []string{"tiny"}})
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

// Whoever goes away in the middle leaves nothing behind.
func TestInterrupted(t *testing.T) {
	north, south := newPlace(t, "north"), newPlace(t, "south")
	north.base("tiny")
	south.base("tiny")
	south.trusts(north)
	north.tuned("tiny", 1)
	north.tuned("tiny", 2)
	raw := north.export(bundle.ExportRequest{All: true})
	for n := 0; n < len(raw); n += len(raw)/25 + 1 {
		ctx, cancel := context.WithCancel(t.Context())
		if _, err := south.Import(ctx, &slow{raw: raw, n: n, at: cancel}, bundle.ImportRequest{}); !errors.Is(err, context.Canceled) {
			t.Fatalf("after %d bytes: %v", n, err)
		}
		south.empty("interrupted")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := north.Export(ctx, bundle.ExportRequest{All: true}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// Two at a time give what one after the other gives.
func TestTogether(t *testing.T) {
	north, south := newPlace(t, "north"), newPlace(t, "south")
	north.base("tiny")
	south.base("tiny")
	south.trusts(north)
	north.tuned("tiny", 1)
	raw := north.export(bundle.ExportRequest{All: true})
	var wait sync.WaitGroup
	added := make([]int, 8)
	for i := range added {
		wait.Go(func() {
			got, err := south.Import(t.Context(), &slow{raw: raw}, bundle.ImportRequest{})
			if err != nil {
				t.Error(err)
			}
			added[i] = got.Added
		})
	}
	wait.Wait()
	slices.Sort(added)
	if added[6] != 0 || added[7] != 1 || len(south.files()) != 1 {
		t.Errorf("%v, %v", added, south.files())
	}
}

// An adapter that a packed program carries leaves as any other.
func TestPartOfAFile(t *testing.T) {
	north, south := newPlace(t, "north"), newPlace(t, "south")
	north.base("tiny")
	south.base("tiny")
	south.trusts(north)
	name := north.tuned("tiny", 1)
	a, err := north.st.Adapter(name)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(north.reg.Path(a.Path))
	if err != nil {
		t.Fatal(err)
	}
	larger := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(larger, slices.Concat(make([]byte, 4096), raw, []byte("behind")), 0o700); err != nil {
		t.Fatal(err)
	}
	a.Path = gguf.Region{Path: larger, Offset: 4096, Length: int64(len(raw))}.String()
	if err := north.st.PutAdapter(a); err != nil {
		t.Fatal(err)
	}
	if got, err := south.take(north.export(bundle.ExportRequest{Models: []string{name}}), bundle.ImportRequest{}); err != nil || got.Adapters[0].SHA256 != a.SHA256 {
		t.Errorf("%+v, %v", got, err)
	}
}

// A manifest of the site's own making, signed by a key that it does not name, is refused.
func TestStolenName(t *testing.T) {
	north, south := newPlace(t, "north"), newPlace(t, "south")
	north.base("tiny")
	south.base("tiny")
	south.trusts(north)
	mallory := newPlace(t, "north") // calls itself so
	mallory.base("tiny")
	mallory.tuned("tiny", 1)
	_, err := south.take(mallory.export(bundle.ExportRequest{All: true}), bundle.ImportRequest{})
	faulty(t, "another key under the same name", err, "untrusted_signer")
	if _, err := signing.ParsePublicKey("north"); err == nil {
		t.Error("a name is a key")
	}
	south.empty("stolen")
}
