// Package chat holds the messages of a conversation and renders them with a
// model's own template. Serving and training render with the same code, so a
// model meets in production the very bytes it was trained on.
package chat

// Message is one turn of a conversation, in the field names of OpenAI's API.
type Message struct {
	// Role is "system", "developer", "user", "assistant" or "tool".
	Role    string `json:"role"`
	Content string `json:"content"`
	// Name, ToolCallID and ToolCalls are empty unless tools are in use.
	Name       string     `json:"name,omitempty"`
	ToolCallID string     `json:"tool_call_id,omitempty"`
	ToolCalls  []ToolCall `json:"tool_calls,omitempty"`
	// Weight 0 keeps an assistant turn out of the training loss; nil means 1.
	// Rendering ignores it.
	Weight *int `json:"weight,omitempty"`
}

// ToolCall is a call of a function that an assistant turn asks for.
type ToolCall struct {
	ID       string       `json:"id"`
	Type     string       `json:"type"` // always "function"
	Function FunctionCall `json:"function"`
}

// FunctionCall names a function and its arguments, a JSON object as text.
type FunctionCall struct {
	Name      string `json:"name"`
	Arguments string `json:"arguments"`
}
