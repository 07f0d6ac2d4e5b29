package api_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// specification is OpenAI's OpenAPI document with its schemas compiled.
type specification struct {
	compiler *jsonschema.Compiler
	routes   []specRoute
	mu       sync.Mutex
	compiled map[string]*jsonschema.Schema
}

// specRoute leads a method and path to the places of its 200 response's schemas.
type specRoute struct {
	method string
	path   *regexp.Regexp
	byType map[string]string // content type → JSON pointer
}

const specURL = "http://openai.invalid/openai.json"

// loadSpec reads the document once for all tests.
var loadSpec = sync.OnceValues(func() (*specification, error) {
	data, err := os.ReadFile("testdata/openapi/openai.json")
	if err != nil {
		return nil, err
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	modernise(doc)
	s := &specification{compiler: jsonschema.NewCompiler(), compiled: map[string]*jsonschema.Schema{}}
	if err := s.compiler.AddResource(specURL, doc); err != nil {
		return nil, err
	}
	for path, item := range doc.(map[string]any)["paths"].(map[string]any) {
		pattern := regexp.MustCompile(`\\\{[^}]*\\\}`).ReplaceAllString(regexp.QuoteMeta(path), `[^/]+`)
		for method, operation := range item.(map[string]any) {
			op, ok := operation.(map[string]any)
			if !ok || op["responses"] == nil {
				continue
			}
			r := specRoute{method: strings.ToUpper(method), path: regexp.MustCompile("^" + pattern + "$"), byType: map[string]string{}}
			answer := op["responses"].(map[string]any)["200"].(map[string]any)
			content, _ := answer["content"].(map[string]any)
			for contentType := range content {
				r.byType[contentType] = "#/paths/" + pointer(path) + "/" + method + "/responses/200/content/" + pointer(contentType) + "/schema"
			}
			s.routes = append(s.routes, r)
		}
	}
	return s, nil
})

func pointer(s string) string {
	return strings.NewReplacer("~", "~0", "/", "~1", "{", "%7B", "}", "%7D").Replace(s)
}

// modernise rewrites what the document still says in the words of OpenAPI 3.0,
// which JSON Schema 2020-12 does not know: nullable, and exclusiveMinimum as a
// boolean.
func modernise(node any) {
	switch v := node.(type) {
	case []any:
		for _, e := range v {
			modernise(e)
		}
	case map[string]any:
		for _, e := range v {
			modernise(e)
		}
		if exclusive, ok := v["exclusiveMinimum"].(bool); ok {
			delete(v, "exclusiveMinimum")
			if exclusive {
				v["exclusiveMinimum"] = v["minimum"]
				delete(v, "minimum")
			}
		}
		if nullable, ok := v["nullable"].(bool); ok {
			delete(v, "nullable")
			if nullable {
				inner := map[string]any{}
				for key, value := range v {
					inner[key] = value
					delete(v, key)
				}
				v["anyOf"] = []any{inner, map[string]any{"type": "null"}}
			}
		}
	}
}

// check validates a JSON text against the schema at a pointer.
func (s *specification) check(at string, data []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	schema := s.compiled[at]
	if schema == nil {
		var err error
		if schema, err = s.compiler.Compile(specURL + at); err != nil {
			return err
		}
		s.compiled[at] = schema
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		return err
	}
	return schema.Validate(value)
}

const errorSchema = "#/components/schemas/ErrorResponse"

// checked is a transport that holds every response of OpenAI's routes against
// the specification, and every failure against the schema of errors.
type checked struct {
	t    testing.TB
	next http.RoundTripper
	seen func(route string) // may be nil
}

func (c checked) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := c.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err != nil {
		return nil, err
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	if err := c.validate(r, resp, body); err != nil {
		c.t.Errorf("%s %s: %d: %v\n%s", r.Method, r.URL.EscapedPath(), resp.StatusCode, err, body)
	}
	return resp, nil
}

func (c checked) validate(r *http.Request, resp *http.Response, body []byte) error {
	spec, err := loadSpec()
	if err != nil {
		return err
	}
	for _, name := range []string{"X-Request-Id", "Openai-Processing-Ms", "Openai-Version", "Openai-Organization"} {
		if resp.Header.Get(name) == "" {
			c.t.Errorf("%s %s: no header %s", r.Method, r.URL.Path, name)
		}
	}
	if resp.StatusCode >= 400 {
		if resp.Header.Get("X-Should-Retry") == "" {
			c.t.Errorf("%s %s: %d has no header X-Should-Retry", r.Method, r.URL.Path, resp.StatusCode)
		}
		return spec.check(errorSchema, body)
	}
	path := strings.TrimPrefix(r.URL.EscapedPath(), "/v1")
	if strings.HasPrefix(path, "/engines/") {
		path = "/chat/completions"
	}
	for _, route := range spec.routes {
		if route.method != r.Method || !route.path.MatchString(path) {
			continue
		}
		if strings.HasSuffix(path, "/content") {
			return nil // bytes
		}
		contentType, _, _ := strings.Cut(resp.Header.Get("Content-Type"), ";")
		at, ok := route.byType[contentType]
		if !ok {
			c.t.Errorf("%s %s answers %q, which the specification does not have", r.Method, path, contentType)
		}
		if c.seen != nil {
			c.seen(r.Method + " " + route.path.String() + " " + contentType)
		}
		if contentType != "text/event-stream" {
			return spec.check(at, body)
		}
		return checkEvents(spec, at, body)
	}
	return nil // a route of our own
}

// checkEvents validates every event of a stream, and that it ends as it must.
func checkEvents(spec *specification, at string, body []byte) error {
	events := sseData(body)
	for _, event := range events {
		if event == "[DONE]" {
			continue
		}
		var parts map[string]json.RawMessage
		if err := json.Unmarshal([]byte(event), &parts); err != nil {
			return err
		}
		schema := at
		if _, failed := parts["error"]; failed {
			schema = errorSchema
		}
		if err := spec.check(schema, []byte(event)); err != nil {
			return err
		}
	}
	return nil
}

// sseData takes the data of the events out of a stream.
func sseData(body []byte) []string {
	var out []string
	for event := range strings.SplitSeq(string(body), "\n\n") {
		if data, ok := strings.CutPrefix(event, "data: "); ok {
			out = append(out, data)
		}
	}
	return out
}

// The specification itself must be able to fail, or the other tests prove nothing.
func TestSpecificationRefusesWrongResponses(t *testing.T) {
	spec, err := loadSpec()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ schema, body string }{
		{"Model", `{"id":"m","object":"model","created":"today","owned_by":"o"}`},
		{"Model", `{"id":"m","object":"model","created":1}`},
		{"ErrorResponse", `{"error":{"message":"m","type":"t","param":null,"code":400}}`},
		{"ErrorResponse", `{"error":"no"}`},
		{"FineTuningJob", `{"error":{}}`},
		{"CreateChatCompletionStreamResponse", `{"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{},"finish_reason":"done"}]}`},
	} {
		if spec.check("#/components/schemas/"+c.schema, []byte(c.body)) == nil {
			t.Errorf("%s takes %s", c.schema, c.body)
		}
	}
	if len(spec.routes) < 25 {
		t.Errorf("%d routes in the specification", len(spec.routes))
	}
}
