package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	answering "cloister/appliance/answer"
	"cloister/appliance/api"
	"cloister/appliance/appliancetest"
	"cloister/appliance/bundle"
	"cloister/appliance/client"
	"cloister/appliance/datasets"
	"cloister/appliance/engine"
	"cloister/appliance/estimate"
	"cloister/appliance/evaluate"
	"cloister/appliance/feedback"
	"cloister/appliance/jobs"
	"cloister/appliance/models"
	"cloister/appliance/release"
	"cloister/appliance/site"
	"cloister/lora/train"
	"cloister/store"
)

// base is the name of the base model in the tests.
const base = "tiny.v1"

// fixture is an appliance whose parts are real but for the engine and the trainer.
type fixture struct {
	t       testing.TB
	home    string
	store   *store.Store
	engine  *scripted
	trainer *appliancetest.Trainer
	url     string         // of the TCP routes, without /v1
	control *client.Client // at the control socket
	http    *http.Client   // checks every response against the specification
	log     *logs
	routes  sync.Map // of the specification that were seen
	stopped chan struct{}

	mu   sync.Mutex
	gate chan struct{} // while it is open the trainer waits before its second step
}

// block makes training stop before its second step until release is called.
func (f *fixture) block() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.gate = make(chan struct{})
}

func (f *fixture) release() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.gate != nil {
		close(f.gate)
		f.gate = nil
	}
}

// step is called by the trainer before each step.
func (f *fixture) step(_ train.Request, n int) {
	f.mu.Lock()
	gate := f.gate
	f.mu.Unlock()
	if gate != nil && n == 2 {
		<-gate
	}
}

// logs is a log that tests can read.
type logs struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func newFixture(t testing.TB, change ...func(*api.Config)) *fixture {
	t.Helper()
	f := &fixture{t: t, engine: newScripted(), log: &logs{}, stopped: make(chan struct{})}
	f.trainer = &appliancetest.Trainer{Step: f.step}
	f.store, f.home = appliancetest.Store(t)
	if err := f.store.PutBaseModel(store.BaseModel{Name: base, Path: "models/tiny.gguf", SHA256: strings.Repeat("ab", 32), Bytes: 1, Architecture: "llama", Parameters: 1}); err != nil {
		t.Fatal(err)
	}
	config := api.Config{Version: "test", Home: f.home, Shutdown: sync.OnceFunc(func() { close(f.stopped) })}
	for _, c := range change {
		c(&config)
	}
	server := api.New(config, f.services(), f.logger())

	tcp := httptest.NewServer(server.Handler())
	t.Cleanup(tcp.Close)
	f.url = tcp.URL
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	f.http = &http.Client{Transport: checked{t: t, next: transport, seen: func(route string) { f.routes.Store(route, true) }}}

	path := filepath.Join(f.home, "control.sock")
	socket, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	control := &http.Server{Handler: server.ControlHandler()}
	go func() { _ = control.Serve(socket) }()
	t.Cleanup(func() { _ = control.Close() })
	f.control = client.Unix(path)
	t.Cleanup(f.control.Close)
	return f
}

func (f *fixture) logger() *slog.Logger { return slog.New(slog.NewTextHandler(f.log, nil)) }

func (f *fixture) services() api.Services {
	mask := appliancetest.Masking(f.t, f.store)
	start := func(context.Context, store.BaseModel, bool) (engine.Engine, error) { return f.engine, nil }
	registry := models.New(f.store, start, models.Config{Org: "clinic", Home: f.home, Map: map[string]string{"gpt-mapped": base}})
	data := datasets.New(f.store, mask)
	manager := jobs.New(f.store, resolving{f.trainer}, registry, data, jobs.Config{Home: f.home})
	if err := manager.Start(); err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() {
		f.release()
		if err := manager.Close(); err != nil {
			f.t.Error(err)
		}
		if err := registry.Close(); err != nil {
			f.t.Error(err)
		}
	})
	answers := feedback.New(f.store, mask)
	who := site.New(f.store)
	bundles, err := bundle.New(f.store, registry, who, f.home, "test")
	if err != nil {
		f.t.Fatal(err)
	}
	return api.Services{
		Recorder: answers, Models: registry, Datasets: data, Masking: mask, Jobs: manager, Estimator: estimate.New(manager, calibrate, f.home),
		Answerer:  answering.New(registry, data),
		Evaluator: evaluate.New(f.store, registry, mask, f.home), Releases: release.New(f.store, registry),
		Feedback: answers, Bundles: bundles, Site: who, Store: f.store,
	}
}

// calibrate stands for the training worker.
func calibrate(_ context.Context, req train.Request) (train.Estimation, error) {
	return train.Estimation{Examples: len(req.Train), Tokens: 1000, Steps: 10, Seconds: 60}, nil
}

// answer is a response that was read.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// do sends a request; body is marshalled unless it is a string or nil. Headers
// are name, value, ….
func (f *fixture) do(method, path string, body any, headers ...string) answer {
	f.t.Helper()
	var content io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		content = strings.NewReader(b)
	default:
		data, err := json.Marshal(b)
		if err != nil {
			f.t.Fatal(err)
		}
		content = bytes.NewReader(data)
	}
	r, err := http.NewRequest(method, f.url+path, content)
	if err != nil {
		f.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	if host := r.Header.Get("Host"); host != "" {
		r.Host = host
	}
	resp, err := f.http.Do(r)
	if err != nil {
		f.t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		f.t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, data}
}

// ok fails the test unless the status is 200, and decodes the body into v if it is not nil.
func (a answer) ok(t testing.TB, v any) {
	t.Helper()
	if a.status != http.StatusOK {
		t.Fatalf("status %d: %s", a.status, a.body)
	}
	if v != nil {
		if err := json.Unmarshal(a.body, v); err != nil {
			t.Fatalf("%v: %s", err, a.body)
		}
	}
}

// wireError is the error of a body; null is "".
type wireError struct{ Message, Type, Param, Code string }

// refused fails the test unless the answer is this failure, and returns its error.
func (a answer) refused(t testing.TB, status int, param, code string) wireError {
	t.Helper()
	var body struct{ Error wireError }
	if err := json.Unmarshal(a.body, &body); err != nil {
		t.Fatalf("%v: %s", err, a.body)
	}
	if e := body.Error; a.status != status || e.Param != param || e.Code != code {
		t.Errorf("status %d, param %q, code %q, message %q; want %d, %q, %q", a.status, e.Param, e.Code, e.Message, status, param, code)
	}
	return body.Error
}

// user is a message of a user.
func user(text string) map[string]any { return map[string]any{"role": "user", "content": text} }

// ask is a chat request with one message; more are field, value, ….
func ask(text string, more ...any) map[string]any {
	out := map[string]any{"model": base, "messages": []any{user(text)}}
	for i := 0; i < len(more); i += 2 {
		out[more[i].(string)] = more[i+1]
	}
	return out
}
