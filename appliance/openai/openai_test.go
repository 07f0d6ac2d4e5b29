package openai

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

func TestUnmarshalNamesTheField(t *testing.T) {
	for _, c := range []struct{ name, body, param, message string }{
		{"no body", ` `, "", "no body"},
		{"not JSON", `{"model": }`, "", "not valid JSON"},
		{"cut short", `{"model": "m"`, "", "not valid JSON"},
		{"two values", `{"messages":[]} {}`, "", "not valid JSON"},
		{"not an object", `[1]`, "", "the body"},
		{"model", `{"model": 5}`, "model", "a string"},
		{"temperature", `{"temperature": "hot"}`, "temperature", "a number"},
		{"max_tokens", `{"max_tokens": 1.5}`, "max_tokens", "an integer"},
		{"stream", `{"stream": "yes"}`, "stream", "a boolean"},
		{"messages", `{"messages": "hello"}`, "messages", "array"},
		{"message", `{"messages": [{"role":"user","content":"a"}, "b"]}`, "messages[1]", "an object"},
		{"role", `{"messages": [{"role": 7}]}`, "messages[0].role", "'messages[0].role'"},
		{"content", `{"messages": [{"role":"user","content":5}]}`, "messages[0].content", "'messages[0].content'"},
		{"part", `{"messages": [{"role":"user","content":[{"type":"text","text":"a"},{"type":"image_url","image_url":{}}]}]}`, "messages[0].content[1].type", "text only"},
		{"part without text", `{"messages": [{"role":"user","content":[{"type":"text"}]}]}`, "messages[0].content[0].text", "'messages[0].content[0].text'"},
		{"tool call", `{"messages": [{"role":"assistant","tool_calls":[{"id":1}]}]}`, "messages[0].tool_calls.id", "a string"},
		{"stop", `{"stop": 5}`, "stop", "a string or an array"},
		{"stop list", `{"stop": ["a", 5]}`, "stop", "a string or an array"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var r ChatRequest
			err := Unmarshal([]byte(c.body), &r)
			var field *FieldError
			if !errors.As(err, &field) {
				t.Fatalf("error %v (%T), want a *FieldError", err, err)
			}
			if field.Param != c.param || !strings.Contains(field.Message, c.message) {
				t.Errorf("param %q, message %q; want %q and %q in it", field.Param, field.Message, c.param, c.message)
			}
		})
	}
}

func TestUnmarshalTakesNullAsAbsent(t *testing.T) {
	body := `{"model":"m","messages":[{"role":"assistant","content":null,"name":null,"tool_calls":null}],
		"max_tokens":null,"n":null,"temperature":null,"stop":null,"seed":null,"logit_bias":null,"stream":null,
		"stream_options":null,"response_format":null,"tools":null,"top_logprobs":null,"something_new":{"a":[1]}}`
	var r ChatRequest
	if err := Unmarshal([]byte(body), &r); err != nil {
		t.Fatal(err)
	}
	if r.MaxTokens != nil || r.N != nil || r.Stop != nil || r.Seed != nil || r.StreamOptions != nil || r.Messages[0].Content != nil {
		t.Errorf("null was not taken as absent: %+v", r)
	}
}

func TestContentForms(t *testing.T) {
	for _, c := range []struct{ wire, want string }{
		{`"Hello"`, "Hello"},
		{`""`, ""},
		{`[{"type":"text","text":"안녕"}]`, "안녕"},
		{`[{"type":"text","text":"a"},{"type":"text","text":"b"}]`, "a\nb"},
		{`[{"type":"refusal","refusal":"no"}]`, "no"},
	} {
		var got Content
		if err := Unmarshal([]byte(c.wire), &got); err != nil {
			t.Errorf("%s: %v", c.wire, err)
		}
		if string(got) != c.want {
			t.Errorf("%s: %q, want %q", c.wire, got, c.want)
		}
	}
}

func TestJobRequestForms(t *testing.T) {
	body := `{"model":"m","training_file":"file-1","suffix":null,
		"hyperparameters":{"n_epochs":"auto","batch_size":null,"learning_rate_multiplier":2e-5},
		"method":{"type":"supervised","supervised":{"hyperparameters":{"n_epochs":7}},
			"dpo":{"hyperparameters":{"beta":"auto"}},"reinforcement":{"grader":{}}}}`
	var r JobRequest
	if err := Unmarshal([]byte(body), &r); err != nil {
		t.Fatal(err)
	}
	h := r.Hyperparameters
	if h.NEpochs.Set || h.BatchSize.Set || h.LearningRateMultiplier != (Auto[float64]{true, 2e-5}) {
		t.Errorf("hyperparameters: %+v", h)
	}
	if got := r.Method.Supervised.Hyperparameters.NEpochs; got != (Auto[int]{true, 7}) {
		t.Errorf("method.supervised n_epochs: %+v", got)
	}
	if d := r.Method.DPO; d == nil || d.Hyperparameters == nil || d.Hyperparameters.Beta.Set {
		t.Errorf("method.dpo: %+v", d)
	}
	for _, c := range []struct{ body, param string }{
		{`{"method":5}`, "method"},
		{`{"method":{"type":5}}`, "method.type"},
		{`{"method":{"type":"dpo","dpo":{"hyperparameters":{"beta":"x"}}}}`, "method.dpo.hyperparameters.beta"},
		{`{"method":{"type":"dpo","dpo":"x"}}`, "method.dpo"},
		{`{"hyperparameters":{"n_epochs":"ten"}}`, "hyperparameters.n_epochs"},
		{`{"hyperparameters":{"n_epochs":1.5}}`, "hyperparameters.n_epochs"},
		{`{"hyperparameters":"auto"}`, "hyperparameters"},
		{`{"method":{"type":"supervised","supervised":{"hyperparameters":{"batch_size":{}}}}}`, "method.supervised.hyperparameters.batch_size"},
		{`{"method":{"type":"supervised","supervised":5}}`, "method.supervised"},
		{`{"metadata":{"a":1}}`, "metadata.a"},
	} {
		err := Unmarshal([]byte(c.body), new(JobRequest))
		var field *FieldError
		if !errors.As(err, &field) || (field.Param != c.param && !strings.HasPrefix(c.param, field.Param+".")) {
			t.Errorf("%s: %v, want a FieldError of %s", c.body, err, c.param)
		}
	}
}

func TestChunkUsageIsAbsentNullOrSet(t *testing.T) {
	for _, c := range []struct {
		usage ChunkUsage
		want  string
	}{
		{ChunkUsage{}, ""},
		{ChunkUsage{Present: true}, `"usage":null`},
		{ChunkUsage{Present: true, Usage: &Usage{TotalTokens: 3}}, `"usage":{"prompt_tokens":0,"completion_tokens":0,"total_tokens":3}`},
	} {
		out, err := json.Marshal(ChatChunk{Usage: c.usage})
		if err != nil {
			t.Fatal(err)
		}
		if has := strings.Contains(string(out), `"usage"`); has != (c.want != "") || !strings.Contains(string(out), c.want) {
			t.Errorf("%s, want %q in it", out, c.want)
		}
	}
}

func TestErrorHasAllFourKeys(t *testing.T) {
	out, err := json.Marshal(ErrorResponse{Error{Message: "m", Type: "server_error"}})
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"error":{"message":"m","type":"server_error","param":null,"code":null}}`; string(out) != want {
		t.Errorf("%s, want %s", out, want)
	}
}
