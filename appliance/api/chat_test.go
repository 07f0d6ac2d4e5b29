package api_test

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"cloister/appliance/openai"
)

func TestChatAnswers(t *testing.T) {
	f := newFixture(t)
	var out openai.ChatCompletion
	f.do("POST", "/v1/chat/completions", ask("say Hello to you")).ok(t, &out)
	if got := *out.Choices[0].Message.Content; got != "Hello to you" || out.Choices[0].FinishReason != "stop" {
		t.Errorf("%q, %s", got, out.Choices[0].FinishReason)
	}
	if !strings.HasPrefix(out.ID, "chatcmpl-") || out.Model != base || out.SystemFingerprint != "fp_abababababab" {
		t.Errorf("id %q, model %q, fingerprint %q", out.ID, out.Model, out.SystemFingerprint)
	}
	if u := out.Usage; u.PromptTokens != 8 || u.CompletionTokens != 3 || u.TotalTokens != 11 || u.PromptTokensDetails.CachedTokens != 1 {
		t.Errorf("usage %+v", u)
	}
	req := f.engine.last()
	if req.Sampling.Temperature != 1 || req.Sampling.TopP != 1 || req.MaxTokens != 0 || req.Logprobs || req.Sampling.Seed != nil {
		t.Errorf("OpenAI's defaults were not taken: %+v", req)
	}
}

func TestChatPassesEverythingOn(t *testing.T) {
	f := newFixture(t)
	f.do("POST", "/v1/chat/completions", ask("say a b c d", "temperature", 0.5, "top_p", 0.9, "seed", 42, "presence_penalty", -2,
		"frequency_penalty", 2, "max_tokens", 5, "max_completion_tokens", 2, "stop", []string{"x", ""}, "logit_bias", map[string]int{"7": -100},
		"top_k", 40, "min_p", 0.05, "repeat_penalty", 1.1, "user", "u", "store", true, "metadata", map[string]string{"a": "b"},
		"service_tier", "auto", "tools", []any{}, "response_format", map[string]string{"type": "text"}, "stream", false,
		"stream_options", map[string]bool{"include_usage": true}, "something_new", 1)).ok(t, nil)
	req := f.engine.last()
	s := req.Sampling
	if s.Temperature != 0.5 || s.TopP != 0.9 || *s.Seed != 42 || s.PresencePenalty != -2 || s.FrequencyPenalty != 2 || s.TopK != 40 || s.MinP != 0.05 || s.RepeatPenalty != 1.1 {
		t.Errorf("sampling %+v", s)
	}
	if req.MaxTokens != 2 {
		t.Errorf("max_completion_tokens did not win: %d", req.MaxTokens)
	}
	if len(req.Stop) != 1 || req.Stop[0] != "x" || s.LogitBias[7] != -100 {
		t.Errorf("stop %q, bias %v", req.Stop, s.LogitBias)
	}
}

func TestChatRoles(t *testing.T) {
	f := newFixture(t)
	body := `{"model":"` + base + `","messages":[
		{"role":"developer","content":"Be short."},
		{"role":"user","content":[{"type":"text","text":"What is"},{"type":"text","text":"open?"}],"name":"kim"},
		{"role":"assistant","content":null,"tool_calls":[{"id":"call_1","type":"function","function":{"name":"hours","arguments":"not JSON"}}]},
		{"role":"tool","tool_call_id":"call_1","content":"9 to 5"},
		{"role":"user","content":"say yes"}]}`
	f.do("POST", "/v1/chat/completions", body).ok(t, nil)
	got := f.engine.last().Messages
	if got[0].Role != "system" || got[0].Content != "Be short." {
		t.Errorf("developer became %+v", got[0])
	}
	if got[1].Content != "What is\nopen?" || got[1].Name != "kim" {
		t.Errorf("parts became %+v", got[1])
	}
	if got[2].ToolCalls[0].Function.Arguments != "not JSON" || got[3].ToolCallID != "call_1" {
		t.Errorf("tools became %+v, %+v", got[2], got[3])
	}
}

func TestChatChoices(t *testing.T) {
	f := newFixture(t)
	var out openai.ChatCompletion
	f.do("POST", "/v1/chat/completions", ask("seed", "n", 6, "seed", 10)).ok(t, &out)
	if len(out.Choices) != 6 {
		t.Fatalf("%d choices", len(out.Choices))
	}
	for i, c := range out.Choices {
		if want := []string{"10", "11", "12", "13", "14", "15"}[i]; c.Index != i || *c.Message.Content != want {
			t.Errorf("choice %d: index %d, %q; want its own seed %s", i, c.Index, *c.Message.Content, want)
		}
	}
	if out.Usage.CompletionTokens != 6 || out.Usage.PromptTokens != 5 {
		t.Errorf("usage counts all answers and the prompt once: %+v", out.Usage)
	}
}

func TestChatEnds(t *testing.T) {
	f := newFixture(t)
	var out openai.ChatCompletion
	f.do("POST", "/v1/chat/completions", ask("say one two three", "max_tokens", 2)).ok(t, &out)
	if got := *out.Choices[0].Message.Content; got != "one two " || out.Choices[0].FinishReason != "length" {
		t.Errorf("max_tokens: %q, %s", got, out.Choices[0].FinishReason)
	}
	f.do("POST", "/v1/chat/completions", ask("say one two three", "stop", "two")).ok(t, &out)
	if got := *out.Choices[0].Message.Content; got != "one " || out.Choices[0].FinishReason != "stop" {
		t.Errorf("stop: %q, %s", got, out.Choices[0].FinishReason)
	}
}

func TestChatLogprobs(t *testing.T) {
	f := newFixture(t)
	var out openai.ChatCompletion
	f.do("POST", "/v1/chat/completions", ask("say 안녕 you", "logprobs", true, "top_logprobs", 2)).ok(t, &out)
	content := out.Choices[0].Logprobs.Content
	joined := ""
	for _, token := range content {
		joined += token.Token
	}
	if joined != "안녕 you" || len(content[0].TopLogprobs) != 2 || len(content[0].Bytes) != 7 {
		t.Errorf("%+v", content)
	}
	f.do("POST", "/v1/chat/completions", ask("say a", "logprobs", true)).ok(t, &out)
	if len(out.Choices[0].Logprobs.Content[0].TopLogprobs) != 0 {
		t.Error("top_logprobs without being asked for")
	}
	var raw map[string]json.RawMessage
	f.do("POST", "/v1/chat/completions", ask("say a", "logprobs", nil)).ok(t, &raw)
	if !strings.Contains(string(raw["choices"]), `"logprobs":null`) {
		t.Errorf("%s", raw["choices"])
	}
}

func TestChatRefuses(t *testing.T) {
	f := newFixture(t)
	for _, c := range []struct {
		name        string
		body        any
		param, code string
	}{
		{"not JSON", `{"model":`, "", ""},
		{"no body", ``, "", ""},
		{"no model", map[string]any{"messages": []any{user("a")}}, "model", ""},
		{"no messages", map[string]any{"model": base}, "messages", ""},
		{"empty messages", ask("a", "messages", []any{}), "messages", ""},
		{"messages of a wrong type", ask("a", "messages", "a"), "messages", ""},
		{"no role", ask("a", "messages", []any{map[string]any{"content": "a"}}), "messages[0].role", ""},
		{"unknown role", ask("a", "messages", []any{user("b"), map[string]any{"role": "robot", "content": "a"}}), "messages[1].role", ""},
		{"no content", ask("a", "messages", []any{map[string]any{"role": "user"}}), "messages[0].content", ""},
		{"tool without id", ask("a", "messages", []any{map[string]any{"role": "tool", "content": "a"}}), "messages[0].tool_call_id", ""},
		{"image", ask("a", "messages", []any{map[string]any{"role": "user", "content": []any{map[string]any{"type": "image_url"}}}}), "messages[0].content[0].type", ""},
		{"temperature", ask("a", "temperature", 2.1), "temperature", ""},
		{"temperature below", ask("a", "temperature", -0.1), "temperature", ""},
		{"temperature type", ask("a", "temperature", "1"), "temperature", ""},
		{"top_p", ask("a", "top_p", 1.1), "top_p", ""},
		{"presence_penalty", ask("a", "presence_penalty", -2.1), "presence_penalty", ""},
		{"frequency_penalty", ask("a", "frequency_penalty", 2.1), "frequency_penalty", ""},
		{"n", ask("a", "n", 0), "n", ""},
		{"n above", ask("a", "n", 129), "n", ""},
		{"max_tokens", ask("a", "max_tokens", 0), "max_tokens", ""},
		{"max_completion_tokens", ask("a", "max_completion_tokens", -1), "max_completion_tokens", ""},
		{"stop", ask("a", "stop", []string{"1", "2", "3", "4", "5"}), "stop", ""},
		{"logit_bias", ask("a", "logit_bias", map[string]int{"1": 101}), "logit_bias", ""},
		{"logit_bias key", ask("a", "logit_bias", map[string]int{"hello": 1}), "logit_bias", ""},
		{"top_logprobs alone", ask("a", "top_logprobs", 1), "top_logprobs", ""},
		{"top_logprobs", ask("a", "logprobs", true, "top_logprobs", 21), "top_logprobs", ""},
		{"json_schema", ask("a", "response_format", map[string]any{"type": "json_schema"}), "response_format", "unsupported_value"},
		{"tool_choice", ask("a", "tools", []any{map[string]any{"type": "function"}}, "tool_choice", "required"), "tool_choice", "unsupported_value"},
		{"audio", ask("a", "modalities", []string{"text", "audio"}), "modalities", "unsupported_value"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f.do("POST", "/v1/chat/completions", c.body).refused(t, 400, c.param, c.code)
		})
	}
	f.do("POST", "/v1/chat/completions", ask("refuse")).refused(t, 400, "messages", "invalid_messages")
	e := f.do("POST", "/v1/chat/completions", ask("a", "model", "nobody")).refused(t, 404, "model", "model_not_found")
	if !strings.Contains(e.Message, "nobody") {
		t.Error(e.Message)
	}
	if n := len(f.engine.requests); n != 1 {
		t.Errorf("%d refused requests reached the engine", n)
	}
}

// Tools that the model may leave alone are ignored, and null is absent.
func TestChatIgnores(t *testing.T) {
	f := newFixture(t)
	tool := map[string]any{"type": "function", "function": map[string]any{"name": "f", "description": nil}}
	for _, body := range []any{
		ask("say a", "tools", []any{tool}),
		ask("say a", "tools", []any{tool}, "tool_choice", "auto", "parallel_tool_calls", true),
		ask("say a", "tools", nil, "tool_choice", nil, "response_format", nil, "n", nil, "stop", nil, "temperature", nil, "max_tokens", nil, "stream", nil, "stream_options", nil, "logit_bias", nil, "modalities", nil),
	} {
		f.do("POST", "/v1/chat/completions", body).ok(t, nil)
	}
}

func TestChatContext(t *testing.T) {
	f := newFixture(t)
	long := strings.Repeat("word ", 300)
	for _, stream := range []bool{false, true} {
		got := f.do("POST", "/v1/chat/completions", ask(long, "stream", stream))
		e := got.refused(t, 400, "messages", "context_length_exceeded")
		if !strings.HasPrefix(e.Message, "This model's maximum context length is 256 tokens. However, your messages resulted in 304 tokens.") {
			t.Error(e.Message)
		}
		if ct := got.header.Get("Content-Type"); ct != "application/json" {
			t.Errorf("stream %v: Content-Type %q", stream, ct)
		}
	}
	e := f.do("POST", "/v1/chat/completions", ask("say a", "max_tokens", 5000)).refused(t, 400, "messages", "context_length_exceeded")
	if !strings.Contains(e.Message, "5006 tokens (6 in the messages, 5000 in the completion)") {
		t.Error(e.Message)
	}
	for _, n := range []int64{1 << 33, math.MaxInt64} {
		f.do("POST", "/v1/chat/completions", ask("say a", "max_tokens", n)).refused(t, 400, "messages", "context_length_exceeded")
	}
	f.do("POST", "/v1/chat/completions", ask("say a", "max_tokens", 250)).ok(t, nil)
}

// A tuned model that is removed between its name and its answer is no fault of the appliance.
func TestChatModelRemoved(t *testing.T) {
	f := newFixture(t)
	f.do("POST", "/v1/chat/completions", ask("removed")).refused(t, 503, "", "model_unloaded")
}

func TestChatModelNames(t *testing.T) {
	f := newFixture(t)
	for _, name := range []string{base, "gpt-mapped", "gpt-4o-mini-2024-07-18", "gpt-3.5-turbo"} {
		var out openai.ChatCompletion
		f.do("POST", "/v1/chat/completions", ask("say a", "model", name)).ok(t, &out)
		if out.Model != base {
			t.Errorf("%s is answered by %s", name, out.Model)
		}
	}
	body := map[string]any{"messages": []any{user("say a")}}
	f.do("POST", "/v1/engines/"+base+"/chat/completions", body).ok(t, nil)
	f.do("POST", "/engines/gpt-3.5-turbo/chat/completions", body).ok(t, nil)
	f.do("POST", "/chat/completions", ask("say a")).ok(t, nil)
}

func TestSimpleChat(t *testing.T) {
	f := newFixture(t)
	var out struct{ ID, Model, Response string }
	f.do("POST", "/api/chat", map[string]string{"message": "say We open at nine."}).ok(t, &out)
	if out.Response != "We open at nine." || out.Model != base || !strings.HasPrefix(out.ID, "chatcmpl-") {
		t.Errorf("%+v", out)
	}
	if got := f.engine.last().Sampling.Temperature; got != 0 {
		t.Errorf("temperature %v; the simple endpoint gives the likeliest answer", got)
	}
	f.do("POST", "/api/chat", map[string]string{"message": "last system", "system": "You are the front desk."}).ok(t, &out)
	if out.Response != "You are the front desk." {
		t.Errorf("%+v", out)
	}
	f.do("POST", "/api/chat", map[string]string{"message": " "}).refused(t, 400, "message", "")
	f.do("POST", "/api/chat", `{"message":5}`).refused(t, 400, "message", "")
	f.do("POST", "/api/chat", map[string]string{"message": "a", "model": "nobody"}).refused(t, 404, "model", "model_not_found")
}
