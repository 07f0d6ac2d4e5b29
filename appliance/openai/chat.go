package openai

import "encoding/json"

// ChatRequest is the body of POST /v1/chat/completions. Fields that the
// appliance does not act on (user, store, metadata, service_tier …) are not
// listed and so are ignored.
type ChatRequest struct {
	Model               string             `json:"model,omitempty"`
	Messages            Messages           `json:"messages"`
	MaxCompletionTokens *int               `json:"max_completion_tokens,omitempty"`
	MaxTokens           *int               `json:"max_tokens,omitempty"` // deprecated; MaxCompletionTokens wins
	N                   *int               `json:"n,omitempty"`
	Temperature         *float64           `json:"temperature,omitempty"`
	TopP                *float64           `json:"top_p,omitempty"`
	PresencePenalty     *float64           `json:"presence_penalty,omitempty"`
	FrequencyPenalty    *float64           `json:"frequency_penalty,omitempty"`
	Stop                Stop               `json:"stop,omitempty"`
	Seed                *int64             `json:"seed,omitempty"`
	LogitBias           map[string]float64 `json:"logit_bias,omitempty"`
	Logprobs            *bool              `json:"logprobs,omitempty"`
	TopLogprobs         *int               `json:"top_logprobs,omitempty"`
	Stream              *bool              `json:"stream,omitempty"`
	StreamOptions       *StreamOptions     `json:"stream_options,omitempty"`
	ResponseFormat      *ResponseFormat    `json:"response_format,omitempty"`
	Modalities          []string           `json:"modalities,omitempty"`

	Tools        json.RawMessage `json:"tools,omitempty"`
	ToolChoice   json.RawMessage `json:"tool_choice,omitempty"`
	Functions    json.RawMessage `json:"functions,omitempty"`     // deprecated form of Tools
	FunctionCall json.RawMessage `json:"function_call,omitempty"` // deprecated form of ToolChoice

	// The samplers that OpenAI does not have, in the names of llama-server.
	TopK          *int     `json:"top_k,omitempty"`
	MinP          *float64 `json:"min_p,omitempty"`
	RepeatPenalty *float64 `json:"repeat_penalty,omitempty"`
}

// StreamOptions says what a stream carries beside the text.
type StreamOptions struct {
	IncludeUsage bool `json:"include_usage"`
}

// ResponseFormat asks for a form of the answer: "text", "json_object" or "json_schema".
type ResponseFormat struct {
	Type string `json:"type"`
}

// Messages is a conversation. Decoding names the turn in which something is wrong.
type Messages []Message

// UnmarshalJSON decodes an array of messages. Its errors are *FieldError.
func (m *Messages) UnmarshalJSON(data []byte) error {
	if isNull(data) {
		*m = nil
		return nil
	}
	var raw []json.RawMessage
	if err := json.Unmarshal(data, &raw); err != nil {
		return &FieldError{Param: "messages", Message: "Invalid type for 'messages': expected an array of objects, but got " + kind(data) + " instead."}
	}
	out := make(Messages, len(raw))
	for i := range raw {
		if kind(raw[i]) != "object" {
			return &FieldError{Param: "messages" + index(i), Message: "Invalid type for 'messages" + index(i) + "': expected an object, but got " + kind(raw[i]) + " instead."}
		}
		if err := json.Unmarshal(raw[i], &out[i]); err != nil {
			return under(err, "messages"+index(i))
		}
	}
	*m = out
	return nil
}

// Message is one turn of a conversation in a request.
type Message struct {
	Role string `json:"role"`
	// Content is nil when it was null or absent, as in an assistant turn with tool calls.
	Content    *Content   `json:"content"`
	Name       *string    `json:"name,omitempty"`
	ToolCallID *string    `json:"tool_call_id,omitempty"`
	ToolCalls  []ToolCall `json:"tool_calls,omitempty"`
}

// Content is the text of a message. On the wire it is a string or an array of
// parts; the texts of parts are joined by line breaks, as llama-server does.
type Content string

// NewContent returns a pointer to text, for Message.Content.
func NewContent(text string) *Content { return (*Content)(&text) }

// UnmarshalJSON decodes a string or an array of text and refusal parts. Parts
// of other kinds are refused. Its errors are *FieldError.
func (c *Content) UnmarshalJSON(data []byte) error {
	var text string
	if err := json.Unmarshal(data, &text); err == nil {
		*c = Content(text)
		return nil
	}
	var raw []json.RawMessage
	if err := json.Unmarshal(data, &raw); err != nil {
		return &FieldError{Param: "content", Message: "Invalid type for 'content': expected a string or an array of content parts, but got " + kind(data) + " instead."}
	}
	joined := ""
	for i := range raw {
		text, err := partText(raw[i])
		if err != nil {
			return under(err, "content"+index(i))
		}
		if i > 0 {
			joined += "\n"
		}
		joined += text
	}
	*c = Content(joined)
	return nil
}

func partText(data []byte) (string, error) {
	var part struct {
		Type    string  `json:"type"`
		Text    *string `json:"text"`
		Refusal *string `json:"refusal"`
	}
	if err := json.Unmarshal(data, &part); err != nil {
		return "", fieldError(err)
	}
	switch {
	case part.Type == "text" && part.Text != nil:
		return *part.Text, nil
	case part.Type == "refusal" && part.Refusal != nil:
		return *part.Refusal, nil
	case part.Type == "text", part.Type == "refusal":
		return "", &FieldError{Param: part.Type, Message: "Missing required parameter: '" + part.Type + "'."}
	}
	return "", &FieldError{Param: "type", Message: "Invalid value for 'type': this model reads text only; supported parts are 'text' and 'refusal'."}
}

// ToolCall is a call of a function in an assistant turn.
type ToolCall struct {
	ID       string       `json:"id"`
	Type     string       `json:"type"` // "function"
	Function FunctionCall `json:"function"`
}

// FunctionCall names a function and its arguments, a JSON object as text.
type FunctionCall struct {
	Name      string `json:"name"`
	Arguments string `json:"arguments"`
}

// Stop holds the texts that end an answer. On the wire it is a string or an array.
type Stop []string

// UnmarshalJSON decodes a string, an array of strings or null. Its error is a *FieldError.
func (s *Stop) UnmarshalJSON(data []byte) error {
	var one string
	if isNull(data) {
		*s = nil
		return nil
	}
	if err := json.Unmarshal(data, &one); err == nil {
		*s = Stop{one}
		return nil
	}
	var many []string
	if err := json.Unmarshal(data, &many); err != nil {
		return &FieldError{Param: "stop", Message: "Invalid type for 'stop': expected a string or an array of strings."}
	}
	*s = many
	return nil
}

// ChatCompletion is the answer to a ChatRequest.
type ChatCompletion struct {
	ID                string   `json:"id"`     // "chatcmpl-…"
	Object            string   `json:"object"` // "chat.completion"
	Created           int64    `json:"created"`
	Model             string   `json:"model"`
	Choices           []Choice `json:"choices"`
	Usage             *Usage   `json:"usage,omitempty"`
	SystemFingerprint string   `json:"system_fingerprint,omitempty"`
}

// Choice is one of the n answers.
type Choice struct {
	Index        int             `json:"index"`
	Message      ResponseMessage `json:"message"`
	FinishReason string          `json:"finish_reason"` // "stop" or "length"
	Logprobs     *Logprobs       `json:"logprobs"`
}

// ResponseMessage is the assistant's turn.
type ResponseMessage struct {
	Role    string  `json:"role"` // "assistant"
	Content *string `json:"content"`
	Refusal *string `json:"refusal"`
}

// Logprobs are the log-probabilities of an answer's tokens. The tokens, joined, are its text.
type Logprobs struct {
	Content []TokenLogprob `json:"content"`
	Refusal []TokenLogprob `json:"refusal"`
}

// TokenLogprob is a token with its natural log-probability and the likeliest ones at its place.
type TokenLogprob struct {
	Token       string       `json:"token"`
	Logprob     float64      `json:"logprob"`
	Bytes       []int        `json:"bytes"` // each 0..255; a token may hold part of a character
	TopLogprobs []TopLogprob `json:"top_logprobs"`
}

// TopLogprob is a token that could have stood at a place.
type TopLogprob struct {
	Token   string  `json:"token"`
	Logprob float64 `json:"logprob"`
	Bytes   []int   `json:"bytes"`
}

// Usage counts the tokens of a request, over all its choices.
type Usage struct {
	PromptTokens            int                      `json:"prompt_tokens"`
	CompletionTokens        int                      `json:"completion_tokens"`
	TotalTokens             int                      `json:"total_tokens"`
	PromptTokensDetails     *PromptTokensDetails     `json:"prompt_tokens_details,omitempty"`
	CompletionTokensDetails *CompletionTokensDetails `json:"completion_tokens_details,omitempty"`
}

// PromptTokensDetails says which of the prompt's tokens cost no work.
type PromptTokensDetails struct {
	CachedTokens int `json:"cached_tokens"`
	AudioTokens  int `json:"audio_tokens"`
}

// CompletionTokensDetails has the parts of an answer; all are 0 for plain text.
type CompletionTokensDetails struct {
	ReasoningTokens          int `json:"reasoning_tokens"`
	AudioTokens              int `json:"audio_tokens"`
	AcceptedPredictionTokens int `json:"accepted_prediction_tokens"`
	RejectedPredictionTokens int `json:"rejected_prediction_tokens"`
}

// ChatChunk is one event of a streamed answer.
type ChatChunk struct {
	ID                string        `json:"id"`
	Object            string        `json:"object"` // "chat.completion.chunk"
	Created           int64         `json:"created"`
	Model             string        `json:"model"`
	SystemFingerprint string        `json:"system_fingerprint,omitempty"`
	Choices           []ChunkChoice `json:"choices"`
	// Usage is left out unless the client asked for it; then it is null in
	// every chunk but the last.
	Usage ChunkUsage `json:"usage,omitzero"`
}

// ChunkChoice is a piece of one answer.
type ChunkChoice struct {
	Index        int       `json:"index"`
	Delta        Delta     `json:"delta"`
	FinishReason *string   `json:"finish_reason"`
	Logprobs     *Logprobs `json:"logprobs"`
}

// Delta is what a chunk adds: the role once, then text, then nothing.
type Delta struct {
	Role    string  `json:"role,omitempty"`
	Content *string `json:"content,omitempty"`
}

// ChunkUsage is absent, null or a Usage.
type ChunkUsage struct {
	Present bool // the key is written
	Usage   *Usage
}

// IsZero reports whether the key is left out.
func (u ChunkUsage) IsZero() bool { return !u.Present }

// MarshalJSON writes null or the usage.
func (u ChunkUsage) MarshalJSON() ([]byte, error) { return json.Marshal(u.Usage) }

// UnmarshalJSON reads null or the usage.
func (u *ChunkUsage) UnmarshalJSON(data []byte) error {
	u.Present = true
	return json.Unmarshal(data, &u.Usage)
}
