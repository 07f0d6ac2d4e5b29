package bundle_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"cloister/appliance/bundle"
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
