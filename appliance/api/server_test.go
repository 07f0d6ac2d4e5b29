package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"cloister/appliance/admin"
	"cloister/appliance/api"
)

func TestHealth(t *testing.T) {
	f := newFixture(t)
	if got := f.do("GET", "/health", nil); got.status != 200 || !strings.Contains(string(got.body), `"ok"`) {
		t.Errorf("%d: %s", got.status, got.body)
	}
}

func TestNoRoute(t *testing.T) {
	f := newFixture(t)
	e := f.do("POST", "/v1/moderations", `{}`).refused(t, 404, "", "unknown_url")
	if e.Message != "Invalid URL (POST /v1/moderations)" {
		t.Error(e.Message)
	}
	f.do("GET", "/", nil).refused(t, 404, "", "unknown_url")
	got := f.do("PUT", "/v1/models", nil)
	got.refused(t, 405, "", "method_not_supported")
	if got.header.Get("X-Should-Retry") != "false" {
		t.Errorf("%v", got.header)
	}
	f.do("DELETE", "/v1/chat/completions", nil).refused(t, 405, "", "method_not_supported")
}

func TestBodyTooLarge(t *testing.T) {
	f := newFixture(t)
	body := `{"model":"m","messages":[{"role":"user","content":"` + strings.Repeat("x", 17<<20) + `"}]}`
	f.do("POST", "/v1/chat/completions", body).refused(t, 413, "", "")
}

// keys makes keys of the three roles over the control socket.
func keys(t *testing.T, f *fixture) (user, trainer, adminKey admin.Key) {
	t.Helper()
	for role, to := range map[string]*admin.Key{"user": &user, "trainer": &trainer, "admin": &adminKey} {
		k, err := f.control.AddKey(t.Context(), admin.NewKey{Role: role, Label: "test"})
		if err != nil {
			t.Fatal(err)
		}
		*to = k
	}
	return user, trainer, adminKey
}

func TestRoles(t *testing.T) {
	f := newFixture(t)
	user, trainer, adminKey := keys(t, f)
	bearer := func(k admin.Key) []string { return []string{"Authorization", "Bearer " + k.Secret} }
	for _, c := range []struct {
		method, path            string
		user, trainer, admin    int
		withoutKey, withAnother int
	}{
		{"GET", "/health", 200, 200, 200, 200, 200},
		{"GET", "/v1/models", 200, 200, 200, 401, 401},
		{"GET", "/v1/files", 403, 200, 200, 401, 401},
		{"GET", "/v1/fine_tuning/jobs", 403, 200, 200, 401, 401},
		{"GET", "/admin/status", 403, 403, 200, 401, 401},
		{"GET", "/admin/keys", 403, 403, 200, 401, 401},
	} {
		for who, want := range map[string]int{"user": c.user, "trainer": c.trainer, "admin": c.admin, "none": c.withoutKey, "wrong": c.withAnother} {
			headers := map[string][]string{"user": bearer(user), "trainer": bearer(trainer), "admin": bearer(adminKey),
				"none": nil, "wrong": {"Authorization", "Bearer sk-wrong"}}[who]
			if got := f.do(c.method, c.path, nil, headers...); got.status != want {
				t.Errorf("%s %s as %s: %d, want %d: %s", c.method, c.path, who, got.status, want, got.body)
			}
		}
	}
	f.do("GET", "/v1/models", nil).refused(t, 401, "", "invalid_api_key")
	f.do("GET", "/v1/models", nil, "Authorization", "Basic "+user.Secret).refused(t, 401, "", "invalid_api_key")
	f.do("GET", "/v1/files", nil, bearer(user)...).refused(t, 403, "", "insufficient_permissions")
	f.do("GET", "/v1/models", nil, "Authorization", "bearer  "+user.Secret).ok(t, nil)

	if err := f.control.RemoveKey(t.Context(), user.ID); err != nil {
		t.Fatal(err)
	}
	f.do("GET", "/v1/models", nil, bearer(user)...).refused(t, 401, "", "invalid_api_key")
	list, err := f.control.Keys(t.Context())
	if err != nil || len(list) != 2 {
		t.Errorf("%+v, %v", list, err)
	}
	for _, k := range list {
		if k.Secret != "" {
			t.Error("a secret was shown again")
		}
	}
}

// Without a key the appliance answers its own machine, but not /admin, and not
// a page whose name somebody led to this machine.
func TestWithoutKeys(t *testing.T) {
	f := newFixture(t)
	f.do("GET", "/v1/files", nil, "Authorization", "Bearer anything").ok(t, nil)
	f.do("GET", "/admin/status", nil).refused(t, 403, "", "insufficient_permissions")
	f.do("POST", "/admin/shutdown", nil).refused(t, 403, "", "insufficient_permissions")
	f.do("GET", "/v1/models", nil, "Host", "evil.example").refused(t, 401, "", "invalid_api_key")
	f.do("GET", "/v1/models", nil, "Host", "localhost:1234").ok(t, nil)

	// The same from another machine.
	server := api.New(api.Config{}, f.services(), f.logger())
	r := httptest.NewRequest("GET", "http://localhost/v1/models", nil)
	r.RemoteAddr = "192.0.2.7:5555"
	w := httptest.NewRecorder()
	server.Handler().ServeHTTP(w, r)
	if w.Code != 401 {
		t.Errorf("another machine gets %d", w.Code)
	}
}

func TestOrigins(t *testing.T) {
	f := newFixture(t, func(c *api.Config) { c.Origins = []string{"https://chat.example.org"} })
	host := strings.TrimPrefix(f.url, "http://")
	for origin, allowed := range map[string]bool{
		"http://localhost:3000": true, "http://127.0.0.1": true, "http://[::1]:8080": true, "http://" + host: true,
		"https://chat.example.org": true, "https://evil.example": false, "null": false, "https://chat.example.org.evil.example": false,
		"http://localhost.evil.example": false,
	} {
		got := f.do("POST", "/v1/chat/completions", ask("say a"), "Origin", origin, "Content-Type", "text/plain")
		if allowed {
			if got.ok(t, nil); got.header.Get("Access-Control-Allow-Origin") != origin || !strings.Contains(got.header.Get("Vary"), "Origin") {
				t.Errorf("%s: %v", origin, got.header)
			}
			continue
		}
		got.refused(t, 403, "", "origin_not_allowed")
		if got.header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s: %v", origin, got.header)
		}
	}
	preflight := f.do("OPTIONS", "/v1/files/file-1", nil, "Origin", "http://localhost:3000", "Access-Control-Request-Method", "DELETE",
		"Access-Control-Request-Headers", "authorization, x-stainless-os, x-new")
	h := preflight.header
	if preflight.status != 204 || h.Get("Access-Control-Allow-Headers") != "authorization, x-stainless-os, x-new" || !strings.Contains(h.Get("Access-Control-Allow-Methods"), "DELETE") {
		t.Errorf("%d, %v", preflight.status, h)
	}
}

// A panic is a 500 for one request, and neither the answer nor the log has what
// was panicked with.
func TestPanic(t *testing.T) {
	f := newFixture(t)
	for _, stream := range []bool{false, true} {
		got := f.do("POST", "/v1/chat/completions", ask("panic", "stream", stream))
		got.refused(t, 500, "", "")
		if got.header.Get("X-Should-Retry") != "false" || strings.Contains(string(got.body), "secret") {
			t.Errorf("%v: %s", got.header, got.body)
		}
	}
	f.do("POST", "/v1/chat/completions", ask("say a")).ok(t, nil)
	if log := f.log.String(); strings.Contains(log, "secret text") || !strings.Contains(log, "type=string") || !strings.Contains(log, "engine_test.go") {
		t.Errorf("log: %s", log)
	}
}

// Nothing that users send or models answer is in the log.
func TestLogHoldsNoTexts(t *testing.T) {
	f := newFixture(t)
	f.do("POST", "/v1/chat/completions", ask("say Planted-Text"))
	f.do("POST", "/v1/chat/completions", ask("say Planted-Text", "stream", true))
	f.do("POST", "/v1/chat/completions", ask("Planted-Text", "temperature", 9, "user", "Planted-Text"))
	f.do("POST", "/v1/chat/completions", `{"model":"Planted-Text","messages":[{"role":"Planted-Text","content":"Planted-Text"}]}`)
	f.do("POST", "/v1/chat/completions", `{"messages":"Planted-Text`)
	f.do("POST", "/v1/chat/completions", ask("a", "model", "Planted-Text"))
	f.do("GET", "/v1/models/Planted-Text?x=Planted-Text", nil)
	f.do("GET", "/Planted-Text", nil)
	f.do("POST", "/api/chat", map[string]string{"message": "Planted-Text"})
	f.upload(t, "purpose", "fine-tune", "file", "Planted-Text\n")
	f.upload(t, "purpose", "fine-tune", "file", conversation("Planted-Text", "Planted-Text"))
	f.do("POST", "/v1/feedback", map[string]any{"id": "chatcmpl-x", "correction": "Planted-Text"})
	f.do("GET", "/v1/models", nil, "Authorization", "Bearer Planted-Text")
	log := f.log.String()
	if strings.Contains(log, "Planted") {
		t.Errorf("log: %s", log)
	}
	if lines := strings.Count(log, "\n"); lines < 13 {
		t.Errorf("only %d lines in the log:\n%s", lines, log)
	}
}

// Requests at the same time, for the race detector.
func TestManyAtOnce(t *testing.T) {
	f := newFixture(t)
	done := make(chan error)
	for i := range 16 {
		go func() {
			data, _ := json.Marshal(ask("say one two three", "stream", i%2 == 0, "n", 1+i%3))
			r, err := http.NewRequestWithContext(context.Background(), "POST", f.url+"/v1/chat/completions", bytes.NewReader(data))
			if err != nil {
				done <- err
				return
			}
			resp, err := f.http.Do(r)
			if err == nil {
				_, err = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
			}
			done <- err
		}()
	}
	for range 16 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}
