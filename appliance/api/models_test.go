package api_test

import (
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cloister/appliance/openai"
	"cloister/store"
)

// adapter puts a tuned model into the store.
func (f *fixture) adapter(t *testing.T, name string) {
	t.Helper()
	path := filepath.Join(f.home, "adapters", "a.gguf")
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("adapter"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := f.store.PutAdapter(store.Adapter{Name: name, Base: base, Path: "adapters/a.gguf", SHA256: strings.Repeat("cd", 32)}); err != nil {
		t.Fatal(err)
	}
}

func TestModels(t *testing.T) {
	f := newFixture(t)
	tuned := "ft:" + base + ":clinic:front.desk:abc12345"
	checkpoint := tuned + ":ckpt-step-2"
	f.adapter(t, tuned)
	f.adapter(t, checkpoint)
	var list openai.List[openai.Model]
	for _, path := range []string{"/v1/models", "/models", "/v1/models/", "//v1//models"} {
		f.do("GET", path, nil).ok(t, &list)
		if len(list.Data) != 3 || list.Data[0].ID != base || list.Data[0].OwnedBy != "clinic" || list.Data[0].Created == 0 {
			t.Errorf("%s: %+v", path, list.Data)
		}
	}
	for _, name := range []string{base, tuned, checkpoint, "gpt-mapped", "gpt-4o"} {
		for _, path := range []string{name, url.PathEscape(name), strings.ReplaceAll(name, ":", "%3A"), strings.ReplaceAll(name, ":", "%3a")} {
			var m openai.Model
			f.do("GET", "/v1/models/"+path, nil).ok(t, &m)
			if m.ID != name {
				t.Errorf("%s: %+v", path, m)
			}
		}
	}
	f.do("GET", "/v1/models/nobody", nil).refused(t, 404, "model", "model_not_found")
	f.do("GET", "/v1/models/ft%3Aorg%2Fbase%3A%3A%3Aabc", nil).refused(t, 404, "model", "model_not_found")
	f.do("GET", "/v1/models/org/base", nil).refused(t, 404, "model", "model_not_found")

	f.do("DELETE", "/v1/models/"+base, nil).refused(t, 403, "model", "")
	f.do("DELETE", "/v1/models/gpt-4o", nil).refused(t, 403, "model", "")
	f.do("DELETE", "/v1/models/nobody", nil).refused(t, 404, "model", "model_not_found")
	f.do("DELETE", "/v1/models/"+url.PathEscape(checkpoint), nil).ok(t, nil)
	f.do("DELETE", "/v1/models/"+tuned, nil).ok(t, nil)
	f.do("GET", "/v1/models/"+tuned, nil).refused(t, 404, "model", "model_not_found")
	f.do("POST", "/v1/chat/completions", ask("say a", "model", tuned)).refused(t, 404, "model", "model_not_found")
}

// A model's name with a slash, which clients send escaped or not.
func TestModelNameWithSlash(t *testing.T) {
	f := newFixture(t)
	const name = "org/base.q4"
	if err := f.store.PutBaseModel(store.BaseModel{Name: name, Path: "x.gguf", SHA256: strings.Repeat("00", 32)}); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"org/base.q4", "org%2Fbase.q4", "org%2fbase%2Eq4"} {
		var m openai.Model
		f.do("GET", "/v1/models/"+path, nil).ok(t, &m)
		if m.ID != name {
			t.Errorf("%s: %+v", path, m)
		}
	}
}

// While an alias serves a model, it cannot be deleted from under its users.
func TestModelInUse(t *testing.T) {
	f := newFixture(t)
	tuned := "ft:" + base + ":clinic::abc12345"
	f.adapter(t, tuned)
	if _, err := f.store.Deploy("support", store.Release{Model: tuned, By: "test"}); err != nil {
		t.Fatal(err)
	}
	var m openai.Model
	f.do("GET", "/v1/models/support", nil).ok(t, &m)
	if m.Root != tuned || *m.Parent != base {
		t.Errorf("%+v", m)
	}
	got := f.do("DELETE", "/v1/models/"+tuned, nil)
	if got.status != 400 {
		t.Errorf("%d: %s", got.status, got.body)
	}
	var answer openai.ChatCompletion
	f.do("POST", "/v1/chat/completions", ask("who", "model", "support")).ok(t, &answer)
	if answer.Model != tuned {
		t.Errorf("answered by %s", answer.Model)
	}
}
