package api

import (
	"context"
	"math"
	"slices"
	"strconv"
	"strings"

	"cloister/appliance/engine"
	"cloister/appliance/models"
	"cloister/appliance/openai"
	"cloister/llama/chat"
)

// Bounds of OpenAI's specification.
const (
	maxChoices     = 128
	maxStops       = 4
	maxTopLogprobs = 20
)

// chatCall is a chat request that was found good, with its model.
type chatCall struct {
	model   models.Resolved
	engine  engine.Engine
	request engine.ChatRequest
	choices int
}

// prepareChat checks a request, finds its model and starts its engine.
func (s *Server) prepareChat(ctx context.Context, req *openai.ChatRequest) (*chatCall, error) {
	out, err := parseChat(req)
	if err != nil {
		return nil, err
	}
	if out.model, err = s.Models.Resolve(req.Model); err != nil {
		return nil, err
	}
	if out.engine, err = s.Models.Engine(ctx, out.model); err != nil {
		return nil, err
	}
	out.request.Adapter = out.model.AdapterName()
	if s.config.MaskAnswers && out.request.Logprobs {
		return nil, unsupported("logprobs", "This appliance masks its answers (cloister serve --mask-answers), and 'logprobs' would show them as they were.")
	}
	return out, out.fits(ctx)
}

// question is what the user said last.
func (c *chatCall) question() string {
	for _, m := range slices.Backward(c.request.Messages) {
		if m.Role == "user" {
			return m.Content
		}
	}
	return ""
}

// fits refuses an answer that is longer than the context has room for, which
// the engine alone would cut. Counting is only needed when the texts, at one
// token a byte, could be too long.
func (c *chatCall) fits(ctx context.Context) error {
	if c.request.MaxTokens == 0 {
		return nil
	}
	info, err := c.engine.Info(ctx)
	if err != nil {
		return err
	}
	const template = 64 // tokens that a template puts around a message, and more
	most := c.request.MaxTokens + template
	for _, m := range c.request.Messages {
		most += len(m.Content) + template
	}
	if most <= info.ServeContext {
		return nil
	}
	prompt, err := c.engine.CountTokens(ctx, c.request.Messages)
	if err != nil {
		return err
	}
	if prompt >= info.ServeContext {
		return &engine.ContextError{Limit: info.ServeContext, Prompt: prompt}
	}
	if total := prompt + c.request.MaxTokens; total > info.ServeContext {
		f := invalid("max_tokens", "This model's maximum context length is %d tokens. However, you requested %d tokens (%d in the messages, %d in the completion). Please reduce the length of the messages or completion.",
			info.ServeContext, total, prompt, c.request.MaxTokens)
		f.param, f.code = "messages", "context_length_exceeded"
		return f
	}
	return nil
}

// parseChat checks the values of a request and turns it into the engine's.
func parseChat(req *openai.ChatRequest) (*chatCall, error) {
	if err := refuseUnsupported(req); err != nil {
		return nil, err
	}
	messages, err := parseMessages(req.Messages)
	if err != nil {
		return nil, err
	}
	out := &chatCall{choices: 1}
	out.request.Messages = messages
	if out.request.Sampling, err = parseSampling(req); err != nil {
		return nil, err
	}
	if req.N != nil {
		out.choices = *req.N
	}
	if err := inRange("n", float64(out.choices), 1, maxChoices); err != nil {
		return nil, err
	}
	if out.request.MaxTokens, err = parseMaxTokens(req); err != nil {
		return nil, err
	}
	if len(req.Stop) > maxStops {
		return nil, invalid("stop", "Invalid 'stop': at most %d sequences are allowed, but got %d.", maxStops, len(req.Stop))
	}
	for _, stop := range req.Stop {
		if stop != "" { // some clients send an empty one for none
			out.request.Stop = append(out.request.Stop, stop)
		}
	}
	out.request.Logprobs = req.Logprobs != nil && *req.Logprobs
	if req.TopLogprobs != nil {
		if !out.request.Logprobs {
			return nil, invalid("top_logprobs", "The 'top_logprobs' parameter is only allowed when 'logprobs' is true.")
		}
		if err := inRange("top_logprobs", float64(*req.TopLogprobs), 0, maxTopLogprobs); err != nil {
			return nil, err
		}
		out.request.TopLogprobs = *req.TopLogprobs
	}
	return out, nil
}

// refuseUnsupported names what a client would silently miss if it were
// ignored. Tools that the model is free to leave alone are ignored.
func refuseUnsupported(req *openai.ChatRequest) error {
	if f := req.ResponseFormat; f != nil && f.Type != "" && f.Type != "text" {
		return unsupported("response_format", "Answers in a given format ('response_format' of type '%s') are not supported yet; ask for text.", f.Type)
	}
	if forced(req.ToolChoice) && present(req.Tools) {
		return unsupported("tool_choice", "Tools are not supported yet, so 'tool_choice' cannot force a call.")
	}
	if forced(req.FunctionCall) && present(req.Functions) {
		return unsupported("function_call", "Functions are not supported yet, so 'function_call' cannot force a call.")
	}
	for _, m := range req.Modalities {
		if m != "text" {
			return unsupported("modalities", "This model answers in text only.")
		}
	}
	return nil
}

func unsupported(param, format string, args ...any) error {
	f := invalid(param, format, args...)
	f.code = "unsupported_value"
	return f
}

func present(raw []byte) bool {
	text := strings.TrimSpace(string(raw))
	return text != "" && text != "null" && text != "[]"
}

// forced reports whether a choice of tools leaves the model no way around a call.
func forced(choice []byte) bool {
	switch strings.TrimSpace(string(choice)) {
	case "", "null", `"none"`, `"auto"`:
		return false
	}
	return true
}

// parseMessages checks the turns of a conversation.
func parseMessages(in openai.Messages) ([]chat.Message, error) {
	if len(in) == 0 {
		return nil, invalid("messages", "Invalid 'messages': expected an array with at least one message.")
	}
	out := make([]chat.Message, len(in))
	for i, m := range in {
		path := "messages[" + strconv.Itoa(i) + "]"
		msg, err := parseMessage(path, m)
		if err != nil {
			return nil, err
		}
		out[i] = msg
	}
	return out, nil
}

func parseMessage(path string, m openai.Message) (chat.Message, error) {
	out := chat.Message{Role: m.Role}
	if m.Content != nil {
		out.Content = string(*m.Content)
	}
	if m.Name != nil {
		out.Name = *m.Name
	}
	switch m.Role {
	case "":
		return out, missing(path + ".role")
	case "developer": // the newer word for the same; open models know the older one
		out.Role = "system"
	case "function": // deprecated form of tool
		out.Role = "tool"
	case "tool":
		if m.ToolCallID == nil || *m.ToolCallID == "" {
			return out, missing(path + ".tool_call_id")
		}
		out.ToolCallID = *m.ToolCallID
	case "assistant":
		for _, c := range m.ToolCalls {
			out.ToolCalls = append(out.ToolCalls, chat.ToolCall{ID: c.ID, Type: "function",
				Function: chat.FunctionCall{Name: c.Function.Name, Arguments: c.Function.Arguments}})
		}
	case "system", "user":
	default:
		return out, invalid(path+".role", "Invalid value for '%s.role': supported values are 'system', 'developer', 'user', 'assistant' and 'tool'.", path)
	}
	if m.Content == nil && len(out.ToolCalls) == 0 {
		return out, invalid(path+".content", "Invalid value for '%s.content': expected a string, got null.", path)
	}
	return out, nil
}

// parseMaxTokens returns the bound of the answer; 0: none was given.
func parseMaxTokens(req *openai.ChatRequest) (int, error) {
	name, value := "max_completion_tokens", req.MaxCompletionTokens
	if value == nil {
		name, value = "max_tokens", req.MaxTokens
	}
	if value == nil {
		return 0, nil
	}
	if *value < 1 {
		return 0, invalid(name, "Invalid '%s': integer below minimum value. Expected a value >= 1, but got %d instead.", name, *value)
	}
	return min(*value, math.MaxInt32), nil // what is added to it must not overflow
}

// parseSampling checks the samplers. OpenAI's defaults count: temperature 1, top_p 1.
func parseSampling(req *openai.ChatRequest) (engine.Sampling, error) {
	var out engine.Sampling
	for _, f := range []struct {
		name     string
		value    *float64
		def      float64
		min, max float64
		to       *float32
	}{
		{"temperature", req.Temperature, 1, 0, 2, &out.Temperature},
		{"top_p", req.TopP, 1, 0, 1, &out.TopP},
		{"presence_penalty", req.PresencePenalty, 0, -2, 2, &out.PresencePenalty},
		{"frequency_penalty", req.FrequencyPenalty, 0, -2, 2, &out.FrequencyPenalty},
		{"min_p", req.MinP, 0, 0, 1, &out.MinP},
		{"repeat_penalty", req.RepeatPenalty, 0, 0, 10, &out.RepeatPenalty},
	} {
		value := f.def
		if f.value != nil {
			value = *f.value
		}
		if err := inRange(f.name, value, f.min, f.max); err != nil {
			return out, err
		}
		*f.to = float32(value)
	}
	if req.TopP != nil && *req.TopP == 0 {
		out.TopP = 1e-6 // the likeliest token only; the engine takes 0 for off
	}
	if req.TopK != nil {
		if *req.TopK < 0 {
			return out, invalid("top_k", "Invalid 'top_k': expected a value >= 0, but got %d instead.", *req.TopK)
		}
		out.TopK = *req.TopK
	}
	out.Seed = req.Seed
	return out, parseBias(req.LogitBias, &out)
}

func parseBias(in map[string]float64, out *engine.Sampling) error {
	for key, value := range in {
		token, err := strconv.ParseInt(key, 10, 32)
		if err != nil || token < 0 {
			return invalid("logit_bias", "Invalid key in 'logit_bias': keys are token ids, such as \"50256\".")
		}
		if err := inRange("logit_bias", value, -100, 100); err != nil {
			return err
		}
		if out.LogitBias == nil {
			out.LogitBias = map[int32]float32{}
		}
		out.LogitBias[int32(token)] = float32(value)
	}
	return nil
}

// inRange is OpenAI's sentence about a number that is out of its range.
func inRange(param string, value, low, high float64) error {
	switch {
	case value < low:
		return invalid(param, "Invalid '%s': value below minimum. Expected a value >= %v, but got %v instead.", param, low, value)
	case value > high:
		return invalid(param, "Invalid '%s': value above maximum. Expected a value <= %v, but got %v instead.", param, high, value)
	}
	return nil
}
